//! Cases: recorded traces, each with what the classifier should say of it, one JSON object a line. A case is a recorded trace with the
//! field `verdict`: an object whose fields the best verdict must have, or null, where there must be none. Without it the fields of
//! `expect` count, as for an outcome; a case of an execution that did not fail must get no verdict.

use super::WorkshopError;
use crate::config::Grants;
use crate::debug_api::{parse_recorded, record};
use crate::model::{Classification, Expect, Trace, Verdict, utf8};
use crate::redact::{Redactor, Rules};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// The fields a `verdict` may have.
const FIELDS: [&str; 7] = ["classification", "confidence", "reason", "rule", "failingStepId", "explanation", "attributes"];

/// One case.
#[derive(Debug)]
pub struct Case {
    /// Its file and line.
    pub place: String,
    /// Its name, or its session.
    pub name: String,
    /// The trace.
    pub trace: Trace,
    /// Masks its input, where it has one: what is told of it may be read by anyone.
    pub redactor: Redactor<'static>,
    /// What should be said.
    expected: Expected,
}

#[derive(Debug)]
enum Expected {
    Verdict(Map<String, Value>),
    NoVerdict,
    Outcome(Box<Expect>),
    /// Nothing was said about it yet.
    Anything,
}

/// A file of cases.
#[derive(Debug, Default)]
pub struct Cases {
    /// Where they come from; none where they travel inside a plugin.
    pub file: Option<PathBuf>,
    /// The cases.
    pub cases: Vec<Case>,
    lines: Vec<String>,
}

/// The file of cases that belongs to a plugin: `NAME.cases.ndjson` or `cases.ndjson` beside it.
#[must_use]
pub fn beside(plugin: &Path) -> Option<PathBuf> {
    let own = plugin.with_extension("cases.ndjson");
    [own, plugin.with_file_name("cases.ndjson")].into_iter().find(|path| path.is_file())
}

impl Cases {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, or a line is no case.
    pub fn read(path: &Path) -> Result<Self, WorkshopError> {
        let bytes = std::fs::read(path).map_err(|e| WorkshopError::file(path, &e))?;
        let text = utf8(&bytes).map_err(|line| {
            WorkshopError::new(format!("{}:{line}: is not UTF-8", path.display()), "a case is a line of JSON; save the file as UTF-8")
        })?;
        Ok(Self { file: Some(path.to_owned()), ..Self::parse(&path.display().to_string(), text)? })
    }

    /// Reads a text that came from `place`.
    ///
    /// # Errors
    /// A line is no case.
    pub fn parse(place: &str, text: &str) -> Result<Self, WorkshopError> {
        let lines: Vec<_> = text.trim_start_matches('\u{feff}').lines().map(str::to_owned).collect();
        let written = lines.iter().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let cases = written.map(|(i, line)| {
            let place = format!("{place}:{}", i + 1);
            case(&place, line).map_err(|what| {
                WorkshopError::new(
                    format!("{place}: {what}"),
                    "README, section Cases, has the format; a recorded trace with `verdict` is one",
                )
            })
        });
        Ok(Self { file: None, cases: cases.collect::<Result<_, _>>()?, lines })
    }

    /// The cases as they may go along with a plugin: masked by their inputs, which stay behind; of steps' inputs and outputs with no
    /// more than the plugin reads.
    #[must_use]
    pub fn to_carry(&self, reads: &Grants) -> String {
        let mut lines = self.lines.iter().filter(|line| !line.trim().is_empty());
        let carried = self.cases.iter().map(|case| {
            let trace = case.redactor.trace(&case.trace, reads);
            let written: Map<String, Value> = lines.next().and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default();
            let mut line: Map<String, Value> = serde_json::from_str(&record(&case.redactor.mask(&case.name).0, &trace)).unwrap_or_default();
            for field in ["verdict", "expect"] {
                line.extend(written.get(field).map(|value| (field.to_owned(), value.clone())));
            }
            Value::Object(line).to_string() + "\n"
        });
        carried.collect()
    }

    /// The text with each case's verdict as `said` gives it, in the order of the cases.
    #[must_use]
    pub fn with_verdicts(&self, said: &[Value]) -> String {
        let mut said = said.iter();
        // What is not the verdict stays as it was written, to the last digit.
        let line = |line: &String| match serde_json::from_str::<Fields>(line) {
            Ok(Fields(fields)) => {
                let verdict = said.next().cloned().unwrap_or_default().to_string();
                let others = fields.iter().filter(|(name, _)| name != "verdict").map(|(name, value)| (name.as_str(), value.get()));
                let all = others.chain([("verdict", verdict.as_str())]).map(|(name, value)| format!("{}:{value}", json!(name)));
                format!("{{{}}}\n", all.collect::<Vec<_>>().join(","))
            }
            Err(_) => format!("{line}\n"),
        };
        self.lines.iter().map(line).collect()
    }
}

