//! What may leave the machine: values of the input are masked wherever they occur in a text. Pure: no I/O.

use crate::model::Outcome;
use aho_corasick::{AhoCorasick, MatchKind};
use serde_json::{Map, Value};

/// What stands in place of an input value.
pub const MASK: &str = "[masked]";

/// Values shorter than this are masked only where they stand alone: an input of `1` must not eat the digits of a port.
const SHORT: usize = 3;

/// Masks the values of one input.
#[derive(Debug)]
pub struct Redactor {
    values: Option<AhoCorasick>,
    short: Vec<bool>,
}

impl Redactor {
    /// A redactor for an input: its texts and numbers at any depth, also as they look escaped for JSON or a URL. Keys, booleans
    /// and null are names and states rather than data about someone, and stay.
    #[must_use]
    pub fn new(input: &Map<String, Value>) -> Self {
        let mut values = Vec::new();
        input.values().for_each(|value| collect(value, &mut values));
        values.sort();
        values.dedup();
        let short = values.iter().map(|v| v.len() < SHORT).collect();
        // The longest value wins, so that one value inside another leaves no remainder. Only an input of gigabytes cannot be
        // built into a matcher; then `mask` hides the whole text rather than let something through.
        let matcher = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).ascii_case_insensitive(true).build(&values);
        Self { values: matcher.ok(), short }
    }

    /// Masks every text of an outcome, then searches all that leaves once more, ids too, and writes down what it did and found.
    pub fn outcome(&self, outcome: &mut Outcome) {
        let mut masked = 0;
        for text in texts(outcome) {
            let (clean, count) = self.mask(text);
            masked += count;
            *text = clean;
        }
        outcome.masked = masked;
        let ids =
            [outcome.session_id.as_ref().map(ToString::to_string), Some(outcome.action_id.to_string()), outcome.failing_step_id.clone()];
        outcome.input_remains = ids.iter().flatten().any(|id| self.finds(id)) || texts(outcome).any(|text| self.finds(text));
    }

    /// The text with input values masked, and how many there were.
    #[must_use]
    pub fn mask(&self, text: &str) -> (String, usize) {
        let Some(values) = &self.values else { return (MASK.to_owned(), 1) };
        let mut masked = String::with_capacity(text.len());
        let (mut end, mut count) = (0, 0);
        for found in values.find_iter(text).filter(|m| self.counts(text, m)) {
            masked.push_str(text.get(end..found.start()).unwrap_or_default());
            masked.push_str(MASK);
            (end, count) = (found.end(), count + 1);
        }
        masked.push_str(text.get(end..).unwrap_or_default());
        (masked, count)
    }

    /// Whether an input value occurs in `text`.
    #[must_use]
    pub fn finds(&self, text: &str) -> bool {
        self.values.as_ref().is_none_or(|values| values.find_iter(text).any(|m| self.counts(text, &m)))
    }

    fn counts(&self, text: &str, found: &aho_corasick::Match) -> bool {
        let joins = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let alone = || {
            !joins(text.get(..found.start()).and_then(|t| t.chars().next_back()))
                && !joins(text.get(found.end()..).and_then(|t| t.chars().next()))
        };
        !self.short.get(found.pattern().as_usize()).copied().unwrap_or(false) || alone()
    }
}

/// The texts of an outcome that someone outside wrote: the platform, the action or a classifier.
fn texts(outcome: &mut Outcome) -> impl Iterator<Item = &mut String> {
    let fault = outcome.fault.iter_mut().flat_map(|f| [Some(&mut f.message), f.stack.as_mut(), f.code.as_mut()].into_iter().flatten());
    let verdicts = outcome
        .verdicts
        .iter_mut()
        .flat_map(|v| std::iter::once(&mut v.explanation).chain(v.rule.as_mut()).chain(v.evidence.iter_mut().map(|e| &mut e.text)));
    let problem = outcome.problem.iter_mut().map(|p| &mut p.text);
    let abstained = outcome.abstained.iter_mut().map(|a| &mut a.why);
    let steps = outcome.failing_step_name.as_mut().into_iter().chain(outcome.failing_step_timestamp.as_mut());
    fault.chain(verdicts).chain(problem).chain(abstained).chain(steps)
}

fn collect(value: &Value, values: &mut Vec<String>) {
    match value {
        Value::Null | Value::Bool(_) => {}
        Value::Number(number) => values.push(number.to_string()),
        Value::String(text) => forms(text, values),
        Value::Array(items) => items.iter().for_each(|item| collect(item, values)),
        Value::Object(fields) => fields.values().for_each(|field| collect(field, values)),
    }
}

/// A text as it is, inside JSON, and inside a URL.
fn forms(text: &str, values: &mut Vec<String>) {
    let text = text.trim();
    if text.is_empty() {
        return;
    }
    values.push(text.to_owned());
    values.push(Value::from(text).to_string().trim_matches('"').to_owned());
    let percent = text.bytes().fold(String::new(), |mut out, b| {
        use std::fmt::Write as _;
        let _ = if b.is_ascii_alphanumeric() || b"-_.~".contains(&b) { write!(out, "{}", char::from(b)) } else { write!(out, "%{b:02X}") };
        out
    });
    values.push(percent.replace("%20", "+"));
    values.push(percent);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn redactor(json: &str) -> Redactor {
        Redactor::new(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn values_at_any_depth_are_masked_in_any_form() {
        let r = redactor(r#"{"id":"CUST-998877","amount":150.75,"who":{"mail":["eve+x@example.com"],"name":"Zoë \"Z\" Q"}}"#);
        assert_eq!(r.mask("no customer cust-998877 for 150.75").0, "no customer [masked] for [masked]");
        assert_eq!(r.mask("GET /u?m=eve%2Bx%40example.com"), ("GET /u?m=[masked]".into(), 1));
        assert_eq!(r.mask(r#"{"n":"Zoë \"Z\" Q"}"#).0, r#"{"n":"[masked]"}"#);
        assert_eq!(r.mask("nothing here"), ("nothing here".into(), 0));
    }

    #[test]
    fn short_values_are_masked_only_alone() {
        let r = redactor(r#"{"n":1,"country":"DE","flag":true,"empty":"","nothing":null}"#);
        assert_eq!(r.mask("item 1 of 10 at :8081, DELETE in DE, true").0, "item [masked] of 10 at :8081, DELETE in [masked], true");
    }

    #[test]
    fn a_value_inside_another_leaves_no_remainder() {
        assert_eq!(redactor(r#"{"a":"smith","b":"smithson@example.com"}"#).mask("smithson@example.com").0, MASK);
    }

    proptest! {
        #[test]
        fn what_is_masked_is_not_found_again(value in "[a-z]{3,8}( [a-z]{1,4})?", before in "[A-Z ]{0,5}", after in "[.!? ]{0,3}") {
            let r = Redactor::new(&Map::from_iter([("k".to_owned(), Value::from(value.clone()))]));
            let (masked, _) = r.mask(&format!("{before}{value}{after}{value}"));
            prop_assert!(!r.finds(&masked) || MASK.contains(value.as_str()), "{}", masked);
        }
    }
}
