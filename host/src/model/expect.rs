//! What the author of a vector or of a recorded trace expects, and whether an outcome meets it.

mod check;

use super::{Abstained, Classification, Outcome, ProblemKind, Status, Trace};
use check::Check;
use serde::Deserialize;
use serde_json::Value;

/// What is expected of an outcome. What is `None` is not looked at; where nothing is said that only a failure has, the
/// execution must complete.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Expect {
    /// `COMPLETED` or `FAILED`.
    pub status: Option<String>,
    /// The classifications that are right; one implies that the execution failed.
    pub classification: Vec<Classification>,
    /// The reasons that are right.
    pub reason: Vec<String>,
    /// The least confidence, 0 to 1.
    pub min_confidence: Option<f64>,
    /// The id of the failing step.
    pub failing_step_id: Option<String>,
    /// The most time the execution may take, in milliseconds.
    pub max_duration_ms: Option<u64>,
    /// The kind of problem that keeps the vector from being finished.
    pub problem: Option<ProblemKind>,
    /// Whether every classifier must be heard: none may have failed to give a verdict.
    pub all_heard: bool,
    /// What the result and the output of steps must be.
    checks: Vec<Check>,
}

impl Expect {
    /// Whether something is asked that only a failed execution has. A time limit alone does not make failing right.
    fn speaks_of_failure(&self) -> bool {
        !self.classification.is_empty() || !self.reason.is_empty() || self.min_confidence.is_some() || self.failing_step_id.is_some()
    }

    /// What differs, one line each, which begins with the field's name and a colon: empty where `outcome` is as expected. Without its trace
    /// there is nothing to look for in results.
    #[must_use]
    pub fn mismatches(&self, outcome: &Outcome, trace: Option<&Trace>) -> Vec<String> {
        let mut lines = Vec::new();
        let got_problem = outcome.problem.as_ref().map(|p| p.kind);
        if got_problem != self.problem {
            differs(&mut lines, "problem", self.problem.map_or("none", ProblemKind::as_str), got_problem.map(ProblemKind::as_str));
            return lines;
        }
        let status = match (&self.status, self.problem) {
            (Some(status), _) => Some(status.as_str()),
            (None, None) if !self.speaks_of_failure() => Some(Status::COMPLETED),
            (None, _) => None,
        };
        if let Some(want) = status {
            differs(&mut lines, "status", want, outcome.status.as_ref().map(|s| s.0.as_str()));
        }
        let classifications: Vec<_> = self.classification.iter().map(Classification::as_str).collect();
        one_of(&mut lines, "classification", &classifications, outcome.classification.as_ref().map(Classification::as_str));
        let reasons: Vec<_> = self.reason.iter().map(String::as_str).collect();
        one_of(&mut lines, "reason", &reasons, outcome.reason.as_deref());
        if let Some(want) = &self.failing_step_id {
            differs(&mut lines, "failingStepId", want, outcome.failing_step_id.as_deref());
        }
        if let Some(least) = self.min_confidence.filter(|least| outcome.confidence.is_none_or(|c| c.get() < *least)) {
            lines.push(format!("minConfidence: expected at least {least}, got {}", or_none(outcome.confidence.map(|c| c.get()))));
        }
        let took = outcome.ran_at_least_ms.or(outcome.execution_duration_ms);
        if let Some((most, took)) = self.max_duration_ms.zip(took).filter(|(most, took)| took > most) {
            let more = if outcome.ran_at_least_ms.is_some() { " or more" } else { "" };
            lines.push(format!("maxDurationMs: expected at most {most}, got {took}{more}"));
        }
        if self.all_heard {
            let failed = outcome.abstained.iter().filter(|abstained| !abstained.is_harmless());
            lines.extend(failed.map(|Abstained { plugin, why }| format!("abstentions: expected none, got {plugin}: {why}")));
        }
        lines.extend(trace.into_iter().flat_map(|trace| self.checks.iter().filter_map(|check| check.mismatch(trace))));
        lines
    }
}

/// [`Expect`] as vectors and recorded traces write it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct ExpectLine {
    status: Option<String>,
    classification: Option<Value>,
    reason: Option<Value>,
    min_confidence: Option<f64>,
    failing_step_id: Option<String>,
    max_duration_ms: Option<u64>,
    problem: Option<String>,
    abstentions: Option<bool>,
    result: Option<Value>,
    steps: Option<Value>,
}

/// One text, or several of which one is right.
fn several(field: &str, value: Option<Value>, wrong: &mut Vec<String>) -> Vec<String> {
    let texts = match value {
        None | Some(Value::Null) => return Vec::new(),
        Some(Value::String(text)) => return vec![text],
        Some(value) => serde_json::from_value::<Vec<String>>(value).unwrap_or_default(),
    };
    if texts.is_empty() {
        wrong.push(format!("{field}: is neither a text nor a list of texts"));
    }
    texts
}

