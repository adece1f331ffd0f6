//! A data file: rows of values that feed template vectors. CSV and NDJSON are read row by row, each time anew; others are held.

use super::entry::{Format, Rows, holds_something, yaml};
use super::files::{again, beginning, opened};
use super::place::Place;
use serde_json::{Map, Value};
use std::fs::File;
use std::io::{BufRead as _, Read as _};
use std::path::Path;
use std::sync::Arc;

/// A data file.
#[derive(Debug)]
pub(super) struct Data {
    name: String,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Table(File),
    Lines(File),
    Held(Arc<[Map<String, Value>]>),
}

/// The values of a row, and its number, from 1.
pub(super) type Row = (usize, Map<String, Value>);

impl Data {
    /// Opens a file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let (name, mut file) = opened(path)?;
        let failed = |e: std::io::Error| format!("{name}: cannot be read: {e}");
        let beginning = beginning(&mut file).map_err(failed)?;
        let kind = match Format::of(path, &beginning) {
            Format::Csv => Kind::Table(file),
            Format::Json if beginning.trim_start_matches('\u{feff}').trim_start().starts_with('{') => Kind::Lines(file),
            _ => {
                let mut text = String::new();
                file.read_to_string(&mut text).map_err(failed)?;
                // YAML reads JSON too.
                let (value, tree) =
                    yaml::value(&name, &text).map_err(|wrong| wrong.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
                let rows: Vec<Map<String, Value>> =
                    serde_json::from_value(value).map_err(|_| format!("{name}:{}: is no list of objects: each row is one", tree.place))?;
                Kind::Held(rows.into())
            }
        };
        let data = Self { name, kind };
        match data.rows()?.next() {
            None => Err(format!("{}: holds no row", data.name)),
            Some(first) => first.map(|_| data),
        }
    }

    /// All rows, from the first. One reading at a time.
    ///
    /// # Errors
    /// What is wrong with the header.
    pub(super) fn rows(&self) -> Result<Box<dyn Iterator<Item = Result<Row, String>> + Send>, String> {
        let name = self.name.clone();
        let again = |file: &File| again(file).map_err(|e| format!("{name}: cannot be read: {e}"));
        let told = move |name: &str, place: Option<Place>, what: String| match place {
            Some(place) => format!("{name}:{place}: {what}"),
            None => format!("{name}: {what}"),
        };
        match &self.kind {
            Kind::Held(rows) => {
                let rows = Arc::clone(rows);
                Ok(Box::new((0..rows.len()).filter_map(move |i| Some(Ok((i + 1, rows.get(i)?.clone()))))))
            }
            Kind::Table(file) => {
                let mut rows = Rows::new(again(file)?, Arc::default()).map_err(|what| format!("{name}: {what}"))?;
                let mut number = 0;
                Ok(Box::new(std::iter::from_fn(move || {
                    number += 1;
                    Some(rows.variables()?.map(|values| (number, values)).map_err(|(place, what)| told(&name, place, what)))
                })))
            }
            Kind::Lines(file) => {
                let mut lines = again(file)?;
                let (mut line, mut number) = (0, 0);
                Ok(Box::new(std::iter::from_fn(move || {
                    loop {
                        let mut text = String::new();
                        line += 1;
                        match lines.read_line(&mut text) {
                            Ok(0) => return None,
                            Ok(_) if holds_something(&text) => {
                                number += 1;
                                let row = serde_json::from_str(text.trim_start_matches('\u{feff}'))
                                    .map_err(|_| format!("{name}:{line}: is no JSON object"));
                                return Some(row.map(|row| (number, row)));
                            }
                            Ok(_) => {}
                            Err(e) => return Some(Err(format!("{name}:{line}: cannot be read: {e}"))),
                        }
                    }
                })))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(name: &str, text: &str) -> Result<Vec<Row>, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        let short = |e: String| e.replace(&format!("{}/", dir.path().display()), "");
        let data = Data::open(&path).map_err(short)?;
        let read = || data.rows().unwrap().collect::<Result<Vec<_>, _>>().map_err(short);
        let first = read();
        assert_eq!(read(), first, "they can be read again");
        first
    }

    #[test]
    fn rows_come_from_any_format() {
        let want = vec![(1, Map::from_iter([("a".into(), 1.into())])), (2, Map::from_iter([("a".into(), 2.into())]))];
        for (name, text) in [
            ("d.csv", "a\ninteger\n1\n2\n"),
            ("d.ndjson", "{\"a\":1}\n\n{\"a\":2}"),
            ("d.json", "[{\"a\":1},{\"a\":2}]"),
            ("d.yaml", "- a: 1\n- a: 2\n"),
        ] {
            assert_eq!(rows(name, text).unwrap(), want, "{name}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        assert_eq!(rows("d.csv", "a\ninteger\nx\n").unwrap_err(), "d.csv:3: column a: is no integer");
        assert_eq!(rows("d.csv", "a\n").unwrap_err(), "d.csv: holds no row");
        assert_eq!(rows("d.ndjson", "{\"a\":1}\n[2]\n").unwrap_err(), "d.ndjson:2: is no JSON object");
        assert_eq!(
            rows("d.yaml", "- id: 007\n").unwrap_err(),
            "d.yaml:1:7: is a number that would lose digits as they are written; in quotes it is a text"
        );
        assert_eq!(rows("d.yaml", "- land: no\n").unwrap()[0].1["land"], "no");
        assert!(rows("d.yaml", "a: 1\n").unwrap_err().starts_with("d.yaml:1:1: is no list of objects: "));
    }
}
