//! New projects, copied from `plugins/templates`: they build, test and pass `plugin check` as they are.

use super::WorkshopError;
use super::world::WIT;
use crate::plugin::BUILT_IN_NAME;
use include_dir::{Dir, File, include_dir};
use std::path::{Path, PathBuf};

static TEMPLATES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../plugins/templates");
/// What a project in Rust gets along, beside its template.
const SDK: &str = include_str!("../../../plugins/sdk/src/lib.rs");
const SDK_NATIVE: &str = include_str!("../../../plugins/sdk/src/native.rs");

/// In what a classifier is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Language {
    /// Regular expressions and what they mean, in TOML: for texts that are known.
    Rules,
    /// JavaScript in one file, without any tools: for conditions that no pattern can say.
    Script,
    /// A component in Rust: the quickest to run.
    Rust,
    /// A component in JavaScript, with modules and tests of its own.
    Javascript,
    /// A component in Python.
    Python,
    /// A component in C.
    C,
}

impl Language {
    fn folder(self) -> &'static str {
        match self {
            Self::Rules => "rules",
            Self::Script => "script",
            Self::Rust => "rust",
            Self::Javascript => "javascript",
            Self::Python => "python",
            Self::C => "c",
        }
    }
}

/// Writes a new project into `dir`, which must not exist or be empty; the files that were written.
///
/// # Errors
/// The name is none, or something is there already.
pub fn new(name: &str, language: Language, dir: &Path) -> Result<Vec<PathBuf>, WorkshopError> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let kebab = (1..=64).contains(&name.len())
        && name.bytes().all(plain)
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-');
    if name == BUILT_IN_NAME {
        return Err(WorkshopError::new("regex: is the name of the default classifier", "choose another"));
    }
    if !kebab || name.contains("--") {
        let what = format!("{name}: is no name for a classifier");
        return Err(WorkshopError::new(what, "write it in kebab-case, such as refund-faults: small letters, digits and hyphens"));
    }
    if std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some()) || dir.is_file() {
        return Err(WorkshopError::new(format!("{}: something is there already", dir.display()), "choose another folder with --dir"));
    }
    let template =
        TEMPLATES.get_dir(language.folder()).ok_or_else(|| WorkshopError::new("the template is missing", "please report this"))?;
    let mut files: Vec<(PathBuf, Vec<u8>)> = files(template).map(|file| filled(file, language, name)).collect();
    let mut add = |path: &str, text: &str| files.push((PathBuf::from(path), text.as_bytes().to_vec()));
    match language {
        Language::Rules => add("pack.schema.json", tracejury_regex::pack::SCHEMA),
        Language::Rust => {
            // The contract lies beside it there.
            add("sdk/src/lib.rs", &SDK.replace("../../wit/classifier.wit", "wit/classifier.wit"));
            add("sdk/src/native.rs", SDK_NATIVE);
            add("sdk/wit/classifier.wit", WIT);
        }
        _ => {}
    }
    files.sort();
    for (path, bytes) in &files {
        let path = dir.join(path);
        let parent = path.parent().unwrap_or(dir);
        std::fs::create_dir_all(parent).and_then(|()| std::fs::write(&path, bytes)).map_err(|e| WorkshopError::file(&path, &e))?;
    }
    Ok(files.into_iter().map(|(path, _)| dir.join(path)).collect())
}

fn files<'a>(dir: &'a Dir<'a>) -> Box<dyn Iterator<Item = &'a File<'a>> + 'a> {
    Box::new(dir.files().chain(dir.dirs().flat_map(files)))
}

/// A file of a template, with its name and text filled in. `.in` hides a manifest from the tools that would take it for one.
fn filled(file: &File<'_>, language: Language, name: &str) -> (PathBuf, Vec<u8>) {
    let path = file.path().strip_prefix(language.folder()).unwrap_or(file.path());
    let path = path.to_string_lossy().replace("{{name}}", name);
    let path = path.strip_suffix(".in").unwrap_or(&path);
    let path = if path == "gitignore" { ".gitignore" } else { path };
    let bytes = match file.contents_utf8() {
        Some(text) => text
            .replace("{{name}}", name)
            .replace("{{crate}}", &name.replace('-', "_"))
            .replace("{{version}}", env!("CARGO_PKG_VERSION"))
            .into_bytes(),
        None => file.contents().to_vec(),
    };
    (PathBuf::from(path), bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum as _;

    #[test]
    fn every_language_has_a_template_with_a_readme_and_cases() {
        for language in Language::value_variants() {
            let dir = tempfile::tempdir().unwrap();
            let files = new("refund-faults", *language, &dir.path().join("p")).unwrap_or_else(|e| panic!("{language:?}: {e}"));
            for wanted in ["README.md", "cases.ndjson"] {
                assert!(files.iter().any(|file| file.ends_with(wanted)), "{language:?} lacks {wanted}");
            }
            for file in files {
                let text = std::fs::read(&file).unwrap();
                assert!(!text.windows(2).any(|pair| pair == b"{{") || file.ends_with("classifier_component_type.o"), "{}", file.display());
            }
        }
    }

    #[test]
    fn nothing_is_overwritten_and_names_are_names() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("mine"), "").unwrap();
        assert!(new("a", Language::Rules, dir.path()).unwrap_err().what.ends_with("something is there already"));
        for bad in ["", "A", "1a", "a_b", "-a", "a-", "a--b", "../x", &"x".repeat(65)] {
            assert!(new(bad, Language::Rules, &dir.path().join("new")).unwrap_err().what.contains("is no name"), "{bad}");
        }
    }
}
