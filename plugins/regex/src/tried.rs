//! What became of every rule of a pack, told in verdicts: one for each rule, the one with the highest place first. For those who write rules; it is
//! asked for in the settings. It knows what rules found, not how they are searched for.
//!
//! Beside what the rule itself would say, each verdict's attributes hold: `tracejury:state` (`speaks`, `beaten` or `silent`),
//! `tracejury:needs` (what it would take for the rule to speak), and `tracejury:from` (the pack it was taken over from).

use crate::pack::{Field, cut};
use crate::rules::{Rules, Text, Tried};
use crate::sight::lens;
use crate::view::{EVIDENCE, evidence, said};
use crate::{Trace, Verdict};

/// How many patterns of `any` are written out: nobody reads fifty.
const PATTERNS: usize = 3;

/// The verdicts.
#[must_use]
pub fn verdicts(rules: &Rules, trace: &Trace, texts: &[Text<'_>]) -> Vec<Verdict> {
    let tried = rules.tried(texts);
    let best = rules.best(texts).map(|found| found.rule);
    let best = best.and_then(|best| tried.iter().find(|tried| tried.rule.id == best.id));
    tried.iter().map(|tried| verdict(trace, texts, tried, best)).collect()
}

fn verdict(trace: &Trace, texts: &[Text<'_>], tried: &Tried<'_>, best: Option<&Tried<'_>>) -> Verdict {
    let rule = tried.rule;
    let (state, needs) = match best {
        Some(best) if tried.holds && best.rule.id == rule.id => ("speaks", String::new()),
        Some(best) if tried.holds => ("beaten", above(tried, best)),
        _ => ("silent", lacks(texts, tried)),
    };
    let mut verdict = said(trace, rule, &tried.captured);
    // What a pattern of `none` found is no evidence for the rule: `needs` tells of it.
    let wanted = tried.found.iter().take(rule.any.len() + rule.all.len());
    verdict.evidence = wanted.flatten().filter_map(|hit| evidence(texts, hit)).take(EVIDENCE).collect();
    let mut tell = |name: &str, value: &str| verdict.attributes.push((format!("tracejury:{name}"), value.to_owned()));
    tell("state", state);
    if !needs.is_empty() {
        tell("needs", &needs);
    }
    if let Some(from) = &rule.from {
        tell("from", from);
    }
    verdict
}

/// What a rule that holds would need to speak in the place of the one that does.
fn above(tried: &Tried<'_>, best: &Tried<'_>) -> String {
    let (rule, speaks) = (tried.rule, best.rule);
    if tried.place >= best.place {
        return format!("to stand before {}, which has the same place", speaks.id);
    }
    if rule.place() >= speaks.place() {
        return format!("to be found nearer to the root of the failure: {} is, which speaks", speaks.id);
    }
    match rule.rank.or(speaks.rank) {
        Some(_) => format!("a rank above {}, which {} has where it was found", best.place, speaks.id),
        None => format!("a confidence above {}, which {} has", speaks.confidence, speaks.id),
    }
}

/// What a rule that does not hold lacks.
fn lacks(texts: &[Text<'_>], tried: &Tried<'_>) -> String {
    let rule = tried.rule;
    if !texts.iter().any(|text| lens(rule, text.field).is_some()) {
        return format!("a text in {}; there is none, or it is not granted", fields(&rule.fields));
    }
    let found = |range: std::ops::Range<usize>| range.map(|i| tried.found.get(i).copied().flatten());
    let (all, none) = (rule.any.len(), rule.any.len() + rule.all.len());
    let mut needs = Vec::new();
    if !rule.any.is_empty() && found(0..all).flatten().next().is_none() {
        let patterns: Vec<_> = rule.any.iter().take(PATTERNS).map(|pattern| format!("`{}`", cut(&pattern.it))).collect();
        let more = match rule.any.len().saturating_sub(PATTERNS) {
            0 => String::new(),
            more => format!(" or one of {more} more"),
        };
        needs.push(format!("{}{more} in {}", patterns.join(" or "), fields(&rule.fields)));
    }
    for (pattern, _) in rule.all.iter().zip(found(all..none)).filter(|(_, hit)| hit.is_none()) {
        needs.push(format!("`{}` too", cut(&pattern.it)));
    }
    for (pattern, _) in rule.none.iter().zip(found(none..none + rule.none.len())).filter(|(_, hit)| hit.is_some()) {
        needs.push(format!("no `{}`", cut(&pattern.it)));
    }
    needs.join(", and ")
}

fn fields(fields: &[Field]) -> String {
    let name = |field: &Field| match field {
        Field::Message => "message",
        Field::Code => "code",
        Field::Stack => "stack",
        Field::Output => "output",
        Field::Input => "input",
        Field::Error => "error",
        Field::Quoted => "quoted",
        Field::Frames => "frames",
    };
    fields.iter().map(name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_each_rule_would_need_is_told() {
        let text = "schema = 1\nname = 'n'\nversion = '1.0.0'\nsummary = 's'\n".to_owned()
            + &[
                ("sure", 0.9, "any = ['boom']"),
                ("less", 0.8, "any = ['boom']"),
                ("same", 0.9, "any = ['boom']"),
                ("lacking", 0.5, "any = ['never', 'ever']"),
                ("many", 0.5, "any = ['n1', 'n2', 'n3', 'n4', 'n5']"),
                ("half", 0.5, "any = ['boom']\nall = ['bang']"),
                ("but", 0.5, "any = ['boom']\nnone = ['bo+m']"),
                ("blind", 0.5, "any = ['boom']\nin = ['output']"),
                ("said", 0.5, "any = ['bang']\nin = ['error']"),
            ]
            .map(|(id, sure, more)| format!("[[rule]]\nid = '{id}'\nclassification = 'X'\nconfidence = {sure}\nexplain = 'e'\n{more}\n"))
            .concat();
        let rules = Rules::from_settings(&text).unwrap();
        let fault = crate::Fault { message: "boom".into(), stack: None, code: None };
        let trace = Trace {
            session_id: "s".into(),
            action_id: "a".into(),
            environment: "test".into(),
            status: "FAILED".into(),
            error: Some(fault),
            failing_step: None,
            steps: Vec::new(),
            attributes: Vec::new(),
        };
        let verdicts = verdicts(&rules, &trace, &crate::view::texts(&trace));
        let told: Vec<_> = verdicts
            .iter()
            .map(|v| {
                let of = |name: &str| {
                    v.attributes.iter().find(|(n, _)| n.strip_prefix("tracejury:") == Some(name)).map_or("", |(_, value)| value)
                };
                format!("{} {}: {}", v.rule.as_deref().unwrap(), of("state"), of("needs"))
            })
            .collect();
        assert_eq!(
            told,
            [
                "sure speaks: ",
                "same beaten: to stand before sure, which has the same place",
                "less beaten: a confidence above 0.9, which sure has",
                "lacking silent: `never` or `ever` in message, code, stack",
                "many silent: `n1` or `n2` or `n3` or one of 2 more in message, code, stack",
                "half silent: `bang` too",
                "but silent: no `bo+m`",
                "blind silent: a text in output; there is none, or it is not granted",
                "said silent: `bang` in error",
            ]
        );
        let but = verdicts.iter().find(|v| v.rule.as_deref() == Some("but")).unwrap();
        assert_eq!(but.evidence.len(), 1, "what `none` found is no evidence: {:?}", but.evidence);
    }
}
