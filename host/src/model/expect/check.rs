//! What is expected of an execution's result and of the output of its steps: a place in a JSON document, and a test of what stands
//! there. It knows JSON, not outcomes.

use crate::model::Trace;
use jsonschema::Validator;
use regex::Regex;
use serde_json::{Map, Value};
use serde_json_path::JsonPath;
use std::fmt;
use std::sync::Arc;

/// One test of what stands at one place.
#[derive(Debug, Clone)]
pub(super) struct Check {
    document: Document,
    at: Arc<At>,
    test: Arc<Test>,
    /// As it was written: two checks are the same where this is.
    written: (String, Value),
}

impl PartialEq for Check {
    fn eq(&self, other: &Self) -> bool {
        self.document == other.document && self.written == other.written
    }
}

/// The document that is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Document {
    /// What the execution gave back.
    Result,
    /// What the step of this id gave back.
    Output(String),
}

/// Where in it.
#[derive(Debug)]
enum At {
    /// By a JSON Pointer (RFC 6901); the empty one is the whole document.
    Pointer(String),
    /// By a JSONPath (RFC 9535), which may find several places.
    Path(JsonPath),
}

#[derive(Debug)]
enum Test {
    Equals(Value),
    Matches(Regex),
    Exists(bool),
    Schema(Validator),
}

impl Check {
    /// Reads what is written under `result`, a test by place, and under `steps`, such tests by a step's id.
    ///
    /// # Errors
    /// All that is wrong, as `field: what`.
    pub(super) fn read(result: Option<Value>, steps: Option<Value>) -> Result<Vec<Self>, Vec<String>> {
        let (mut checks, mut wrong) = (Vec::new(), Vec::new());
        let mut read = |field: &str, document: Document, tests: Value| match tests {
            Value::Object(tests) => tests.into_iter().for_each(|(at, test)| match Self::one(document.clone(), at, test) {
                Ok(check) => checks.push(check),
                Err(what) => wrong.push(format!("{field}: {what}")),
            }),
            _ => wrong.push(format!("{field}: is not an object of tests by place, such as {{\"/total\": {{\"equals\": 12}}}}")),
        };
        if let Some(tests) = result {
            read("result", Document::Result, tests);
        }
        match steps {
            None => {}
            Some(Value::Object(steps)) => {
                steps.into_iter().for_each(|(id, tests)| read(&format!("steps {id}"), Document::Output(id), tests))
            }
            Some(_) => wrong.push("steps: is not an object of tests by the id of a step".to_owned()),
        }
        if wrong.is_empty() { Ok(checks) } else { Err(wrong) }
    }

    fn one(document: Document, at: String, test: Value) -> Result<Self, String> {
        let place = match at.as_str() {
            pointer if pointer.is_empty() || pointer.starts_with('/') => At::Pointer(at.clone()),
            path if path.starts_with('$') => At::Path(JsonPath::parse(path).map_err(|e| format!("{at}: is no JSONPath: {e}"))?),
            _ => return Err(format!("{at}: is neither a JSON Pointer, which begins with /, nor a JSONPath, which begins with $")),
        };
        let parsed = Test::read(&test).map_err(|what| format!("{at}: {what}"))?;
        Ok(Self { document, at: Arc::new(place), test: Arc::new(parsed), written: (at, test) })
    }

    /// What of the trace is not as this has it, as `field: expected this, got that`.
    pub(super) fn mismatch(&self, trace: &Trace) -> Option<String> {
        let document = match &self.document {
            Document::Result => trace.result.as_deref(),
            Document::Output(id) => match trace.steps.iter().rev().find(|step| step.id == *id) {
                None => return Some(format!("{self}: expected of a step that did not run")),
                Some(step) => step.output.as_deref(),
            },
        };
        // What a platform writes as a bare text is one.
        let document = document.map(|text| serde_json::from_str(text).unwrap_or_else(|_| Value::from(text)));
        let found = document.as_ref().map(|document| self.at.find(document)).unwrap_or_default();
        self.test.mismatch(&found).map(|what| format!("{self}: {what}"))
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.document {
            Document::Result => f.write_str("result")?,
            Document::Output(id) => write!(f, "steps {id}")?,
        }
        if self.written.0.is_empty() { Ok(()) } else { write!(f, " {}", self.written.0) }
    }
}

impl At {
    fn find<'a>(&self, document: &'a Value) -> Vec<&'a Value> {
        match self {
            Self::Pointer(pointer) => document.pointer(pointer).into_iter().collect(),
            Self::Path(path) => path.query(document).all(),
        }
    }
}

impl Test {
    fn read(test: &Value) -> Result<Self, String> {
        let one = test.as_object().filter(|fields| fields.len() == 1).and_then(|fields: &Map<String, Value>| fields.iter().next());
        match one.map(|(name, value)| (name.as_str(), value)) {
            Some(("equals", value)) => Ok(Self::Equals(value.clone())),
            Some(("matches", Value::String(pattern))) => {
                let regex = Regex::new(pattern).map_err(|e| format!("matches: {}", e.to_string().lines().last().unwrap_or_default()))?;
                Ok(Self::Matches(regex))
            }
            Some(("exists", Value::Bool(wanted))) => Ok(Self::Exists(*wanted)),
            Some(("schema", schema)) => {
                let validator = jsonschema::validator_for(schema).map_err(|e| format!("schema: is not a JSON Schema: {e}"))?;
                Ok(Self::Schema(validator))
            }
            _ => Err("is none of {\"equals\": value}, {\"matches\": regex}, {\"exists\": true or false}, {\"schema\": schema}".to_owned()),
        }
    }

