//! The arithmetic: what was said against what was so. Pure. Calibration error and reliability as in Guo et al., On calibration of modern
//! neural networks (2017): ten bins of equal width.

use super::Truth;
use crate::model::{Classification, Outcome};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// One failure: what it was, and what was said.
#[derive(Debug, Clone)]
pub struct Judged {
    /// The record's id.
    pub id: String,
    /// Where it comes from.
    pub source: String,
    /// What it was.
    pub truth: Truth,
    /// What was said.
    pub said: Classification,
    /// The reason that was given.
    pub reason: Option<String>,
    /// How sure that was; none where no classifier had an opinion.
    pub confidence: Option<f64>,
    /// Who decided: plugin and rule.
    pub by: String,
    /// The text that it rests on.
    pub text: String,
    /// What each plugin said for itself: its name, its best verdict's classification and confidence.
    pub each: Vec<(String, Classification, f64)>,
}

/// How right it was, all in all.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Scores {
    /// How many failures were judged.
    pub records: usize,
    /// The share with the right classification.
    pub accuracy: f64,
    /// The mean of the classifications' F1.
    pub macro_f1: f64,
    /// The same over the records that are marked hard; none where there are none.
    pub macro_f1_hard: Option<f64>,
    /// The share that was not called UNKNOWN.
    pub coverage: f64,
    /// The share of internal faults that were called external; none where there are none. So with the next three.
    pub internal_as_external: Option<f64>,
    /// The share of external outages that were called internal.
    pub external_as_internal: Option<f64>,
    /// Of those with the right classification and a known reason, the share with the right reason.
    pub reason_right: Option<f64>,
    /// The expected calibration error, over what a classifier had an opinion on.
    pub calibration_error: Option<f64>,
    /// Each classification.
    pub classifications: Vec<Row>,
    /// Each reason, as `CLASSIFICATION reason`.
    pub reasons: Vec<Row>,
    /// How often what was so (first) was said to be what (second).
    pub confusion: Vec<(String, String, usize)>,
    /// How sure, and how often right.
    pub reliability: Vec<Bin>,
    /// The wrong ones, the most confident first.
    pub mistakes: Vec<Mistake>,
}

/// How well one name was told.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// The name.
    pub name: String,
    /// How often it was so.
    pub records: usize,
    /// Of what was said to be it, the share that was.
    pub precision: f64,
    /// Of what was it, the share that was said to be.
    pub recall: f64,
    /// The harmonic mean of both.
    pub f1: f64,
}

/// A stretch of confidences.
#[derive(Debug, Clone, Serialize)]
pub struct Bin {
    /// Where it begins; it is a tenth wide.
    pub from: f64,
    /// How many outcomes were so sure.
    pub count: usize,
    /// How sure on average.
    pub said: f64,
    /// The share that was right.
    pub right: f64,
}

/// A failure that was judged wrongly.
#[derive(Debug, Clone, Serialize)]
pub struct Mistake {
    /// The record.
    pub id: String,
    /// What it was, with its reason.
    pub was: String,
    /// What was said, with its reason.
    pub said: String,
    /// How sure.
    pub confidence: f64,
    /// Who decided.
    pub by: String,
    /// The text that it rests on.
    pub text: String,
}

const BINS: usize = 10;
/// How many mistakes are named.
const MISTAKES: usize = 20;

impl Scores {
    /// The figures of all that was judged.
    #[must_use]
    pub fn of(judged: &[Judged]) -> Self {
        let share = |part: usize, whole: usize| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
        let count = |wanted: &dyn Fn(&&Judged) -> bool| judged.iter().filter(wanted).count();
        let known_share = |part: usize, whole: usize| (whole > 0).then(|| share(part, whole));
        let called = |was: &str, said: &str| {
            let so = |j: &&Judged| j.truth.classification.as_str() == was;
            known_share(count(&|j| so(j) && j.said.as_str() == said), count(&so))
        };
        let class_right = |j: &&Judged| j.said == j.truth.classification;
        let with_reason = |j: &&Judged| class_right(j) && j.truth.reason.is_some();
        let pairs: Vec<_> = judged.iter().map(|j| (j.truth.classification.to_string(), j.said.to_string())).collect();
        let classifications = rows(&pairs);
        let hard: Vec<_> =
            judged.iter().filter(|j| j.truth.hard).map(|j| (j.truth.classification.to_string(), j.said.to_string())).collect();
        let named = |c: &Classification, reason: &Option<String>| reason.as_ref().map_or_else(|| c.to_string(), |r| format!("{c} {r}"));
        let by_reason: Vec<_> =
            judged.iter().map(|j| (named(&j.truth.classification, &j.truth.reason), named(&j.said, &j.reason))).collect();
        let known: BTreeSet<&str> = judged.iter().filter(|j| j.truth.reason.is_some()).map(|j| j.id.as_str()).collect();
        let (reliability, calibration_error) = reliability(judged);
        Self {
            records: judged.len(),
            accuracy: share(count(&class_right), judged.len()),
            macro_f1: macro_f1(&classifications),
            macro_f1_hard: (!hard.is_empty()).then(|| macro_f1(&rows(&hard))),
            coverage: share(count(&|j| j.said.as_str() != Classification::UNKNOWN), judged.len()),
            internal_as_external: called(Classification::INTERNAL, Classification::EXTERNAL),
            external_as_internal: called(Classification::EXTERNAL, Classification::INTERNAL),
            reason_right: known_share(count(&|j| with_reason(j) && j.reason == j.truth.reason), count(&with_reason)),
            calibration_error,
            reasons: if known.is_empty() {
                Vec::new()
            } else {
                rows(&by_reason).into_iter().filter(|row| row.records > 0 && row.name.contains(' ')).collect()
            },
            classifications,
            confusion: confusion(&pairs),
            reliability,
            mistakes: mistakes(judged),
        }
    }
}

