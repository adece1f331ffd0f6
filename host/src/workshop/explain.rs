//! Why a plugin says of a trace what it says: which rules were tried, what matched where, and what each would need to be the one that
//! counts.

use super::trial::{RuleHeard, State, Trial};
use crate::model::{Excerpt, Trace, Verdict};
use crate::redact::Redactor;

/// How much of a matched text is shown, in characters.
const SHOWN: usize = 60;

/// One rule, or one verdict of a plugin without rules, as cells: name, state, confidence, what it says, what matched, what it needs.
pub type Row = [String; 6];

/// The plugin's answer in one line, and a row for each rule that found anything; for each rule at all, where `every` is asked for.
#[must_use]
pub fn explain(trial: &Trial, trace: &Trace, every: Every, redactor: &Redactor) -> (String, Vec<Row>) {
    let heard = trial.hear(trace);
    let answer = match &heard.answer {
        Ok(Some(verdict)) => format!("{}: {}", super::cases::short(verdict), redactor.mask(&verdict.explanation).0),
        Ok(None) => "no verdict".to_owned(),
        Err(why) => format!("no verdict: {why}"),
    };
    if heard.rules.is_empty() {
        return (answer, heard.answer.ok().flatten().iter().map(|verdict| of_verdict(verdict, trace, redactor)).collect());
    }
    let shown = |rule: &&RuleHeard| matches!(every, Every::Rule) || rule.state != State::Silent || !rule.verdict.evidence.is_empty();
    let mut rules: Vec<_> = heard.rules.iter().filter(shown).collect();
    rules.sort_by_key(|rule| place(rule.state));
    (answer, rules.into_iter().map(|rule| of_rule(rule, trace, redactor)).collect())
}

/// Who speaks comes first, then who was beaten; each part in the order of the rules.
fn place(state: State) -> u8 {
    match state {
        State::Speaks => 0,
        State::Beaten => 1,
        State::Silent => 2,
    }
}

/// Which rules are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Every {
    /// All of them.
    Rule,
    /// Those with a pattern that matched something.
    RuleThatFound,
}

fn of_rule(rule: &RuleHeard, trace: &Trace, redactor: &Redactor) -> Row {
    let name = rule.from.as_ref().map_or_else(|| rule.id.clone(), |from| format!("{} ({from})", rule.id));
    let mut row = of_verdict(&rule.verdict, trace, redactor);
    row[0] = name;
    rule.state.as_str().clone_into(&mut row[1]);
    row[5].clone_from(&rule.needs);
    row
}

fn of_verdict(verdict: &Verdict, trace: &Trace, redactor: &Redactor) -> Row {
    let says = match &verdict.reason {
        Some(reason) => format!("{} ({reason})", verdict.classification),
        None => verdict.classification.to_string(),
    };
    [
        verdict.rule.clone().unwrap_or_else(|| "–".to_owned()),
        "speaks".to_owned(),
        format!("{:.2}", verdict.confidence.get()),
        says,
        verdict.evidence.iter().map(|excerpt| quoted(excerpt, trace, redactor)).collect::<Vec<_>>().join("; "),
        String::new(),
    ]
}

/// A matched text with its place.
fn quoted(excerpt: &Excerpt, trace: &Trace, redactor: &Redactor) -> String {
    let whole = trace.text_at(&excerpt.location).unwrap_or_default();
    let text = redactor.excerpt(whole, excerpt.start as usize..excerpt.end as usize);
    let short: String = text.chars().take(SHOWN).collect();
    let more = if short.len() < text.len() { "…" } else { "" };
    format!("{}[{}..{}] “{short}{more}”", excerpt.location, excerpt.start, excerpt.end)
}
