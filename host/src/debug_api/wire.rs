//! The vendor's JSON as it travels. Reading is lenient: unknown fields are skipped, missing ones tolerated.

use crate::model::{ActionId, Environment, Fault, SessionId, Status, Step, Trace};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// The answer of the token endpoint (RFC 6749 §5.1).
#[derive(Deserialize)]
pub(super) struct TokenAnswer {
    pub(super) access_token: String,
    pub(super) expires_in: Option<u64>,
    pub(super) scope: Option<String>,
}

/// The body of a submit.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SubmitBody<'a> {
    pub(super) input_parameters: &'a Map<String, Value>,
    pub(super) trace: bool,
    pub(super) version_constraint: &'static str,
}

/// The answer to a submit.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SubmitAnswer {
    pub(super) session_id: String,
}

/// The answer to a poll. Only the status must be there: an answer that says how a session ended is never lost for the sake of
/// an odd field beside it.
#[derive(Deserialize)]
pub(super) struct PollAnswer<'a> {
    pub(super) status: String,
    #[serde(default, borrow)]
    pub(super) result: Option<&'a RawValue>,
    #[serde(default, borrow)]
    pub(super) trace: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct WireStep<'a> {
    step_id: Option<Value>,
    step_name: Option<Value>,
    timestamp: Option<Value>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(borrow)]
    output: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

/// The one field of a result that is looked at.
#[derive(Deserialize)]
struct WireResult<'a> {
    #[serde(default, borrow)]
    error: Option<&'a RawValue>,
}

/// An error as most platforms write it.
#[derive(Deserialize)]
struct WireFault {
    #[serde(default)]
    message: Option<Value>,
    #[serde(default)]
    stack: Option<Value>,
    #[serde(default)]
    code: Option<Value>,
}

impl PollAnswer<'_> {
    /// Whether the execution has ended.
    pub(super) fn ended(&self) -> bool {
        matches!(self.status.as_str(), Status::COMPLETED | Status::FAILED)
    }

    /// The trace, free of wire format. What is no list of steps is no trace; what is no step is one of which nothing is known.
    pub(super) fn into_trace(self, session: SessionId, action: ActionId, environment: Environment) -> Trace {
        let error = self.result.and_then(|raw| object::<WireResult<'_>>(raw)?.error).and_then(fault);
        let steps = self.trace.map(|raw| steps(raw.get())).unwrap_or_default();
        let steps = steps.into_iter().enumerate().map(|(i, step)| step.into_step(i)).collect();
        Trace { session, action, environment, status: Status(self.status), error, steps }
    }
}

/// The steps of a list, in one pass where all of them are steps; else each for itself.
fn steps(list: &str) -> Vec<WireStep<'_>> {
    serde_json::from_str(list).unwrap_or_else(|_| {
        let steps: Vec<&RawValue> = serde_json::from_str(list).unwrap_or_default();
        steps.into_iter().map(|raw| serde_json::from_str(raw.get()).unwrap_or_default()).collect()
    })
}

impl WireStep<'_> {
    fn into_step(self, index: usize) -> Step {
        let json = |raw: Option<&RawValue>| raw.map(RawValue::get).filter(|text| *text != "null").map(str::to_owned);
        Step {
            id: self.step_id.and_then(text).unwrap_or_else(|| format!("#{index}")),
            name: self.step_name.and_then(text),
            timestamp: self.timestamp.and_then(text),
            input: json(self.input),
            output: json(self.output),
            error: self.error.and_then(fault),
        }
    }
}

/// An error as platforms write it: an object with `message`, `stack`, `code`, or a bare text. Some write `false` or something
/// empty where there is none.
fn fault(raw: &RawValue) -> Option<Fault> {
    let of = |message: Option<Value>, stack: Option<Value>, code: Option<Value>| Fault {
        message: message.and_then(text).unwrap_or_default(),
        stack: stack.and_then(text),
        code: code.and_then(text),
    };
    if let Some(WireFault { message, stack, code }) = object(raw)
        && (message.is_some() || stack.is_some() || code.is_some())
    {
        return Some(of(message, stack, code));
    }
    match serde_json::from_str(raw.get()).ok()? {
        Value::Null | Value::Bool(false) => None,
        Value::Object(fields) if fields.is_empty() => None,
        // Without any of the fields, or with one of them twice, of which the last counts.
        Value::Object(mut fields) => Some(of(fields.remove("message"), fields.remove("stack"), fields.remove("code"))),
        Value::String(blank) if blank.trim().is_empty() => None,
        Value::Array(items) if items.is_empty() => None,
        Value::String(message) => Some(Fault { message, ..Fault::default() }),
        other => Some(Fault { message: other.to_string(), ..Fault::default() }),
    }
}

