//! All vectors of a run: checked whole before the first of them is given out, and, where they stand one a line, read again as they are
//! needed, so that a hundred thousand take no more memory than ten.

use super::{Reader, Schemas, VectorError, parse};
use crate::model::{Environment, Vector, utf8};
use serde_json::value::RawValue;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The longest line that is read, in bytes.
const MAX_LINE: u64 = 64 << 20;
/// Files of less than this are held, in bytes: thousands of small ones must not be open all at once.
const HELD: u64 = 1 << 20;
/// How many problems are listed.
const MAX_PROBLEMS: usize = 100;
/// How many names are kept of vectors for production.
const SOME: usize = 10;

/// Vectors that were checked.
pub struct Suite {
    parts: Vec<Part>,
    schemas: Arc<Schemas>,
    count: usize,
    prod: Prod,
}

/// The vectors of one file.
enum Part {
    Held(Vec<Vector>),
    Lines { name: String, file: File, count: usize },
}

/// What would run in production.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Prod {
    /// How many vectors.
    pub count: usize,
    /// The names of some of them.
    pub names: Vec<String>,
}

impl Suite {
    /// Reads and checks files; `-` is stdin, which is kept in a file of its own meanwhile.
    ///
    /// # Errors
    /// All problems of all files, the first of them in full.
    pub fn read(files: &[PathBuf], schemas: Schemas) -> Result<Self, Vec<String>> {
        Self::read_holding(files, schemas, HELD)
    }

    /// The same; files of less than `held` bytes are held in memory, whatever they look like.
    fn read_holding(files: &[PathBuf], schemas: Schemas, held: u64) -> Result<Self, Vec<String>> {
        let mut suite = Self { parts: Vec::new(), schemas: Arc::new(schemas), count: 0, prod: Prod::default() };
        let mut problems = Problems::default();
        for path in files {
            match opened(path) {
                Ok((name, file)) => suite.add(&name, file, held, &mut problems),
                Err(what) => problems.add(what),
            }
        }
        if problems.count == 0 { Ok(suite) } else { Err(problems.listed()) }
    }

