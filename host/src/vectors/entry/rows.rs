//! Rows of CSV (RFC 4180), read as they are needed: as vectors, whose header names parameters and fields, or as the rows of a data file,
//! whose header names variables.

use super::Entry;
use super::endings::Endings;
use crate::model::ActionId;
use crate::vectors::Schemas;
use crate::vectors::place::{Marks, Place};
use csv::{Reader, StringRecord, Trim};
use serde_json::{Map, Value};
use std::io::Read;
use std::sync::Arc;

/// Fields of a vector that a column may be; every other column is an input parameter.
const FIELDS: [&str; 5] = ["name", "dataActionId", "environmentId", "tags", "trace"];
/// What a column that is a parameter, whatever its name, begins with.
const PARAMETER: &str = "inputParameters.";
const EXPECT: &str = "expect.";

/// What the second row may say of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Number,
    Integer,
    Boolean,
    Json,
}

impl Kind {
    fn named(word: &str) -> Option<Self> {
        match word {
            "string" => Some(Self::Text),
            "number" => Some(Self::Number),
            "integer" => Some(Self::Integer),
            "boolean" => Some(Self::Boolean),
            "json" => Some(Self::Json),
            _ => None,
        }
    }

    fn read(self, cell: &str) -> Result<Value, &'static str> {
        let json = || serde_json::from_str::<Value>(cell).ok();
        let found = match self {
            Self::Text => return Ok(cell.into()),
            Self::Number => (json().filter(Value::is_number), "is no number"),
            Self::Integer => (json().filter(|v| v.is_i64() || v.is_u64()), "is no integer"),
            Self::Boolean => (json().filter(Value::is_boolean), "is neither true nor false"),
            Self::Json => (json(), "is not JSON"),
        };
        found.0.ok_or(found.1)
    }
}

/// A row, and the line it begins at.
type Row = (StringRecord, usize);

/// What is wrong, and where.
type Wrong = (Option<Place>, String);

/// A table of rows under a header.
pub(in crate::vectors) struct Rows<R> {
    reader: Reader<Endings<R>>,
    columns: Vec<String>,
    /// By the second row, where it holds nothing but kinds.
    kinds: Option<Vec<Option<Kind>>>,
    /// The second row, where it is a row like any other.
    waiting: Option<Row>,
    schemas: Arc<Schemas>,
    number: usize,
}

