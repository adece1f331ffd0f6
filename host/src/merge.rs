//! Verdicts in, one answer out. Pure: no I/O, no clock. It knows nothing of plugins but a name and a priority.

use crate::model::{Classification, Confidence, Opinion};
use std::cmp::Ordering;

/// The merged answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Merged {
    /// Why the execution failed.
    pub classification: Classification,
    /// The deciding verdict's confidence; 0 where there is none.
    pub confidence: Confidence,
    /// All opinions, the deciding one first.
    pub ranked: Vec<Opinion>,
}

/// The most confident verdict wins, whole: classification, confidence and reason are its own. A tie goes to the higher
/// priority, then to the name. Without a verdict the answer is UNKNOWN with confidence 0, never a guess.
#[must_use]
pub fn merge(mut opinions: Vec<Opinion>) -> Merged {
    opinions.sort_by(rank);
    let (classification, confidence) = opinions
        .first()
        .map_or((Classification::unknown(), Confidence::ZERO), |best| (best.verdict.classification.clone(), best.verdict.confidence));
    Merged { classification, confidence, ranked: opinions }
}

fn rank(a: &Opinion, b: &Opinion) -> Ordering {
    let by_what = |o: &Opinion| (o.verdict.classification.clone(), o.verdict.rule.clone(), o.verdict.explanation.clone());
    b.verdict
        .confidence
        .cmp(&a.verdict.confidence)
        .then(b.classifier.priority.cmp(&a.classifier.priority))
        .then_with(|| a.classifier.name.cmp(&b.classifier.name))
        // One classifier may give several verdicts of equal confidence, two plugins may bear one name: still one answer.
        .then_with(|| by_what(a).cmp(&by_what(b)))
        .then_with(|| a.classifier.digest.cmp(&b.classifier.digest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Digest, Identity, Verdict};
    use proptest::prelude::*;
    use std::sync::Arc;

    fn opinion(classifier: &str, priority: i32, classification: &str, confidence: f64) -> Opinion {
        let verdict = Verdict {
            classification: classification.parse().unwrap(),
            confidence: Confidence::new(confidence).unwrap(),
            reason: None,
            rule: None,
            failing_step: None,
            explanation: String::new(),
            evidence: Vec::new(),
            attributes: Vec::new(),
        };
        let version = "1".into();
        let classifier = Arc::new(Identity { name: classifier.into(), version, digest: Digest::of(b""), priority });
        Opinion { classifier, verdict }
    }

    fn winner(opinions: Vec<Opinion>) -> (String, f64) {
        let merged = merge(opinions);
        (merged.classification.to_string(), merged.confidence.get())
    }

    #[test]
    fn the_winner_brings_its_own_confidence() {
        let external = opinion("a", 0, Classification::EXTERNAL, 0.6);
        let internal = opinion("b", 0, Classification::INTERNAL, 0.9);
        assert_eq!(winner(vec![external.clone(), internal.clone()]), (Classification::INTERNAL.into(), 0.9));
        let merged = merge(vec![external.clone(), internal]);
        assert_eq!(merged.ranked[1], external, "dissent is kept");
    }

    #[test]
    fn a_tie_goes_to_priority_then_name() {
        let a = opinion("a", 1, "A", 0.5);
        assert_eq!(winner(vec![a.clone(), opinion("b", 2, "B", 0.5)]).0, "B");
        assert_eq!(winner(vec![opinion("b", 1, "B", 0.5), a]).0, "A");
    }

    #[test]
    fn nobody_is_unknown_without_confidence() {
        assert_eq!(winner(vec![]), ("UNKNOWN".into(), 0.0));
    }

    fn any_opinion() -> impl Strategy<Value = Opinion> {
        ("[a-c]", 0..3_i32, prop_oneof![Just("X"), Just("Y"), Just("UNKNOWN")], 0..=4_u8)
            .prop_map(|(name, priority, class, tenths)| opinion(&name, priority, class, f64::from(tenths) / 4.0))
    }

    proptest! {
        #[test]
        fn the_order_of_plugins_never_matters(opinions in proptest::collection::vec(any_opinion(), 0..6).prop_shuffle(), seed in any::<u64>()) {
            let mut shuffled = opinions.clone();
            fastrand::Rng::with_seed(seed).shuffle(&mut shuffled);
            prop_assert_eq!(merge(opinions), merge(shuffled));
        }

        #[test]
        fn nobody_is_more_confident_than_the_winner(opinions in proptest::collection::vec(any_opinion(), 1..6)) {
            let merged = merge(opinions.clone());
            prop_assert!(opinions.iter().all(|o| o.verdict.confidence <= merged.confidence));
            prop_assert_eq!(merged.ranked.len(), opinions.len());
        }
    }
}
