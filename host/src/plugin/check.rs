//! What a classifier answers, checked before anyone believes it: ranges, names, lengths, and that its evidence exists.

use super::bindings::wit;
use crate::config::{Grants, Limits};
use crate::model::{Abstention, Confidence, Excerpt, Trace, Verdict, printable};
use tracejury_regex::pack::kebab;

/// The most pieces of evidence for one verdict.
const EVIDENCE: usize = 64;
/// The most attributes of one verdict.
const ATTRIBUTES: usize = 32;
/// The longest name or version.
const NAME_BYTES: usize = 64;

/// Name and version of a classifier, as they may be shown.
pub(super) fn description(described: &wit::Description) -> Result<(String, String), String> {
    if !kebab(&described.name) {
        return Err("name: is not kebab-case of at most 64 characters".to_owned());
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+');
    if described.version.len() > NAME_BYTES || !described.version.chars().all(plain) {
        return Err("version: is not a version of at most 64 characters".to_owned());
    }
    Ok((described.name.clone(), described.version.clone()))
}

/// All verdicts of one answer, or what is wrong with the first that no verdict may be.
///
/// # Errors
/// What is wrong, as the abstention it makes of the answer.
pub fn verdicts(answer: Vec<wit::Verdict>, trace: &Trace, limits: &Limits, grants: &Grants) -> Result<Vec<Verdict>, Abstention> {
    if answer.len() > limits.verdicts {
        return Err(Abstention::Invalid(format!("{} verdicts, more than {}", answer.len(), limits.verdicts)));
    }
    answer.into_iter().map(|v| verdict(v, trace, limits, grants).map_err(Abstention::Invalid)).collect()
}

fn verdict(said: wit::Verdict, trace: &Trace, limits: &Limits, grants: &Grants) -> Result<Verdict, String> {
    let failing_step = said.failing_step.map(|i| i as usize);
    if let Some(i) = failing_step.filter(|i| *i >= trace.steps.len()) {
        return Err(format!("failing-step: {i} of {} steps", trace.steps.len()));
    }
    if let Some(reason) = said.reason.as_ref().filter(|r| !kebab(r)) {
        return Err(format!("reason: {} is not kebab-case", printable(&reason.chars().take(40).collect::<String>())));
    }
    let texts = [Some(&said.explanation), said.rule.as_ref()];
    if let Some(long) = texts.into_iter().flatten().find(|t| t.len() > limits.text_bytes) {
        return Err(format!("a text of {} bytes, more than {}", long.len(), limits.text_bytes));
    }
    if said.evidence.len() > EVIDENCE {
        return Err(format!("{} pieces of evidence, more than {EVIDENCE}", said.evidence.len()));
    }
    if said.attributes.len() > ATTRIBUTES {
        return Err(format!("{} attributes, more than {ATTRIBUTES}", said.attributes.len()));
    }
    let attributes = said.attributes.into_iter().map(|(name, value)| match value.len() {
        _ if !attribute_name(&name) => Err(format!(
            "attributes: {:?} is no name of 1 to {NAME_BYTES} letters, digits, _ . : -",
            name.chars().take(40).collect::<String>()
        )),
        long if long > limits.text_bytes => Err(format!("an attribute of {long} bytes, more than {}", limits.text_bytes)),
        _ => Ok((name, printable(&value))),
    });
    Ok(Verdict {
        attributes: attributes.collect::<Result<_, _>>()?,
        classification: said.classification.parse().map_err(|e| format!("classification: {e}"))?,
        confidence: Confidence::new(said.confidence).map_err(|e| format!("confidence: {} {e}", said.confidence))?,
        reason: said.reason,
        rule: said.rule.as_deref().map(printable),
        failing_step,
        explanation: printable(&said.explanation),
        evidence: said.evidence.into_iter().map(|e| excerpt(e, trace, grants)).collect::<Result<_, _>>()?,
    })
}

fn excerpt(said: wit::Evidence, trace: &Trace, grants: &Grants) -> Result<Excerpt, String> {
    let granted = |field: &str| grants.iter().any(|read| read.as_str() == field);
    // A guest that points at what it was not shown would have the host show it instead.
    let visible = said.location.contains("error.") || said.location.rsplit('.').next().is_some_and(granted);
    let found = trace.text_at(&said.location).filter(|_| visible).and_then(|text| text.get(said.start as usize..said.end as usize));
    if found.is_none() {
        let location: String = said.location.chars().take(60).collect();
        return Err(format!("evidence: {}[{}..{}] does not exist", printable(&location), said.start, said.end));
    }
    Ok(Excerpt { location: said.location, start: said.start, end: said.end })
}

fn attribute_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':' | '-');
    name.len() <= NAME_BYTES && name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Plugins, Read};
    use crate::model::{Environment, Fault, Status, Step};
    use proptest::prelude::*;

    fn trace() -> Trace {
        let fault = Fault { message: "naïve ECONNREFUSED".into(), stack: None, code: Some("E".into()) };
        Trace {
            session: "s".parse().unwrap(),
            action: "a1b2c3d4-e5f6-7890-abcd-ef1234567890".parse().unwrap(),
            environment: Environment::Test,
            status: Status("FAILED".into()),
            error: None,
            steps: vec![Step { error: Some(fault), ..Step::default() }],
            result: None,
        }
    }

    fn said() -> wit::Verdict {
        let evidence = vec![wit::Evidence { location: "steps[0].error.message".into(), start: 7, end: 19 }];
        wit::Verdict {
            classification: "OURS".into(),
            confidence: 0.5,
            reason: Some("dns".into()),
            rule: None,
            failing_step: Some(0),
            explanation: "why\u{1b}[31m\n".into(),
            evidence,
            attributes: vec![("who".into(), "ann\u{7}".into())],
        }
    }

    fn checked(said: Vec<wit::Verdict>) -> Result<Vec<Verdict>, Abstention> {
        let limits = Limits { verdicts: 2, text_bytes: 100, ..Plugins::default().limits("") };
        verdicts(said, &trace(), &limits, &Grants::new())
    }

    #[test]
    fn what_was_withheld_cannot_be_pointed_at() {
        let mut trace = trace();
        trace.steps[0].output = Some("{}".into());
        let pointing = || wit::Evidence { location: "steps[0].output".into(), start: 0, end: 2 };
        assert!(excerpt(pointing(), &trace, &Grants::from([Read::Input])).is_err());
        assert!(excerpt(pointing(), &trace, &Grants::from([Read::Output])).is_ok());
    }

    fn wrong(change: impl FnOnce(&mut wit::Verdict)) -> String {
        let mut said = said();
        change(&mut said);
        checked(vec![said]).unwrap_err().to_string()
    }

    #[test]
    fn a_good_verdict_passes_cleaned() {
        let verdict = checked(vec![said()]).unwrap().remove(0);
        assert_eq!((verdict.evidence[0].start, verdict.evidence[0].end), (7, 19));
        assert_eq!(verdict.explanation, "why [31m ");
        assert_eq!(verdict.attributes, [("who".to_owned(), "ann ".to_owned())]);
    }

    #[test]
    fn nonsense_is_named() {
        assert_eq!(wrong(|v| v.confidence = 7.0), "invalid answer: confidence: 7 is not a number from 0 to 1");
        assert_eq!(wrong(|v| v.confidence = f64::NAN), "invalid answer: confidence: NaN is not a number from 0 to 1");
        assert_eq!(wrong(|v| v.failing_step = Some(1)), "invalid answer: failing-step: 1 of 1 steps");
        assert_eq!(wrong(|v| v.reason = Some("No".into())), "invalid answer: reason: No is not kebab-case");
        assert_eq!(
            wrong(|v| v.classification = "x".into()),
            "invalid answer: classification: is not an UPPER_SNAKE name of 1 to 64 characters"
        );
        assert_eq!(wrong(|v| v.explanation = "x".repeat(101)), "invalid answer: a text of 101 bytes, more than 100");
        assert_eq!(wrong(|v| v.evidence[0].end = 99), "invalid answer: evidence: steps[0].error.message[7..99] does not exist");
        assert_eq!(wrong(|v| v.evidence[0].start = 3), "invalid answer: evidence: steps[0].error.message[3..19] does not exist");
        assert_eq!(
            wrong(|v| v.attributes = vec![(String::new(), String::new())]),
            "invalid answer: attributes: \"\" is no name of 1 to 64 letters, digits, _ . : -"
        );
        assert_eq!(wrong(|v| v.attributes[0].1 = "x".repeat(101)), "invalid answer: an attribute of 101 bytes, more than 100");
        assert_eq!(wrong(|v| v.attributes = vec![("n".into(), "v".into()); 33]), "invalid answer: 33 attributes, more than 32");
        assert_eq!(checked(vec![said(), said(), said()]).unwrap_err().to_string(), "invalid answer: 3 verdicts, more than 2");
    }

    proptest! {
        #[test]
        fn no_location_makes_it_panic(location in "\\PC{0,20}|steps\\[[0-9]{0,3}\\]?\\.?error\\.?(message|code|x)?", start in any::<u32>(), end in any::<u32>()) {
            let _ = excerpt(wit::Evidence { location, start, end }, &trace(), &Grants::new());
        }
    }
}