/// The fields of an object, as they are written.
struct Fields(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Fields;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        from.deserialize_map(InOrder)
    }
}

fn case(place: &str, line: &str) -> Result<Case, String> {
    let recorded = parse_recorded(line)?;
    let verdict = serde_json::from_str::<Map<String, Value>>(line).ok().and_then(|mut case| case.shift_remove("verdict"));
    let expected = match (verdict, recorded.expect) {
        (Some(Value::Null), _) => Expected::NoVerdict,
        (Some(Value::Object(fields)), _) => {
            if let Some(unknown) = fields.keys().find(|field| !FIELDS.contains(&field.as_str())) {
                return Err(format!("verdict.{unknown}: is not one of {}", FIELDS.join(", ")));
            }
            Expected::Verdict(fields)
        }
        (Some(_), _) => return Err("verdict: is neither an object nor null".to_owned()),
        (None, _) if !recorded.trace.status.is_failed() => Expected::NoVerdict,
        (None, Some(expect)) if expect.classification == [Classification::unknown()] => Expected::NoVerdict,
        (None, Some(expect)) if !expect.classification.is_empty() || !expect.reason.is_empty() || expect.min_confidence.is_some() => {
            Expected::Outcome(Box::new(expect))
        }
        (None, _) => Expected::Anything,
    };
    let name = recorded.name.unwrap_or_else(|| recorded.trace.session.to_string());
    let redactor = Redactor::new(&recorded.input.unwrap_or_default(), Rules::built_in());
    Ok(Case { place: place.to_owned(), name, trace: recorded.trace, redactor, expected })
}

impl Case {
    /// The verdict to be written down where this is said: as much as the case asks for now, or what a snapshot holds.
    ///
    /// # Errors
    /// An execution that went well got a verdict: that is never as it should be.
    pub(super) fn updated(&self, said: Option<&Verdict>) -> Result<Value, String> {
        let Some(said) = said else { return Ok(Value::Null) };
        if !self.trace.status.is_failed() {
            return Err(matched(said));
        }
        let all = verdict(said, &self.trace);
        Ok(match &self.expected {
            Expected::Verdict(fields) => fields.keys().map(|field| (field.clone(), all.get(field).cloned().unwrap_or_default())).collect(),
            _ => snapshot(said),
        })
    }

    /// Whether anything is expected at all.
    #[must_use]
    pub fn expects_something(&self) -> bool {
        !matches!(self.expected, Expected::Anything)
    }

    /// What differs between what was said and what should be.
    #[must_use]
    pub fn differences(&self, said: Option<&Verdict>) -> Vec<String> {
        match (&self.expected, said) {
            (Expected::Anything, _) | (Expected::NoVerdict, None) => Vec::new(),
            (Expected::NoVerdict, Some(said)) if !self.trace.status.is_failed() => vec![matched(said)],
            (Expected::NoVerdict, Some(said)) => vec![format!("expected no verdict, got {}", short(said))],
            (Expected::Verdict(fields), said) => {
                let got = said.map_or(Value::Null, |said| verdict(said, &self.trace));
                if got.is_null() {
                    let wanted = fields.get("classification").and_then(Value::as_str).unwrap_or("a verdict");
                    return vec![format!("expected {wanted}, got no verdict")];
                }
                let differs = |(name, wanted): (&String, &Value)| {
                    let got = got.get(name).unwrap_or(&Value::Null);
                    (got != wanted).then(|| format!("{name}: expected {wanted}, got {got}"))
                };
                fields.iter().filter_map(differs).collect()
            }
            (Expected::Outcome(expect), said) => {
                let wanted: Vec<_> = expect.classification.iter().map(Classification::as_str).collect();
                let wanted = if wanted.is_empty() { "a verdict".to_owned() } else { wanted.join(" or ") };
                let Some(said) = said else { return vec![format!("expected {wanted}, got no verdict")] };
                let mut differences = Vec::new();
                if !expect.classification.is_empty() && !expect.classification.contains(&said.classification) {
                    differences.push(format!("classification: expected {wanted}, got {}", said.classification));
                }
                if !expect.reason.is_empty() && !said.reason.as_ref().is_some_and(|said| expect.reason.contains(said)) {
                    let (wanted, got) = (expect.reason.join(" or "), said.reason.as_deref().unwrap_or("none"));
                    differences.push(format!("reason: expected {wanted}, got {got}"));
                }
                if let Some(least) = expect.min_confidence.filter(|least| said.confidence.get() < *least) {
                    differences.push(format!("confidence: expected at least {}, got {}", least, said.confidence.get()));
                }
                differences
            }
        }
    }
}

/// What is wrong with a verdict on an execution that went well.
fn matched(said: &Verdict) -> String {
    format!("matches a success: {}", short(said))
}

