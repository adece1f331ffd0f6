//! What the platform recorded of one execution, free of its vendor's JSON.

use super::{ActionId, Environment, SessionId};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The platform's word for how an execution stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Status(pub String);

impl Status {
    /// The execution ended well.
    pub const COMPLETED: &'static str = "COMPLETED";
    /// The execution failed.
    pub const FAILED: &'static str = "FAILED";

    /// Whether the execution failed.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        self.0 == Self::FAILED
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An error as the platform recorded it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fault {
    /// The error's text.
    pub message: String,
    /// The stack trace.
    pub stack: Option<String>,
    /// A machine-readable code.
    pub code: Option<String>,
}

/// One step of an execution. `input` and `output` are JSON text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Step {
    /// The platform's id of the step.
    pub id: String,
    /// The step's name.
    pub name: Option<String>,
    /// When it ran, RFC 3339.
    pub timestamp: Option<String>,
    /// What it was given.
    pub input: Option<String>,
    /// What it gave back.
    pub output: Option<String>,
    /// Why it failed, if it did.
    pub error: Option<Fault>,
}

/// The record of one execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// The execution.
    pub session: SessionId,
    /// The action that was executed.
    pub action: ActionId,
    /// Where.
    pub environment: Environment,
    /// How it ended.
    pub status: Status,
    /// The error of the execution as a whole.
    pub error: Option<Fault>,
    /// The steps in the order they ran; empty where the platform recorded none.
    pub steps: Vec<Step>,
    /// What the execution gave back, as JSON text. No classifier sees it: what is expected of it is compared with it.
    pub result: Option<String>,
}

impl Trace {
    /// A failed execution of these steps that no platform saw.
    #[must_use]
    pub fn made_up(steps: Vec<Step>) -> Self {
        Self {
            session: SessionId::made_up(),
            action: ActionId::made_up(),
            environment: Environment::Test,
            status: Status("FAILED".to_owned()),
            error: None,
            steps,
            result: None,
        }
    }

    /// Index of the step that failed: the first that carries an error, else the last of a failed execution. Steps after a
    /// failed one are often clean-up that went well, so the last step is the answer only where none carries an error.
    #[must_use]
    pub fn failing_step(&self) -> Option<usize> {
        let first_error = self.steps.iter().position(|step| step.error.is_some());
        first_error.or_else(|| if self.status.is_failed() { self.steps.len().checked_sub(1) } else { None })
    }

    /// The text at a location written as the contract has it: `error.FIELD` or `steps[N].error.FIELD`, FIELD being `message`,
    /// `stack` or `code`, or one of `steps[N].input`, `.output`, `.timestamp`.
    #[must_use]
    pub fn text_at(&self, location: &str) -> Option<&str> {
        let (fault, field) = match location.strip_prefix("error.") {
            Some(field) => (self.error.as_ref()?, field),
            None => {
                let (index, rest) = location.strip_prefix("steps[")?.split_once("].")?;
                let number = index.parse::<usize>().ok().filter(|n| n.to_string() == index)?;
                let step = self.steps.get(number)?;
                match rest {
                    "input" => return step.input.as_deref(),
                    "output" => return step.output.as_deref(),
                    "timestamp" => return step.timestamp.as_deref(),
                    _ => (step.error.as_ref()?, rest.strip_prefix("error.")?),
                }
            }
        };
        match field {
            "message" => Some(&fault.message),
            "stack" => fault.stack.as_deref(),
            "code" => fault.code.as_deref(),
            _ => None,
        }
    }

    /// The error that speaks for the execution: the failing step's own, else that of the whole.
    #[must_use]
    pub fn fault(&self) -> Option<&Fault> {
        self.failing_step().and_then(|i| self.steps.get(i)?.error.as_ref()).or(self.error.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(status: &str, errors: &[Option<&str>]) -> Trace {
        let fault = |message: &str| Fault { message: message.into(), ..Fault::default() };
        Trace {
            session: "s".parse().unwrap(),
            action: "a1b2c3d4-e5f6-7890-abcd-ef1234567890".parse().unwrap(),
            environment: Environment::Test,
            status: Status(status.into()),
            error: Some(fault("whole")),
            steps: errors.iter().map(|e| Step { error: e.map(fault), ..Step::default() }).collect(),
            result: None,
        }
    }

    #[test]
    fn the_first_step_with_an_error_failed_not_the_last_step() {
        let trace = trace("FAILED", &[None, Some("first"), Some("second"), None]);
        assert_eq!(trace.failing_step(), Some(1));
        assert_eq!(trace.fault().unwrap().message, "first");
    }

    #[test]
    fn a_location_has_one_spelling() {
        let trace = trace("FAILED", &[None, Some("first")]);
        assert_eq!(trace.text_at("steps[1].error.message"), Some("first"));
        assert_eq!(trace.text_at("error.message"), Some("whole"));
        for none in ["steps[+1].error.message", "steps[01].error.message", "steps[0].error.message", "steps[1].output", "error.", ""] {
            assert_eq!(trace.text_at(none), None, "{none}");
        }
    }

    #[test]
    fn without_an_error_the_last_step_of_a_failed_execution_failed() {
        assert_eq!(trace("FAILED", &[None, None]).failing_step(), Some(1));
        assert_eq!(trace("FAILED", &[None, None]).fault().unwrap().message, "whole");
        assert_eq!(trace("COMPLETED", &[None, None]).failing_step(), None);
        assert_eq!(trace("FAILED", &[]).failing_step(), None);
    }
}
