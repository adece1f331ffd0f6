//! A plugin asked about one trace by its author: what it says, and where it has rules, what became of each of them.

use super::WorkshopError;
use crate::model::{Abstention, Trace, Verdict};
use crate::plugin::{Draft, Loader, PluginError, Profile, Sight};
use std::path::{Path, PathBuf};
use tracejury_regex::pack::{Pack, Rule};

/// A plugin on trial.
pub struct Trial {
    /// Its file.
    pub file: PathBuf,
    draft: Draft,
}

/// What came of one trace.
#[derive(Debug)]
pub struct Heard {
    /// The verdict that counts: the most confident one; none where it has no opinion. An error where it failed.
    pub answer: Result<Option<Verdict>, Abstention>,
    /// What became of each rule, the most confident first; empty where it has none.
    pub rules: Vec<RuleHeard>,
}

/// What became of one rule.
#[derive(Debug)]
pub struct RuleHeard {
    /// Its id.
    pub id: String,
    /// Whether it matched, and counted.
    pub state: State,
    /// What it would take for it to count.
    pub needs: String,
    /// The pack it was taken over from.
    pub from: Option<String>,
    /// What it says, and what its patterns found.
    pub verdict: Verdict,
}

/// What became of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is the one that counts.
    Speaks,
    /// It matched, but another is surer.
    Beaten,
    /// It did not match.
    Silent,
}

impl State {
    /// The word for people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Speaks => "speaks",
            Self::Beaten => "beaten",
            Self::Silent => "silent",
        }
    }
}

impl From<PluginError> for WorkshopError {
    fn from(error: PluginError) -> Self {
        let help = if let PluginError::Refused { help, .. } = &error { help.clone() } else { "check the file".to_owned() };
        Self::new(error.to_string(), help)
    }
}

impl Trial {
    /// Loads the plugin of a file, to see so much of traces.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn of(loader: &Loader, file: &Path, sight: Sight) -> Result<Self, WorkshopError> {
        Ok(Self { file: file.to_owned(), draft: loader.draft(file, sight)? })
    }

    /// What there is to know of it.
    #[must_use]
    pub fn profile(&self) -> &Profile {
        self.draft.profile()
    }

    /// Its rules.
    #[must_use]
    pub fn pack(&self) -> Option<&Pack> {
        self.draft.pack.as_deref()
    }

    /// The cases that travel inside it.
    #[must_use]
    pub fn cases(&self) -> Option<&str> {
        self.draft.cases.as_deref()
    }

    /// Its rules but for those it takes over.
    pub fn own_rules(&self) -> impl Iterator<Item = &Rule> {
        self.pack().into_iter().flat_map(|pack| &pack.rules).filter(|rule| rule.from.is_none())
    }

    /// The verdict that counts, within the limits of a run: the most confident one; none where it has no opinion.
    ///
    /// # Errors
    /// Why it failed.
    pub fn answer(&self, trace: &Trace) -> Result<Option<Verdict>, Abstention> {
        match self.draft.classify(trace) {
            Err(Abstention::NoOpinion) => Ok(None),
            Err(why) => Err(why),
            Ok(verdicts) => Ok(best(verdicts)),
        }
    }

    /// What it says of a trace, and what became of each of its rules.
    #[must_use]
    pub fn hear(&self, trace: &Trace) -> Heard {
        Heard { answer: self.answer(trace), rules: self.draft.every_rule(trace).into_iter().map(rule).collect() }
    }
}

/// The most confident verdict; of equals the first.
fn best(verdicts: Vec<Verdict>) -> Option<Verdict> {
    verdicts.into_iter().reduce(|best, next| if next.confidence > best.confidence { next } else { best })
}

/// A verdict about a rule, with what the engine of rules tells in its attributes taken apart.
fn rule(mut verdict: Verdict) -> RuleHeard {
    let mut take = |wanted: &str| {
        let at = verdict.attributes.iter().position(|(name, _)| name.strip_prefix("tracejury:") == Some(wanted))?;
        Some(verdict.attributes.remove(at).1)
    };
    let state = match take("state").as_deref() {
        Some("speaks") => State::Speaks,
        Some("beaten") => State::Beaten,
        _ => State::Silent,
    };
    let (needs, from) = (take("needs").unwrap_or_default(), take("from"));
    RuleHeard { id: verdict.rule.clone().unwrap_or_default(), state, needs, from, verdict }
}
