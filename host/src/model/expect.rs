//! What the author of a vector or of a recorded trace expects, and whether an outcome meets it.

use super::{Classification, Outcome, ProblemKind, Status};
use serde::Deserialize;

/// What is expected of an outcome. What is `None` is not looked at; where nothing is said that only a failure has, the
/// execution must complete.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Expect {
    /// `COMPLETED` or `FAILED`.
    pub status: Option<String>,
    /// The classification; implies that the execution failed.
    pub classification: Option<Classification>,
    /// The reason.
    pub reason: Option<String>,
    /// The least confidence, 0 to 1.
    pub min_confidence: Option<f64>,
    /// The id of the failing step.
    pub failing_step_id: Option<String>,
    /// The most time the execution may take, in milliseconds.
    pub max_duration_ms: Option<u64>,
    /// The kind of problem that keeps the vector from being finished.
    pub problem: Option<ProblemKind>,
}

impl Expect {
    /// Whether something is asked that only a failed execution has. A time limit alone does not make failing right.
    fn speaks_of_failure(&self) -> bool {
        self.classification.is_some() || self.reason.is_some() || self.min_confidence.is_some() || self.failing_step_id.is_some()
    }

    /// What differs, one line each: empty where `outcome` is as expected.
    #[must_use]
    pub fn mismatches(&self, outcome: &Outcome) -> Vec<String> {
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
        if let Some(want) = &self.classification {
            differs(&mut lines, "classification", want.as_str(), outcome.classification.as_ref().map(Classification::as_str));
        }
        if let Some(want) = &self.reason {
            differs(&mut lines, "reason", want, outcome.reason.as_deref());
        }
        if let Some(want) = &self.failing_step_id {
            differs(&mut lines, "failingStepId", want, outcome.failing_step_id.as_deref());
        }
        if let Some(least) = self.min_confidence.filter(|least| outcome.confidence.is_none_or(|c| c.get() < *least)) {
            lines.push(format!("confidence: expected at least {least}, got {}", or_none(outcome.confidence.map(|c| c.get()))));
        }
        let took = outcome.ran_at_least_ms.or(outcome.execution_duration_ms);
        if let Some((most, took)) = self.max_duration_ms.zip(took).filter(|(most, took)| took > most) {
            let more = if outcome.ran_at_least_ms.is_some() { " or more" } else { "" };
            lines.push(format!("executionDurationMs: expected at most {most}, got {took}{more}"));
        }
        lines
    }
}

/// [`Expect`] as vectors and recorded traces write it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct ExpectLine {
    status: Option<String>,
    classification: Option<String>,
    reason: Option<String>,
    min_confidence: Option<f64>,
    failing_step_id: Option<String>,
    max_duration_ms: Option<u64>,
    problem: Option<String>,
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
        let expect = Expect {
            status: self.status,
            classification: parsed("classification", self.classification, &mut wrong),
            reason: self.reason,
            min_confidence: self.min_confidence,
            failing_step_id: self.failing_step_id,
            max_duration_ms: self.max_duration_ms,
            problem: parsed("problem", self.problem, &mut wrong),
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
        assert_eq!(Expect::default().mismatches(&failed()), ["status: expected COMPLETED, got FAILED"]);
        let quick = Expect { max_duration_ms: Some(100), ..Expect::default() };
        assert_eq!(quick.mismatches(&failed()), ["status: expected COMPLETED, got FAILED"]);
        let classified = Expect { classification: Some("UNKNOWN".parse().unwrap()), ..Expect::default() };
        assert!(classified.mismatches(&failed()).is_empty());
    }

    #[test]
    fn each_field_is_compared() {
        let expect = Expect {
            status: Some("COMPLETED".into()),
            classification: Some("OURS".parse().unwrap()),
            reason: Some("dns".into()),
            min_confidence: Some(0.5),
            failing_step_id: Some("s2".into()),
            max_duration_ms: Some(50),
            problem: None,
        };
        assert_eq!(expect.mismatches(&failed()).len(), 6);
    }

    #[test]
    fn a_written_expectation_is_checked_field_by_field() {
        let line: ExpectLine = serde_json::from_str(r#"{"status":"x","classification":"y","minConfidence":2,"problem":"z"}"#).unwrap();
        let fields: Vec<_> = line.check().unwrap_err().iter().map(|w| w.split(':').next().unwrap().to_owned()).collect();
        assert_eq!(fields, ["status", "minConfidence", "classification", "problem"]);
    }

    #[test]
    fn a_problem_is_unexpected_unless_it_is_expected() {
        let stuck = Outcome { problem: Some(Problem { kind: ProblemKind::Deadline, text: "x".into() }), ..failed() };
        assert_eq!(Expect::default().mismatches(&stuck), ["problem: expected none, got deadline"]);
        let expect = Expect { problem: Some(ProblemKind::Deadline), ..Expect::default() };
        assert!(expect.mismatches(&stuck).is_empty());
        assert_eq!(expect.mismatches(&failed()), ["problem: expected deadline, got none"]);
    }
}
