//! Verdicts in, one answer out. Pure: no I/O, no clock. It knows nothing of plugins but a name, a priority, and what its settings say
//! of them.
//!
//! Three ways lead to the answer: the most confident verdict (`highest`), all verdicts together as independent evidence (`pooled`),
//! or what enough of them agree on (`quorum`). All of them take confidences for what they are worth by the calibration.

mod calibration;
mod pooled;
mod quorum;

pub use calibration::{Calibration, Labelled, Line};

use crate::config;
use crate::model::{Classification, Confidence, Decision, Opinion, Pivot};
use std::cmp::Ordering;

/// How verdicts become an answer.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    settings: config::Merge,
    calibration: Calibration,
}

/// The merged answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Merged {
    /// Why the execution failed.
    pub classification: Classification,
    /// How sure that is; 0 where there is no verdict.
    pub confidence: Confidence,
    /// Whether a verdict stands behind the answer: then it is the first one's classification.
    pub backed: bool,
    /// All opinions, the deciding one first.
    pub ranked: Vec<Weighed>,
    /// What decided.
    pub decision: Decision,
}

/// An opinion, and what its confidence is worth.
#[derive(Debug, Clone, PartialEq)]
pub struct Weighed {
    /// The opinion.
    pub opinion: Opinion,
    /// How often such an opinion is right, by the calibration; its own confidence where none is known.
    pub worth: Confidence,
}

/// An answer without its reasons.
#[derive(Debug, Clone, PartialEq)]
struct Answer {
    classification: Classification,
    confidence: Confidence,
    /// How far ahead of the next classification it is; all of its confidence where there is none.
    margin: f64,
    /// Whether a verdict stands behind it.
    backed: bool,
}

impl Policy {
    /// A policy by these settings, with what is known of plugins.
    #[must_use]
    pub fn new(settings: config::Merge, calibration: Calibration) -> Self {
        Self { settings, calibration }
    }

    /// The answer. Without a verdict it is UNKNOWN with confidence 0, never a guess. A tie goes to the higher priority, then to the
    /// name. The order of opinions never matters.
    #[must_use]
    pub fn merge(&self, opinions: Vec<Opinion>) -> Merged {
        let weigh = |opinion: Opinion| {
            let worth = rounded(self.calibration.apply(&opinion.classifier.name, opinion.verdict.confidence));
            Weighed { opinion, worth }
        };
        let mut weighed: Vec<_> = opinions.into_iter().map(weigh).collect();
        weighed.sort_by(rank);
        let answer = self.answer(&weighed);
        let decision = Decision {
            policy: self.settings.policy.as_str().to_owned(),
            margin: (answer.margin * 1e4).round() / 1e4,
            pivots: self.pivots(&weighed, &answer),
        };
        // Those for the answer come first, each part in its order.
        weighed.sort_by_key(|w| !answer.backed || w.opinion.verdict.classification != answer.classification);
        Merged {
            classification: answer.classification,
            confidence: rounded(answer.confidence),
            backed: answer.backed,
            ranked: weighed,
            decision,
        }
    }

    fn answer(&self, weighed: &[Weighed]) -> Answer {
        match self.settings.policy {
            config::Policy::Highest => highest(weighed),
            config::Policy::Pooled => pooled::answer(weighed, &self.settings),
            config::Policy::Quorum => quorum::answer(weighed, &self.settings),
        }
    }

    /// The verdicts that decide alone: without one of them the classification would be another. Under `highest` that can be the first only,
    /// else a plugin's best.
    fn pivots(&self, weighed: &[Weighed], answer: &Answer) -> Vec<Pivot> {
        let asked = match self.settings.policy {
            config::Policy::Highest => weighed.first().into_iter().collect(),
            config::Policy::Pooled | config::Policy::Quorum => best_of_each(weighed),
        };
        let without = |left_out: &&Weighed| {
            let others: Vec<_> = weighed.iter().filter(|w| !std::ptr::eq(*w, *left_out)).cloned().collect();
            let then = self.answer(&others).classification;
            let changed = then != answer.classification;
            changed.then(|| Pivot { plugin: left_out.opinion.classifier.name.clone(), rule: left_out.opinion.verdict.rule.clone(), then })
        };
        // More than these nobody reads, and each costs a merge.
        asked.iter().take(MOST_PIVOTS).filter_map(without).collect()
    }
}

/// To four digits: more nobody knows.
fn rounded(confidence: Confidence) -> Confidence {
    Confidence::new((confidence.get() * 1e4).round() / 1e4).unwrap_or(confidence)
}

