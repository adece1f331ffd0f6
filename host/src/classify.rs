//! The half of the flow that needs no network: trace → classifiers → merge → outcome.

use crate::config::Grants;
use crate::jury::{Hearing, Jury};
use crate::log::{Mask, masked_here};
use crate::merge::{Policy, Weighed};
use crate::model::{Abstention, Classification, Evidence, Excerpt, Expect, Opinion, Outcome, Step, StepLine, Trace, VerdictLine};
use crate::redact::{Privacy, Redactor, Rules};
use serde_json::{Map, Value};
use std::ops::Range;
use std::sync::Arc;

/// What an outcome is made of, beside the trace.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The input, where it is known: hashed and masked.
    pub input: Option<&'a Map<String, Value>>,
    /// What is expected.
    pub expect: Option<&'a Expect>,
    /// By what it is made.
    pub terms: &'a Terms,
}

/// By what all outcomes of a command are made.
#[derive(Debug, Default)]
pub struct Terms {
    /// What is masked, and how inputs are hashed.
    pub privacy: Privacy,
    /// How verdicts become one answer.
    pub policy: Policy,
    /// Of which sessions the trace is kept, masked.
    pub keep: Keep,
    /// Whether outcomes bring the steps of their trace, for a report that shows them.
    pub show_steps: bool,
}

/// Of which sessions the trace stays with the outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Keep {
    /// Of those that nobody could classify.
    #[default]
    Unclassified,
    /// Of all that failed.
    Failed,
}

impl<'a> Asked<'a> {
    /// Masks the input, where it is known, and what the rules find.
    fn redactor(&self) -> Redactor<'a> {
        Redactor::new(self.input.unwrap_or(&Map::new()), &self.terms.privacy.rules)
    }
}

/// Fills `outcome` with what the trace says and, where the execution failed, why.
pub async fn judge(jury: &Jury, trace: Trace, asked: Asked<'_>, outcome: Outcome) -> Outcome {
    let trace = Arc::new(trace);
    let hearing = match unheard(jury, &trace) {
        Some(hearing) => hearing,
        None => jury.hear(&trace).await,
    };
    fill(hearing, &trace, asked, outcome)
}

/// As [`judge`], for many traces on this thread.
#[must_use]
pub fn judge_here(jury: &Jury, cases: Vec<(Trace, Asked<'_>, Outcome)>) -> Vec<Outcome> {
    let unheard: Vec<_> = cases.iter().map(|(trace, ..)| unheard(jury, trace)).collect();
    let asked: Vec<_> = cases.iter().zip(&unheard).filter(|(_, unheard)| unheard.is_none()).map(|((trace, ..), _)| trace).collect();
    let mask = mask_of(cases.iter().map(|(_, asked, _)| *asked));
    let mut heard = masked_here(mask, || jury.hear_here(&asked)).into_iter();
    let judged = cases.into_iter().zip(unheard).map(|((trace, asked, outcome), unheard)| {
        let hearing = unheard.or_else(|| heard.next()).unwrap_or_default();
        fill(hearing, &trace, asked, outcome)
    });
    judged.collect()
}

/// A mask for lines about several traces: one of them could be quoted in any.
fn mask_of<'a>(asked: impl Iterator<Item = Asked<'a>>) -> Option<Mask> {
    // Lines that may quote a trace are written to those only who ask for details.
    if !tracing::enabled!(tracing::Level::DEBUG) {
        return None;
    }
    let inputs: Vec<_> = asked.filter_map(|asked| asked.input.cloned()).map(Value::Object).collect();
    let together = Map::from_iter([("all".to_owned(), Value::Array(inputs))]);
    Some(Arc::new(move |text| Redactor::new(&together, Rules::built_in()).mask(text).0))
}

/// What is said of a trace that nobody is asked about: one that did not fail, or has no steps. A session that failed without a
/// trace has nothing to judge by: it is UNKNOWN.
fn unheard(jury: &Jury, trace: &Trace) -> Option<Hearing> {
    match (trace.status.is_failed(), trace.steps.is_empty()) {
        (false, _) => Some(Hearing::default()),
        (true, true) => Some(jury.excused(&Abstention::NoTrace)),
        (true, false) => None,
    }
}

