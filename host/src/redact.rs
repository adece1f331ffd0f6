//! What may leave the machine: values of the input, and what looks like personal data or a secret, are masked wherever they occur in a
//! text; inputs are known by their hashes. Pure: no I/O.

mod detect;
mod values;

pub use detect::Rules;

use crate::config::{Grants, Read};
use crate::model::{Fault, InputHasher, Outcome, SessionId, Step, Trace};
use serde_json::{Map, Value};
use std::collections::HashSet;
use std::ops::Range;
use tracejury_regex::normal::Normalise;
use values::Values;

/// What is done for privacy, by the settings.
#[derive(Debug, Default)]
pub struct Privacy {
    /// What is masked beside the input's values.
    pub rules: Rules,
    /// Hashes inputs.
    pub hasher: InputHasher,
}

/// What stands in place of what must not leave.
pub const MASK: &str = "[masked]";

/// How many characters of a value make a piece that must not be shown.
const PIECE: usize = 4;
/// How much of an evidence's text is shown, in characters.
const EXCERPT_CHARS: usize = 200;
/// How much of a problem's text is shown, in characters.
const PROBLEM_CHARS: usize = 300;
/// How much of what differs from what was expected is shown, in characters.
const MISMATCH_CHARS: usize = 500;

/// What stands for the values of the input among those who found something to mask.
const INPUT: &str = "input";

/// A text with what the built-in rules find masked: for lines of which nobody knows whose they are.
#[must_use]
pub fn rules_only(text: &str) -> String {
    Redactor::new(&Map::new(), Rules::built_in()).mask(text).0
}

/// Masks the values of one input, and what the rules find.
#[derive(Debug)]
pub struct Redactor<'r> {
    values: Values,
    rules: &'r Rules,
}

/// A stretch of text to be masked, and who found it.
type Hit<'r> = (Range<usize>, &'r str);

impl<'r> Redactor<'r> {
    /// A redactor for an input.
    #[must_use]
    pub fn new(input: &Map<String, Value>, rules: &'r Rules) -> Self {
        Self { values: Values::of(input), rules }
    }

    /// Masks every text of an outcome, then searches all that leaves once more, ids and names too, and writes down what it did
    /// and found. Evidence has been cut and masked by [`Redactor::excerpt`] before.
    pub fn outcome(&self, outcome: &mut Outcome) {
        // What was masked in evidence was counted when it was cut.
        let mut masked = std::mem::take(&mut outcome.masked);
        for text in texts(outcome) {
            let hits = self.hits(text);
            if !hits.is_empty() {
                hits.iter().for_each(|(_, name)| *masked.entry((*name).to_owned()).or_default() += 1);
                *text = with_masks(text, 0..text.len(), &hits);
            }
        }
        outcome.masked = masked;
        outcome.rule_set = self.rules.set().to_owned();
        if let Some(problem) = &mut outcome.problem {
            problem.text = problem.text.chars().take(PROBLEM_CHARS).collect();
        }
        for mismatch in &mut outcome.mismatch {
            if let Some((end, _)) = mismatch.char_indices().nth(MISMATCH_CHARS) {
                mismatch.truncate(end);
                mismatch.push('…');
            }
        }
        for verdict in &mut outcome.verdicts {
            let attributes = std::mem::take(&mut verdict.attributes).into_iter();
            verdict.attributes = attributes.map(|(name, value)| (if self.finds(&name) { MASK.to_owned() } else { name }, value)).collect();
        }
        let ids =
            [outcome.session_id.as_ref().map(ToString::to_string), Some(outcome.action_id.to_string()), outcome.failing_step_id.clone()];
        let in_ids = ids.iter().flatten().any(|id| self.in_id(id));
        // Names a plugin made up must stay as they are, but what is in them is looked at.
        let names = outcome.verdicts.iter().flat_map(|v| {
            let told = v.attributes.keys().map(String::as_str);
            [Some(v.classification.as_str()), v.reason.as_deref()].into_iter().flatten().chain(told)
        });
        let in_names = names.into_iter().any(|name| self.finds(name));
        outcome.input_remains = in_ids || in_names || texts(outcome).any(|text| self.finds(text));
    }

    /// The text with what must not leave masked, and how many stretches there were.
    #[must_use]
    pub fn mask(&self, text: &str) -> (String, usize) {
        let hits = self.hits(text);
        (with_masks(text, 0..text.len(), &hits), hits.len())
    }

    /// A part of a text, at most some 200 characters, masked by what the whole text shows: where the part cuts a value in two,
    /// what is left of it is masked as well.
    #[must_use]
    pub fn excerpt(&self, text: &str, part: Range<usize>) -> String {
        with_masks(text, part, &self.hits(text)).chars().take(EXCERPT_CHARS).collect()
    }