    /// Vectors that are in memory already.
    ///
    /// # Errors
    /// All problems.
    pub fn of_text(name: &str, text: &str) -> Result<Self, Vec<VectorError>> {
        let vectors = parse(name, text, &Schemas::default())?;
        let count = vectors.len();
        Ok(Self { parts: vec![Part::Held(vectors)], schemas: Arc::default(), count, prod: Prod::default() })
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// What of them would run in production.
    #[must_use]
    pub fn prod(&self) -> &Prod {
        &self.prod
    }

    /// The vectors, in order.
    #[must_use]
    pub fn vectors(self) -> Vectors {
        let none = Current::Held(Vec::new().into_iter());
        Vectors { parts: self.parts.into_iter(), schemas: self.schemas, part: none, prod: self.prod.count > 0 }
    }

    fn add(&mut self, name: &str, mut file: File, held: u64, problems: &mut Problems) {
        let small = file.metadata().is_ok_and(|m| m.len() < held);
        let part =
            if !small && stands_in_lines(&mut file) { self.check_lines(name, file, problems) } else { self.held(name, file, problems) };
        self.parts.extend(part);
    }

    fn held(&mut self, name: &str, mut file: File, problems: &mut Problems) -> Option<Part> {
        let mut bytes = Vec::new();
        if let Err(e) = file.read_to_end(&mut bytes) {
            problems.add(format!("{name}: cannot be read: {e}"));
            return None;
        }
        let text = utf8(&bytes).map_err(|line| problems.add(not_utf8(name, line))).ok()?;
        match parse(name, text, &self.schemas) {
            Ok(vectors) => {
                vectors.iter().for_each(|vector| self.note(vector));
                Some(Part::Held(vectors))
            }
            Err(found) => {
                found.iter().for_each(|problem| problems.add(problem.to_string()));
                None
            }
        }
    }

    fn check_lines(&mut self, name: &str, file: File, problems: &mut Problems) -> Option<Part> {
        let mut lines = Lines::new(name.to_owned(), file, Arc::clone(&self.schemas));
        let before = self.count;
        loop {
            match lines.next() {
                None => break,
                Some(Ok(vector)) => self.note(&vector),
                Some(Err(found)) => found.into_iter().for_each(|problem| problems.add(problem)),
            }
        }
        let mut file = lines.reader.into_inner();
        match file.seek(SeekFrom::Start(0)) {
            Ok(_) => Some(Part::Lines { name: name.to_owned(), file, count: self.count - before }),
            Err(e) => {
                problems.add(format!("{name}: cannot be read a second time: {e}"));
                None
            }
        }
    }

    fn note(&mut self, vector: &Vector) {
        self.count += 1;
        if vector.environment == Environment::Prod {
            self.prod.count += 1;
            if self.prod.names.len() < SOME {
                self.prod.names.push(vector.name.clone());
            }
        }
    }
}

/// The vectors of a suite, in order. An error is one of a file that was changed since it was checked; nothing follows it.
pub struct Vectors {
    parts: std::vec::IntoIter<Part>,
    schemas: Arc<Schemas>,
    part: Current,
    /// Whether there was anything for production among what was checked.
    prod: bool,
}

enum Current {
    Held(std::vec::IntoIter<Vector>),
    /// And how many of them are still to come.
    Lines(Box<Lines>, usize),
    Broken,
}

impl Iterator for Vectors {
    type Item = Result<Vector, String>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let next = match &mut self.part {
                Current::Held(vectors) => vectors.next().map(Ok),
                Current::Lines(lines, left) => match (lines.next(), *left) {
                    (None, 0) => None,
                    (None, _) => Some(Err(vec![format!("{}: ends earlier than it did", lines.name)])),
                    (Some(_), 0) => Some(Err(vec![format!("{}: is longer than it was", lines.name)])),
                    (Some(Ok(vector)), _) if vector.environment == Environment::Prod && !self.prod => {
                        Some(Err(vec![format!("{}: {}: would run in production", lines.name, vector.name)]))
                    }
                    (next, _) => {
                        *left -= 1;
                        next
                    }
                },
                Current::Broken => return None,
            };
            match next {
                Some(Ok(vector)) => return Some(Ok(vector)),
                Some(Err(found)) => {
                    self.part = Current::Broken;
                    return Some(Err(format!("{} (the file was changed while it was run)", found.join("; "))));
                }
                None => {
                    self.part = match self.parts.next()? {
                        Part::Held(vectors) => Current::Held(vectors.into_iter()),
                        Part::Lines { name, file, count } => {
                            Current::Lines(Box::new(Lines::new(name, file, Arc::clone(&self.schemas))), count)
                        }
                    }
                }
            }
        }
    }
}

/// The vectors of a file that has one a line.
struct Lines {
    name: String,
    reader: BufReader<File>,
    schemas: Arc<Schemas>,
    line: Vec<u8>,
    lines_before: usize,
    vectors_before: usize,
    /// Whether nothing more can be read.
    ended: bool,
}

impl Lines {
    fn new(name: String, file: File, schemas: Arc<Schemas>) -> Self {
        Self { name, reader: BufReader::new(file), schemas, line: Vec::new(), lines_before: 0, vectors_before: 0, ended: false }
    }