fn fill(hearing: Hearing, trace: &Trace, asked: Asked<'_>, mut outcome: Outcome) -> Outcome {
    outcome.session_id = Some(trace.session.clone());
    outcome.status = Some(trace.status.clone());
    let redactor = asked.redactor();
    if asked.terms.show_steps {
        outcome.steps = trace.steps.iter().map(|step| shown(step, &redactor)).collect();
    }
    if trace.status.is_failed() {
        outcome.abstained = hearing.abstained;
        let merged = asked.terms.policy.merge(hearing.opinions);
        // Under a quorum that was not reached nobody speaks for the answer.
        let best = merged.ranked.first().map(|w| &w.opinion.verdict).filter(|_| merged.backed);
        let step = best.and_then(|v| v.failing_step).or_else(|| trace.failing_step()).and_then(|i| trace.steps.get(i));
        outcome.fault = step.and_then(|step| step.error.as_ref()).or_else(|| trace.fault()).cloned();
        if let Some(step) = step {
            outcome.failing_step_id = Some(step.id.clone());
            outcome.failing_step_name.clone_from(&step.name);
            outcome.failing_step_timestamp.clone_from(&step.timestamp);
        }
        outcome.reason = best.and_then(|v| v.reason.clone());
        let unknown = merged.classification == Classification::unknown();
        let kept = unknown || asked.terms.keep == Keep::Failed;
        outcome.kept = kept.then(|| Box::new(redactor.trace(trace, &Grants::new())));
        outcome.classification = Some(merged.classification);
        outcome.confidence = Some(merged.confidence);
        for (text, part) in merged.ranked.iter().flat_map(|w| &w.opinion.verdict.evidence).map(|e| quoted(e, trace)) {
            redactor.found(text, &part).into_iter().for_each(|name| *outcome.masked.entry(name).or_default() += 1);
        }
        outcome.decision = Some(merged.decision);
        outcome.verdicts = merged.ranked.into_iter().map(|weighed| line(weighed, trace, &redactor)).collect();
    }
    close(outcome, Some(trace), asked, &redactor)
}

/// The last touch on every outcome: masked, and compared with what was expected.
#[must_use]
pub fn finish(outcome: Outcome, asked: Asked<'_>) -> Outcome {
    close(outcome, None, asked, &asked.redactor())
}

fn close(mut outcome: Outcome, trace: Option<&Trace>, asked: Asked<'_>, redactor: &Redactor<'_>) -> Outcome {
    if let Some(expect) = asked.expect {
        outcome.mismatch = expect.mismatches(&outcome, trace);
        outcome.expected = Some(outcome.mismatch.is_empty());
    }
    outcome.input_hash = asked.input.map(|input| asked.terms.privacy.hasher.hash(input));
    redactor.outcome(&mut outcome);
    outcome
}

fn shown(step: &Step, redactor: &Redactor<'_>) -> StepLine {
    let mask = |text: &String| redactor.mask(text).0;
    let name = mask(step.name.as_ref().unwrap_or(&step.id));
    StepLine { name, timestamp: step.timestamp.as_ref().map(mask), error: step.error.as_ref().map(|error| mask(&error.message)) }
}

/// The text that evidence points into, and the part of it.
fn quoted<'t>(evidence: &Excerpt, trace: &'t Trace) -> (&'t str, Range<usize>) {
    (trace.text_at(&evidence.location).unwrap_or_default(), evidence.start as usize..evidence.end as usize)
}

fn line(Weighed { opinion, worth }: Weighed, trace: &Trace, redactor: &Redactor<'_>) -> VerdictLine {
    let Opinion { classifier, verdict } = opinion;
    let touched = verdict.evidence.iter().map(|e| quoted(e, trace)).flat_map(|(text, part)| redactor.touched(text, part));
    let touched: Vec<_> = touched.collect();
    let evidence = verdict.evidence.into_iter().map(|e| {
        let (text, part) = quoted(&e, trace);
        Evidence { text: redactor.excerpt(text, part), location: e.location, start: e.start, end: e.end }
    });
    VerdictLine {
        plugin: classifier.name.clone(),
        version: classifier.version.clone(),
        digest: classifier.digest,
        classification: verdict.classification,
        confidence: verdict.confidence,
        calibrated: (worth != verdict.confidence).then_some(worth),
        reason: verdict.reason,
        rule: verdict.rule,
        explanation: redactor.without_pieces(verdict.explanation, &touched),
        evidence: evidence.collect(),
        attributes: verdict.attributes.into_iter().map(|(name, value)| (name, redactor.without_pieces(value, &touched))).collect(),
    }
}
