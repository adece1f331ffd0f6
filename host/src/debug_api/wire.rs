//! The vendor's JSON as it travels. Reading is lenient: unknown fields are skipped, missing ones tolerated, and where an answer has
//! its parts is the profile's to say.

use super::profile::{StepForm, TraceForm};
use crate::model::{ActionId, Environment, Fault, Secret, SessionId, Status, Step, Trace, without_place};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The most steps a trace may have. A real one has some dozens; each takes some hundred bytes, whatever little the answer spent on it.
const MAX_STEPS: usize = 100_000;

/// The answer of the token endpoint (RFC 6749 §5.1).
#[derive(Deserialize)]
pub(super) struct TokenAnswer {
    pub(super) access_token: Secret,
    expires_in: Option<Value>,
    scope: Option<Value>,
}

impl TokenAnswer {
    /// The life in seconds; some platforms write it as a text.
    pub(super) fn expires_in(&self) -> Option<u64> {
        match self.expires_in.as_ref()? {
            Value::String(text) => text.trim().parse().ok(),
            number => number.as_u64().or_else(|| Duration::try_from_secs_f64(number.as_f64()?).ok().map(|life| life.as_secs())),
        }
    }

    /// The scopes, separated by blanks; some platforms write a list.
    pub(super) fn scope(&self) -> Option<String> {
        match self.scope.as_ref()? {
            Value::String(text) => Some(text.clone()),
            Value::Array(items) => Some(items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")),
            _ => None,
        }
    }
}

/// Where in a JSON document something stands (RFC 6901).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pointer(Vec<String>);

impl FromStr for Pointer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let tokens = text.strip_prefix('/').ok_or_else(|| format!("{text} is no JSON pointer, which begins with /"))?;
        Ok(Self(tokens.split('/').map(|token| token.replace("~1", "/").replace("~0", "~")).collect()))
    }
}

impl<'de> Deserialize<'de> for Pointer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl Pointer {
    fn first(&self) -> &str {
        self.0.first().map_or("", String::as_str)
    }

    /// What stands there in a document.
    pub(super) fn find<'a>(&self, document: &'a str) -> Option<&'a RawValue> {
        let [found] = pick(document, [Some(self)]).ok()?;
        found
    }
}

/// What stands at some places of an object, in one pass over it; the last of several fields of one name counts.
fn pick<'a, const N: usize>(document: &'a str, wanted: [Option<&Pointer>; N]) -> Result<[Option<&'a RawValue>; N], serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(document);
    let mut found = Picker(wanted).deserialize(&mut deserializer)?;
    deserializer.end()?;
    for (slot, pointer) in found.iter_mut().zip(wanted) {
        for token in pointer.map(|p| p.0.get(1..).unwrap_or_default()).unwrap_or_default() {
            let next = Pointer(vec![token.clone()]);
            *slot = slot.and_then(|raw: &RawValue| next.find(raw.get()));
        }
    }
    Ok(found)
}

/// Keeps the wanted fields only: an object may have millions of others.
struct Picker<'w, const N: usize>([Option<&'w Pointer>; N]);

