//! All verdicts together, as evidence: a log-linear pool (Genest and Zidek, Combining probability distributions, 1986). Each plugin's best
//! verdict is a distribution over the classifications: its worth on what it names, the rest spread evenly over the others. Their logarithms
//! are added up, weighted. What nobody named is no answer: where it is likelier than all that was named, nobody knows. Who speaks of the same evidence as another counts with it as one.

use super::{Answer, Weighed, best_of_each};
use crate::config::Merge;
use crate::model::{Classification, Confidence};
use std::collections::BTreeSet;

/// Distributions stay this far from 0: a plugin that is entirely sure must not be beyond contradiction.
const EDGE: f64 = 0.001;

pub(super) fn answer(weighed: &[Weighed], settings: &Merge) -> Answer {
    let weight_of = |w: &&Weighed| settings.weights.get(&w.opinion.classifier.name).copied().unwrap_or(1.0);
    let mut best = best_of_each(weighed);
    best.retain(|w| weight_of(w) > 0.0);
    if best.is_empty() {
        return Answer::nobody();
    }
    let base = [Classification::EXTERNAL, Classification::INTERNAL, Classification::UNKNOWN];
    let mut named: BTreeSet<Classification> = best.iter().map(|w| w.opinion.verdict.classification.clone()).collect();
    named.extend(base.iter().filter_map(|name| name.parse().ok()));
    let named: Vec<_> = named.into_iter().collect();
    let others = (named.len() - 1) as f64;
    let weights = weights(&best, settings);
    let score = |classification: &Classification| {
        let part = |(w, weight): (&&Weighed, &f64)| {
            let worth = w.worth.get().clamp(EDGE, 1.0 - EDGE);
            let share = if w.opinion.verdict.classification == *classification { worth } else { (1.0 - worth) / others };
            weight * share.ln()
        };
        best.iter().zip(&weights).map(part).sum::<f64>()
    };
    let scores: Vec<f64> = named.iter().map(score).collect();
    let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = scores.iter().map(|score| (score - most).exp()).sum();
    let share = |score: f64| ((score - most).exp() / total).clamp(0.0, 1.0);
    // Of equals the one whose best verdict ranks first. Sums of the same parts in one order are the same to the last bit.
    let place = |c: &Classification| weighed.iter().position(|w| w.opinion.verdict.classification == *c).unwrap_or(usize::MAX);
    let mut ranked: Vec<_> = named.iter().zip(scores).collect();
    ranked.sort_by(|(a, x), (b, y)| y.total_cmp(x).then(place(a).cmp(&place(b))));
    let mut ranked = ranked.into_iter();
    let Some((first, score)) = ranked.next() else { return Answer::nobody() };
    if !best.iter().any(|w| w.opinion.verdict.classification == *first) {
        return Answer::nobody();
    }
    let next = ranked.next().map_or(0.0, |(_, score)| share(score));
    Answer {
        classification: first.clone(),
        confidence: Confidence::new(share(score)).unwrap_or(Confidence::ZERO),
        margin: share(score) - next,
        backed: true,
    }
}

/// What each counts: its weight by the settings, shared by those that are no evidence independent of each other.
fn weights(best: &[&Weighed], settings: &Merge) -> Vec<f64> {
    let mut group: Vec<usize> = (0..best.len()).collect();
    for i in 0..best.len() {
        for j in 0..i {
            let (Some(a), Some(b), Some(&of_a), Some(&of_b)) = (best.get(i), best.get(j), group.get(i), group.get(j)) else { continue };
            if of_a != of_b && correlated(a, b, settings) {
                group.iter_mut().filter(|g| **g == of_a).for_each(|g| *g = of_b);
            }
        }
    }
    let size = |i: usize| group.iter().filter(|g| group.get(i) == Some(g)).count() as f64;
    let weight = |(i, w): (usize, &&Weighed)| settings.weights.get(&w.opinion.classifier.name).copied().unwrap_or(1.0) / size(i);
    best.iter().enumerate().map(weight).collect()
}

/// Whether two verdicts are one piece of evidence: the settings say so of their plugins, they come of one file, or they rest on the
/// same text.
fn correlated(a: &Weighed, b: &Weighed, settings: &Merge) -> bool {
    let (own, other) = (&a.opinion, &b.opinion);
    let together = |group: &Vec<String>| group.contains(&own.classifier.name) && group.contains(&other.classifier.name);
    let overlap = || {
        own.verdict
            .evidence
            .iter()
            .any(|x| other.verdict.evidence.iter().any(|y| x.location == y.location && x.start < y.end && y.start < x.end))
    };
    own.classifier.digest == other.classifier.digest || settings.correlated.iter().any(together) || overlap()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{opinion, policy, resting_on, winner};

    const POOLED: &str = "policy = 'pooled'";

    #[test]
    fn two_that_agree_are_surer_than_either() {
        let (class, sure) =
            winner(POOLED, vec![opinion("a", 0, "INTERNAL_LOGIC_FAULT", 0.8), opinion("b", 0, "INTERNAL_LOGIC_FAULT", 0.8)]);
        assert_eq!((class.as_str(), sure), ("INTERNAL_LOGIC_FAULT", 0.97));
    }

    #[test]
    fn two_that_agree_beat_one_that_is_a_little_surer() {
        let opinions = vec![opinion("a", 0, "X", 0.7), opinion("b", 0, "X", 0.7), opinion("c", 0, "Y", 0.85)];
        assert_eq!(winner("", opinions.clone()).0, "Y");
        assert_eq!(winner(POOLED, opinions.clone()).0, "X");
        let merged = policy(POOLED).merge(opinions);
        assert_eq!(merged.decision.pivots.iter().map(|p| p.plugin.as_str()).collect::<Vec<_>>(), ["a", "b"], "either alone would not do");
    }

    #[test]
    fn what_is_one_piece_of_evidence_counts_once() {
        let alone = winner(POOLED, vec![opinion("a", 0, "X", 0.8)]);
        let apart = vec![resting_on(opinion("a", 0, "X", 0.8), 0, 9), resting_on(opinion("b", 0, "X", 0.8), 20, 29)];
        let together = vec![resting_on(opinion("a", 0, "X", 0.8), 0, 9), resting_on(opinion("b", 0, "X", 0.8), 5, 12)];
        assert!(winner(POOLED, apart.clone()).1 > alone.1);
        assert_eq!(winner(POOLED, together), alone);
        assert_eq!(winner("policy = 'pooled'\ncorrelated = [['b', 'a']]", apart), alone);
    }

    #[test]
    fn what_nobody_named_is_no_answer() {
        assert_eq!(winner(POOLED, vec![opinion("a", 0, "INTERNAL_LOGIC_FAULT", 0.2)]), ("UNKNOWN".into(), 0.0));
        assert_eq!(winner("policy = 'pooled'\n[weights]\na = 0.0", vec![opinion("a", 0, "X", 0.9)]), ("UNKNOWN".into(), 0.0));
    }

    #[test]
    fn weights_count() {
        let opinions = || vec![opinion("a", 0, "X", 0.8), opinion("b", 0, "Y", 0.7)];
        assert_eq!(winner(POOLED, opinions()).0, "X");
        assert_eq!(winner("policy = 'pooled'\n[weights]\nb = 2.0", opinions()).0, "Y");
        assert_eq!(winner("policy = 'pooled'\n[weights]\na = 0.0", opinions()).0, "Y");
    }
}
