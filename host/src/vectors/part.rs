//! The vectors of one file: its entries, each as often as its file's matrix and the rows of a data file have it. Large files are read entry
//! by entry, each time anew.

use super::VectorError;
use super::build::Draft;
use super::data::Row;
use super::entry::{self, Entry, Format, Rows, Shared, Whole, lines_entry};
use super::files::{again, beginning};
use super::suite::Terms;
use super::template::Scope;
use crate::model::{Vector, utf8};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::sync::Arc;

/// The longest line that is read, in bytes.
const MAX_LINE: u64 = 64 << 20;
/// The most combinations of a matrix: more are a slip.
const MAX_COMBINATIONS: usize = 1_000_000;

/// One file.
#[derive(Debug)]
pub(super) struct Part {
    file: Arc<str>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Held(Arc<Whole>),
    /// An object a line.
    Lines(File),
    /// Rows of CSV.
    Table(File),
}

impl Part {
    /// What is in a file that was opened by this name; one of less than `held` bytes is held.
    ///
    /// # Errors
    /// All that is wrong with it as a file.
    pub(super) fn open(name: &str, path: &Path, mut file: File, held: u64, terms: &Terms) -> Result<Self, Vec<String>> {
        let failed = |e: std::io::Error| vec![format!("{name}: cannot be read: {e}")];
        let format = Format::of(path, &beginning(&mut file).map_err(failed)?);
        let large = file.metadata().is_ok_and(|m| m.len() >= held);
        if large && format == Format::Csv {
            return Ok(Self { file: name.into(), kind: Kind::Table(file) });
        }
        if large && format == Format::Json && stands_in_lines(&mut file) {
            return Ok(Self { file: name.into(), kind: Kind::Lines(file) });
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed)?;
        let text = utf8(&bytes).map_err(|line| vec![not_utf8(name, line)])?;
        Self::of_text(name, text, format, terms)
    }

    /// What is in a text.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub(super) fn of_text(name: &str, text: &str, format: Format, terms: &Terms) -> Result<Self, Vec<String>> {
        let whole = entry::read(name, text, format, &terms.schemas).map_err(told)?;
        if whole.entries.is_empty() && whole.wrong.is_empty() {
            return Err(vec![format!("{name}: holds no vector")]);
        }
        Ok(Self { file: name.into(), kind: Kind::Held(Arc::new(whole)) })
    }

    /// What is wrong with it beside its entries.
    pub(super) fn wrong(&self) -> Vec<String> {
        if let Kind::Held(whole) = &self.kind { whole.wrong.iter().map(ToString::to_string).collect() } else { Vec::new() }
    }

    /// Its vectors, from the first. One reading at a time.
    ///
    /// # Errors
    /// What is wrong with it as a file.
    pub(super) fn reader(&self, terms: &Arc<Terms>) -> Result<Reader, Vec<String>> {
        let again = |file: &File| again(file).map_err(|e| vec![format!("{}: cannot be read: {e}", self.file)]);
        let (entries, shared) = match &self.kind {
            Kind::Held(whole) => (Entries::Held(Arc::clone(whole), 0), whole.shared.clone()),
            Kind::Lines(file) => {
                (Entries::Lines(Lines { reader: again(file)?, line: Vec::new(), before: 0, entries: 0, ended: false }), None)
            }
            Kind::Table(file) => {
                let rows = Rows::new(again(file)?, Arc::clone(&terms.schemas)).map_err(|what| vec![format!("{}: {what}", self.file)])?;
                (Entries::Table(Box::new(rows)), None)
            }
        };
        Ok(Reader { file: Arc::clone(&self.file), entries, shared, terms: Arc::clone(terms), current: None, left_out: 0 })
    }

    #[cfg(test)]
    pub(super) fn is_streamed(&self) -> bool {
        !matches!(self.kind, Kind::Held(_))
    }
}

/// Reads the vectors of one file.
pub(super) struct Reader {
    file: Arc<str>,
    entries: Entries,
    shared: Option<Arc<Shared>>,
    terms: Arc<Terms>,
    current: Option<Expansion>,
    left_out: usize,
}

enum Entries {
    Held(Arc<Whole>, usize),
    Lines(Lines),
    Table(Box<Rows<BufReader<File>>>),
}

/// One entry, and what is still to be made of it.
struct Expansion {
    entry: Entry,
    /// Which combination of the matrix is next.
    combination: usize,
    combinations: usize,
    /// The rows that are left for this combination.
    rows: Option<Box<dyn Iterator<Item = Result<Row, String>> + Send>>,
}

impl Iterator for Reader {
    type Item = Result<Vector, Vec<String>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.draft()? {
                Ok(vector) if !self.terms.selection.has(&vector) => self.left_out += 1,
                next => return Some(next),
            }
        }
    }
}

impl Reader {
    /// The file, for people.
    pub(super) fn file(&self) -> &str {
        &self.file
    }

    /// How many vectors were not wanted.
    pub(super) fn left_out(&self) -> usize {
        self.left_out
    }