fn rows(pairs: &[(String, String)]) -> Vec<Row> {
    let names: BTreeSet<&String> = pairs.iter().flat_map(|(was, said)| [was, said]).collect();
    let row = |name: &String| {
        let was = pairs.iter().filter(|(was, _)| was == name).count();
        let said = pairs.iter().filter(|(_, said)| said == name).count();
        let both = pairs.iter().filter(|(was, said)| was == name && said == name).count();
        let share = |whole: usize| if whole == 0 { 0.0 } else { both as f64 / whole as f64 };
        let f1 = if was + said == 0 { 0.0 } else { 2.0 * both as f64 / (was + said) as f64 };
        Row { name: name.clone(), records: was, precision: share(said), recall: share(was), f1 }
    };
    names.into_iter().map(row).collect()
}

fn macro_f1(rows: &[Row]) -> f64 {
    if rows.is_empty() { 0.0 } else { rows.iter().map(|row| row.f1).sum::<f64>() / rows.len() as f64 }
}

fn confusion(pairs: &[(String, String)]) -> Vec<(String, String, usize)> {
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for (was, said) in pairs {
        *counts.entry((was, said)).or_default() += 1;
    }
    counts.into_iter().map(|((was, said), count)| (was.to_owned(), said.to_owned(), count)).collect()
}

fn reliability(judged: &[Judged]) -> (Vec<Bin>, Option<f64>) {
    let mut bins: Vec<Vec<(f64, bool)>> = vec![Vec::new(); BINS];
    for j in judged {
        let Some(confidence) = j.confidence else { continue };
        let at = ((confidence * BINS as f64) as usize).min(BINS - 1);
        if let Some(bin) = bins.get_mut(at) {
            bin.push((confidence, j.said == j.truth.classification));
        }
    }
    let total: usize = bins.iter().map(Vec::len).sum();
    let bin = |(i, bin): (usize, &Vec<(f64, bool)>)| {
        let count = bin.len() as f64;
        let said = bin.iter().map(|(said, _)| said).sum::<f64>() / count;
        let right = bin.iter().filter(|(_, right)| *right).count() as f64 / count;
        Bin { from: i as f64 / BINS as f64, count: bin.len(), said, right }
    };
    let bins: Vec<_> = bins.iter().enumerate().filter(|(_, bin)| !bin.is_empty()).map(bin).collect();
    let error = bins.iter().map(|b| b.count as f64 / total as f64 * (b.said - b.right).abs()).sum::<f64>();
    (bins, (total > 0).then_some(error))
}

fn mistakes(judged: &[Judged]) -> Vec<Mistake> {
    let told = |c: &Classification, reason: &Option<String>| reason.as_ref().map_or_else(|| c.to_string(), |r| format!("{c} ({r})"));
    let wrong = judged.iter().filter(|j| j.said != j.truth.classification);
    let mut mistakes: Vec<_> = wrong
        .map(|j| Mistake {
            id: j.id.clone(),
            was: told(&j.truth.classification, &j.truth.reason),
            said: told(&j.said, &j.reason),
            confidence: j.confidence.unwrap_or_default(),
            by: j.by.clone(),
            text: j.text.clone(),
        })
        .collect();
    mistakes.sort_by(|a, b| b.confidence.total_cmp(&a.confidence).then_with(|| a.id.cmp(&b.id)));
    mistakes.truncate(MISTAKES);
    mistakes
}

