//! The files that are meant by what a user names: files, folders with all vector files in them, and patterns; and how each is opened.

use super::entry::Format;
use glob::{MatchOptions, Pattern, glob_with};
use std::collections::HashSet;
use std::fs::File;
use std::io::{BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

/// Hidden files are nobody's vectors.
const OPTIONS: MatchOptions = MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// The files that are meant, each once, in the order in which they are named, those of a folder or a pattern by name.
///
/// # Errors
/// Names that lead to nothing, each with what to do.
pub(super) fn meant(named: &[PathBuf]) -> Result<Vec<PathBuf>, Vec<String>> {
    let (mut files, mut wrong, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
    for path in named {
        match of_one(path) {
            Ok(found) => found.into_iter().for_each(|file| {
                let whole = std::path::absolute(&file).unwrap_or_else(|_| file.clone());
                if seen.insert(whole) {
                    files.push(file);
                }
            }),
            Err(what) => wrong.push(format!("{}: {what}", path.display())),
        }
    }
    if wrong.is_empty() { Ok(files) } else { Err(wrong) }
}

fn of_one(path: &Path) -> Result<Vec<PathBuf>, String> {
    let Some(text) = path.to_str() else {
        // A file can be opened all the same; what a folder or a pattern holds is asked for by text.
        let folder = Err("is a folder whose name is not UTF-8; name its files".to_owned());
        return if path.is_dir() { folder } else { Ok(vec![path.to_owned()]) };
    };
    if path.is_dir() {
        let pattern = format!("{}/**/*", Pattern::escape(text.trim_end_matches(['/', '\\'])));
        let found: Vec<_> = matched(&pattern)?.into_iter().filter(|file| Format::by_name(file).is_some()).collect();
        return if found.is_empty() { Err("holds no *.json, *.ndjson, *.jsonl, *.yaml, *.yml or *.csv".to_owned()) } else { Ok(found) };
    }
    if path.exists() || !text.contains(['*', '?', '[']) {
        return Ok(vec![path.to_owned()]);
    }
    let found = matched(text)?;
    if found.is_empty() { Err("matches no file".to_owned()) } else { Ok(found) }
}

fn matched(pattern: &str) -> Result<Vec<PathBuf>, String> {
    let found = glob_with(pattern, OPTIONS).map_err(|e| format!("is no pattern: {e}"))?;
    let mut files = Vec::new();
    for file in found {
        let file = file.map_err(|e| format!("cannot be read: {e}"))?;
        if file.is_file() {
            files.push(file);
        }
    }
    Ok(files)
}

/// A file that can be read twice, and its name for people.
pub(super) fn opened(path: &Path) -> Result<(String, File), String> {
    if path != Path::new("-") {
        let name = path.display().to_string();
        let file = File::open(path).map_err(|e| format!("{name}: cannot be read: {e}"))?;
        // A pipe can be read once only.
        let seekable = file.metadata().is_ok_and(|m| m.is_file());
        return if seekable { Ok((name, file)) } else { kept(file).map(|kept| (name.clone(), kept)).map_err(|e| format!("{name}: {e}")) };
    }
    kept(std::io::stdin().lock()).map(|file| ("stdin".to_owned(), file)).map_err(|e| format!("stdin: {e}"))
}

/// How much of a file is looked at to tell its format, in bytes.
const BEGINNING: u64 = 4096;

/// How a file begins; it is left at its start.
pub(super) fn beginning(file: &mut File) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    file.take(BEGINNING).read_to_end(&mut bytes)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The same file from its start. One reading at a time: all of them have one place in it.
pub(super) fn again(file: &File) -> std::io::Result<BufReader<File>> {
    let mut copied = file.try_clone()?;
    copied.seek(SeekFrom::Start(0))?;
    Ok(BufReader::new(copied))
}

/// What can be read once, in a file without a name.
fn kept(mut from: impl std::io::Read) -> Result<File, String> {
    let mut keep = || -> std::io::Result<File> {
        let mut file = tempfile::tempfile()?;
        std::io::copy(&mut from, &mut file)?;
        file.seek(SeekFrom::Start(0))?;
        Ok(file)
    };
    keep().map_err(|e| format!("cannot be read: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_and_patterns_give_their_files_once_and_by_name() {
        let dir = tempfile::tempdir().unwrap();
        for file in ["b.yaml", "a.json", "deep/c.csv", "deep/notes.txt", ".hidden.json", "[x].json"] {
            let path = dir.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let names = |named: &[&str]| {
            let named: Vec<_> = named.iter().map(|name| dir.path().join(name)).collect();
            let short = |path: &PathBuf| path.strip_prefix(dir.path()).unwrap().display().to_string();
            meant(&named).map(|found| found.iter().map(short).collect::<Vec<_>>())
        };
        assert_eq!(names(&[""]).unwrap(), ["[x].json", "a.json", "b.yaml", "deep/c.csv"]);
        assert_eq!(names(&["b.yaml", "*.json", "[x].json"]).unwrap(), ["b.yaml", "[x].json", "a.json"]);
        assert_eq!(names(&["**/*.csv"]).unwrap(), ["deep/c.csv"]);
        assert!(names(&["*.xml"]).unwrap_err()[0].ends_with("*.xml: matches no file"));
        std::fs::create_dir(dir.path().join("empty")).unwrap();
        assert!(names(&["empty"]).unwrap_err()[0].contains("holds no *.json"));
    }
}
