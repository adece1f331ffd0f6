//! What enough plugins agree on: at least so many, each at least so sure. It says UNKNOWN rather than follow one voice. Who says UNKNOWN
//! names nothing, and so has no vote.

use super::{Answer, Weighed, best_of_each};
use crate::config::Merge;
use crate::model::Classification;
use std::collections::BTreeMap;

pub(super) fn answer(weighed: &[Weighed], settings: &Merge) -> Answer {
    let quorum = settings.quorum.get();
    let mut votes: BTreeMap<&Classification, Vec<&Weighed>> = BTreeMap::new();
    let unknown = Classification::unknown();
    for w in best_of_each(weighed) {
        let classification = &w.opinion.verdict.classification;
        if w.worth.get() >= settings.quorum_confidence && *classification != unknown {
            votes.entry(classification).or_default().push(w);
        }
    }
    // More votes win; of equals the one whose best vote ranks first.
    let mut ranked: Vec<_> = votes.into_iter().collect();
    let first = |voters: &[&Weighed]| voters.first().and_then(|vote| weighed.iter().position(|w| std::ptr::eq(w, *vote)));
    ranked.sort_by(|(_, x), (_, y)| y.len().cmp(&x.len()).then(first(x).cmp(&first(y))));
    let Some((first, voters)) = ranked.first().filter(|(_, voters)| voters.len() >= quorum) else { return Answer::nobody() };
    let next = ranked.get(1).map_or(0, |(_, voters)| voters.len());
    let total: usize = ranked.iter().map(|(_, voters)| voters.len()).sum();
    // So sure are enough of them at least: they are ranked, and the last that is needed is the least sure.
    let Some(last) = voters.get(quorum - 1) else { return Answer::nobody() };
    Answer { classification: (*first).clone(), confidence: last.worth, margin: (voters.len() - next) as f64 / total as f64, backed: true }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{opinion, policy, winner};

    const QUORUM: &str = "policy = 'quorum'";

    #[test]
    fn one_voice_is_not_enough() {
        assert_eq!(winner(QUORUM, vec![opinion("a", 0, "X", 1.0)]), ("UNKNOWN".into(), 0.0));
        let agreed = vec![opinion("a", 0, "X", 0.7), opinion("b", 0, "X", 0.6), opinion("c", 0, "Y", 1.0)];
        assert_eq!(winner(QUORUM, agreed.clone()), ("X".into(), 0.6), "as sure as the second of them");
        let merged = policy(QUORUM).merge(agreed);
        assert_eq!(merged.ranked[0].opinion.classifier.name, "a");
        assert_eq!(merged.decision.pivots.len(), 2);
    }

    #[test]
    fn who_is_unsure_or_names_nothing_has_no_vote() {
        assert_eq!(winner(QUORUM, vec![opinion("a", 0, "X", 0.7), opinion("b", 0, "X", 0.4)]).0, "UNKNOWN");
        assert_eq!(winner("policy = 'quorum'\nquorum_confidence = 0.3", vec![opinion("a", 0, "X", 0.7), opinion("b", 0, "X", 0.4)]).0, "X");
        assert_eq!(winner(QUORUM, vec![opinion("a", 0, "UNKNOWN", 0.9), opinion("b", 0, "UNKNOWN", 0.9)]), ("UNKNOWN".into(), 0.0));
        assert_eq!(winner(QUORUM, vec![opinion("a", 0, "X", 0.7), opinion("a", 0, "X", 0.9)]).0, "UNKNOWN", "one plugin has one vote");
    }
}
