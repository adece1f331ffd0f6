//! The values of one input, found wherever they occur in a text, in the forms that programs write them. Pure.

use aho_corasick::{AhoCorasick, MatchKind};
use serde_json::{Map, Value};
use std::ops::Range;

/// Texts shorter than this are masked only where they stand alone: an input of `DE` must not eat the midst of a word. In ids
/// they are not looked for: `1` is in every other one.
const SHORT: usize = 3;

/// The values of an input.
#[derive(Debug)]
pub(super) struct Values {
    matcher: Matcher,
    values: Vec<(String, Manner)>,
}

/// What finds values.
#[derive(Debug)]
enum Matcher {
    /// There is no value to be found: most recorded traces come without their input.
    Nothing,
    /// Finds the values.
    Values(AhoCorasick),
    /// The values could not be built into a matcher: every text is hidden rather than let through.
    Everything,
}

/// Where a value counts as found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Manner {
    /// Anywhere.
    Within,
    /// Not inside a longer number: `150` is not in `1507`, but it is in `150ms`.
    Number,
    /// Only between characters that are no letters and no digits.
    Alone,
}

impl Values {
    /// The values of an input: its texts and numbers at any depth, also as they look escaped for JSON or a URL, and as JavaScript prints
    /// a number. Keys, booleans and null are names and states rather than data about someone, and stay.
    pub(super) fn of(input: &Map<String, Value>) -> Self {
        let mut values = Vec::new();
        input.values().for_each(|value| collect(value, &mut values));
        values.sort();
        values.dedup();
        // All matches are wanted, overlapping ones too: a value inside or across another must leave no remainder.
        let mut builder = AhoCorasick::builder();
        builder.match_kind(MatchKind::Standard).ascii_case_insensitive(true);
        let matcher = match values.is_empty() {
            true => Matcher::Nothing,
            // Only an input of gigabytes cannot be built.
            false => builder.build(values.iter().map(|(text, _)| text)).map_or(Matcher::Everything, Matcher::Values),
        };
        Self { matcher, values }
    }

    /// Where values stand in a text.
    pub(super) fn find<'a>(&'a self, text: &'a str) -> impl Iterator<Item = Range<usize>> + 'a {
        let everything = matches!(self.matcher, Matcher::Everything).then(|| 0..text.len());
        let counts = |(found, manner): &(Range<usize>, Manner)| match manner {
            Manner::Within => true,
            Manner::Number => is_alone(text, found, |c| c.is_ascii_digit()),
            Manner::Alone => is_alone(text, found, char::is_alphanumeric),
        };
        everything.into_iter().chain(self.matches(text).filter(move |hit| counts(hit)).map(|(found, _)| found))
    }

    /// In an id, digits by chance are the rule: a number counts only between hyphens and the like, and nothing short does.
    pub(super) fn in_id(&self, id: &str) -> bool {
        let alone = |found: &Range<usize>| is_alone(id, found, char::is_alphanumeric);
        self.matches(id).any(|(found, manner)| found.len() >= SHORT && (manner == Manner::Within || alone(&found)))
            || matches!(self.matcher, Matcher::Everything)
    }

    /// Where any value stands in `text`, whatever is around it; with the manner in which it would count.
    fn matches<'a>(&'a self, text: &'a str) -> impl Iterator<Item = (Range<usize>, Manner)> + 'a {
        let matcher = if let Matcher::Values(matcher) = &self.matcher { Some(matcher) } else { None };
        let found = matcher.into_iter().flat_map(move |matcher| matcher.find_overlapping_iter(text));
        found.filter_map(|m| Some((m.range(), self.values.get(m.pattern().as_usize())?.1)))
    }
}

/// Whether no character that `joins` stands right before or after a stretch of text.
fn is_alone(text: &str, hit: &Range<usize>, joins: impl Fn(char) -> bool) -> bool {
    let before = text.get(..hit.start).and_then(|t| t.chars().next_back());
    let after = text.get(hit.end..).and_then(|t| t.chars().next());
    !before.into_iter().chain(after).any(joins)
}

fn collect(value: &Value, values: &mut Vec<(String, Manner)>) {
    match value {
        Value::Null | Value::Bool(_) => {}
        Value::Number(number) => {
            // As it is written in the file, and as JavaScript prints it, which RFC 8785 takes over: `84.0` as `84`.
            let canonical = serde_json_canonicalizer::to_string(value).unwrap_or_default();
            for text in [number.to_string(), canonical].into_iter().filter(|text| !text.is_empty()) {
                let manner = if text.len() < SHORT { Manner::Alone } else { Manner::Number };
                values.push((text, manner));
            }
        }
        Value::String(text) => {
            let digits = text.trim().bytes().all(|b| b.is_ascii_digit());
            let manner = match text.trim().chars().count() {
                ..=SHORT if !digits => Manner::Alone,
                ..SHORT => Manner::Alone,
                _ if digits => Manner::Number,
                _ => Manner::Within,
            };
            values.extend(forms(text.trim()).into_iter().map(|form| (form, manner)));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, values)),
        Value::Object(fields) => fields.values().for_each(|field| collect(field, values)),
    }
}

/// A text as it is, inside JSON, and inside a URL.
fn forms(text: &str) -> Vec<String> {
    if text.is_empty() {
        return Vec::new();
    }
    let json = Value::from(text).to_string();
    let json = json.get(1..json.len() - 1).unwrap_or_default().to_owned();
    let percent = text.bytes().fold(String::new(), |mut out, b| {
        use std::fmt::Write as _;
        let _ = if b.is_ascii_alphanumeric() || b"-_.~".contains(&b) { write!(out, "{}", char::from(b)) } else { write!(out, "%{b:02X}") };
        out
    });
    // JavaScript's encodeURIComponent leaves these as they are.
    let component = ["%21!", "%27'", "%28(", "%29)", "%2A*"].iter().fold(percent.clone(), |out, pair| out.replace(&pair[..3], &pair[3..]));
    let ascii: String = json.chars().flat_map(escaped).collect();
    let html = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;");
    let again = Value::from(json.as_str()).to_string();
    let again = again.get(1..again.len() - 1).unwrap_or_default().to_owned();
    let plus = percent.replace("%20", "+");
    let mut forms = vec![text.to_owned(), text.to_uppercase(), text.to_lowercase(), json, again, ascii, html, plus, component, percent];
    forms.sort_unstable();
    forms.dedup();
    forms
}

/// A character as JSON of ASCII alone has it.
fn escaped(c: char) -> Vec<char> {
    if c.is_ascii() {
        return vec![c];
    }
    let mut units = [0; 2];
    c.encode_utf16(&mut units).iter().flat_map(|unit| format!("\\u{unit:04x}").chars().collect::<Vec<_>>()).collect()
}
