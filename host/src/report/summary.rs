//! Counts of a run. It knows outcomes, not how they are shown.

use crate::model::{Outcome, Status};
use std::collections::{BTreeMap, BTreeSet};

/// What a run came to.
#[derive(Debug, Default, Clone)]
pub struct Summary {
    /// How many outcomes there are.
    pub vectors: usize,
    /// How many executions completed.
    pub completed: usize,
    /// Failed executions by classification.
    pub classified: BTreeMap<String, usize>,
    /// Vectors that could not be finished, by kind of problem.
    pub problems: BTreeMap<&'static str, usize>,
    /// How many are not as expected.
    pub unexpected: usize,
    /// How many could neither be finished nor compared.
    pub undecided: usize,
    /// The kinds of problem of those.
    pub undecided_problems: BTreeSet<&'static str>,
    /// Who failed to give a verdict, why, and how often. Having no opinion, or nothing to look at, is no failure.
    pub abstained: BTreeMap<(String, String), usize>,
    /// How many were as expected only at another attempt.
    pub flaky: usize,
    /// How many were not begun, since the run had ended before.
    pub not_run: usize,
    /// Whether the user stopped it.
    pub stopped: bool,
    /// Entries in the audit log.
    pub audited: usize,
    /// What kept entries out of it.
    pub not_audited: BTreeMap<String, usize>,
    /// Outcomes that dashboards have, of earlier runs too.
    pub delivered: usize,
    /// Deliveries of this run that wait, by what the last attempt ended with.
    pub waiting: BTreeMap<String, usize>,
    /// Dead letters of this run, the same way.
    pub dead: BTreeMap<String, usize>,
    /// What kept outcomes out of the journal.
    pub not_recorded: BTreeMap<String, usize>,
}

impl Summary {
    /// Counts one outcome.
    pub fn count(&mut self, outcome: &Outcome) {
        self.vectors += 1;
        if let Some(problem) = &outcome.problem {
            *self.problems.entry(problem.kind.as_str()).or_default() += 1;
        } else if let Some(classification) = &outcome.classification {
            *self.classified.entry(classification.to_string()).or_default() += 1;
        } else {
            self.completed += usize::from(outcome.status.as_ref().is_some_and(|s| s.0 == Status::COMPLETED));
        }
        self.unexpected += usize::from(outcome.expected == Some(false));
        self.flaky += usize::from(outcome.flaky);
        if let Some(problem) = outcome.problem.as_ref().filter(|_| outcome.expected.is_none()) {
            self.undecided += 1;
            self.undecided_problems.insert(problem.kind.as_str());
        }
        for abstained in outcome.abstained.iter().filter(|abstained| !abstained.is_harmless()) {
            *self.abstained.entry((abstained.plugin.clone(), abstained.why.clone())).or_default() += 1;
        }
    }

    /// Adds the counts of outcomes that were counted apart.
    pub fn add(&mut self, other: Self) {
        fn sum<K: Ord>(into: &mut BTreeMap<K, usize>, from: BTreeMap<K, usize>) {
            from.into_iter().for_each(|(key, number)| *into.entry(key).or_default() += number);
        }
        self.vectors += other.vectors;
        self.completed += other.completed;
        self.unexpected += other.unexpected;
        self.undecided += other.undecided;
        self.flaky += other.flaky;
        self.not_run += other.not_run;
        self.audited += other.audited;
        self.delivered += other.delivered;
        sum(&mut self.classified, other.classified);
        sum(&mut self.problems, other.problems);
        sum(&mut self.abstained, other.abstained);
        sum(&mut self.not_audited, other.not_audited);
        sum(&mut self.waiting, other.waiting);
        sum(&mut self.dead, other.dead);
        sum(&mut self.not_recorded, other.not_recorded);
        self.undecided_problems.extend(other.undecided_problems);
    }
}