/// Of how many verdicts it is asked whether they decide alone.
const MOST_PIVOTS: usize = 16;

/// The most confident verdict wins, whole: classification, confidence and reason are its own.
fn highest(weighed: &[Weighed]) -> Answer {
    let Some(best) = weighed.first() else { return Answer::nobody() };
    let classification = best.opinion.verdict.classification.clone();
    let next = weighed.iter().find(|w| w.opinion.verdict.classification != classification).map_or(0.0, |w| w.worth.get());
    Answer { classification, confidence: best.worth, margin: best.worth.get() - next, backed: true }
}

impl Answer {
    fn nobody() -> Self {
        Self { classification: Classification::unknown(), confidence: Confidence::ZERO, margin: 0.0, backed: false }
    }
}

/// Of each plugin its best verdict: the others of the same plugin are no evidence of their own. `weighed` is ranked.
fn best_of_each(weighed: &[Weighed]) -> Vec<&Weighed> {
    let mut best: Vec<&Weighed> = Vec::new();
    for w in weighed {
        let same = |known: &&Weighed| {
            (&known.opinion.classifier.name, known.opinion.classifier.digest) == (&w.opinion.classifier.name, w.opinion.classifier.digest)
        };
        if !best.iter().any(same) {
            best.push(w);
        }
    }
    best
}

