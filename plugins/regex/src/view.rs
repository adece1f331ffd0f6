//! From the trace of the contract to the texts rules look at, and from a match back to a verdict. It knows no pattern.

use crate::pack::{Field, Pack};
use crate::rules::{Rules, Text};
use crate::{Description, Evidence, Fault, Trace, Verdict};

/// What `pack` says of itself.
#[must_use]
pub fn description(pack: Result<Pack, String>) -> Description {
    let (name, version, summary, rules) = match pack {
        Ok(pack) => (pack.name, pack.version, pack.summary, pack.rules),
        Err(why) => ("regex".to_owned(), env!("CARGO_PKG_VERSION").to_owned(), why, Vec::new()),
    };
    let mut classifications: Vec<_> = rules.into_iter().map(|rule| rule.classification).collect();
    classifications.sort();
    classifications.dedup();
    Description { name, version, summary, reads: Vec::new(), classifications, settings_schema: None }
}

/// The one verdict of the best rule, or none.
///
/// # Errors
/// None of its own; the contract's type has room for them.
pub fn verdicts(rules: &Rules, trace: &Trace) -> Result<Vec<Verdict>, String> {
    let texts = texts(trace);
    Ok(rules.best(&texts).map(|found| verdict(trace, &texts, &found)).into_iter().collect())
}

/// The failing step's texts, then those of the session: the step's own words come first.
fn texts(trace: &Trace) -> Vec<Text<'_>> {
    let failing = trace.failing_step.and_then(|i| trace.steps.get(i as usize).map(|step| (i, step)));
    let mut texts = Vec::with_capacity(8);
    if let Some((i, step)) = failing {
        push_fault(&mut texts, step.error.as_ref(), Some(i));
        push(&mut texts, Field::Output, step.output.as_deref(), Some(i));
        push(&mut texts, Field::Input, step.input.as_deref(), Some(i));
    }
    push_fault(&mut texts, trace.error.as_ref(), None);
    texts
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
        Field::Message => "error.message",
        Field::Code => "error.code",
        Field::Stack => "error.stack",
        Field::Output => "output",
        Field::Input => "input",
    };
    text.step.map_or_else(|| field.to_owned(), |i| format!("steps[{i}].{field}"))
}

fn verdict(trace: &Trace, texts: &[Text<'_>], found: &crate::rules::Match<'_>) -> Verdict {
    let evidence = found.spans.iter().filter_map(|&(text, start, end)| {
        Some(Evidence { location: location(texts.get(text)?), start: u32::try_from(start).ok()?, end: u32::try_from(end).ok()? })
    });
    Verdict {
        classification: found.rule.classification.clone(),
        confidence: found.rule.confidence,
        reason: found.rule.reason.clone(),
        rule: Some(found.rule.id.clone()),
        failing_step: trace.failing_step,
        explanation: found.rule.explain.clone(),
        evidence: evidence.collect(),
        attributes: Vec::new(),
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
        verdicts(&Rules::from_settings("").unwrap(), trace).unwrap().pop()
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