    /// The vector of the next line that has one, or what is wrong with it.
    fn next(&mut self) -> Option<Result<Vector, Vec<String>>> {
        loop {
            if self.ended {
                return None;
            }
            self.line.clear();
            let read = (&mut self.reader).take(MAX_LINE).read_until(b'\n', &mut self.line);
            let number = self.lines_before + 1;
            match read {
                Err(e) => {
                    self.ended = true;
                    return Some(Err(vec![format!("{}:{number}: cannot be read: {e}", self.name)]));
                }
                Ok(0) => return None,
                Ok(_) if self.line.len() as u64 == MAX_LINE => {
                    self.ended = true;
                    return Some(Err(vec![format!("{}:{number}: the line is longer than {} MiB", self.name, MAX_LINE >> 20)]));
                }
                Ok(_) => {}
            }
            let Ok(text) = std::str::from_utf8(&self.line) else {
                self.lines_before += 1;
                return Some(Err(vec![not_utf8(&self.name, number)]));
            };
            let text = text.strip_prefix('\u{feff}').filter(|_| number == 1).unwrap_or(text);
            let text = text.trim_end_matches(['\n', '\r']);
            if !text.trim().is_empty() {
                let mut reader =
                    Reader { file: &self.name, text, lines_before: self.lines_before, schemas: &self.schemas, problems: Vec::new() };
                let raw: Option<&RawValue> = serde_json::from_str(text).map_err(|e| _ = reader.syntax(0, &e)).ok();
                let vector = raw.and_then(|raw| reader.vector(self.vectors_before + 1, raw));
                let problems = reader.problems.iter().map(ToString::to_string).collect();
                (self.lines_before, self.vectors_before) = (self.lines_before + 1, self.vectors_before + 1);
                return Some(vector.ok_or(problems));
            }
            self.lines_before += 1;
        }
    }
}

/// Whether the first line that is not empty is an object of its own, with more to follow. Leaves the file at its start.
fn stands_in_lines(file: &mut File) -> bool {
    let mut looked = || -> std::io::Result<bool> {
        let mut reader = BufReader::new(&mut *file);
        let mut line = Vec::new();
        let blank = |line: &[u8]| line.trim_ascii().is_empty();
        while blank(&line) {
            line.clear();
            if (&mut reader).take(MAX_LINE).read_until(b'\n', &mut line)? == 0 {
                return Ok(false);
            }
        }
        let first = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line).trim_ascii();
        let whole = first.starts_with(b"{") && serde_json::from_slice::<&RawValue>(first).is_ok();
        Ok(whole && !reader.fill_buf()?.is_empty())
    };
    let lines = looked().unwrap_or(false);
    file.seek(SeekFrom::Start(0)).is_ok() && lines
}

