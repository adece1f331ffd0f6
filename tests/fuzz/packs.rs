//! Feeds texts to what reads rule packs and the settings of their engine: as they are, or as changes to the built-in pack. Whatever
//! they are, the answer is rules that hear a trace, or an error; the native engine runs here, so that a crash of it is seen.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use tracejury_regex::pack::{BUILT_IN, Field};
use tracejury_regex::rules::{Rules, Text};
use tracejury_regex::settings::Bundle;

/// What is fed.
#[derive(Debug, Arbitrary)]
enum Input<'a> {
    Text(&'a str),
    /// A rule with these patterns and these words, and a text for it.
    Rule { any: Vec<&'a str>, none: Vec<&'a str>, explain: &'a str, message: &'a str, normalise: bool },
    /// One stretch of the built-in pack is cut out, and another put in.
    Spliced { at: u16, cut: u8, put: &'a str },
}

impl Input<'_> {
    fn settings(&self) -> String {
        match self {
            Self::Text(text) => (*text).to_owned(),
            Self::Rule { any, none, explain, normalise, .. } => {
                let list = |patterns: &[&str]| serde_json::to_string(patterns).unwrap_or_default();
                let normalise = if *normalise { "'whitespace', 'case', 'quotes', 'escapes'" } else { "" };
                format!(
                    "schema = 1\nname = 'n'\nversion = '1'\nsummary = 's'\n[[rule]]\nid = 'a'\nclassification = 'X'\nconfidence = 0.5\n\
                     any = {}\nnone = {}\nexplain = {}\nnormalise = [{normalise}]\n",
                    list(any),
                    list(none),
                    list(&[explain]).trim_matches(['[', ']'])
                )
            }
            Self::Spliced { at, cut, put } => {
                let mut text = BUILT_IN.to_owned();
                let boundary = |at: usize| (0..=at.min(BUILT_IN.len())).rev().find(|at| BUILT_IN.is_char_boundary(*at)).unwrap_or_default();
                let at = usize::from(*at) % BUILT_IN.len();
                text.replace_range(boundary(at)..boundary(at + usize::from(*cut)), put);
                text
            }
        }
    }
}

fuzz_target!(|input: Input<'_>| {
    let settings = input.settings();
    // Compiling the whole built-in pack for each change of it would leave no time for changes.
    let Input::Rule { message, .. } = &input else { return drop(Bundle::of_settings(&settings).and_then(|bundle| bundle.checked())) };
    let Ok(rules) = Rules::from_settings(&settings) else { return };
    let texts = [Text { field: Field::Message, step: None, text: message }];
    let best = rules.best(&texts);
    for hit in best.iter().flat_map(|found| &found.hits) {
        assert!(message.get(hit.start..hit.end).is_some(), "evidence that does not exist");
    }
    let first = rules.tried(&texts).into_iter().find(|tried| tried.holds).map(|tried| tried.rule.id.clone());
    assert_eq!(first, best.map(|found| found.rule.id.clone()), "explained otherwise than judged");
});
