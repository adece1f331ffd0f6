//! What became of one vector. [`Outcome`] is also the public outcome line (schema 1): its JSON is what `--format json` prints.

use super::{Abstention, ActionId, Classification, Confidence, Digest, Environment, Fault, InputHash, SessionId, Status, Timeline, Trace};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;

/// What became of one vector or recorded trace. Every text in it is fit to leave the machine: input values are masked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// The version of this format; 1.
    pub schema: u32,
    /// The vector's name.
    pub vector: String,
    /// The execution; none where the platform gave no id.
    pub session_id: Option<SessionId>,
    /// The action.
    pub action_id: ActionId,
    /// Where it ran.
    pub environment_id: Environment,
    /// The platform's last word on the execution.
    pub status: Option<Status>,
    /// From the submit to the answer that ended the wait, in milliseconds.
    pub execution_duration_ms: Option<u64>,
    /// How long it ran at least: polls are far between, and the last that found it running says more about how long it took than the one
    /// that found it ended. Not part of the line: `maxDurationMs` is compared with it.
    #[serde(skip)]
    pub ran_at_least_ms: Option<u64>,
    /// Why it failed; none where it did not fail or did not end.
    pub classification: Option<Classification>,
    /// How sure the deciding verdict is.
    pub confidence: Option<Confidence>,
    /// The kind of cause.
    pub reason: Option<String>,
    /// The failing step's id.
    pub failing_step_id: Option<String>,
    /// The failing step's name.
    pub failing_step_name: Option<String>,
    /// Stands in for the input.
    pub input_hash: Option<InputHash>,
    /// Whether it is as expected; none where nothing was expected or nothing could be compared.
    pub expected: Option<bool>,
    /// What differs from what was expected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mismatch: Vec<String>,
    /// Where the vector was written, as `file:line`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// Which repetition of its vector it is, from 1, where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repetition: Option<u32>,
    /// Whether it is as expected only after attempts that were not.
    #[serde(default, skip_serializing_if = "is_false")]
    pub flaky: bool,
    /// The attempts before this one, none of which was as expected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<Earlier>,
    /// What kept the vector from being finished.
    pub problem: Option<Problem>,
    /// All verdicts, the deciding one first; those that name another classification are its dissent.
    pub verdicts: Vec<VerdictLine>,
    /// Who gave no verdict, and why.
    pub abstained: Vec<Abstained>,
    /// What decided; none where nobody was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// The error that speaks for the execution. Not part of the line: it goes to the webhook.
    #[serde(skip)]
    pub fault: Option<Fault>,
    /// When the failing step ran. Not part of the line: it goes to the webhook.
    #[serde(skip)]
    pub failing_step_timestamp: Option<String>,
    /// The masked trace of a session that is to be learnt from. Not part of the line.
    #[serde(skip)]
    pub kept: Option<Box<Trace>>,
    /// What was masked in its texts, and how often: `input` for values of the input, else the rule that found it. Not part of the line: it
    /// goes to the audit log.
    #[serde(skip)]
    pub masked: BTreeMap<String, usize>,
    /// By which set of rules. Not part of the line: it goes to the audit log.
    #[serde(skip)]
    pub rule_set: String,
    /// Where each mismatch was expected, as `file:line`. Not part of the line.
    #[serde(skip)]
    pub mismatch_at: Vec<String>,
    /// Its course. Not part of the line.
    #[serde(skip)]
    pub timeline: Timeline,
    /// The steps of its trace, without what went in and out. Not part of the line.
    #[serde(skip)]
    pub steps: Vec<StepLine>,
    /// Whether an input value is still to be found in a text that leaves, such as an id that must stay as it is. Not part of
    /// the line: it goes to the audit log.
    #[serde(skip)]
    pub input_remains: bool,
}

