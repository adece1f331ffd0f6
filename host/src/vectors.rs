//! Reads vector files: JSON (one object or an array) and NDJSON. It collects every problem of a file, each with its place, and
//! knows nothing of what becomes of a vector.

mod schema;
mod suite;

pub use schema::Schemas;
pub use suite::{Prod, Suite, Vectors};

use crate::model::{ActionId, Environment, Expect, ExpectLine, Vector, without_place};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;

/// The fields a vector may have.
const FIELDS: [&str; 7] = ["name", "dataActionId", "inputParameters", "environmentId", "trace", "tags", "expect"];

/// One thing wrong with a file: `file:line:column: vector 2 (name): field: what`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct VectorError {
    /// The file as the user named it.
    pub file: String,
    /// From 1; none where the whole file is meant.
    pub place: Option<(usize, usize)>,
    /// The vector's number in the file, from 1, and its name.
    pub vector: Option<(usize, Option<String>)>,
    /// The field.
    pub field: Option<String>,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for VectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some((line, column)) = self.place {
            write!(f, ":{line}:{column}")?;
        }
        match &self.vector {
            Some((number, Some(name))) => write!(f, ": vector {number} ({name})")?,
            Some((number, None)) => write!(f, ": vector {number}")?,
            None => {}
        }
        if let Some(field) = &self.field {
            write!(f, ": {field}")?;
        }
        write!(f, ": {}", self.what)
    }
}

/// Reads the text of one file.
///
/// # Errors
/// All problems, in the order of the file.
pub fn parse(file: &str, text: &str, schemas: &Schemas) -> Result<Vec<Vector>, Vec<VectorError>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader { file, text, lines_before: 0, schemas, problems: Vec::new() };
    let values = reader.split();
    let vectors: Vec<_> = values.into_iter().enumerate().filter_map(|(i, value)| reader.vector(i + 1, value)).collect();
    if vectors.is_empty() && reader.problems.is_empty() {
        reader.problems.push(reader.problem(None, None, None, "holds no vector"));
    }
    if reader.problems.is_empty() { Ok(vectors) } else { Err(reader.problems) }
}

struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    /// How many lines of the file stand before the text.
    lines_before: usize,
    schemas: &'a Schemas,
    problems: Vec<VectorError>,
}