    /// What differs. Of several places each must be right, and there must be one.
    fn mismatch(&self, found: &[&Value]) -> Option<String> {
        let wrong = |right: &dyn Fn(&Value) -> bool| found.iter().find(|value| !right(value)).map(|value| shown(value));
        let none = || found.is_empty().then(|| "nothing".to_owned());
        match self {
            Self::Equals(want) => none().or_else(|| wrong(&|v| equal(v, want))).map(|got| format!("expected {}, got {got}", shown(want))),
            Self::Matches(regex) => {
                let right = |value: &Value| value.as_str().map_or_else(|| regex.is_match(&value.to_string()), |text| regex.is_match(text));
                none().or_else(|| wrong(&right)).map(|got| format!("expected to match {regex}, got {got}"))
            }
            Self::Exists(true) => none().map(|got| format!("expected to exist, got {got}")),
            Self::Exists(false) => found.first().map(|value| format!("expected nothing, got {}", shown(value))),
            Self::Schema(schema) => {
                let violation = |value: &&Value| schema.iter_errors(value).next().map(|e| format!("{}: {e}", e.instance_path()));
                let what = none().or_else(|| found.iter().find_map(violation))?;
                Some(format!("expected by its schema otherwise, got {}", what.trim_start_matches(": ")))
            }
        }
    }
}

/// Whether two values are the same; numbers are by what they are worth, `1` as `1.0`.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64().zip(b.as_f64()).is_some_and(|(a, b)| a == b),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| equal(a, b))),
        _ => a == b,
    }
}

/// Whole: it is cut short only after what must not be shown in it is masked. A cut through the midst of a secret would hide it from that.
fn shown(value: &Value) -> String {
    value.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Step;
    use serde_json::json;

    fn mismatches(result: Value) -> Vec<String> {
        let mut trace = Trace::made_up(vec![Step { id: "s1".into(), output: Some(r#"{"status":200}"#.into()), ..Step::default() }]);
        trace.result = Some(json!({"total": 12.0, "items": [{"sku": "A1"}, {"sku": "B2"}], "id": "O-7"}).to_string());
        let (result, steps) = if result.get("steps").is_some() { (None, result.get("steps").cloned()) } else { (Some(result), None) };
        Check::read(result, steps).unwrap().iter().filter_map(|check| check.mismatch(&trace)).collect()
    }

    #[test]
    fn what_is_so_is_no_mismatch() {
        let right = json!({"/total": {"equals": 12}, "/id": {"matches": "^O-"}, "$.items[*].sku": {"matches": "^[AB]"}, "/none": {"exists": false},
            "": {"schema": {"type": "object", "required": ["total"]}}, "$.items[?@.sku=='A1']": {"exists": true}});
        assert_eq!(mismatches(right), Vec::<String>::new());
        assert_eq!(mismatches(json!({"steps": {"s1": {"/status": {"equals": 200}}}})), Vec::<String>::new());
    }

    #[test]
    fn what_differs_says_what_was_expected_and_what_there_is() {
        let wrong = json!({"/total": {"equals": 13}, "/no": {"equals": null}, "$.items[*].sku": {"matches": "^A"}, "/id": {"exists": false},
            "/items": {"schema": {"type": "string"}}});
        assert_eq!(
            mismatches(wrong),
            [
                "result /total: expected 13, got 12.0",
                "result /no: expected null, got nothing",
                "result $.items[*].sku: expected to match ^A, got \"B2\"",
                "result /id: expected nothing, got \"O-7\"",
                "result /items: expected by its schema otherwise, got [{\"sku\":\"A1\"},{\"sku\":\"B2\"}] is not of type \"string\"",
            ]
        );
        assert_eq!(
            mismatches(json!({"steps": {"s1": {"/status": {"equals": 201}}, "s2": {"": {"exists": true}}}})),
            ["steps s1 /status: expected 201, got 200", "steps s2: expected of a step that did not run"]
        );
    }

    #[test]
    fn what_cannot_be_tested_is_named_with_its_place() {
        let wrong = |result: Value| Check::read(Some(result), None).unwrap_err().remove(0);
        assert!(wrong(json!({"total": {"equals": 1}})).starts_with("result: total: is neither a JSON Pointer"));
        assert!(wrong(json!({"$[": {"equals": 1}})).starts_with("result: $[: is no JSONPath"));
        assert!(wrong(json!({"/a": {"equal": 1}})).starts_with("result: /a: is none of"));
        assert!(wrong(json!({"/a": {"matches": "("}})).starts_with("result: /a: matches: "));
        assert!(wrong(json!([])).starts_with("result: is not an object"));
    }
}