fn rank(a: &Weighed, b: &Weighed) -> Ordering {
    let by_what = |w: &Weighed| {
        let verdict = &w.opinion.verdict;
        let evidence: Vec<_> = verdict.evidence.iter().map(|e| (e.location.clone(), e.start, e.end)).collect();
        (
            verdict.classification.clone(),
            verdict.rule.clone(),
            verdict.reason.clone(),
            verdict.explanation.clone(),
            verdict.failing_step,
            evidence,
        )
    };
    b.worth
        .cmp(&a.worth)
        .then(b.opinion.verdict.confidence.cmp(&a.opinion.verdict.confidence))
        .then(b.opinion.classifier.priority.cmp(&a.opinion.classifier.priority))
        .then_with(|| a.opinion.classifier.name.cmp(&b.opinion.classifier.name))
        // One classifier may give several verdicts of equal confidence, two plugins may bear one name: still one answer.
        .then_with(|| by_what(a).cmp(&by_what(b)))
        .then_with(|| a.opinion.classifier.digest.cmp(&b.opinion.classifier.digest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Digest, Excerpt, Identity, Verdict};
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    pub(super) fn opinion(classifier: &str, priority: i32, classification: &str, confidence: f64) -> Opinion {
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
        let classifier = Arc::new(Identity { name: classifier.into(), version, digest: Digest::of(classifier.as_bytes()), priority });
        Opinion { classifier, verdict }
    }

    /// The same, resting on these bytes of the message.
    pub(super) fn resting_on(mut opinion: Opinion, start: u32, end: u32) -> Opinion {
        opinion.verdict.evidence = vec![Excerpt { location: "error.message".into(), start, end }];
        opinion
    }

    pub(super) fn policy(settings: &str) -> Policy {
        Policy::new(toml::from_str(settings).unwrap(), Calibration::default())
    }

    pub(super) fn winner(settings: &str, opinions: Vec<Opinion>) -> (String, f64) {
        let merged = policy(settings).merge(opinions);
        (merged.classification.to_string(), (merged.confidence.get() * 1000.0).round() / 1000.0)
    }

    #[test]
    fn the_winner_brings_its_own_confidence() {
        let external = opinion("a", 0, Classification::EXTERNAL, 0.6);
        let internal = opinion("b", 0, Classification::INTERNAL, 0.9);
        assert_eq!(winner("", vec![external.clone(), internal.clone()]), (Classification::INTERNAL.into(), 0.9));
        let merged = policy("").merge(vec![external.clone(), internal]);
        assert_eq!(merged.ranked[1].opinion, external, "dissent is kept");
        assert_eq!(merged.decision.margin, 0.3);
        let pivot = Pivot { plugin: "b".into(), rule: None, then: Classification::EXTERNAL.parse().unwrap() };
        assert_eq!(merged.decision.pivots, [pivot]);
    }

    #[test]
    fn a_tie_goes_to_priority_then_name() {
        let a = opinion("a", 1, "A", 0.5);
        assert_eq!(winner("", vec![a.clone(), opinion("b", 2, "B", 0.5)]).0, "B");
        assert_eq!(winner("", vec![opinion("b", 1, "B", 0.5), a]).0, "A");
    }

    #[test]
    fn nobody_is_unknown_without_confidence() {
        for settings in POLICIES {
            assert_eq!(winner(settings, vec![]), ("UNKNOWN".into(), 0.0));
        }
    }

    #[test]
    fn who_always_shouts_wins_until_it_is_calibrated() {
        let opinions = || vec![opinion("shouter", 0, "INTERNAL_LOGIC_FAULT", 1.0), opinion("regex", 0, "EXTERNAL_DEPENDENCY_OUTAGE", 0.9)];
        assert_eq!(winner("", opinions()), ("INTERNAL_LOGIC_FAULT".into(), 1.0));
        let labels = |said: f64, right: usize, wrong: usize| {
            let said = Confidence::new(said).unwrap();
            [vec![(said, true); right], vec![(said, false); wrong]].concat()
        };
        let labelled = BTreeMap::from([("shouter".to_owned(), labels(1.0, 40, 60)), ("regex".to_owned(), labels(0.9, 92, 8))]);
        let calibration = Calibration::fit(&labelled);
        for settings in ["", "policy = 'pooled'"] {
            let merged = Policy::new(toml::from_str(settings).unwrap(), calibration.clone()).merge(opinions());
            assert_eq!(merged.classification.as_str(), "EXTERNAL_DEPENDENCY_OUTAGE", "{settings}");
            assert!((0.8..0.95).contains(&merged.confidence.get()), "{settings}: {}", merged.confidence.get());
        }
    }

    const POLICIES: [&str; 5] = [
        "",
        "policy = 'pooled'",
        "policy = 'pooled'\ncorrelated = [['a', 'b']]\n[weights]\na = 0.5\nc = 2.0",
        "policy = 'quorum'",
        "policy = 'quorum'\nquorum = 1",
    ];

    fn any_opinion() -> impl Strategy<Value = Opinion> {
        ("[a-c]", 0..3_i32, prop_oneof![Just("X"), Just("Y"), Just("UNKNOWN")], 0..=4_u8, 0..3_u32).prop_map(
            |(name, priority, class, tenths, at)| {
                resting_on(opinion(&name, priority, class, f64::from(tenths) / 4.0), at * 10, at * 10 + 8)
            },
        )
    }

    proptest! {
        #[test]
        fn the_order_of_plugins_never_matters(opinions in proptest::collection::vec(any_opinion(), 0..6), seed in any::<u64>()) {
            let mut shuffled = opinions.clone();
            fastrand::Rng::with_seed(seed).shuffle(&mut shuffled);
            for settings in POLICIES {
                let (a, b) = (policy(settings).merge(opinions.clone()), policy(settings).merge(shuffled.clone()));
                prop_assert_eq!(a, b);
            }
        }

        #[test]
        fn confidence_stays_a_share_and_nobody_is_left_out(opinions in proptest::collection::vec(any_opinion(), 1..6)) {
            for settings in POLICIES {
                let merged = policy(settings).merge(opinions.clone());
                prop_assert!((0.0..=1.0).contains(&merged.confidence.get()));
                prop_assert!((0.0..=1.0).contains(&merged.decision.margin), "{}", merged.decision.margin);
                prop_assert_eq!(merged.ranked.len(), opinions.len());
            }
        }

        #[test]
        fn under_highest_nobody_is_more_confident_than_the_winner(opinions in proptest::collection::vec(any_opinion(), 1..6)) {
            let merged = policy("").merge(opinions.clone());
            prop_assert!(opinions.iter().all(|o| o.verdict.confidence.get() <= merged.confidence.get() + 1e-4));
        }

        /// What is true of a single verdict is true whatever the policy: it is the answer, as sure as it says.
        #[test]
        fn one_alone_is_believed(opinion in any_opinion()) {
            // Less sure than a guess it would be no answer in a pool, and UNKNOWN has no vote in a quorum.
            prop_assume!(opinion.verdict.confidence.get() > 0.34 && opinion.verdict.classification.as_str() != "UNKNOWN");
            for settings in ["", "policy = 'pooled'", "policy = 'quorum'\nquorum = 1\nquorum_confidence = 0.3"] {
                let merged = policy(settings).merge(vec![opinion.clone()]);
                prop_assert_eq!(&merged.classification, &opinion.verdict.classification);
                prop_assert!((merged.confidence.get() - opinion.verdict.confidence.get()).abs() < 0.002, "{} {}", settings, merged.confidence.get());
            }
        }
    }
}
