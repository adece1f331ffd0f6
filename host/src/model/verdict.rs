//! One classifier's opinion, checked: nothing that a classifier says gets further without passing these constructors.

use super::{Digest, Malformed};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Why an execution failed, as an UPPER_SNAKE name of at most 64 characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Classification(String);

impl Classification {
    /// Something the action depends on was down.
    pub const EXTERNAL: &'static str = "EXTERNAL_DEPENDENCY_OUTAGE";
    /// The action's own logic, configuration or data handling is wrong.
    pub const INTERNAL: &'static str = "INTERNAL_LOGIC_FAULT";
    /// The record does not tell.
    pub const UNKNOWN: &'static str = "UNKNOWN";

    /// The answer where nobody can tell.
    #[must_use]
    pub fn unknown() -> Self {
        Self(Self::UNKNOWN.to_owned())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Classification {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let upper_snake = text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
        if (1..=64).contains(&text.len()) && upper_snake && text.starts_with(|c: char| c.is_ascii_uppercase()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Malformed("is not an UPPER_SNAKE name of 1 to 64 characters"))
        }
    }
}

impl<'de> Deserialize<'de> for Classification {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        super::ids::parsed(deserializer)
    }
}

impl fmt::Display for Classification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How sure a verdict is: a number from 0 to 1, never NaN.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Confidence(f64);

impl Confidence {
    /// Not sure at all.
    pub const ZERO: Self = Self(0.0);

    /// Checks the range.
    ///
    /// # Errors
    /// Outside 0..=1, or NaN.
    pub fn new(value: f64) -> Result<Self, Malformed> {
        // Adding zero turns -0.0, which lies within the range, into 0.0, so that it never prints with a sign.
        if (0.0..=1.0).contains(&value) { Ok(Self(value + 0.0)) } else { Err(Malformed("is not a number from 0 to 1")) }
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

impl<'de> Deserialize<'de> for Confidence {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(f64::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl Eq for Confidence {}

impl PartialOrd for Confidence {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Confidence {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// The text a verdict rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// A path into the trace, such as `steps[3].error.message`.
    pub location: String,
    /// Offset in bytes of its first byte.
    pub start: u32,
    /// Offset in bytes past its last byte. A text stands there: no evidence is made up.
    pub end: u32,
}

/// One classifier's opinion on one trace.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Why the execution failed.
    pub classification: Classification,
    /// How sure the classifier is.
    pub confidence: Confidence,
    /// The kind of cause, kebab-case.
    pub reason: Option<String>,
    /// The rule that decided.
    pub rule: Option<String>,
    /// The step the classifier thinks failed; within the trace.
    pub failing_step: Option<usize>,
    /// Why, in one sentence.
    pub explanation: String,
    /// The text it rests on.
    pub evidence: Vec<Excerpt>,
    /// What else it tells, as names and values.
    pub attributes: Vec<(String, String)>,
}

/// Who a classifier is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its name.
    pub name: String,
    /// Its version; empty where it could not say.
    pub version: String,
    /// The digest of its file.
    pub digest: Digest,
    /// The higher number wins a tie.
    pub priority: i32,
}

/// A verdict and whose it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Opinion {
    /// Whose it is.
    pub classifier: Arc<Identity>,
    /// What it says.
    pub verdict: Verdict,
}

/// Why a classifier gave no verdict.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Abstention {
    /// It looked and had no opinion.
    #[error("no opinion")]
    NoOpinion,
    /// The platform recorded nothing it could look at.
    #[error("no trace to look at")]
    NoTrace,
    /// It said itself why not.
    #[error("declined: {0}")]
    Declined(String),
    /// It could not be loaded.
    #[error("not loaded: {0}")]
    NotLoaded(String),
    /// It ran out of time.
    #[error("stopped after {0} ms")]
    Deadline(u64),
    /// It asked for more memory than it may have, in bytes.
    #[error("wanted more than {} MiB of memory", .0 >> 20)]
    Memory(usize),
    /// It asked for more table elements than it may have.
    #[error("wanted more than {0} table elements")]
    TableElements(usize),
    /// It is made of more core instances, memories or tables than it may be.
    #[error("wanted more than {0} core instances, memories or tables")]
    Parts(usize),
    /// It went deeper than its stack, in bytes.
    #[error("used more than {} KiB of stack", .0 >> 10)]
    Stack(usize),
    /// It answered with more than is read, in bytes.
    #[error("answered with more than {} KiB", .0 >> 10)]
    Answer(usize),
    /// All places for instances were taken. That is no fault of its own.
    #[error("there was no room for it")]
    NoRoom,
    /// It crashed.
    #[error("trapped: {0}")]
    Trapped(String),
    /// It failed so often in a row that it is left alone for a while.
    #[error("left alone after {0} failures in a row")]
    BreakerOpen(usize),
    /// It answered with something no verdict may be.
    #[error("invalid answer: {0}")]
    Invalid(String),
}

impl Abstention {
    /// Whether the classifier failed, as against having nothing to say or being kept from speaking.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        !matches!(self, Self::NoOpinion | Self::NoTrace | Self::Declined(_) | Self::NotLoaded(_) | Self::BreakerOpen(_) | Self::NoRoom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confidence_is_a_share() {
        for bad in [f64::NAN, f64::INFINITY, -0.1, 1.000_001, 7.0] {
            assert!(Confidence::new(bad).is_err(), "{bad}");
        }
        assert_eq!(format!("{:?}", Confidence::new(-0.0).unwrap().get()), "0.0");
        assert!(Confidence::new(0.9).unwrap() > Confidence::new(0.8).unwrap());
    }

    #[test]
    fn classifications_are_upper_snake() {
        for good in ["UNKNOWN", "OUR_CRM_DOWN", "A1"] {
            assert!(good.parse::<Classification>().is_ok(), "{good}");
        }
        for bad in ["", "unknown", "1A", "A-B", "A\u{1b}[31m", &"A".repeat(65)] {
            assert!(bad.parse::<Classification>().is_err(), "{bad}");
        }
    }
}