impl<R: Read> Rows<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(in crate::vectors) fn new(from: R, schemas: Arc<Schemas>) -> Result<Self, String> {
        let mut reader = csv::ReaderBuilder::new().trim(Trim::Headers).flexible(true).from_reader(Endings::of(from));
        let columns: Vec<String> = reader.headers().map_err(|e| told(&e).1)?.iter().map(str::to_owned).collect();
        if let Some(twice) = columns.iter().enumerate().find_map(|(i, name)| columns.get(..i)?.contains(name).then_some(name)) {
            return Err(format!("has two columns named {twice}"));
        }
        if columns.iter().any(String::is_empty) {
            return Err("has a column without a name".to_owned());
        }
        if let [only] = columns.as_slice()
            && only.contains(';')
        {
            return Err("has its columns separated by ; where a comma is meant".to_owned());
        }
        let second = read(&mut reader).transpose().map_err(|(_, what)| what)?;
        let kind = |cell: &str| if cell.is_empty() { Some(None) } else { Kind::named(cell).map(Some) };
        let kinds: Option<Vec<_>> = second.as_ref().and_then(|(row, _)| row.iter().map(kind).collect());
        let kinds = kinds.filter(|kinds| kinds.iter().any(Option::is_some));
        let waiting = second.filter(|_| kinds.is_none());
        Ok(Self { reader, columns, kinds, waiting, schemas, number: 0 })
    }

    /// The next row as values of variables: what no kind is said of is a text.
    pub(in crate::vectors) fn variables(&mut self) -> Option<Result<Map<String, Value>, Wrong>> {
        let (row, line) = match self.row()? {
            Ok(row) => row,
            Err(wrong) => return Some(Err(wrong)),
        };
        let cells = row.iter().enumerate().filter_map(|(i, cell)| Some((i, self.columns.get(i)?, cell)));
        // A text may be empty; a number that is not there is none.
        let is_text = |i: usize| self.kinds.as_ref().is_none_or(|kinds| matches!(kinds.get(i), Some(None | Some(Kind::Text))));
        let typed = |i, cell: &str| if cell.is_empty() && !is_text(i) { Ok(Value::Null) } else { self.typed(i, None, cell) };
        let values = cells.map(|(i, name, cell)| typed(i, cell).map(|value| (name.clone(), value)).map_err(|what| (name, what)));
        Some(values.collect::<Result<_, _>>().map_err(|(name, what)| wrong_cell(line, name, what)))
    }

    fn row(&mut self) -> Option<Result<Row, Wrong>> {
        let (row, line) = match self.waiting.take().map_or_else(|| read(&mut self.reader), |row| Some(Ok(row)))? {
            Ok(row) => row,
            Err(wrong) => return Some(Err(wrong)),
        };
        let (there, wanted) = (row.len(), self.columns.len());
        if there != wanted {
            let place = Some(Place { line, column: None });
            return Some(Err((place, format!("has {there} cells where the header has {wanted}"))));
        }
        Some(Ok((row, line)))
    }

    /// A cell by its column's kind: as the second row says, else as the action's schema does, else a text.
    fn typed(&self, column: usize, by_schema: Option<&str>, cell: &str) -> Result<Value, &'static str> {
        let said = self.kinds.as_ref().and_then(|kinds| *kinds.get(column)?);
        let kind = said.or_else(|| by_schema.and_then(|word| Kind::named(if matches!(word, "array" | "object") { "json" } else { word })));
        kind.unwrap_or(Kind::Text).read(cell)
    }

    fn vector(&self, (row, line): &Row) -> Result<Value, Wrong> {
        let line = *line;
        let cells = || self.columns.iter().enumerate().zip(row.iter()).filter(|(_, cell)| !cell.is_empty());
        let action = cells().find(|((_, name), _)| *name == "dataActionId").and_then(|(_, cell)| cell.parse::<ActionId>().ok());
        let (mut vector, mut input, mut expect) = (Map::new(), Map::new(), Map::new());
        for ((i, name), cell) in cells() {
            if name == "tags" {
                vector.insert(name.clone(), cell.split([' ', ';', ',']).filter(|tag| !tag.is_empty()).collect());
            } else if name == "trace" {
                vector.insert(name.clone(), serde_json::from_str(cell).unwrap_or_else(|_| cell.into()));
            } else if FIELDS.contains(&name.as_str()) {
                vector.insert(name.clone(), cell.into());
            } else if let Some(field) = name.strip_prefix(EXPECT) {
                expected(&mut expect, field, cell);
            } else {
                let parameter = name.strip_prefix(PARAMETER).unwrap_or(name);
                let by_schema = action.and_then(|action| self.schemas.kind(action, parameter));
                let value = self.typed(i, by_schema, cell).map_err(|what| wrong_cell(line, name, what))?;
                input.insert(parameter.to_owned(), value);
            }
        }
        vector.insert("inputParameters".to_owned(), input.into());
        if !expect.is_empty() {
            vector.insert("expect".to_owned(), expect.into());
        }
        Ok(vector.into())
    }
}

impl<R: Read> Iterator for Rows<R> {
    type Item = Result<Entry, Wrong>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = match self.row()? {
            Ok(row) => row,
            Err(wrong) => return Some(Err(wrong)),
        };
        self.number += 1;
        Some(self.vector(&row).map(|value| Entry { number: self.number, value, marks: Marks::Row(row.1) }))
    }
}

/// Puts a cell where a vector has it: `expect.result./total` is what `result` at `/total` equals; of `classification` and `reason` there may
/// be several, separated by `|`.
fn expected(expect: &mut Map<String, Value>, field: &str, cell: &str) {
    let json = || serde_json::from_str(cell).unwrap_or_else(|_| Value::from(cell));
    let nested = |value: &mut Value, name: &str, inner: Value| {
        if let Value::Object(fields) = value {
            fields.insert(name.to_owned(), inner);
        }
    };
    let object = || Value::Object(Map::new());
    let equals = || serde_json::json!({ "equals": json() });
    if let Some(place) = field.strip_prefix("result.") {
        nested(expect.entry("result").or_insert_with(object), place, equals());
    } else if let Some((step, place)) = field.strip_prefix("steps.").and_then(|rest| rest.split_once('.')) {
        if let Value::Object(steps) = expect.entry("steps").or_insert_with(object) {
            nested(steps.entry(step).or_insert_with(object), place, equals());
        }
    } else if matches!(field, "minConfidence" | "maxDurationMs" | "abstentions") {
        expect.insert(field.to_owned(), json());
    } else if cell.contains('|') {
        expect.insert(field.to_owned(), cell.split('|').map(str::trim).collect());
    } else {
        expect.insert(field.to_owned(), cell.into());
    }
}

