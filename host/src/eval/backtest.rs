//! What a change of plugins would change: the outcomes of the same traces before and after. Pure.

use super::Truth;
use crate::model::{Classification, Outcome};
use serde::Serialize;
use std::collections::BTreeMap;

/// What would change.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Backtest {
    /// How many traces were tried.
    pub traces: usize,
    /// The outcomes whose classification would be another, the worst first: new mistakes, then those without a label, then those mended.
    pub flips: Vec<Flip>,
    /// How many of them, by what they were and what they would be.
    pub by_classification: Vec<(Classification, Classification, usize)>,
    /// How many traces have a label.
    pub labelled: usize,
    /// How many of these were right and would be wrong.
    pub new_mistakes: usize,
    /// How many were wrong and would be right.
    pub mended: usize,
}

/// An outcome whose classification would be another.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Flip {
    /// The trace's name.
    pub id: String,
    /// What it is now.
    pub before: Classification,
    /// What it would be.
    pub after: Classification,
    /// How sure.
    pub confidence: f64,
    /// What it really was, where that is known.
    pub truth: Option<Classification>,
    /// Who would decide: plugin and rule.
    pub by: String,
    /// The text it would rest on.
    pub text: String,
}

impl Backtest {
    /// Takes in one trace.
    pub fn add(&mut self, id: &str, truth: Option<&Truth>, before: &Outcome, after: &Outcome) {
        let said = |outcome: &Outcome| outcome.classification.clone().unwrap_or_else(Classification::unknown);
        let (was, would_be) = (said(before), said(after));
        let truth = truth.map(|truth| truth.classification.clone());
        self.traces += 1;
        self.labelled += usize::from(truth.is_some());
        if was == would_be {
            return;
        }
        self.new_mistakes += usize::from(truth.as_ref() == Some(&was));
        self.mended += usize::from(truth.as_ref() == Some(&would_be));
        let best = after.verdicts.first();
        self.flips.push(Flip {
            id: id.to_owned(),
            before: was,
            after: would_be,
            confidence: after.confidence.map_or(0.0, crate::model::Confidence::get),
            truth,
            by: best.map_or_else(String::new, |v| v.rule.as_ref().map_or_else(|| v.plugin.clone(), |rule| format!("{}/{rule}", v.plugin))),
            text: best.and_then(|v| v.evidence.first()).map(|e| e.text.clone()).unwrap_or_default(),
        });
    }

    /// The whole, once all traces are in.
    #[must_use]
    pub fn done(mut self) -> Self {
        let mut counts: BTreeMap<(Classification, Classification), usize> = BTreeMap::new();
        for flip in &self.flips {
            *counts.entry((flip.before.clone(), flip.after.clone())).or_default() += 1;
        }
        self.by_classification = counts.into_iter().map(|((before, after), count)| (before, after, count)).collect();
        self.flips.sort_by_key(|flip| match &flip.truth {
            Some(truth) if *truth == flip.before => 0,
            Some(truth) if *truth == flip.after => 2,
            _ => 1,
        });
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ActionId, Environment};

    fn outcome(classification: &str) -> Outcome {
        let mut outcome = Outcome::of("v".into(), ActionId::made_up(), Environment::Test);
        outcome.classification = Some(classification.parse().unwrap());
        outcome
    }

    #[test]
    fn flips_are_counted_by_what_they_would_do() {
        let mut test = Backtest::default();
        let truth = |c: &str| Truth { classification: c.parse().unwrap(), reason: None, hard: false };
        test.add("same", Some(&truth("X")), &outcome("X"), &outcome("X"));
        test.add("mended", Some(&truth("Y")), &outcome("X"), &outcome("Y"));
        test.add("unlabelled", None, &outcome("X"), &outcome("Y"));
        test.add("broken", Some(&truth("X")), &outcome("X"), &outcome("Y"));
        let test = test.done();
        assert_eq!((test.traces, test.labelled, test.new_mistakes, test.mended), (4, 3, 1, 1));
        assert_eq!(test.flips.iter().map(|flip| flip.id.as_str()).collect::<Vec<_>>(), ["broken", "unlabelled", "mended"]);
        assert_eq!(test.by_classification.len(), 1);
        assert_eq!(test.by_classification[0].2, 3);
    }
}
