//! What stands in a vector file, before anything is made of it: the object of each vector with its places, from JSON, NDJSON, YAML or
//! rows of CSV; and what a file says of all its vectors.

mod endings;
mod json;
mod rows;
pub(super) mod yaml;

pub(super) use json::lines_entry;
pub(super) use rows::Rows;

use super::place::{Marks, Place};
use super::{Schemas, VectorError};
use serde_json::{Map, Value};
use std::path::Path;
use std::sync::Arc;

/// One object of a file.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Which it is in its file, from 1.
    pub(super) number: usize,
    pub(super) value: Value,
    pub(super) marks: Marks,
}

impl Entry {
    /// The name its author gave it, as it is written.
    pub(super) fn name(&self) -> Option<&str> {
        self.value.get("name").and_then(Value::as_str)
    }
}

/// What a file says of all its vectors.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    /// Fields that each vector has unless it says otherwise.
    pub(super) defaults: Map<String, Value>,
    /// Variables, each with the values it takes in turn.
    pub(super) matrix: Vec<(String, Vec<Value>)>,
    pub(super) marks: Marks,
}

/// All of a file that is held.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) shared: Option<Arc<Shared>>,
    pub(super) entries: Vec<Entry>,
    /// What is wrong with entries that therefore are none.
    pub(super) wrong: Vec<VectorError>,
}

impl Whole {
    fn of(entries: Vec<Entry>) -> Self {
        Self { shared: None, entries, wrong: Vec::new() }
    }
}

/// The formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// JSON, or NDJSON.
    Json,
    Yaml,
    Csv,
}

impl Format {
    /// By a file's name; else by how its text begins.
    pub(super) fn of(name: &Path, beginning: &str) -> Self {
        if let Some(format) = Self::by_name(name) {
            return format;
        }
        let first = beginning.trim_start_matches('\u{feff}').lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim_start();
        match first.chars().next() {
            None | Some('{' | '[') => Self::Json,
            Some(c) if c == '-' || c == '#' || first.contains(": ") || first.trim_end().ends_with(':') => Self::Yaml,
            Some(_) if first.contains(',') => Self::Csv,
            Some(_) => Self::Json,
        }
    }

    /// By the ending of a file's name, where it is one of a vector file.
    pub(super) fn by_name(name: &Path) -> Option<Self> {
        match name.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "json" | "ndjson" | "jsonl" => Some(Self::Json),
            "yaml" | "yml" => Some(Self::Yaml),
            "csv" => Some(Self::Csv),
            _ => None,
        }
    }
}

/// Reads all of a file.
///
/// # Errors
/// All that is wrong with it as a file: what is wrong with a vector comes later.
pub(super) fn read(file: &str, text: &str, format: Format, schemas: &Arc<Schemas>) -> Result<Whole, Vec<VectorError>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match format {
        Format::Json => json::read(file, text),
        Format::Yaml => yaml::read(file, text),
        Format::Csv => {
            let (mut entries, mut wrong) = (Vec::new(), Vec::new());
            let rows = Rows::new(text.as_bytes(), Arc::clone(schemas)).map_err(|what| vec![VectorError::of_file(file, None, what)])?;
            for row in rows {
                match row {
                    Ok(entry) => entries.push(entry),
                    Err((place, what)) => wrong.push(VectorError::of_file(file, place, what)),
                }
            }
            Ok(Whole { shared: None, entries, wrong })
        }
    }
}

/// Whether a line holds anything.
pub(super) fn holds_something(line: &str) -> bool {
    !line.trim_start_matches('\u{feff}').trim().is_empty()
}

/// Whether an object speaks of all vectors of its file rather than being one.
fn is_shared(value: &Value) -> bool {
    let has = |name: &str| value.get(name).is_some();
    has("vectors") || ((has("defaults") || has("matrix")) && !has("dataActionId") && !has("inputParameters"))
}

/// A file whose one object has `vectors`, beside `defaults` and `matrix`.
fn whole(file: &str, value: Value, marks: Marks, child: impl Fn(usize) -> Marks) -> Result<Whole, Vec<VectorError>> {
    let Value::Object(mut fields) = value else { return Ok(Whole::of(Vec::new())) };
    let vectors = fields.shift_remove("vectors");
    let shared = shared(file, fields, &marks)?;
    let entries = match vectors {
        Some(Value::Array(vectors)) => {
            vectors.into_iter().enumerate().map(|(i, value)| Entry { number: i + 1, value, marks: child(i) }).collect()
        }
        Some(_) => return Err(vec![at(file, marks.of(&["vectors"]), "vectors", "is not a list of vectors")]),
        None => Vec::new(),
    };
    Ok(Whole { shared: Some(Arc::new(shared)), ..Whole::of(entries) })
}

/// Reads `defaults` and `matrix`.
fn shared(file: &str, mut fields: Map<String, Value>, marks: &Marks) -> Result<Shared, Vec<VectorError>> {
    let mut wrong = Vec::new();
    let defaults = match fields.shift_remove("defaults") {
        None => Map::new(),
        Some(Value::Object(defaults)) => defaults,
        Some(_) => {
            wrong.push(at(file, marks.of(&["defaults"]), "defaults", "is not an object of fields of a vector"));
            Map::new()
        }
    };
    let mut matrix = Vec::new();
    match fields.shift_remove("matrix") {
        None => {}
        Some(Value::Object(given)) => {
            for (name, values) in given {
                match values {
                    Value::Array(values) if !values.is_empty() => matrix.push((name, values)),
                    _ => wrong.push(at(file, marks.of(&["matrix", &name]), &format!("matrix.{name}"), "is not a list of values")),
                }
            }
        }
        Some(_) => wrong.push(at(file, marks.of(&["matrix"]), "matrix", "is not an object of lists of values")),
    }
    for name in fields.keys() {
        wrong.push(at(file, marks.of(&[name]), name, "is not a field of a file of vectors; there are defaults, matrix, vectors"));
    }
    if wrong.is_empty() { Ok(Shared { defaults, matrix, marks: marks.clone() }) } else { Err(wrong) }
}

fn at(file: &str, place: Place, field: &str, what: &str) -> VectorError {
    VectorError { file: file.to_owned(), place: Some(place), vector: None, field: Some(field.to_owned()), what: what.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_known_by_name_or_else_by_its_beginning() {
        let of = |name: &str, text: &str| Format::of(Path::new(name), text);
        assert_eq!((of("a.YML", "{"), of("a.csv", "{"), of("a.ndjson", "a,b")), (Format::Yaml, Format::Csv, Format::Json));
        assert_eq!((of("stdin", "\u{feff}\n [1]"), of("stdin", "{\"a\":1}")), (Format::Json, Format::Json));
        assert_eq!(
            (of("stdin", "# x\n"), of("stdin", "- name: a"), of("stdin", "defaults:\n")),
            (Format::Yaml, Format::Yaml, Format::Yaml)
        );
        assert_eq!((of("stdin", "name,dataActionId\n"), of("stdin", "")), (Format::Csv, Format::Json));
    }
}