impl Outcome {
    /// An outcome of which nothing is known yet.
    #[must_use]
    pub fn of(vector: String, action_id: ActionId, environment_id: Environment) -> Self {
        Self {
            schema: 1,
            vector,
            session_id: None,
            action_id,
            environment_id,
            status: None,
            execution_duration_ms: None,
            ran_at_least_ms: None,
            classification: None,
            confidence: None,
            reason: None,
            failing_step_id: None,
            failing_step_name: None,
            input_hash: None,
            expected: None,
            mismatch: Vec::new(),
            at: None,
            repetition: None,
            flaky: false,
            earlier: Vec::new(),
            problem: None,
            verdicts: Vec::new(),
            abstained: Vec::new(),
            decision: None,
            fault: None,
            failing_step_timestamp: None,
            kept: None,
            masked: BTreeMap::new(),
            rule_set: String::new(),
            mismatch_at: Vec::new(),
            timeline: Timeline::default(),
            steps: Vec::new(),
            input_remains: false,
        }
    }

    /// Whether the input has reached the platform or may have: with a session it did, after an ambiguous submit it may have.
    #[must_use]
    pub fn was_submitted(&self) -> bool {
        self.session_id.is_some() || self.problem.as_ref().is_some_and(|p| p.kind == ProblemKind::Ambiguous)
    }

    /// Whether nothing more is to come: an interrupted session goes on, and what was kept from being submitted or asked about by something
    /// that lies outside of its vector can be yet.
    #[must_use]
    pub fn is_final(&self) -> bool {
        use ProblemKind::{Credentials, Interrupted, Journal, Settings, Unreachable};
        let lies_outside = |kind| matches!(kind, Interrupted | Unreachable | Credentials | Settings | Journal);
        self.problem.as_ref().is_none_or(|problem| !lies_outside(problem.kind))
    }

    /// The vector's name, with its repetition where there are several: what tells it from all others of its run.
    #[must_use]
    pub fn full_name(&self) -> String {
        super::vector::full_name(&self.vector, self.repetition)
    }

    /// Whether it was not run at all: it never reached the platform, and that is nobody's fault.
    #[must_use]
    pub fn was_not_run(&self) -> bool {
        !self.was_submitted() && self.problem.as_ref().is_some_and(|problem| problem.kind == ProblemKind::Interrupted)
    }

    /// The failing step as people know it: by its name, else by its id.
    #[must_use]
    pub fn failing_step(&self) -> Option<&str> {
        self.failing_step_name.as_deref().or(self.failing_step_id.as_deref())
    }

    /// The text that decided: the first that the deciding verdict rests on.
    #[must_use]
    pub fn matched(&self) -> Option<&str> {
        let best = self.verdicts.first().filter(|verdict| Some(&verdict.classification) == self.classification.as_ref());
        best.and_then(|verdict| verdict.evidence.first()).map(|evidence| evidence.text.as_str())
    }

    /// The verdicts that name another classification than the outcome does.
    pub fn dissent(&self) -> impl Iterator<Item = &VerdictLine> {
        self.verdicts.iter().filter(|v| Some(&v.classification) != self.classification.as_ref())
    }
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// An attempt that was not as expected, and was followed by another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Earlier {
    /// The execution.
    pub session_id: Option<SessionId>,
    /// Why it failed.
    pub classification: Option<Classification>,
    /// What differed from what was expected.
    pub mismatch: Vec<String>,
}

/// One step as reports show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepLine {
    /// Its name, else its id.
    pub name: String,
    /// When it ran, as the platform writes it.
    pub timestamp: Option<String>,
    /// Its error, masked.
    pub error: Option<String>,
}

/// One verdict as the outcome shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VerdictLine {
    /// Whose verdict it is.
    pub plugin: String,
    /// The plugin's version.
    pub version: String,
    /// The digest of the plugin's file.
    pub digest: Digest,
    /// What it says.
    pub classification: Classification,
    /// How sure it is.
    pub confidence: Confidence,
    /// What that is worth by the calibration, where it is not what the plugin said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibrated: Option<Confidence>,
    /// The kind of cause.
    pub reason: Option<String>,
    /// The rule that matched.
    pub rule: Option<String>,
    /// Why.
    pub explanation: String,
    /// What text it rests on.
    pub evidence: Vec<Evidence>,
    /// What else it tells, as names and values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

/// What decided an outcome.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// By which policy verdicts became one answer: `highest`, `pooled` or `quorum`.
    pub policy: String,
    /// How far ahead of the next classification the answer is, 0 to 1: of confidence, under `quorum` of votes.
    pub margin: f64,
    /// The verdicts without which the classification would be another; at most 16 are asked about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pivots: Vec<Pivot>,
}

