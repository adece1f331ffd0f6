//! A vector out of an entry: its file's defaults laid under it, variables filled in, every field checked. All problems are collected, each
//! with its place.

use super::entry::{Entry, Shared};
use super::place::Place;
use super::template::{Scope, fill, lay_over};
use super::{Schemas, VectorError};
use crate::model::{ActionId, Environment, Expect, ExpectLine, Source, Vector, without_place};
use serde_json::{Map, Value};
use std::fmt;
use std::sync::Arc;

/// The fields a vector may have.
const FIELDS: [&str; 7] = ["name", "dataActionId", "inputParameters", "environmentId", "trace", "tags", "expect"];

/// All that a vector is made of.
pub(super) struct Draft<'a> {
    pub(super) file: &'a Arc<str>,
    pub(super) entry: &'a Entry,
    pub(super) shared: Option<&'a Shared>,
    pub(super) scope: Scope<'a>,
    /// The number of the row of data that it is made with.
    pub(super) row: Option<usize>,
    pub(super) schemas: &'a Schemas,
}

impl Draft<'_> {
    /// The vector.
    ///
    /// # Errors
    /// All problems, in the order of its fields.
    pub(super) fn vector(self) -> Result<Vector, Vec<VectorError>> {
        let Value::Object(own) = &self.entry.value else {
            return Err(vec![self.problem(None, &[], None, "is not an object")]);
        };
        let mut fields = match self.shared {
            Some(shared) if !shared.defaults.is_empty() => lay_over(&shared.defaults, own),
            _ => own.clone(),
        };
        let mut wrong = Vec::new();
        let name = self.named(&mut fields, &mut wrong);
        let mut value = Value::Object(fields);
        fill(&mut value, &mut Vec::new(), &self.scope, &mut wrong);
        let mut problems: Vec<_> = wrong
            .into_iter()
            .map(|(path, what)| {
                let path: Vec<&str> = path.iter().map(String::as_str).collect();
                self.problem(name.clone(), &path, Some(&path.join(".")), &what)
            })
            .collect();
        if !problems.is_empty() {
            return Err(problems);
        }
        let Value::Object(mut fields) = value else { return Err(problems) };
        if let Some(name) = &name {
            fields.insert("name".to_owned(), name.clone().into());
        }
        let mut reader = Reader { draft: &self, name, fields, problems: Vec::new() };
        let vector = reader.vector();
        problems.append(&mut reader.problems);
        vector.filter(|_| problems.is_empty()).ok_or(problems)
    }

    /// The vector's name: what is filled in first, since every problem is told with it.
    fn named(&self, fields: &mut Map<String, Value>, wrong: &mut Vec<super::template::Wrong>) -> Option<String> {
        let stem = std::path::Path::new(self.file.as_ref()).file_stem();
        let stem = stem.map_or_else(|| self.file.to_string(), |s| s.to_string_lossy().into_owned());
        let mut named = match fields.get("name") {
            None => Value::from(format!("{stem}#{}", self.entry.number)),
            Some(Value::String(_)) => fields.get("name").cloned().unwrap_or_default(),
            // What is no text is told of with all else.
            Some(_) => return None,
        };
        let before = wrong.len();
        fill(&mut named, &mut vec!["name".to_owned()], &self.scope, wrong);
        if wrong.len() > before {
            // It is told once; as it stands it cannot be filled in again.
            fields.shift_remove("name");
            return named.as_str().map(str::to_owned);
        }
        let mut name = named.as_str().map_or_else(|| named.to_string(), str::to_owned);
        let apart = self.told_apart();
        if !apart.is_empty() {
            name = format!("{name} [{}]", apart.join(", "));
        }
        // What is filled in must not be filled in again.
        fields.shift_remove("name");
        Some(name)
    }

    /// What tells it from others that are made of the same entry and have nothing of it in their names.
    fn told_apart(&self) -> Vec<String> {
        let by_row = self.row.filter(|_| self.scope.used(0).is_empty()).map(|row| format!("row {row}"));
        let used = self.scope.used(1);
        let [_, matrix] = self.scope.layers;
        let by_matrix = matrix.iter().filter(|(name, _)| !used.contains(*name));
        let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        by_row.into_iter().chain(by_matrix.map(|(name, value)| format!("{name}={}", shown(value)))).collect()
    }

    /// The place of a field: in the vector itself, else in its file's defaults.
    fn place(&self, path: &[&str]) -> Place {
        let marks = &self.entry.marks;
        match self.shared.filter(|_| !path.is_empty() && !marks.has(path)) {
            Some(shared) => {
                let path: Vec<&str> = ["defaults"].into_iter().chain(path.iter().copied()).collect();
                if shared.marks.has(path.get(..2).unwrap_or_default()) {
                    shared.marks.of(&path)
                } else {
                    marks.of(path.get(1..).unwrap_or_default())
                }
            }
            None => marks.of(path),
        }
    }

    fn problem(&self, name: Option<String>, path: &[&str], field: Option<&str>, what: &str) -> VectorError {
        let name =
            name.filter(|_| self.entry.name().is_some() || self.row.is_some() || !self.scope.layers.iter().all(|layer| layer.is_empty()));
        VectorError {
            file: self.file.to_string(),
            place: Some(self.place(path)),
            vector: Some((self.entry.number, name)),
            field: field.map(str::to_owned),
            what: what.to_owned(),
        }
    }
}