    /// The next vector, wanted or not.
    fn draft(&mut self) -> Option<Result<Vector, Vec<String>>> {
        loop {
            let Some(current) = &mut self.current else {
                match self.entry()? {
                    Ok(entry) => self.current = Some(entry),
                    Err(found) => return Some(Err(found)),
                }
                continue;
            };
            if current.combination == current.combinations {
                self.current = None;
                continue;
            }
            let matrix = combination(self.shared.as_deref(), current.combination);
            let row = match (&self.terms.data, &mut current.rows) {
                (None, _) => {
                    current.combination += 1;
                    None
                }
                (Some(data), None) => match data.rows() {
                    Ok(rows) => {
                        current.rows = Some(rows);
                        continue;
                    }
                    Err(what) => {
                        current.combination = current.combinations;
                        return Some(Err(vec![what]));
                    }
                },
                (Some(_), Some(rows)) => match rows.next() {
                    Some(Ok(row)) => Some(row),
                    Some(Err(what)) => return Some(Err(vec![what])),
                    None => {
                        current.rows = None;
                        current.combination += 1;
                        continue;
                    }
                },
            };
            let none = Map::new();
            let layers = [row.as_ref().map_or(&none, |(_, values)| values), &matrix];
            let draft = Draft {
                file: &self.file,
                entry: &current.entry,
                shared: self.shared.as_deref(),
                scope: Scope::new(layers, &self.terms.variables),
                row: row.as_ref().map(|(number, _)| *number),
                schemas: &self.terms.schemas,
            };
            return Some(draft.vector().map_err(told));
        }
    }

    fn entry(&mut self) -> Option<Result<Expansion, Vec<String>>> {
        let entry = match &mut self.entries {
            Entries::Held(whole, next) => {
                *next += 1;
                whole.entries.get(*next - 1)?.clone()
            }
            Entries::Table(rows) => match rows.next()? {
                Ok(entry) => entry,
                Err((place, what)) => return Some(Err(vec![VectorError::of_file(&self.file, place, what).to_string()])),
            },
            Entries::Lines(lines) => loop {
                match lines.next(&self.file)? {
                    Err(found) => return Some(Err(found)),
                    Ok(Whole { shared: Some(shared), .. }) => self.shared = Some(shared),
                    Ok(mut one) => break one.entries.pop()?,
                }
            },
        };
        let mut sizes = self.shared.iter().flat_map(|shared| &shared.matrix).map(|(_, values)| values.len());
        match sizes.try_fold(1_usize, usize::checked_mul).filter(|all| *all <= MAX_COMBINATIONS) {
            Some(combinations) => Some(Ok(Expansion { entry, combination: 0, combinations, rows: None })),
            None => Some(Err(vec![format!("{}: matrix: has more than {MAX_COMBINATIONS} combinations", self.file)])),
        }
    }
}

/// The values of one combination: the last variable changes fastest, as in nested loops.
fn combination(shared: Option<&Shared>, mut number: usize) -> Map<String, Value> {
    let matrix = shared.map(|shared| shared.matrix.as_slice()).unwrap_or_default();
    let mut chosen = Vec::with_capacity(matrix.len());
    for (name, values) in matrix.iter().rev() {
        chosen.extend(values.get(number % values.len()).map(|value| (name.clone(), value.clone())));
        number /= values.len();
    }
    chosen.into_iter().rev().collect()
}

fn told(found: Vec<VectorError>) -> Vec<String> {
    found.iter().map(ToString::to_string).collect()
}

/// A file that has an object a line.
struct Lines {
    reader: BufReader<File>,
    line: Vec<u8>,
    /// How many lines were read.
    before: usize,
    /// How many of them were entries.
    entries: usize,
    /// Whether nothing more can be read.
    ended: bool,
}

impl Lines {
    /// What stands on the next line that has something.
    fn next(&mut self, file: &str) -> Option<Result<Whole, Vec<String>>> {
        while !self.ended {
            self.line.clear();
            let read = (&mut self.reader).take(MAX_LINE).read_until(b'\n', &mut self.line);
            let number = self.before + 1;
            match read {
                Err(e) => {
                    self.ended = true;
                    return Some(Err(vec![format!("{file}:{number}: cannot be read: {e}")]));
                }
                Ok(0) => return None,
                Ok(_) if self.line.len() as u64 == MAX_LINE => {
                    self.ended = true;
                    return Some(Err(vec![format!("{file}:{number}: the line is longer than {} MiB", MAX_LINE >> 20)]));
                }
                Ok(_) => self.before += 1,
            }
            let Ok(text) = std::str::from_utf8(&self.line) else { return Some(Err(vec![not_utf8(file, number)])) };
            let text = text.strip_prefix('\u{feff}').filter(|_| number == 1).unwrap_or(text).trim_end_matches(['\n', '\r']);
            if text.trim().is_empty() {
                continue;
            }
            let read = lines_entry(file, text, number - 1, self.entries + 1);
            self.entries += usize::from(read.as_ref().is_ok_and(|read| read.shared.is_none()));
            return Some(read.map_err(told));
        }
        None
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

fn not_utf8(name: &str, line: usize) -> String {
    format!("{name}:{line}: is not UTF-8; save the file as UTF-8")
}
