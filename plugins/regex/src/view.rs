//! From the trace of the contract to the texts rules look at, and from a match back to a verdict. It knows no pattern.

use crate::pack::{BUILT_IN_NAME, Field, Pack, PackError, Rule, SCHEMA};
use crate::rules::{Hit, Match, Rules, Text};
use crate::settings::{Answer, Bundle};
use crate::tried;
use crate::{Description, Evidence, Fault, Trace, Verdict};

/// A pack that is ready, and what it is asked for.
#[derive(Debug)]
pub struct Classifier {
    rules: Rules,
    answer: Answer,
}

impl Classifier {
    /// Of what is handed to `configure`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(settings: &str) -> Result<Self, PackError> {
        let bundle = Bundle::of_settings(settings)?;
        let rules = Rules::new(bundle.checked()?)?;
        rules.warm();
        Ok(Self { rules, answer: bundle.answer })
    }

    /// What it says of itself.
    #[must_use]
    pub fn description(&self) -> Description {
        description(self.rules.pack())
    }

    /// The one verdict of the best rule, or none; or one for each rule, where that was asked for.
    #[must_use]
    pub fn verdicts(&self, trace: &Trace) -> Vec<Verdict> {
        let texts = texts(trace);
        match self.answer {
            Answer::Best => {
                let speaks = self.rules.best(&texts).filter(|found| !found.rule.abstain);
                speaks.map(|found| verdict(trace, &texts, &found)).into_iter().collect()
            }
            Answer::EveryRule => tried::verdicts(&self.rules, trace, &texts),
        }
    }
}

/// What is said before anything is configured.
#[must_use]
pub fn unconfigured() -> Description {
    Description {
        name: BUILT_IN_NAME.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        summary: "Runs rule packs.".to_owned(),
        reads: Vec::new(),
        classifications: Vec::new(),
        settings_schema: Some(SCHEMA.to_owned()),
    }
}

/// What a pack says of itself.
#[must_use]
pub fn description(pack: &Pack) -> Description {
    let mut classifications: Vec<_> = pack.rules.iter().map(|rule| rule.classification.clone()).collect();
    classifications.sort();
    classifications.dedup();
    let looks_in = |field| pack.rules.iter().any(|rule| rule.fields.contains(&field));
    let reads = [(Field::Input, "input"), (Field::Output, "output")];
    Description {
        name: pack.name.clone(),
        version: pack.version.clone(),
        summary: pack.summary.clone(),
        reads: reads.into_iter().filter(|(field, _)| looks_in(*field)).map(|(_, name)| name.to_owned()).collect(),
        classifications,
        settings_schema: None,
    }
}

/// The failing step's texts, then those of the session: the step's own words come first.
pub(crate) fn texts(trace: &Trace) -> Vec<Text<'_>> {
    let failing = trace.failing_step.and_then(|i| trace.steps.get(i as usize).map(|step| (i, step)));
    let mut texts = Vec::with_capacity(8);
    if let Some((i, step)) = failing {
        push_fault(&mut texts, step.error.as_ref(), Some(i));
        push(&mut texts, Field::Output, step.output.as_deref(), Some(i));
        push(&mut texts, Field::Input, step.input.as_deref(), Some(i));
    }
    let said_by_step = |fault: &&Fault| failing.is_some_and(|(_, step)| step.error.as_ref().is_some_and(|own| same(own, fault)));
    push_fault(&mut texts, trace.error.as_ref().filter(|fault| !said_by_step(fault)), None);
    texts
}

fn same(a: &Fault, b: &Fault) -> bool {
    (&a.message, &a.stack, &a.code) == (&b.message, &b.stack, &b.code)
}

fn push_fault<'a>(texts: &mut Vec<Text<'a>>, fault: Option<&'a Fault>, step: Option<u32>) {
    let Some(fault) = fault else { return };
    push(texts, Field::Message, Some(&fault.message), step);
    push(texts, Field::Code, fault.code.as_deref(), step);
    push(texts, Field::Stack, fault.stack.as_deref(), step);
}

fn push<'a>(texts: &mut Vec<Text<'a>>, field: Field, text: Option<&'a str>, step: Option<u32>) {
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        texts.push(Text { field, step, text });
    }
}

