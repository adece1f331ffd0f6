//! Which rules a plugin's tests reach: those that never matched, and those that match the same texts.

use super::test::Tests;
use super::trial::{State, Trial};
use std::collections::BTreeMap;

/// What the tests know of one rule.
#[derive(Debug)]
pub struct RuleCount {
    /// Its id.
    pub id: String,
    /// The pack it was taken over from.
    pub from: Option<String>,
    /// How many examples and cases it matched.
    pub matched: usize,
    /// For how many of them it was the one that counts.
    pub spoke: usize,
    /// Rules that matched the same texts, and how many.
    pub overlaps: BTreeMap<String, usize>,
}

/// Counts what each rule came to, in the order of the pack.
#[must_use]
pub fn coverage(trial: &Trial, tests: &Tests) -> Vec<RuleCount> {
    let rules = trial.pack().into_iter().flat_map(|pack| &pack.rules);
    let mut counts: Vec<_> = rules
        .map(|rule| RuleCount { id: rule.id.clone(), from: rule.from.clone(), matched: 0, spoke: 0, overlaps: BTreeMap::new() })
        .collect();
    for heard in &tests.heard {
        let matched: Vec<_> = heard.rules.iter().filter(|rule| rule.state != State::Silent).collect();
        for rule in &matched {
            let Some(count) = counts.iter_mut().find(|count| count.id == rule.id) else { continue };
            count.matched += 1;
            count.spoke += usize::from(rule.state == State::Speaks);
            for other in matched.iter().filter(|other| other.id != rule.id) {
                *count.overlaps.entry(other.id.clone()).or_default() += 1;
            }
        }
    }
    counts
}
