//! A classifier's project: in which language it is written, told by the manifest that this language's people know, and what that says
//! about it.

use super::WorkshopError;
use crate::plugin::Metadata;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A project, ready to be built.
#[derive(Debug)]
pub(super) struct Project {
    pub(super) dir: PathBuf,
    pub(super) name: String,
    pub(super) about: Metadata,
    pub(super) source: Source,
}

/// What is built.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A crate, by `Cargo.toml`.
    Rust,
    /// A module, by `package.json`; its main file.
    JavaScript(String),
    /// A module, by `pyproject.toml`.
    Python,
    /// C sources, by `classifier.toml`.
    C,
    /// A rule pack or a script, which needs no build: its file.
    Text(PathBuf),
}

impl Project {
    /// The project of a folder.
    pub(super) fn of(dir: &Path) -> Result<Self, WorkshopError> {
        let read = |name: &str| {
            let path = dir.join(name);
            path.is_file().then(|| std::fs::read_to_string(&path).map_err(|e| WorkshopError::file(&path, &e))).transpose()
        };
        if let Some(text) = read("Cargo.toml")? {
            let package = table(dir, "Cargo.toml", &text, &["package"])?;
            return Self::new(dir, Source::Rust, &package, "repository");
        }
        if let Some(text) = read("package.json")? {
            let package: Value = serde_json::from_str(&text).map_err(|e| wrong(dir, "package.json", &e.to_string()))?;
            let main = package.get("main").and_then(Value::as_str).unwrap_or("index.js").to_owned();
            return Self::new(dir, Source::JavaScript(main), &package, "repository");
        }
        if let Some(text) = read("pyproject.toml")? {
            let project = table(dir, "pyproject.toml", &text, &["project"])?;
            let mut project = Self::new(dir, Source::Python, &project, "")?;
            let urls = table(dir, "pyproject.toml", &text, &["project", "urls"]).unwrap_or_default();
            project.about.source = ["Repository", "repository", "Source", "source"].iter().find_map(|key| string(&urls, key));
            return Ok(project);
        }
        if let Some(text) = read("classifier.toml")? {
            return Self::new(dir, Source::C, &table(dir, "classifier.toml", &text, &[])?, "source");
        }
        let texts = texts(dir)?;
        match texts.as_slice() {
            [one] => {
                let name = one.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                Ok(Self { dir: dir.to_owned(), name, about: Metadata::default(), source: Source::Text(one.clone()) })
            }
            [] => Err(WorkshopError::new(
                format!("{}: there is no project here", dir.display()),
                "`tracejury plugin new NAME` makes one; a Cargo.toml, package.json, pyproject.toml, classifier.toml, or one *.toml or *.js would do",
            )),
            many => Err(WorkshopError::new(
                format!("{}: there are {} rule packs and scripts here", dir.display(), many.len()),
                "name the one you mean: `tracejury plugin pack F`",
            )),
        }
    }

    fn new(dir: &Path, source: Source, manifest: &Value, repository: &str) -> Result<Self, WorkshopError> {
        let name = string(manifest, "name").ok_or_else(|| wrong(dir, "the manifest", "name: is missing"))?;
        // A package of a scope, such as `@acme/refunds`, is a file without it.
        let name = name.rsplit('/').next().unwrap_or(&name).to_owned();
        let linked = manifest.get(repository).and_then(|repository| repository.get("url")).and_then(Value::as_str).map(str::to_owned);
        let about = Metadata {
            name: Some(name.clone()),
            version: string(manifest, "version"),
            description: string(manifest, "description"),
            licenses: string(manifest, "license"),
            source: string(manifest, repository).or(linked),
        };
        Ok(Self { dir: dir.to_owned(), name, about, source })
    }
}

fn string(table: &Value, key: &str) -> Option<String> {
    table.get(key)?.as_str().map(str::to_owned)
}

/// A table of a TOML file.
fn table(dir: &Path, file: &str, text: &str, path: &[&str]) -> Result<Value, WorkshopError> {
    let whole: Value = toml::from_str(text).map_err(|e| wrong(dir, file, e.message()))?;
    let found = path.iter().try_fold(&whole, |table, key| table.get(key));
    found.cloned().ok_or_else(|| wrong(dir, file, &format!("[{}]: is missing", path.join("."))))
}

fn wrong(dir: &Path, file: &str, what: &str) -> WorkshopError {
    WorkshopError::new(format!("{}: {what}", dir.join(file).display()), "`tracejury plugin new` shows what it looks like")
}

/// The rule packs and scripts of a folder.
fn texts(dir: &Path) -> Result<Vec<PathBuf>, WorkshopError> {
    let entries = std::fs::read_dir(dir).map_err(|e| WorkshopError::file(dir, &e))?;
    let ending = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "toml" || ending == "js");
    let mut texts: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file() && ending(path)).collect();
    texts.sort();
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(files: &[(&str, &str)]) -> Result<Project, String> {
        let dir = tempfile::tempdir().unwrap();
        files.iter().for_each(|(name, text)| std::fs::write(dir.path().join(name), text).unwrap());
        Project::of(dir.path()).map_err(|e| e.what.replace(&dir.path().display().to_string(), "DIR"))
    }

    #[test]
    fn the_manifest_tells_the_language() {
        let rust = of(&[("Cargo.toml", "[package]\nname = 'r'\nversion = '1.0.0'\nlicense = 'MIT'\nrepository = 'https://x'\n")]).unwrap();
        assert_eq!((rust.source, rust.name.as_str(), rust.about.source.as_deref()), (Source::Rust, "r", Some("https://x")));
        let js = of(&[("package.json", r#"{"name":"j","main":"m.js","repository":{"url":"https://y"}}"#), ("m.js", "")]).unwrap();
        assert_eq!((js.source, js.about.source.as_deref()), (Source::JavaScript("m.js".into()), Some("https://y")));
        let py = of(&[("pyproject.toml", "[project]\nname = 'p'\n[project.urls]\nRepository = 'https://z'\n")]).unwrap();
        assert_eq!((py.source, py.about.source.as_deref()), (Source::Python, Some("https://z")));
        assert_eq!(of(&[("classifier.toml", "name = 'c'\n")]).unwrap().source, Source::C);
        assert!(matches!(of(&[("a.toml", "")]).unwrap().source, Source::Text(_)));
    }

    #[test]
    fn what_is_no_project_is_told() {
        assert_eq!(of(&[]).unwrap_err(), "DIR: there is no project here");
        assert_eq!(of(&[("a.toml", ""), ("b.js", "")]).unwrap_err(), "DIR: there are 2 rule packs and scripts here");
        assert_eq!(of(&[("Cargo.toml", "[lib]")]).unwrap_err(), "DIR/Cargo.toml: [package]: is missing");
        assert_eq!(of(&[("classifier.toml", "version = '1'")]).unwrap_err(), "DIR/the manifest: name: is missing");
    }
}