    /// Who finds something to be masked in a part of a text, each time.
    #[must_use]
    pub fn found(&self, text: &str, part: &Range<usize>) -> Vec<String> {
        let reaches = |(hit, _): &Hit<'_>| hit.start < part.end && part.start < hit.end;
        self.hits(text).into_iter().filter(reaches).map(|(_, name)| name.to_owned()).collect()
    }

    /// The trace as it may be kept: masked, and of inputs, outputs and timestamps with no more than this.
    #[must_use]
    pub fn trace(&self, trace: &Trace, kept: &Grants) -> Trace {
        let mask = |text: &String| self.mask(text).0;
        let fault = |f: &Fault| Fault { message: mask(&f.message), stack: f.stack.as_ref().map(mask), code: f.code.as_ref().map(mask) };
        let step = |step: &Step| Step {
            id: mask(&step.id),
            name: step.name.as_ref().map(mask),
            error: step.error.as_ref().map(fault),
            input: step.input.as_ref().filter(|_| kept.contains(&Read::Input)).map(mask),
            output: step.output.as_ref().filter(|_| kept.contains(&Read::Output)).map(mask),
            timestamp: step.timestamp.as_ref().filter(|_| kept.contains(&Read::Timestamp)).map(mask),
        };
        let session = if self.in_id(trace.session.as_str()) { SessionId::made_up() } else { trace.session.clone() };
        Trace {
            session,
            action: trace.action,
            environment: trace.environment,
            status: trace.status.clone(),
            error: trace.error.as_ref().map(fault),
            steps: trace.steps.iter().map(step).collect(),
            result: None,
        }
    }

    /// Input values that a part of a text touches, as they stand there.
    #[must_use]
    pub fn touched(&self, text: &str, part: Range<usize>) -> Vec<String> {
        let reaches = |(hit, _): &Hit<'_>| hit.start < part.end && part.start < hit.end;
        self.hits(text).into_iter().filter(reaches).filter_map(|(hit, _)| text.get(hit).map(str::to_owned)).collect()
    }

    /// The text with every piece of these values masked, also where it is written in other letters: what a classifier says may be
    /// made of a part of what it saw, and of a plainer form of it. Without values it is as it was; whole values are left to
    /// [`Redactor::outcome`] then.
    #[must_use]
    pub fn without_pieces(&self, text: String, values: &[String]) -> String {
        if values.is_empty() {
            return text;
        }
        let (mut text, _) = self.mask(&text);
        for value in values.iter().map(|value| Normalise::ALL.apply(value).text.into_owned()) {
            let plain = Normalise::ALL.apply(&text);
            let starts: Vec<usize> = value.char_indices().map(|(at, _)| at).chain([value.len()]).collect();
            let pieces: HashSet<&str> = starts.windows(PIECE + 1).filter_map(|w| value.get(*w.first()?..*w.last()?)).collect();
            let places: Vec<usize> = plain.text.char_indices().map(|(at, _)| at).chain([plain.text.len()]).collect();
            let mut hits: Vec<Hit<'_>> = Vec::new();
            for window in places.windows(PIECE + 1) {
                let (Some(start), Some(end)) = (window.first(), window.last()) else { continue };
                if plain.text.get(*start..*end).is_some_and(|piece| pieces.contains(piece)) {
                    let (start, end) = plain.origin(*start, *end);
                    match hits.last_mut().filter(|(last, _)| start <= last.end) {
                        Some((last, _)) => last.end = end,
                        None => hits.push((start..end, INPUT)),
                    }
                }
            }
            text = with_masks(&text, 0..text.len(), &hits);
        }
        text
    }

    /// Whether something to be masked occurs in `text`.
    #[must_use]
    pub fn finds(&self, text: &str) -> bool {
        !self.hits(text).is_empty()
    }

    fn in_id(&self, id: &str) -> bool {
        self.values.in_id(id) || self.rules.in_id(id)
    }

    /// What is to be masked, in order, without overlaps.
    fn hits<'a>(&'a self, text: &'a str) -> Vec<Hit<'a>> {
        let mut hits: Vec<Hit<'a>> = self.values.find(text).map(|hit| (hit, INPUT)).chain(self.rules.find(text)).collect();
        hits.sort_by_key(|(hit, _)| (hit.start, hit.end));
        hits.into_iter().fold(Vec::new(), |mut joined: Vec<Hit<'a>>, (hit, name)| {
            match joined.last_mut().filter(|(last, _)| hit.start < last.end) {
                Some((last, _)) => last.end = last.end.max(hit.end),
                None => joined.push((hit, name)),
            }
            joined
        })
    }
}