/// Reads the fields of one vector; each wrong one becomes a problem, and reading goes on.
struct Reader<'d, 'a> {
    draft: &'d Draft<'a>,
    name: Option<String>,
    fields: Map<String, Value>,
    problems: Vec<VectorError>,
}

impl Reader<'_, '_> {
    fn vector(&mut self) -> Option<Vector> {
        self.deny_unknown();
        let named = self.optional::<String>("name", "is not a text");
        let action =
            self.required::<String>("dataActionId", "is not a text").and_then(|t| self.check("dataActionId", t.parse::<ActionId>()));
        let input = self.required::<Map<String, Value>>("inputParameters", "is not an object");
        let environment =
            self.required::<String>("environmentId", "is not a text").and_then(|t| self.check("environmentId", t.parse::<Environment>()));
        if self.fields.get("trace").is_some_and(|trace| *trace != Value::Bool(true)) {
            self.wrong(&["trace"], "must be true or absent: without a trace nothing can be classified");
        }
        if let (Some(action), Some(input)) = (action, &input) {
            for (pointer, what) in self.draft.schemas.violations(action, input) {
                let path: Vec<&str> = ["inputParameters"].into_iter().chain(pointer.split('/').skip(1)).collect();
                self.told(&path, "inputParameters", &what);
            }
        }
        let tags = self.optional::<Vec<String>>("tags", "is not a list of texts").unwrap_or_default();
        for (field, text) in named.iter().map(|name| ("name", name)).chain(tags.iter().map(|tag| ("tags", tag))) {
            let secrets = &self.draft.scope.outer.secrets;
            if let Some((secret, _)) = secrets.iter().find(|(_, value)| text.contains(value.expose())) {
                // Not even in the error.
                self.name = None;
                self.wrong(&[field], &format!("holds the value of the secret {secret}, and is shown"));
            }
        }
        let expect = self.expect();
        let source = Some(Arc::new(self.source()));
        Some(Vector { name: named?, action: action?, input: input?, environment: environment?, tags, expect, repetition: None, source })
    }

    fn deny_unknown(&mut self) {
        let unknown: Vec<_> = self.fields.keys().filter(|key| !FIELDS.contains(&key.as_str())).cloned().collect();
        for key in unknown {
            self.wrong(&[&key], &format!("is not a field of a vector; there are {}", FIELDS.join(", ")));
        }
    }

    fn required<T: serde::de::DeserializeOwned>(&mut self, field: &str, otherwise: &str) -> Option<T> {
        if !self.fields.contains_key(field) {
            self.wrong(&[field], "is missing");
        }
        self.optional(field, otherwise)
    }

    fn optional<T: serde::de::DeserializeOwned>(&mut self, field: &str, otherwise: &str) -> Option<T> {
        let value = serde_json::from_value(self.fields.get(field)?.clone()).ok();
        if value.is_none() {
            self.wrong(&[field], otherwise);
        }
        value
    }

    fn check<T, E: fmt::Display>(&mut self, field: &str, parsed: Result<T, E>) -> Option<T> {
        parsed.map_err(|e| self.wrong(&[field], &e.to_string())).ok()
    }

    fn expect(&mut self) -> Option<Expect> {
        let expect = self.fields.get("expect")?.clone();
        let wrong = match serde_json::from_value::<ExpectLine>(expect) {
            Ok(line) => match line.check() {
                Ok(expect) => return Some(expect),
                Err(wrong) => wrong,
            },
            Err(e) => vec![without_place(&e.to_string()).to_owned()],
        };
        for what in wrong {
            let field = what.split(':').next().unwrap_or_default().to_owned();
            let path: Vec<&str> = ["expect"].into_iter().chain(field.split(' ')).collect();
            self.told(&path, "expect", &what);
        }
        None
    }

    /// Where it stands, and the lines of what it expects.
    fn source(&self) -> Source {
        let line = |path: &[&str]| u32::try_from(self.draft.place(path).line).unwrap_or_default();
        let mut expected = Vec::new();
        if let Some(Value::Object(expect)) = self.fields.get("expect") {
            for (field, tests) in expect {
                expected.push((field.clone(), line(&["expect", field])));
                let within = |tests: &Value, path: &[&str], expected: &mut Vec<(String, u32)>| {
                    for at in tests.as_object().into_iter().flat_map(|tests| tests.keys()) {
                        let full: Vec<&str> = ["expect"].into_iter().chain(path.iter().copied()).chain([at.as_str()]).collect();
                        expected.push((format!("{} {at}", path.join(" ")).trim_end().to_owned(), line(&full)));
                    }
                };
                match field.as_str() {
                    "result" => within(tests, &["result"], &mut expected),
                    "steps" => {
                        for (id, tests) in tests.as_object().into_iter().flatten() {
                            within(tests, &["steps", id], &mut expected);
                        }
                    }
                    _ => {}
                }
            }
        }
        Source { file: Arc::clone(self.draft.file), line: line(&[]), expected }
    }

    fn wrong(&mut self, path: &[&str], what: &str) {
        self.told(path, path.first().copied().unwrap_or_default(), what);
    }

    fn told(&mut self, path: &[&str], field: &str, what: &str) {
        let problem = self.draft.problem(self.name.clone(), path, Some(field), what);
        self.problems.push(problem);
    }
}