/// A verdict without which the classification would be another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pivot {
    /// Whose verdict it is.
    pub plugin: String,
    /// The rule that matched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// What the classification would be without it.
    pub then: Classification,
}

/// The text a verdict rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// A path into the trace.
    pub location: String,
    /// Offset in bytes of its first byte in the trace as recorded, before masking.
    pub start: u32,
    /// Offset in bytes past its last byte.
    pub end: u32,
    /// The text, masked.
    pub text: String,
}

/// A classifier that gave no verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Abstained {
    /// Which one.
    pub plugin: String,
    /// Why.
    pub why: String,
}

impl Abstained {
    /// Whether having no verdict is no failure: it had no opinion, or there was nothing to look at.
    #[must_use]
    pub fn is_harmless(&self) -> bool {
        [Abstention::NoOpinion, Abstention::NoTrace].iter().any(|harmless| harmless.to_string() == self.why)
    }
}

/// What kept a vector from being finished; written as `kind: text`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What to tell it by.
    pub kind: ProblemKind,
    /// What happened.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.as_str(), self.text)
    }
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl std::str::FromStr for Problem {
    type Err = super::Malformed;

    fn from_str(text: &str) -> Result<Self, super::Malformed> {
        let (kind, text) = text.split_once(": ").ok_or(super::Malformed("is no problem such as `deadline: no result`"))?;
        Ok(Self { kind: kind.parse()?, text: text.to_owned() })
    }
}

impl<'de> Deserialize<'de> for Problem {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        super::ids::parsed(deserializer)
    }
}

/// The kinds of problem. None of them says anything about the action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProblemKind {
    /// The execution did not end within the deadline; it may still be running.
    Deadline,
    /// The platform no longer knows the session.
    SessionGone,
    /// The submit was sent and no answer came: the action may have run. It is not sent again.
    Ambiguous,
    /// The platform could not be reached or kept failing.
    Unreachable,
    /// The platform answered with something that cannot be read.
    Unreadable,
    /// The platform refused the request.
    Refused,
    /// The credentials are wrong or not allowed to do this.
    Credentials,
    /// An address or a profile of the settings leads nowhere.
    Settings,
    /// The user stopped the run.
    Interrupted,
    /// The journal cannot be written: without its record nothing is submitted.
    Journal,
}

impl ProblemKind {
    const ALL: [Self; 10] = [
        Self::Deadline,
        Self::SessionGone,
        Self::Ambiguous,
        Self::Unreachable,
        Self::Unreadable,
        Self::Refused,
        Self::Credentials,
        Self::Settings,
        Self::Interrupted,
        Self::Journal,
    ];

    /// The kind's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::SessionGone => "session-gone",
            Self::Ambiguous => "ambiguous",
            Self::Unreachable => "unreachable",
            Self::Unreadable => "unreadable",
            Self::Refused => "refused",
            Self::Credentials => "credentials",
            Self::Settings => "settings",
            Self::Interrupted => "interrupted",
            Self::Journal => "journal",
        }
    }
}

impl std::str::FromStr for ProblemKind {
    type Err = super::Malformed;

    fn from_str(text: &str) -> Result<Self, super::Malformed> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(super::Malformed(
            "is not one of deadline, session-gone, ambiguous, unreachable, unreadable, refused, credentials, settings, interrupted, journal",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_has_the_documented_fields_in_order() {
        let outcome = Outcome::of("v".into(), "a1b2c3d4-e5f6-7890-abcd-ef1234567890".parse().unwrap(), Environment::Test);
        assert_eq!(
            serde_json::to_string(&outcome).unwrap(),
            r#"{"schema":1,"vector":"v","sessionId":null,"actionId":"a1b2c3d4-e5f6-7890-abcd-ef1234567890","environmentId":"test","status":null,"executionDurationMs":null,"classification":null,"confidence":null,"reason":null,"failingStepId":null,"failingStepName":null,"inputHash":null,"expected":null,"problem":null,"verdicts":[],"abstained":[]}"#
        );
    }

    #[test]
    fn a_problem_is_kind_and_text() {
        for kind in ProblemKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
        let problem = Problem { kind: ProblemKind::SessionGone, text: "purged".into() };
        assert_eq!(serde_json::to_string(&problem).unwrap(), r#""session-gone: purged""#);
    }
}
