//! What an outcome is to those who read reports: the same words in each format.

use crate::model::Outcome;

/// What became of a vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    AsExpected,
    /// As expected, after attempts that were not.
    Flaky,
    /// It was not run: the run was stopped before.
    NotRun,
    /// It could neither be finished nor compared.
    CouldNot,
    Unexpected,
}

impl Kind {
    /// In a word.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::AsExpected => "as expected",
            Self::Flaky => "flaky",
            Self::NotRun => "not run",
            Self::CouldNot => "could not run",
            Self::Unexpected => "not as expected",
        }
    }

    /// As one sign; never without the word, or another sign of its own shape.
    pub(super) fn mark(self) -> &'static str {
        match self {
            Self::AsExpected => "✓",
            Self::Flaky => "~",
            Self::NotRun => "-",
            Self::CouldNot => "?",
            Self::Unexpected => "✗",
        }
    }
}

pub(super) fn kind_of(outcome: &Outcome) -> Kind {
    match (outcome.expected, &outcome.problem) {
        (Some(true), _) if outcome.flaky => Kind::Flaky,
        (Some(true), _) | (None, None) => Kind::AsExpected,
        (Some(false), _) => Kind::Unexpected,
        (None, Some(_)) if outcome.was_not_run() => Kind::NotRun,
        (None, Some(_)) => Kind::CouldNot,
    }
}

/// How an execution ended: its problem, its classification, or the platform's word for it.
pub(super) fn end_of(outcome: &Outcome) -> Option<String> {
    match (&outcome.problem, &outcome.classification, &outcome.status) {
        (Some(problem), ..) => Some(format!("not finished: {}", problem.kind.as_str())),
        (None, Some(classification), _) => Some(classification.to_string()),
        (None, None, status) => status.as_ref().map(|status| status.0.clone()),
    }
}
