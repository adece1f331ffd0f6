//! A plugin asked about one trace by its author: what it says, and where it has rules, what became of each of them.

use super::WorkshopError;
use crate::model::{Abstention, Trace, Verdict};
use crate::plugin::{Answer, Draft, Loader, PluginError, Profile, Sight};
use std::path::{Path, PathBuf};
use tracejury_regex::pack::Pack;

/// A plugin on trial.
pub struct Trial {
    /// Its file.
    pub file: PathBuf,
    /// Answers as it does in a run, within the same limits.
    judge: Draft,
    /// Tells of each rule, where it has any.
    every: Option<Draft>,
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
        let judge = loader.draft(file, Answer::Best, sight)?;
        let every = judge.pack.is_some().then(|| loader.draft(file, Answer::EveryRule, sight)).transpose()?;
        Ok(Self { file: file.to_owned(), judge, every })
    }

    /// What there is to know of it.
    #[must_use]
    pub fn profile(&self) -> &Profile {
        self.judge.profile()
    }

    /// Its rules.
    #[must_use]
    pub fn pack(&self) -> Option<&Pack> {
        self.judge.pack.as_deref()
    }

    /// The cases that travel inside it.
    #[must_use]
    pub fn cases(&self) -> Option<&str> {
        self.judge.cases.as_deref()
    }

    /// What it says of a trace.
    #[must_use]
    pub fn hear(&self, trace: &Trace) -> Heard {
        let answer = match self.judge.classify(trace) {
            Err(Abstention::NoOpinion) => Ok(None),
            Err(why) => Err(why),
            Ok(verdicts) => Ok(best(verdicts)),
        };
        let every = self.every.as_ref().and_then(|every| every.classify(trace).ok());
        Heard { answer, rules: every.unwrap_or_default().into_iter().map(rule).collect() }
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