/// A file that can be read twice, and its name for people.
fn opened(path: &Path) -> Result<(String, File), String> {
    if path != Path::new("-") {
        let name = path.display().to_string();
        let file = File::open(path).map_err(|e| format!("{name}: cannot be read: {e}"))?;
        // A pipe can be read once only.
        let seekable = file.metadata().is_ok_and(|m| m.is_file());
        return if seekable { Ok((name, file)) } else { kept(file).map(|kept| (name.clone(), kept)).map_err(|e| format!("{name}: {e}")) };
    }
    kept(std::io::stdin().lock()).map(|file| ("stdin".to_owned(), file)).map_err(|e| format!("stdin: {e}"))
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

fn not_utf8(name: &str, line: usize) -> String {
    format!("{name}:{line}: is not UTF-8; save the file as UTF-8")
}

/// Problems, of which the first are kept.
#[derive(Default)]
struct Problems {
    first: Vec<String>,
    count: usize,
}

impl Problems {
    fn add(&mut self, problem: String) {
        self.count += 1;
        if self.first.len() < MAX_PROBLEMS {
            self.first.push(problem);
        }
    }

    fn listed(mut self) -> Vec<String> {
        if self.count > self.first.len() {
            self.first.push(format!("and {} more", self.count - self.first.len()));
        }
        self.first
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    const LINE: &str = r#"{"dataActionId":"a1b2c3d4-e5f6-7890-abcd-ef1234567890","inputParameters":{"n":1},"environmentId":"prod"}"#;

    fn suite(text: impl AsRef<[u8]>) -> Result<Suite, Vec<String>> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("v.ndjson");
        std::fs::write(&path, text).unwrap();
        let found = Suite::read_holding(&[path], Schemas::default(), 0);
        found.map_err(|list| list.iter().map(|e| e.replace(&format!("{}/", dir.path().display()), "")).collect())
    }

    #[test]
    fn lines_are_counted_checked_and_read_again() {
        let suite = suite(format!("\u{feff}{LINE}\n\n{LINE}\r\n{LINE}")).unwrap();
        assert!(matches!(suite.parts.as_slice(), [Part::Lines { .. }]));
        assert_eq!((suite.count(), suite.prod().count, suite.prod().names.len()), (3, 3, 3));
        let names: Vec<_> = suite.vectors().map(|v| v.unwrap().name).collect();
        assert_eq!(names, ["v#1", "v#2", "v#3"]);
    }

    #[test]
    fn one_object_and_an_array_are_held() {
        for text in [LINE.to_owned(), format!("{LINE}\n"), LINE.replace(',', ",\n"), format!("[{LINE}]")] {
            let suite = suite(&text).unwrap();
            assert!(suite.count() == 1 && matches!(suite.parts.as_slice(), [Part::Held(_)]), "{text}");
        }
    }

    #[test]
    fn problems_have_their_lines_and_there_is_an_end_to_them() {
        let bad = LINE.replace("prod", "live");
        assert_eq!(
            suite(format!("{LINE}\n\n{bad}\n{{\n")).err().unwrap(),
            [
                "v.ndjson:3:98: vector 2: environmentId: is not one of dev, test, prod",
                "v.ndjson:4:1: is not JSON: EOF while parsing an object"
            ]
        );
        assert_eq!(suite([LINE.as_bytes(), b"\n\xff\n"].concat()).err().unwrap(), ["v.ndjson:2: is not UTF-8; save the file as UTF-8"]);
        let many = suite(format!("{LINE}\n{}", format!("{bad}\n").repeat(150))).err().unwrap();
        assert_eq!((many.len(), many.last().unwrap().as_str()), (101, "and 50 more"));
    }

    #[test]
    fn a_file_that_is_changed_meanwhile_ends_the_run() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("v.ndjson");
        std::fs::write(&path, format!("{LINE}\n{LINE}\n{LINE}\n")).unwrap();
        let changed = |text: &str| {
            std::fs::write(&path, format!("{LINE}\n{LINE}\n{LINE}\n")).unwrap();
            let mut vectors = Suite::read_holding(std::slice::from_ref(&path), Schemas::default(), 0).unwrap().vectors();
            std::fs::OpenOptions::new().write(true).truncate(true).open(&path).unwrap().write_all(text.as_bytes()).unwrap();
            assert!(vectors.next().unwrap().is_ok());
            let error = vectors.find_map(Result::err).unwrap();
            assert!(error.ends_with("(the file was changed while it was run)") && vectors.next().is_none(), "{error}");
            error
        };
        assert!(changed(&format!("{LINE}\n[{LINE}\n{LINE}\n")).contains("is not JSON"));
        assert!(changed(&format!("{LINE}\n{LINE}\n")).contains("ends earlier"));
        assert!(changed(&format!("{LINE}\n{LINE}\n{LINE}\n{LINE}\n")).contains("is longer"));
    }

    #[test]
    fn what_was_changed_cannot_slip_into_production() {
        let dir = tempfile::tempdir().unwrap();
        let (path, test) = (dir.path().join("v.ndjson"), LINE.replace("prod", "test"));
        std::fs::write(&path, format!("{test}\n{test}\n")).unwrap();
        let mut vectors = Suite::read_holding(std::slice::from_ref(&path), Schemas::default(), 0).unwrap().vectors();
        std::fs::OpenOptions::new().write(true).open(&path).unwrap().write_all(format!("{test}\n{LINE}\n").as_bytes()).unwrap();
        assert!(vectors.next().unwrap().is_ok());
        assert!(vectors.next().unwrap().unwrap_err().contains("would run in production"));
    }
}