impl<'de, const N: usize> DeserializeSeed<'de> for Picker<'_, N> {
    type Value = [Option<&'de RawValue>; N];

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de, const N: usize> Visitor<'de> for Picker<'_, N> {
    type Value = [Option<&'de RawValue>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = [None; N];
        while let Some(Key(key)) = map.next_key()? {
            let is_it = |pointer: &Option<&Pointer>| pointer.is_some_and(|p| p.first() == key);
            if !self.0.iter().any(is_it) {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let value: &'de RawValue = map.next_value()?;
            found.iter_mut().zip(&self.0).filter(|(_, pointer)| is_it(pointer)).for_each(|(slot, _)| *slot = Some(value));
        }
        Ok(found)
    }
}

/// What is asked about a session, as it was answered. Only the status must be there: an answer that says how a session ended is
/// never lost for the sake of an odd field beside it.
pub(super) struct Answer<'a> {
    pub(super) status: Status,
    pub(super) error: Option<&'a RawValue>,
    pub(super) steps: Option<&'a RawValue>,
    pub(super) result: Option<&'a RawValue>,
}

impl<'a> Answer<'a> {
    /// Reads an answer.
    ///
    /// # Errors
    /// What it is instead of an answer.
    pub(super) fn read(text: &'a str, form: &TraceForm) -> Result<Self, String> {
        let wanted = [Some(&form.status), form.error.as_ref(), Some(&form.steps), form.result.as_ref()];
        // Serde's own word for a value of another kind would show the value.
        let [status, error, steps, result] =
            pick(text, wanted).map_err(|e| if e.is_data() { "it is no object".to_owned() } else { strip_place(&e) })?;
        let status = status.and_then(|raw| text_of(serde_json::from_str(raw.get()).ok()?)).ok_or("there is no status in it")?;
        let status = if form.completed.contains(&status) {
            Status::COMPLETED.to_owned()
        } else if form.failed.contains(&status) {
            Status::FAILED.to_owned()
        } else {
            status.chars().filter(|c| !c.is_control()).take(64).collect()
        };
        Ok(Self { status: Status(status), error, steps, result })
    }

    /// Whether the execution has ended.
    pub(super) fn ended(&self) -> bool {
        matches!(self.status.0.as_str(), Status::COMPLETED | Status::FAILED)
    }

    /// The trace, free of wire format. What is no list of steps is no trace; what is no step is one of which nothing is known.
    ///
    /// # Errors
    /// Where there are too many steps.
    pub(super) fn into_trace(
        self,
        form: &StepForm,
        session: SessionId,
        action: ActionId,
        environment: Environment,
    ) -> Result<Trace, String> {
        let steps = match self.steps {
            Some(raw) if raw.get().starts_with('[') => {
                Steps(form).deserialize(&mut serde_json::Deserializer::from_str(raw.get())).map_err(|e| strip_place(&e))?
            }
            _ => Vec::new(),
        };
        let result = self.result.and_then(json);
        Ok(Trace { session, action, environment, status: self.status, error: self.error.and_then(fault), steps, result })
    }
}

/// Reads a list of steps one by one.
struct Steps<'f>(&'f StepForm);

impl<'de> DeserializeSeed<'de> for Steps<'_> {
    type Value = Vec<Step>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Steps<'_> {
    type Value = Vec<Step>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of steps")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut steps = Vec::new();
        while let Some(raw) = list.next_element::<&'de RawValue>()? {
            if steps.len() == MAX_STEPS {
                return Err(A::Error::custom(format_args!("the trace has more than {MAX_STEPS} steps")));
            }
            steps.push(step(raw, self.0, steps.len()));
        }
        Ok(steps)
    }
}

fn step(raw: &RawValue, form: &StepForm, index: usize) -> Step {
    let wanted = [&form.id, &form.name, &form.timestamp, &form.input, &form.output].map(Option::as_ref);
    let [id, name, timestamp, input, output] = wanted;
    let [id, name, timestamp, input, output, error] =
        pick(raw.get(), [id, name, timestamp, input, output, Some(&form.error)]).unwrap_or_default();
    let word = |raw: Option<&RawValue>| raw.and_then(|raw| text_of(serde_json::from_str(raw.get()).ok()?));
    Step {
        id: word(id).unwrap_or_else(|| format!("#{index}")),
        name: word(name),
        timestamp: word(timestamp),
        input: input.and_then(json),
        output: output.and_then(json),
        error: error.and_then(fault),
    }
}