/// An object's fields. Serde would take a list for an object too, by the order of its items.
fn object<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Option<T> {
    raw.get().starts_with('{').then(|| serde_json::from_str(raw.get()).ok()).flatten()
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}

/// The most of an error answer's text that is kept. It is cut short for people only after input values in it are masked: a cut
/// through the midst of one would hide it from the masking.
const PROBLEM_CHARS: usize = 20_000;

/// What an error answer says of itself: RFC 9457 `detail` or `title`, RFC 6749 `error_description` or `error`, or `message`.
/// A body of another kind says nothing that is worth showing.
pub(super) fn problem_text(body: &[u8]) -> Option<String> {
    let body: Map<String, Value> = serde_json::from_slice(body).ok()?;
    let text = ["detail", "error_description", "title", "message", "error"].iter().find_map(|name| body.get(*name)?.as_str())?;
    Some(text.chars().filter(|c| !c.is_control()).take(PROBLEM_CHARS).collect())
}

/// The error code of an OAuth answer (RFC 6749 §5.2).
pub(super) fn oauth_error(body: &[u8]) -> Option<String> {
    let body: Map<String, Value> = serde_json::from_slice(body).ok()?;
    body.get("error")?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(json: &str) -> Trace {
        let answer: PollAnswer = serde_json::from_str(json).unwrap();
        answer.into_trace("s".parse().unwrap(), "a1b2c3d4-e5f6-7890-abcd-ef1234567890".parse().unwrap(), Environment::Test)
    }

    #[test]
    fn a_trace_may_be_missing_null_or_empty() {
        for json in [
            r#"{"status":"FAILED"}"#,
            r#"{"status":"FAILED","trace":null,"result":null}"#,
            r#"{"status":"FAILED","trace":[],"result":"x"}"#,
        ] {
            assert!(trace(json).steps.is_empty(), "{json}");
        }
    }

    #[test]
    fn steps_may_lack_anything() {
        let trace = trace(
            r#"{"status":"FAILED","x":1,"trace":[{},{"stepId":7,"error":"boom"},{"stepId":"c","input":{"b": 1,"a":2},"output":null,"error":{"code":500}}]}"#,
        );
        assert_eq!(trace.steps[0].id, "#0");
        assert_eq!((trace.steps[1].id.as_str(), trace.steps[1].error.as_ref().unwrap().message.as_str()), ("7", "boom"));
        assert_eq!(trace.steps[2].input.as_deref(), Some(r#"{"b": 1,"a":2}"#));
        assert_eq!(trace.steps[2].error.as_ref().unwrap().code.as_deref(), Some("500"));
        assert_eq!(trace.failing_step(), Some(1));
    }

    #[test]
    fn an_odd_field_does_not_lose_a_finished_session() {
        for odd in ["{}", "\"\"", "7", "true"] {
            assert!(trace(&format!(r#"{{"status":"FAILED","trace":{odd}}}"#)).steps.is_empty(), "{odd}");
        }
        let trace = trace(r#"{"status":"FAILED","trace":[null,5,{"stepName":5,"stepId":"c","error":"boom"}]}"#);
        assert_eq!((trace.steps.len(), trace.failing_step()), (3, Some(2)));
        assert_eq!(trace.steps[2].name.as_deref(), Some("5"));
    }

    #[test]
    fn a_list_is_no_object_and_the_last_of_two_fields_counts() {
        assert!(trace(r#"{"status":"FAILED","result":["some output"],"trace":[{}]}"#).error.is_none());
        let twice = trace(r#"{"status":"FAILED","result":{"error":{"message":"a","message":"b","code":1}}}"#).error.unwrap();
        assert_eq!((twice.message.as_str(), twice.code.as_deref()), ("b", Some("1")));
    }

    #[test]
    fn an_empty_error_is_none() {
        for empty in ["false", "\"\"", "\" \"", "{}", "[]", "null"] {
            let json = format!(r#"{{"status":"FAILED","trace":[{{"error":{empty}}},{{"error":"real"}}]}}"#);
            assert_eq!(trace(&json).failing_step(), Some(1), "{empty}");
        }
    }

    #[test]
    fn problem_bodies_are_read_and_cleaned() {
        assert_eq!(problem_text(br#"{"title":"t","detail":"no\u001b[31m scope"}"#).as_deref(), Some("no[31m scope"));
        assert_eq!(problem_text(b"<html>"), None);
        assert_eq!(oauth_error(br#"{"error":"invalid_client"}"#).as_deref(), Some("invalid_client"));
    }
}
