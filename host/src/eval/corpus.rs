//! Labelled failures: the corpus format (one JSON object a line, with `message` and `category`) and recorded traces with an `expect`. It
//! knows the two formats and what makes a trace of a bare error.

use crate::debug_api::{Recorded, parse_recorded};
use crate::model::{Classification, Fault, Step, Trace};
use serde::Deserialize;
use serde_json::{Map, Value};

/// What a failure really was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Truth {
    /// Why it failed.
    pub classification: Classification,
    /// The kind of cause, where it is known.
    pub reason: Option<String>,
    /// Whether it misleads those who look for words only.
    pub hard: bool,
}

/// A failure with its label.
#[derive(Debug)]
pub struct Labelled {
    /// Its id or name.
    pub id: String,
    /// What failed.
    pub trace: Trace,
    /// Its input, where it is known: it is masked.
    pub input: Option<Map<String, Value>>,
    /// What it really was; none where nobody has said so yet.
    pub truth: Option<Truth>,
    /// Where it comes from: the repository of its wording, else its session. What comes from one place stays together.
    pub source: String,
}

/// A record of the corpus format. What is not read here is for people.
#[derive(Deserialize)]
struct Line {
    id: String,
    message: String,
    #[serde(default)]
    stack: Option<String>,
    #[serde(default)]
    code: Option<String>,
    category: Classification,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    hard: bool,
    #[serde(default)]
    wording_seen_in: Option<String>,
}

/// Reads a text of one record a line, in either format.
///
/// # Errors
/// The number of the line, from 1, and what is wrong with it.
pub fn read(text: &str) -> Result<Vec<Labelled>, (usize, String)> {
    let lines = text.trim_start_matches('\u{feff}').lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(i, line)| record(line).map_err(|what| (i + 1, what))).collect()
}

fn record(line: &str) -> Result<Labelled, String> {
    // Told apart by a field that only one of them has, so that errors are those of the format that was meant.
    let fields: Map<String, Value> = serde_json::from_str(line).map_err(|e| format!("column {}: is no JSON object", e.column()))?;
    match (fields.contains_key("category"), fields.contains_key("sessionId")) {
        (true, _) => {}
        (false, true) => return parse_recorded(line).map(of_recorded),
        (false, false) => return Err("has neither `category`, as a corpus record has, nor `sessionId`, as a recorded trace".to_owned()),
    }
    let line: Line = serde_json::from_value(Value::Object(fields)).map_err(|e| e.to_string())?;
    let source = line.wording_seen_in.as_deref().map_or(line.id.as_str(), |seen| seen.split('#').next().unwrap_or(seen)).to_owned();
    let fault = Fault { message: line.message, stack: line.stack, code: line.code };
    Ok(Labelled {
        id: line.id,
        trace: of_fault(fault),
        input: None,
        truth: Some(Truth { classification: line.category, reason: line.reason, hard: line.hard }),
        source,
    })
}

fn of_recorded(recorded: Recorded) -> Labelled {
    let truth = recorded.expect.and_then(|expect| {
        // Of several that would do none is the truth.
        let [classification] = <[_; 1]>::try_from(expect.classification).ok()?;
        let reason = <[_; 1]>::try_from(expect.reason).ok().map(|[reason]| reason);
        Some(Truth { classification, reason, hard: false })
    });
    let session = recorded.trace.session.to_string();
    Labelled { id: recorded.name.unwrap_or_else(|| session.clone()), trace: recorded.trace, input: recorded.input, truth, source: session }
}

/// What was read that has no label, as a count; the others stay.
#[must_use]
pub fn without_label(all: Vec<Labelled>) -> (Vec<Labelled>, usize) {
    let before = all.len();
    let labelled: Vec<_> = all.into_iter().filter(|record| record.truth.is_some() && record.trace.status.is_failed()).collect();
    let left = before - labelled.len();
    (labelled, left)
}

/// A bare error as the platform would have recorded it: that of the second of three steps, and of the execution.
fn of_fault(fault: Fault) -> Trace {
    let step = |id: &str, error| Step { id: id.to_owned(), name: Some(id.to_owned()), error, ..Step::default() };
    let mut trace = Trace::made_up(vec![step("before", None), step("failing", Some(fault.clone())), step("after", None)]);
    trace.error = Some(fault);
    trace
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_are_read() {
        let corpus = r#"{"id":"d1","message":"m","stack":null,"code":"E","runtime":"go","category":"UNKNOWN","reason":null,"hard":true,"why":"w","wording_seen_in":"o/r#7"}"#;
        let recorded = r#"{"sessionId":"s-1","actionId":"a1b2c3d4-e5f6-7890-abcd-ef1234567890","environmentId":"test","status":"FAILED","trace":[],"expect":{"classification":"INTERNAL_LOGIC_FAULT","reason":"dns"}}"#;
        let all = read(&format!("{corpus}\n\n{recorded}\n")).unwrap();
        assert_eq!((all[0].id.as_str(), all[0].source.as_str(), all[0].trace.failing_step()), ("d1", "o/r", Some(1)));
        assert!(all[0].truth.as_ref().unwrap().hard && all[0].trace.error.as_ref().unwrap().code.as_deref() == Some("E"));
        assert_eq!(all[1].truth.as_ref().unwrap().reason.as_deref(), Some("dns"));
        assert_eq!(all[1].source, "s-1");
    }

    #[test]
    fn an_error_names_its_line() {
        let told = |text: &str| read(text).unwrap_err();
        assert_eq!(told("\n[]").0, 2);
        assert!(told(r#"{"id":"a","message":"m","category":"nonsense"}"#).1.contains("UPPER_SNAKE"));
        assert!(told(r#"{"id":"a","category":"UNKNOWN"}"#).1.contains("message"));
        assert!(told(r#"{"id":"a"}"#).1.contains("neither `category`"));
    }

    #[test]
    fn what_has_no_label_is_counted() {
        let line = |more: &str| {
            format!(
                r#"{{"sessionId":"s","actionId":"a1b2c3d4-e5f6-7890-abcd-ef1234567890","environmentId":"test","status":"FAILED","trace":[]{more}}}"#
            )
        };
        let (labelled, left) = without_label(read(&[line(""), line(r#","expect":{"classification":"UNKNOWN"}"#)].join("\n")).unwrap());
        assert_eq!((labelled.len(), left), (1, 1));
    }
}