/// A value as its JSON text; null is none.
fn json(raw: &RawValue) -> Option<String> {
    Some(raw.get()).filter(|text| *text != "null").map(str::to_owned)
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

/// An error as platforms write it: an object with `message`, `stack`, `code`, or a bare text. Some write `false` or something
/// empty where there is none.
fn fault(raw: &RawValue) -> Option<Fault> {
    let of = |message: Option<Value>, stack: Option<Value>, code: Option<Value>| Fault {
        message: message.and_then(text_of).unwrap_or_default(),
        stack: stack.and_then(text_of),
        code: code.and_then(text_of),
    };
    if let Some(WireFault { message, stack, code }) = object(raw)
        && (message.is_some() || stack.is_some() || code.is_some())
    {
        return Some(of(message, stack, code));
    }
    let Ok(value) = serde_json::from_str(raw.get()) else {
        // Nested deeper than can be read: the text speaks for itself.
        return Some(Fault { message: raw.get().to_owned(), ..Fault::default() });
    };
    match value {
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

pub(super) fn text_of(value: Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}

/// A message of serde_json without the line and column at its end, which say little about a text on one line.
pub(super) fn strip_place(error: &serde_json::Error) -> String {
    without_place(&error.to_string()).to_owned()
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

    fn read(profile: &str, json: &str) -> Result<Trace, String> {
        let form = super::super::profile::Profile::named(profile, &std::collections::BTreeMap::new()).unwrap().trace;
        let action = "a1b2c3d4-e5f6-7890-abcd-ef1234567890".parse().unwrap();
        Answer::read(json, &form)?.into_trace(&form.step, "s".parse().unwrap(), action, Environment::Test)
    }

    fn trace(json: &str) -> Trace {
        read("cxone", json).unwrap()
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

    #[test]
    fn operations_are_steps_and_success_is_a_status() {
        let json = r#"{"operations":[{"step":1,"name":"Resolve","success":true,"result":{"url":"x"}},{"step":2,"name":"Execute","success":false,"error":{"message":"failed with 503","code":"external.failure","status":503,"details":[]}}],"error":{"message":"whole","code":"bad"},"success":false}"#;
        let trace = read("genesys", json).unwrap();
        assert_eq!((trace.status.0.as_str(), trace.failing_step(), trace.steps[1].id.as_str()), ("FAILED", Some(1), "2"));
        assert_eq!((trace.steps[0].output.as_deref(), trace.error.unwrap().message.as_str()), (Some(r#"{"url":"x"}"#), "whole"));
        assert_eq!(trace.steps[1].error.as_ref().unwrap().code.as_deref(), Some("external.failure"));
    }

    #[test]
    fn pointers_go_down_and_the_last_field_counts() {
        let pointer: Pointer = "/a/b~1c".parse().unwrap();
        assert_eq!(pointer.find(r#"{"a":1,"a":{"b/c":[1],"x":2}}"#).unwrap().get(), "[1]");
        assert!(pointer.find(r#"{"a":[{}]}"#).is_none() && pointer.find("[]").is_none());
        assert!("a".parse::<Pointer>().is_err());
    }

    #[test]
    fn what_is_no_answer_is_said() {
        assert_eq!(read("cxone", "<html>").unwrap_err(), "expected value");
        assert_eq!(read("cxone", r#"{"status":"COMPL"#).unwrap_err(), "EOF while parsing a string");
        assert_eq!(read("cxone", "{}").unwrap_err(), "there is no status in it");
        assert_eq!(read("cxone", "[]").unwrap_err(), "it is no object");
        let many = format!(r#"{{"status":"FAILED","trace":[{}0]}}"#, "0,".repeat(MAX_STEPS));
        assert_eq!(read("cxone", &many).unwrap_err(), "the trace has more than 100000 steps");
    }

    #[test]
    fn deep_json_is_carried_and_not_climbed_into() {
        let deep = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
        let trace = trace(&format!(r#"{{"deep":{deep},"status":"FAILED","trace":[{{"stepId":{deep},"output":{deep},"error":{deep}}}]}}"#));
        assert_eq!((trace.steps[0].id.as_str(), trace.steps[0].output.as_deref()), ("#0", Some(deep.as_str())));
        assert_eq!(trace.failing_step(), Some(0));
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,60}|[\\[{}\\],:\"a1 \n]{0,40}") {
            let _ = read("cxone", &text);
            let _ = read("genesys", &format!(r#"{{"success":false,"operations":[{text}]}}"#));
        }
    }
}