/// The next row. Its line is reckoned from where it ends: where the reader says that it begins, blank lines before it may not be counted
/// yet.
fn read<R: Read>(reader: &mut Reader<Endings<R>>) -> Option<Result<Row, Wrong>> {
    let mut row = StringRecord::new();
    match reader.read_record(&mut row) {
        Ok(true) => {
            let within: usize = row.iter().map(|cell| cell.matches('\n').count()).sum();
            let ends = usize::try_from(reader.position().line()).unwrap_or_default();
            Some(Ok((row, ends.saturating_sub(within + 1))))
        }
        Ok(false) => None,
        Err(error) => Some(Err(told(&error))),
    }
}

fn wrong_cell(line: usize, column: &str, what: &str) -> Wrong {
    (Some(Place { line, column: None }), format!("column {column}: {what}"))
}

/// What the reader says, without a value.
fn told(error: &csv::Error) -> Wrong {
    let place = error.position().map(|at| Place { line: usize::try_from(at.line()).unwrap_or_default(), column: None });
    let what = match error.kind() {
        csv::ErrorKind::Utf8 { .. } => "is not UTF-8; save the file as UTF-8".to_owned(),
        csv::ErrorKind::Io(error) => format!("cannot be read: {error}"),
        _ => "is not CSV".to_owned(),
    };
    (place, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn vectors(text: &str, schemas: Schemas) -> Vec<Result<Value, String>> {
        let wrong = |(place, what): Wrong| format!("{}: {what}", place.map(|p| p.to_string()).unwrap_or_default());
        Rows::new(text.as_bytes(), Arc::new(schemas)).unwrap().map(|row| row.map(|entry| entry.value).map_err(wrong)).collect()
    }

    #[test]
    fn a_header_names_parameters_fields_and_expectations() {
        let text = "name,environmentId,tags,customerId,amount,inputParameters.name,expect.reason,expect.minConfidence,expect.result./total\n\
                    a,test,x;y,007,,,dns|tls,0.5,12\n";
        let want = json!({"name": "a", "environmentId": "test", "tags": ["x", "y"], "inputParameters": {"customerId": "007"},
            "expect": {"reason": ["dns", "tls"], "minConfidence": 0.5, "result": {"/total": {"equals": 12}}}});
        assert_eq!(vectors(text, Schemas::default()), [Ok(want)]);
    }

    #[test]
    fn a_row_of_kinds_gives_them() {
        let text = "n,i,b,j,s,free\nnumber,integer,boolean,json,string,\n1.5,2,true,\"[1,\"\"x\"\"]\",3,4\nx,,,,,\n,,yes,,,\n1,2\n";
        let found = vectors(text, Schemas::default());
        assert_eq!(found[0], Ok(json!({"inputParameters": {"n": 1.5, "i": 2, "b": true, "j": [1, "x"], "s": "3", "free": "4"}})));
        assert_eq!(found[1], Err("4: column n: is no number".to_owned()));
        assert_eq!(found[2], Err("5: column b: is neither true nor false".to_owned()));
        assert_eq!(found[3], Err("6: has 2 cells where the header has 6".to_owned()));
    }

    #[test]
    fn lines_are_right_whatever_ends_them() {
        for (text, line) in [
            ("n\nnumber\n1\nx\n", 4),
            ("n\r\nnumber\r\n1\r\nx", 4),
            ("n\nnumber\n\n\n1\nx\n", 6),
            ("n\r\nnumber\r\n\r\n\r\nx\r\n", 5),
            ("n,t\nnumber,\n1,\"a\r\nb\"\r\nx,\n", 5),
        ] {
            let wrong = vectors(text, Schemas::default()).into_iter().find_map(Result::err).unwrap();
            assert_eq!(wrong, format!("{line}: column n: is no number"), "{text:?}");
        }
        let rows = Rows::new("a\r\n1\r\n\r\n2".as_bytes(), Arc::default()).unwrap();
        assert_eq!(rows.map(|row| row.unwrap().marks.of(&[]).line).collect::<Vec<_>>(), [2, 4]);
    }

    #[test]
    fn headers_that_mean_nothing_are_named() {
        let wrong = |text: &str| Rows::new(text.as_bytes(), Arc::default()).err().unwrap();
        assert_eq!(wrong("a;b\n1;2\n"), "has its columns separated by ; where a comma is meant");
        assert_eq!((wrong("a,a\n"), wrong("a,\n")), ("has two columns named a".to_owned(), "has a column without a name".to_owned()));
    }
}