impl ExpectLine {
    /// Checks each field.
    ///
    /// # Errors
    /// All fields that are wrong, as `field: what`.
    pub fn check(self) -> Result<Expect, Vec<String>> {
        let mut wrong = Vec::new();
        if self.status.as_deref().is_some_and(|s| s != Status::COMPLETED && s != Status::FAILED) {
            wrong.push("status: is neither COMPLETED nor FAILED".to_owned());
        }
        if self.min_confidence.is_some_and(|c| !(0.0..=1.0).contains(&c)) {
            wrong.push("minConfidence: is not a number from 0 to 1".to_owned());
        }
        let classifications = several("classification", self.classification, &mut wrong);
        let checks = Check::read(self.result, self.steps).unwrap_or_else(|found| {
            wrong.extend(found);
            Vec::new()
        });
        let expect = Expect {
            status: self.status,
            classification: classifications.into_iter().filter_map(|c| parsed("classification", Some(c), &mut wrong)).collect(),
            reason: several("reason", self.reason, &mut wrong),
            min_confidence: self.min_confidence,
            failing_step_id: self.failing_step_id,
            max_duration_ms: self.max_duration_ms,
            problem: parsed("problem", self.problem, &mut wrong),
            all_heard: self.abstentions == Some(false),
            checks,
        };
        if wrong.is_empty() { Ok(expect) } else { Err(wrong) }
    }
}

fn parsed<T: std::str::FromStr>(field: &str, text: Option<String>, wrong: &mut Vec<String>) -> Option<T>
where
    T::Err: std::fmt::Display,
{
    text?.parse().map_err(|e| wrong.push(format!("{field}: {e}"))).ok()
}

fn differs(lines: &mut Vec<String>, field: &str, want: &str, got: Option<&str>) {
    if got != Some(want) && !(want == "none" && got.is_none()) {
        lines.push(format!("{field}: expected {want}, got {}", or_none(got)));
    }
}

fn one_of(lines: &mut Vec<String>, field: &str, wanted: &[&str], got: Option<&str>) {
    if !wanted.is_empty() && !got.is_some_and(|got| wanted.contains(&got)) {
        lines.push(format!("{field}: expected {}, got {}", wanted.join(" or "), or_none(got)));
    }
}

fn or_none<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "none".to_owned(), |v| v.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Confidence, Problem};

    fn failed() -> Outcome {
        Outcome {
            status: Some(Status("FAILED".into())),
            classification: Some("UNKNOWN".parse().unwrap()),
            confidence: Some(Confidence::ZERO),
            execution_duration_ms: Some(70),
            ..Outcome::of("v".into(), "a1b2c3d4-e5f6-7890-abcd-ef1234567890".parse().unwrap(), "test".parse().unwrap())
        }
    }

    #[test]
    fn without_a_word_it_must_complete() {
        assert_eq!(Expect::default().mismatches(&failed(), None), ["status: expected COMPLETED, got FAILED"]);
        let quick = Expect { max_duration_ms: Some(100), ..Expect::default() };
        assert_eq!(quick.mismatches(&failed(), None), ["status: expected COMPLETED, got FAILED"]);
        let classified = Expect { classification: vec!["OURS".parse().unwrap(), "UNKNOWN".parse().unwrap()], ..Expect::default() };
        assert!(classified.mismatches(&failed(), None).is_empty());
    }

    #[test]
    fn each_field_is_compared() {
        let expect = Expect {
            status: Some("COMPLETED".into()),
            classification: vec!["OURS".parse().unwrap()],
            reason: vec!["dns".into(), "tls".into()],
            min_confidence: Some(0.5),
            failing_step_id: Some("s2".into()),
            max_duration_ms: Some(50),
            all_heard: true,
            ..Expect::default()
        };
        let mut outcome = failed();
        outcome.abstained.push(Abstained { plugin: "ours".into(), why: "trapped".into() });
        let lines = expect.mismatches(&outcome, None);
        let fields: Vec<_> = lines.iter().filter_map(|line| line.split(": ").next()).collect();
        assert_eq!(
            fields,
            ["status", "classification", "reason", "failingStepId", "minConfidence", "maxDurationMs", "abstentions"],
            "each begins with its field"
        );
        assert!(lines.contains(&"reason: expected dns or tls, got none".to_owned()), "{lines:?}");
    }

    #[test]
    fn a_written_expectation_is_checked_field_by_field() {
        let line: ExpectLine =
            serde_json::from_str(r#"{"status":"x","classification":["y"],"reason":[],"minConfidence":2,"problem":"z","result":{"x":{}}}"#)
                .unwrap();
        let fields: Vec<_> = line.check().unwrap_err().iter().map(|w| w.split(':').next().unwrap().to_owned()).collect();
        assert_eq!(fields, ["status", "minConfidence", "result", "classification", "reason", "problem"]);
    }

    #[test]
    fn a_problem_is_unexpected_unless_it_is_expected() {
        let stuck = Outcome { problem: Some(Problem { kind: ProblemKind::Deadline, text: "x".into() }), ..failed() };
        assert_eq!(Expect::default().mismatches(&stuck, None), ["problem: expected none, got deadline"]);
        let expect = Expect { problem: Some(ProblemKind::Deadline), ..Expect::default() };
        assert!(expect.mismatches(&stuck, None).is_empty());
        assert_eq!(expect.mismatches(&failed(), None), ["problem: expected deadline, got none"]);
    }
}