impl<'a> Reader<'a> {
    /// The vectors of the file as raw JSON: borrowed from the text, so that each knows its place.
    fn split(&mut self) -> Vec<&'a RawValue> {
        let text = self.text;
        if text.trim_start().starts_with('[') {
            return serde_json::from_str(text).unwrap_or_else(|e| self.syntax(0, &e));
        }
        if text.trim().is_empty() {
            return Vec::new();
        }
        let whole = match serde_json::from_str::<&RawValue>(text) {
            Ok(one) => return vec![one],
            Err(error) => error,
        };
        // No one object: where any line is an object of its own, lines are meant, and those that are not are what is wrong.
        let is_object = |line: &str| line.trim_start().starts_with('{') && serde_json::from_str::<&RawValue>(line).is_ok();
        if !text.lines().any(is_object) {
            return self.syntax(0, &whole);
        }
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        lines.flat_map(|(i, line)| serde_json::from_str(line).map_or_else(|e| self.syntax(i, &e), |one| vec![one])).collect()
    }

    fn syntax(&mut self, lines_before: usize, error: &serde_json::Error) -> Vec<&'a RawValue> {
        let text = error.to_string();
        let what = without_place(&text);
        self.problems.push(VectorError {
            file: self.file.to_owned(),
            place: Some((self.lines_before + lines_before + error.line().max(1), error.column())),
            vector: None,
            field: None,
            what: format!("is not JSON: {what}"),
        });
        Vec::new()
    }

    fn vector(&mut self, number: usize, value: &'a RawValue) -> Option<Vector> {
        let Ok(fields) = serde_json::from_str::<BTreeMap<String, &'a RawValue>>(value.get()) else {
            self.problems.push(self.problem(Some(value), Some((number, None)), None, "is not an object"));
            return None;
        };
        let before = self.problems.len();
        let name = fields.get("name").and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
        let mut fields = Fields { whole: value, fields, vector: (number, name.clone()), reader: self };
        fields.deny_unknown();
        let named = fields.optional::<String>("name", "is not a text");
        let action =
            fields.required::<String>("dataActionId", "is not a text").and_then(|t| fields.check("dataActionId", t.parse::<ActionId>()));
        let input = fields.required::<Map<String, Value>>("inputParameters", "is not an object");
        let environment = fields
            .required::<String>("environmentId", "is not a text")
            .and_then(|t| fields.check("environmentId", t.parse::<Environment>()));
        if fields.optional::<Value>("trace", "is not a value").is_some_and(|trace| trace != Value::Bool(true)) {
            fields.wrong("trace", "must be true or absent: without a trace nothing can be classified");
        }
        if let (Some(action), Some(input)) = (action, &input) {
            fields.check_input(action, input);
        }
        let tags = fields.optional::<Vec<String>>("tags", "is not a list of texts").unwrap_or_default();
        let expect = fields.expect();
        if self.problems.len() > before {
            return None;
        }
        let stem = std::path::Path::new(self.file).file_stem().map_or_else(|| self.file.to_owned(), |s| s.to_string_lossy().into_owned());
        let name = named.unwrap_or_else(|| format!("{stem}#{number}"));
        Some(Vector { name, action: action?, input: input?, environment: environment?, tags, expect })
    }

    fn problem(&self, at: Option<&RawValue>, vector: Option<(usize, Option<String>)>, field: Option<&str>, what: &str) -> VectorError {
        let place = at.and_then(|raw| {
            // Raw values borrow from the file's text, so the distance between the two is the place.
            let offset = (raw.get().as_ptr() as usize).checked_sub(self.text.as_ptr() as usize)?;
            let before = self.text.get(..offset)?;
            let line_start = before.rfind('\n').map_or(0, |i| i + 1);
            Some((self.lines_before + before.matches('\n').count() + 1, before.get(line_start..)?.chars().count() + 1))
        });
        VectorError { file: self.file.to_owned(), place, vector, field: field.map(str::to_owned), what: what.to_owned() }
    }
}

/// The fields of one vector; each wrong one becomes a problem, and reading goes on.
struct Fields<'r, 'a> {
    whole: &'a RawValue,
    fields: BTreeMap<String, &'a RawValue>,
    vector: (usize, Option<String>),
    reader: &'r mut Reader<'a>,
}

impl Fields<'_, '_> {
    fn deny_unknown(&mut self) {
        let unknown: Vec<_> = self.fields.keys().filter(|key| !FIELDS.contains(&key.as_str())).cloned().collect();
        for key in unknown {
            self.wrong(&key, &format!("is not a field of a vector; there are {}", FIELDS.join(", ")));
        }
    }

    fn required<T: serde::de::DeserializeOwned>(&mut self, field: &str, otherwise: &str) -> Option<T> {
        if !self.fields.contains_key(field) {
            self.wrong(field, "is missing");
        }
        self.optional(field, otherwise)
    }

    fn optional<T: serde::de::DeserializeOwned>(&mut self, field: &str, otherwise: &str) -> Option<T> {
        let raw = self.fields.get(field)?;
        let value = serde_json::from_str(raw.get()).ok();
        if value.is_none() {
            self.wrong(field, otherwise);
        }
        value
    }

    fn check<T, E: fmt::Display>(&mut self, field: &str, parsed: Result<T, E>) -> Option<T> {
        parsed.map_err(|e| self.wrong(field, &e.to_string())).ok()
    }

    fn expect(&mut self) -> Option<Expect> {
        let raw = *self.fields.get("expect")?;
        match serde_json::from_str::<ExpectLine>(raw.get()) {
            Ok(line) => {
                let checked = line.check();
                checked.map_err(|wrong| wrong.iter().for_each(|w| self.wrong("expect", w))).ok()
            }
            Err(e) => {
                let text = e.to_string();
                self.wrong("expect", without_place(&text));
                None
            }
        }
    }

    fn check_input(&mut self, action: ActionId, input: &Map<String, Value>) {
        for violation in self.reader.schemas.violations(action, input) {
            self.wrong("inputParameters", &violation);
        }
    }

