//! Recorded traces: poll answers with their ids, one JSON object a line, as `classify` reads them.

use super::profile::{Profile, TraceForm};
use super::wire::{Answer, Pointer, strip_place};
use crate::model::{Expect, ExpectLine, Fault, Status, Step, Trace};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

/// One recorded execution.
#[derive(Debug)]
pub struct Recorded {
    /// The name of the vector, where the record has one.
    pub name: Option<String>,
    /// What the platform recorded.
    pub trace: Trace,
    /// The input, where the record has it: it is masked and hashed, and goes nowhere.
    pub input: Option<Map<String, Value>>,
    /// What the outcome should be.
    pub expect: Option<Expect>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    #[serde(default)]
    name: Option<String>,
    session_id: String,
    action_id: String,
    environment_id: String,
    #[serde(default)]
    input_parameters: Option<Value>,
    #[serde(default)]
    expect: Option<ExpectLine>,
    // The poll answer's own fields. Not flattened: raw values cannot pass through serde's flatten.
    status: String,
    #[serde(default, borrow)]
    result: Option<&'a RawValue>,
    #[serde(default, borrow)]
    trace: Option<&'a RawValue>,
}

/// What records are written in, whatever platform they came from.
static FORM: LazyLock<Result<TraceForm, String>> = LazyLock::new(|| Profile::of_records().map(|profile| profile.trace));
/// Where a record's `result` has the error.
static ERROR: LazyLock<Result<Pointer, String>> = LazyLock::new(|| "/error".parse());

/// Reads one line.
///
/// # Errors
/// The field that is wrong, and how.
pub fn parse(text: &str) -> Result<Recorded, String> {
    let json = |e: serde_json::Error| format!("column {}: {}", e.column(), strip_place(&e));
    let line: Line<'_> = serde_json::from_str(text).map_err(json)?;
    let form = FORM.as_ref().map_err(Clone::clone)?;
    let error = line.result.zip(ERROR.as_ref().ok()).and_then(|(result, error)| error.find(result.get()));
    let answer = Answer { status: Status(line.status), error, steps: line.trace, result: line.result };
    if !answer.ended() {
        return Err(format!("status: {} is neither COMPLETED nor FAILED", answer.status));
    }
    let session = line.session_id.parse().map_err(|e| format!("sessionId: {e}"))?;
    let action = line.action_id.parse().map_err(|e| format!("actionId: {e}"))?;
    let environment = line.environment_id.parse().map_err(|e| format!("environmentId: {e}"))?;
    let expect = line.expect.map(ExpectLine::check).transpose().map_err(|wrong| format!("expect.{}", wrong.join("; expect.")))?;
    // Read as any value first: serde's own error would show the input.
    let input = match line.input_parameters {
        None | Some(Value::Null) => None,
        Some(Value::Object(input)) => Some(input),
        Some(_) => return Err("inputParameters: is not an object".to_owned()),
    };
    Ok(Recorded { name: line.name, trace: answer.into_trace(&form.step, session, action, environment)?, input, expect })
}

/// A trace as a line that [`parse`] reads, under this name.
#[must_use]
pub fn record(name: &str, trace: &Trace) -> String {
    let fault = |fault: &Fault| json!({"message": fault.message, "stack": fault.stack, "code": fault.code});
    let step = |step: &Step| {
        json!({
            "stepId": step.id, "stepName": step.name, "timestamp": step.timestamp, "input": step.input, "output": step.output,
            "error": step.error.as_ref().map(fault),
        })
    };
    let line = json!({
        "name": name, "sessionId": trace.session, "actionId": trace.action, "environmentId": trace.environment, "status": trace.status,
        "result": {"error": trace.error.as_ref().map(fault)}, "trace": trace.steps.iter().map(step).collect::<Vec<_>>(),
    });
    line.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"sessionId":"s","actionId":"a1b2c3d4-e5f6-7890-abcd-ef1234567890","environmentId":"test","status":"FAILED","trace":[{"stepId":"x","input":{"k":1}}]}"#;

    #[test]
    fn a_poll_answer_with_its_ids_is_read() {
        let recorded = parse(GOOD).unwrap();
        assert_eq!(recorded.trace.steps[0].input.as_deref(), Some(r#"{"k":1}"#));
        assert!(recorded.input.is_none() && recorded.expect.is_none());
    }

    #[test]
    fn what_is_recorded_is_read_back() {
        let mut trace = parse(GOOD).unwrap().trace;
        trace.steps[0].error = Some(Fault { message: "boom".into(), stack: None, code: Some("E".into()) });
        trace.error = Some(Fault { message: "whole".into(), ..Fault::default() });
        // An input is JSON in a record, and a text in a trace.
        trace.steps[0].input = None;
        // Of the result no more than its error is recorded.
        trace.result = Some(r#"{"error":{"message":"whole","stack":null,"code":null}}"#.into());
        let read = parse(&record("n", &trace)).unwrap();
        assert_eq!((read.name.as_deref(), read.trace), (Some("n"), trace));
    }

    #[test]
    fn errors_name_the_field() {
        let error = |from: &str, to: &str| parse(&GOOD.replace(from, to)).unwrap_err();
        assert_eq!(error("\"test\"", "\"x\""), "environmentId: is not one of dev, test, prod");
        assert_eq!(error("FAILED", "RUNNING"), "status: RUNNING is neither COMPLETED nor FAILED");
        assert!(error("\"sessionId\":\"s\",", "").contains("missing field `sessionId`"));
        assert!(parse("{\"sessionId\":").unwrap_err().starts_with("column 13: EOF"));
    }
}