impl Judged {
    /// What an outcome says of a labelled failure.
    #[must_use]
    pub fn of(id: &str, source: &str, truth: &Truth, outcome: &Outcome) -> Self {
        let best = outcome.verdicts.first().filter(|v| Some(&v.classification) == outcome.classification.as_ref());
        let mut each: Vec<(String, Classification, f64)> = Vec::new();
        for verdict in &outcome.verdicts {
            match each.iter_mut().find(|(name, ..)| *name == verdict.plugin) {
                Some(known) if known.2 >= verdict.confidence.get() => {}
                Some(known) => *known = (verdict.plugin.clone(), verdict.classification.clone(), verdict.confidence.get()),
                None => each.push((verdict.plugin.clone(), verdict.classification.clone(), verdict.confidence.get())),
            }
        }
        Self {
            id: id.to_owned(),
            source: source.to_owned(),
            truth: truth.clone(),
            said: outcome.classification.clone().unwrap_or_else(Classification::unknown),
            reason: outcome.reason.clone(),
            confidence: outcome.confidence.map(crate::model::Confidence::get).filter(|_| best.is_some()),
            by: best.map_or_else(
                || "nobody".to_owned(),
                |v| v.rule.as_ref().map_or_else(|| v.plugin.clone(), |rule| format!("{}/{rule}", v.plugin)),
            ),
            text: best.and_then(|v| v.evidence.first()).map(|e| e.text.clone()).unwrap_or_default(),
            each,
        }
    }
}

/// Two halves that share no source, so that what one of them teaches is not known of the other beforehand.
#[must_use]
pub fn halves(judged: Vec<Judged>) -> [Vec<Judged>; 2] {
    let first = |j: &Judged| Sha256::digest(j.source.as_bytes()).first().is_some_and(|byte| byte % 2 == 0);
    let (a, b) = judged.into_iter().partition(first);
    [a, b]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn judged(was: &str, said: &str, confidence: Option<f64>) -> Judged {
        let truth = Truth { classification: was.parse().unwrap(), reason: Some("dns".into()), hard: was == "X" };
        let reason = Some("dns".to_owned());
        let (id, source) = (format!("{was}{said}"), format!("{was}/{said}{confidence:?}"));
        Judged {
            id,
            source,
            truth,
            said: said.parse().unwrap(),
            reason,
            confidence,
            by: String::new(),
            text: String::new(),
            each: Vec::new(),
        }
    }

    #[test]
    fn the_figures_are_those_of_their_definitions() {
        let (e, i) = (Classification::EXTERNAL, Classification::INTERNAL);
        let all = [
            judged(e, e, Some(0.95)),
            judged(e, i, Some(0.95)),
            judged(i, i, Some(0.55)),
            judged(i, i, Some(0.5)),
            judged("UNKNOWN", "UNKNOWN", None),
        ];
        let scores = Scores::of(&all);
        assert_eq!((scores.records, scores.accuracy, scores.coverage), (5, 0.8, 0.8));
        let f1: Vec<_> = scores.classifications.iter().map(|row| (row.f1 * 1000.0).round()).collect();
        assert_eq!(f1, [667.0, 800.0, 1000.0]);
        assert!((scores.macro_f1 - (2.0 / 3.0 + 0.8 + 1.0) / 3.0).abs() < 1e-9);
        assert_eq!((scores.external_as_internal, scores.internal_as_external, scores.macro_f1_hard), (Some(0.5), Some(0.0), None));
        // Of four: two at 0.95 and half of them right, two at about 0.525 and all right.
        assert!((scores.calibration_error.unwrap() - (0.5 * 0.45 + 0.5 * 0.475)).abs() < 1e-9, "{:?}", scores.calibration_error);
        assert_eq!((scores.mistakes.len(), scores.mistakes[0].was.as_str()), (1, "EXTERNAL_DEPENDENCY_OUTAGE (dns)"));
        assert_eq!(scores.reliability.iter().map(|b| (b.count, b.right)).collect::<Vec<_>>(), [(2, 1.0), (2, 0.5)]);
    }

    #[test]
    fn nothing_is_no_division_by_nothing() {
        let scores = Scores::of(&[]);
        assert_eq!((scores.accuracy, scores.macro_f1, scores.calibration_error), (0.0, 0.0, None));
    }

    proptest! {
        #[test]
        fn shares_are_shares_and_halves_share_no_source(all in proptest::collection::vec(("[XYZ]", "[XYZ]", proptest::option::of(0.0..=1.0_f64)), 0..20)) {
            let all: Vec<_> = all.into_iter().map(|(was, said, confidence)| judged(&was, &said, confidence)).collect();
            let scores = Scores::of(&all);
            let known = [scores.reason_right, scores.calibration_error, scores.internal_as_external, scores.macro_f1_hard];
            for figure in known.into_iter().flatten().chain([scores.accuracy, scores.macro_f1, scores.coverage]) {
                prop_assert!((0.0..=1.0).contains(&figure));
            }
            prop_assert_eq!(scores.confusion.iter().map(|(_, _, count)| count).sum::<usize>(), all.len());
            let [a, b] = halves(all.clone());
            prop_assert_eq!(a.len() + b.len(), all.len());
            prop_assert!(!a.iter().any(|x| b.iter().any(|y| x.source == y.source)));
        }
    }
}