    fn wrong(&mut self, field: &str, what: &str) {
        let at = self.fields.get(field).copied().unwrap_or(self.whole);
        let problem = self.reader.problem(Some(at), Some(self.vector.clone()), Some(field), what);
        self.reader.problems.push(problem);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ORIGINAL: &str = r#"{"dataActionId":"a1b2c3d4-e5f6-7890-abcd-ef1234567890","inputParameters":{"customerId":"CUST-998877","orderAmount":150.75,"currency":"USD"},"environmentId":"test"}"#;

    fn errors(text: &str) -> Vec<String> {
        parse("dir/v.json", text, &Schemas::default()).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_object_an_array_and_lines_are_read() {
        assert_eq!(parse("dir/v.json", ORIGINAL, &Schemas::default()).unwrap()[0].name, "v#1");
        assert_eq!(parse("v", &format!("\u{feff}[{ORIGINAL},\n{ORIGINAL}]"), &Schemas::default()).unwrap().len(), 2);
        assert_eq!(parse("v", &format!("{ORIGINAL}\n\n{ORIGINAL}\r\n{ORIGINAL}"), &Schemas::default()).unwrap().len(), 3);
        assert_eq!(parse("v", &ORIGINAL.replace(',', ",\n  "), &Schemas::default()).unwrap().len(), 1);
        let nested = ORIGINAL.replace("\"CUST-998877\"", "[\n{\"a\":1}\n]");
        assert_eq!(parse("v", &nested, &Schemas::default()).unwrap().len(), 1);
    }

    #[test]
    fn all_problems_are_named_with_their_place() {
        let text = "[\n  {\"name\": \"a\", \"dataActionId\": \"x\",\n   \"inputParameters\": [],\n   \"environmentId\": \"live\", \"trace\": false},\n  7,\n  {\"dataActionID\": 1, \"expect\": {\"status\": \"OK\", \"problem\": \"?\"}}\n]";
        assert_eq!(
            errors(text),
            [
                "dir/v.json:2:33: vector 1 (a): dataActionId: is not a UUID such as a1b2c3d4-e5f6-7890-abcd-ef1234567890",
                "dir/v.json:3:23: vector 1 (a): inputParameters: is not an object",
                "dir/v.json:4:21: vector 1 (a): environmentId: is not one of dev, test, prod",
                "dir/v.json:4:38: vector 1 (a): trace: must be true or absent: without a trace nothing can be classified",
                "dir/v.json:5:3: vector 2: is not an object",
                "dir/v.json:6:20: vector 3: dataActionID: is not a field of a vector; there are name, dataActionId, inputParameters, environmentId, trace, tags, expect",
                "dir/v.json:6:3: vector 3: dataActionId: is missing",
                "dir/v.json:6:3: vector 3: inputParameters: is missing",
                "dir/v.json:6:3: vector 3: environmentId: is missing",
                "dir/v.json:6:33: vector 3: expect: status: is neither COMPLETED nor FAILED",
                "dir/v.json:6:33: vector 3: expect: problem: is not one of deadline, session-gone, ambiguous, unreachable, unreadable, refused, credentials, settings, interrupted, journal",
            ]
        );
    }

    #[test]
    fn broken_json_names_line_and_column() {
        assert_eq!(errors("[\n{\"a\": }]"), ["dir/v.json:2:7: is not JSON: expected value"]);
        assert_eq!(errors("{\n\"a\": 1,\n}"), ["dir/v.json:3:1: is not JSON: key must be a string"]);
        assert_eq!(errors(&format!("{ORIGINAL}\n{{\"a\"\n{ORIGINAL}")), ["dir/v.json:2:4: is not JSON: EOF while parsing an object"]);
        assert_eq!(errors(&format!("{{\"a\"\n{ORIGINAL}\n{{}}")).len(), 4, "a broken first line hides nothing");
        assert_eq!(errors(" \n"), ["dir/v.json: holds no vector"]);
        assert_eq!(errors("[]"), ["dir/v.json: holds no vector"]);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,60}|[\\[{}\\],:\"a1 \n]{0,40}") {
            let _ = parse("v", &text, &Schemas::default());
        }
    }
}