/// The path of a text as the contract has it, such as `steps[1].error.message`.
fn location(text: &Text<'_>) -> String {
    let field = match text.field {
        Field::Message | Field::Error | Field::Quoted | Field::Frames => "error.message",
        Field::Code => "error.code",
        Field::Stack => "error.stack",
        Field::Output => "output",
        Field::Input => "input",
    };
    text.step.map_or_else(|| field.to_owned(), |i| format!("steps[{i}].{field}"))
}

fn verdict(trace: &Trace, texts: &[Text<'_>], found: &Match<'_>) -> Verdict {
    let mut verdict = said(trace, found.rule, &found.captured);
    if let Some(beaten) = found.beaten.filter(|beaten| !beaten.abstain) {
        let reason = beaten.reason.as_ref().map_or_else(String::new, |reason| format!(" {reason}"));
        let told = format!("{}: {}{reason}", beaten.id, beaten.classification);
        verdict.attributes.push(("alternative".to_owned(), told));
    }
    Verdict { evidence: found.hits.iter().filter_map(|hit| evidence(texts, hit)).take(EVIDENCE).collect(), ..verdict }
}

/// How many pieces of evidence stand in one verdict: hosts take no more.
pub(crate) const EVIDENCE: usize = 64;

/// A hit as the contract has it.
pub(crate) fn evidence(texts: &[Text<'_>], hit: &Hit) -> Option<Evidence> {
    Some(Evidence { location: location(texts.get(hit.text)?), start: u32::try_from(hit.start).ok()?, end: u32::try_from(hit.end).ok()? })
}

/// What a rule says where its groups captured this.
pub(crate) fn said(trace: &Trace, rule: &Rule, captured: &[(String, String)]) -> Verdict {
    Verdict {
        classification: rule.classification.clone(),
        confidence: rule.confidence,
        reason: rule.reason.clone(),
        rule: Some(rule.id.clone()),
        failing_step: trace.failing_step,
        explanation: rule.explain.fill(captured),
        evidence: Vec::new(),
        attributes: rule.attributes.iter().map(|(name, template)| (name.clone(), template.fill(captured))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Step;

    fn fault(message: &str, stack: Option<&str>) -> Fault {
        Fault { message: message.into(), stack: stack.map(str::to_owned), code: None }
    }

    fn trace(errors: Vec<Option<Fault>>, failing_step: Option<u32>, error: Option<Fault>) -> Trace {
        let step = |error| Step { id: "s".into(), name: None, timestamp: None, input: None, output: None, error };
        Trace {
            session_id: "s".into(),
            action_id: "a".into(),
            environment: "test".into(),
            status: "FAILED".into(),
            error,
            failing_step,
            steps: errors.into_iter().map(step).collect(),
            attributes: Vec::new(),
        }
    }

    fn judge(trace: &Trace) -> Option<Verdict> {
        Classifier::new("").unwrap().verdicts(trace).pop()
    }

    #[test]
    fn the_cause_in_the_stack_beats_the_wrapper_in_the_message() {
        let stack = "TypeError: fetch failed\n    at node:internal/deps/undici\n  [cause]: Error: connect ECONNREFUSED 10.1.2.3:443";
        let verdict = judge(&trace(vec![None, Some(fault("fetch failed", Some(stack))), None], Some(1), None)).unwrap();
        assert_eq!(verdict.reason.as_deref(), Some("connection-refused"));
        assert_eq!(verdict.failing_step, Some(1));
        let found = &verdict.evidence[0];
        assert_eq!(found.location, "steps[1].error.stack");
        assert_eq!(&stack[found.start as usize..found.end as usize], "ECONNREFUSED");
    }

    #[test]
    fn the_session_speaks_where_the_step_is_silent() {
        let verdict = judge(&trace(vec![None], Some(0), Some(fault("getaddrinfo ENOTFOUND api.example.com", None)))).unwrap();
        assert_eq!((verdict.reason.as_deref(), verdict.evidence[0].location.as_str()), (Some("dns"), "error.message"));
    }

    #[test]
    fn nothing_to_read_is_no_verdict() {
        assert!(judge(&trace(vec![], None, None)).is_none());
        assert!(judge(&trace(vec![None], Some(7), Some(fault("", None)))).is_none());
    }
}