/// The `part` of a text, with a mask in place of each hit that reaches into it.
fn with_masks(text: &str, part: Range<usize>, hits: &[Hit<'_>]) -> String {
    let mut out = String::with_capacity(part.len());
    let mut from = part.start;
    for (hit, _) in hits.iter().filter(|(hit, _)| hit.start < part.end && part.start < hit.end) {
        out.push_str(text.get(from..hit.start.max(from)).unwrap_or_default());
        out.push_str(MASK);
        from = hit.end;
    }
    out.push_str(text.get(from..part.end.max(from)).unwrap_or_default());
    out
}

/// The texts of an outcome that someone outside wrote: the platform, the action or a classifier.
fn texts(outcome: &mut Outcome) -> impl Iterator<Item = &mut String> {
    let fault = outcome.fault.iter_mut().flat_map(|f| [Some(&mut f.message), f.stack.as_mut(), f.code.as_mut()].into_iter().flatten());
    let verdicts = outcome.verdicts.iter_mut().flat_map(|v| {
        let told = v.evidence.iter_mut().map(|e| &mut e.text).chain(v.attributes.values_mut());
        std::iter::once(&mut v.explanation).chain(v.rule.as_mut()).chain(told)
    });
    let problem = outcome.problem.iter_mut().map(|p| &mut p.text);
    let abstained = outcome.abstained.iter_mut().map(|a| &mut a.why);
    let steps = outcome.failing_step_name.as_mut().into_iter().chain(outcome.failing_step_timestamp.as_mut());
    let mismatch = outcome.mismatch.iter_mut();
    fault.chain(verdicts).chain(problem).chain(abstained).chain(steps).chain(mismatch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn redactor(json: &str) -> Redactor<'static> {
        Redactor::new(&serde_json::from_str(json).unwrap(), Rules::built_in())
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
    fn numbers_are_found_as_javascript_prints_them_but_not_inside_others() {
        let r = redactor(r#"{"a":84.0,"b":1e3,"c":150}"#);
        assert_eq!(r.mask("84 1000 150ms EUR150 1507 2150").0, "[masked] [masked] [masked]ms EUR[masked] 1507 2150");
    }

    #[test]
    fn no_value_hides_another() {
        let r = redactor(r#"{"country":"DE","mail":"eve@example.com"}"#);
        assert_eq!(r.mask("q=mail%3Deve%40example.com").0, "q=[masked]");
        assert_eq!(redactor(r#"{"a":"smith","b":"smithson@example.com"}"#).mask("smithson@example.com").0, MASK);
        assert_eq!(redactor(r#"{"a":"abcd","b":"cdef"}"#).mask("xabcdefx").0, "x[masked]x");
    }

    #[test]
    fn an_excerpt_shows_no_part_of_a_value() {
        let r = redactor(r#"{"campaign":"summer-sale"}"#);
        let text = "summer-sale is not defined";
        assert_eq!(r.excerpt(text, 7..text.len()), "[masked] is not defined");
        assert_eq!(r.excerpt(text, 0..6), MASK);
        assert_eq!(r.excerpt(text, 12..14), "is");
    }

    #[test]
    fn ids_are_searched_with_care() {
        let r = redactor(r#"{"quantity":1,"number":150,"id":"CUST-77"}"#);
        assert!(!r.in_id("step-1") && !r.in_id("5f150c7f-a150"));
        assert!(r.in_id("step-150") && r.in_id("step-for-cust-77x"));
    }

    proptest! {
        #[test]
        fn what_is_masked_is_not_found_again(value in "[a-z]{3,8}( [a-z]{1,4})?", before in "[A-Z ]{0,5}", after in "[.!? ]{0,3}") {
            let r = Redactor::new(&Map::from_iter([("k".to_owned(), Value::from(value.clone()))]), Rules::built_in());
            let (masked, _) = r.mask(&format!("{before}{value}{after}{value}"));
            prop_assert!(!r.finds(&masked) || MASK.contains(value.as_str()), "{}", masked);
        }

        #[test]
        fn no_part_makes_it_panic(text in "\\PC{0,20}", start in 0..30_usize, end in 0..30_usize) {
            let _ = redactor(r#"{"a":"é","b":"ab","c":12}"#).excerpt(&text, start..end);
        }
    }

    #[test]
    fn what_differs_is_cut_only_after_it_was_masked() {
        let rules = Rules::default().hiding(["hunter22-secret"].into_iter());
        for fill in MISMATCH_CHARS - 60..MISMATCH_CHARS + 10 {
            let mut outcome =
                Outcome::of("v".into(), "a1b2c3d4-e5f6-7890-abcd-ef1234567890".parse().unwrap(), crate::model::Environment::Test);
            outcome.mismatch = vec![format!("result /a: expected 1, got {}hunter22-secret and more", "x".repeat(fill))];
            Redactor::new(&Map::new(), &rules).outcome(&mut outcome);
            assert!(!outcome.mismatch[0].contains("hunter"), "{fill}");
            assert!(outcome.mismatch[0].chars().count() <= MISMATCH_CHARS + 1);
        }
    }
}