/// A verdict as a case has it.
#[must_use]
pub(super) fn verdict(said: &Verdict, trace: &Trace) -> Value {
    let step = said.failing_step.or_else(|| trace.failing_step()).and_then(|i| trace.steps.get(i));
    json!({
        "classification": said.classification, "confidence": said.confidence, "reason": said.reason, "rule": said.rule,
        "failingStepId": step.map(|step| &step.id), "explanation": said.explanation,
        "attributes": said.attributes.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
    })
}

/// As much of it as a snapshot holds: what stays the same when words are mended.
pub(super) fn snapshot(said: &Verdict) -> Value {
    json!({"classification": said.classification, "confidence": said.confidence, "reason": said.reason, "rule": said.rule})
}

/// A verdict in a few words.
pub(super) fn short(said: &Verdict) -> String {
    let rule = said.rule.as_ref().map(|rule| format!(" by rule {rule}")).unwrap_or_default();
    format!("{} {:.2}{rule}", said.classification, said.confidence.get())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"sessionId":"s","actionId":"a1b2c3d4-e5f6-7890-abcd-ef1234567890","environmentId":"test","status":"FAILED","trace":[{"stepId":"x","error":{"message":"boom"}}]}"#;

    fn with(more: &str) -> Result<Cases, WorkshopError> {
        Cases::parse("c", &format!("\n{}\n", LINE.replace("\"status\"", &format!("{more},\"status\""))))
    }

    fn said() -> Verdict {
        Verdict {
            classification: "X".parse().unwrap(),
            confidence: crate::model::Confidence::new(0.5).unwrap(),
            reason: None,
            rule: Some("r".into()),
            failing_step: None,
            explanation: "why".into(),
            evidence: Vec::new(),
            attributes: vec![("a".into(), "b".into())],
        }
    }

    #[test]
    fn what_differs_is_told_field_by_field() {
        let differences = |more: &str| with(more).unwrap().cases[0].differences(Some(&said()));
        assert_eq!(differences(r#""verdict":{"classification":"X","failingStepId":"x","attributes":{"a":"b"}}"#), [""; 0]);
        assert_eq!(
            differences(r#""verdict":{"classification":"Y","rule":"q"}"#),
            ["classification: expected \"Y\", got \"X\"", "rule: expected \"q\", got \"r\""]
        );
        assert_eq!(differences(r#""verdict":null"#), ["expected no verdict, got X 0.50 by rule r"]);
        assert_eq!(
            differences(r#""expect":{"classification":"X","reason":"dns","minConfidence":0.8}"#),
            ["reason: expected dns, got none", "confidence: expected at least 0.8, got 0.5"]
        );
        assert_eq!(with(r#""verdict":{"classification":"X"}"#).unwrap().cases[0].differences(None), ["expected X, got no verdict"]);
        let success = Cases::parse("c", &LINE.replace("FAILED", "COMPLETED")).unwrap();
        assert_eq!(success.cases[0].differences(Some(&said())), ["matches a success: X 0.50 by rule r"]);
    }

    #[test]
    fn what_is_no_case_is_named() {
        let error = |more: &str| with(more).unwrap_err().what;
        assert!(error(r#""verdict":{"clasification":"X"}"#).starts_with("c:2: verdict.clasification: is not one of classification,"));
        assert_eq!(error(r#""verdict":7"#), "c:2: verdict: is neither an object nor null");
    }

    #[test]
    fn a_verdict_is_put_where_it_belongs() {
        let cases = with(r#""verdict":null"#).unwrap();
        assert!(
            with(r#""inputParameters":{"n":123456789012345678901234567890},"verdict":null"#)
                .unwrap()
                .with_verdicts(&[])
                .contains("123456789012345678901234567890")
        );
        let secret = with(r#""inputParameters":{"n":"boom"},"verdict":null"#).unwrap().to_carry(&Grants::new());
        assert!(
            secret.contains("[masked]")
                && secret.contains("\"verdict\":null")
                && !secret.contains("boom")
                && !secret.contains("inputParameters"),
            "{secret}"
        );
        let text = cases.with_verdicts(&[cases.cases[0].updated(Some(&said())).unwrap()]);
        assert!(
            text.starts_with("\n{\"sessionId\"")
                && text.contains(r#""verdict":{"classification":"X","confidence":0.5,"reason":null,"rule":"r"}"#),
            "{text}"
        );
        assert_eq!(Cases::parse("c", &text).unwrap().cases[0].differences(Some(&said())), [""; 0]);
        let asked = with(r#""verdict":{"rule":"q","explanation":"old"}"#).unwrap();
        assert_eq!(
            asked.cases[0].updated(Some(&said())).unwrap(),
            json!({"rule": "r", "explanation": "why"}),
            "no more than was asked for"
        );
        let success = Cases::parse("\u{feff}c", &LINE.replace("FAILED", "COMPLETED")).unwrap();
        assert_eq!(success.cases[0].updated(Some(&said())).unwrap_err(), "matches a success: X 0.50 by rule r");
    }
}
