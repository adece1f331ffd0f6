//! A text made plainer before rules look at it, and the way back: where a match stands in the text as it was. It knows no rule.

use regex_syntax::hir::Hir;
use serde::Deserialize;
use std::borrow::Cow;

/// What is done to a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Normalise {
    /// Runs of white space become one space.
    whitespace: bool,
    /// Letters become small ones.
    case: bool,
    /// Typographic quotes and dashes become those of ASCII.
    quotes: bool,
    /// The escape sequences of terminals are left out.
    escapes: bool,
    /// What stands in a string of JSON or in XML is written as it is meant: `\"`, `\n`, `&lt;`.
    strings: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Step {
    Whitespace,
    Case,
    Quotes,
    Escapes,
    Strings,
}

impl<'de> Deserialize<'de> for Normalise {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let steps: Vec<Step> = Vec::deserialize(from)?;
        let has = |wanted: fn(&Step) -> bool| steps.iter().any(wanted);
        Ok(Self {
            whitespace: has(|s| matches!(s, Step::Whitespace)),
            case: has(|s| matches!(s, Step::Case)),
            quotes: has(|s| matches!(s, Step::Quotes)),
            escapes: has(|s| matches!(s, Step::Escapes)),
            strings: has(|s| matches!(s, Step::Strings)),
        })
    }
}

/// A text made plainer.
#[derive(Debug)]
pub struct Normal<'a> {
    /// What rules see.
    pub text: Cow<'a, str>,
    /// For each byte of it where in the original it comes from: the first byte, and behind the last; none where nothing was changed.
    places: Option<Vec<(usize, usize)>>,
}

impl Normalise {
    /// All that can be done to compare what people typed.
    pub const ALL: Self = Self { whitespace: true, case: true, quotes: true, escapes: true, strings: false };

    /// Whether all that it would change is found by [`is_plain`].
    fn leaves_plain_text(self) -> bool {
        !self.whitespace && !self.case
    }

    /// A pattern, to be looked for in texts that are changed like this: where letters become small, those of the pattern do too.
    ///
    /// # Errors
    /// It is no regular expression.
    #[allow(clippy::result_large_err)]
    pub fn parse(self, pattern: &str) -> Result<Hir, regex_syntax::Error> {
        regex_syntax::ParserBuilder::new().case_insensitive(self.case).build().parse(pattern)
    }

    /// The text as rules see it.
    #[must_use]
    pub fn apply<'a>(self, text: &'a str) -> Normal<'a> {
        if self == Self::default() || (self.leaves_plain_text() && is_plain(text)) {
            return Normal { text: Cow::Borrowed(text), places: None };
        }
        // In a text with paths of Windows `\n` may begin the name of a folder.
        let breaks = !has_drive(text);
        let mut normal = Builder { text: String::with_capacity(text.len()), places: Vec::with_capacity(text.len()) };
        let mut chars = text.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            let from = (at, at + c.len_utf8());
            if self.escapes && c == '\u{1b}' {
                skip_sequence(&mut chars);
            } else if let Some((meant, length)) = text.get(at..).filter(|_| self.strings).and_then(|rest| meant(rest, breaks)) {
                normal.push(meant, (at, at + length));
                while chars.next_if(|(next, _)| *next < at + length).is_some() {}
            } else if self.whitespace && c.is_whitespace() {
                // Also where an escape sequence stood in between.
                match normal.places.last_mut().filter(|_| normal.text.ends_with(' ')) {
                    Some((_, end)) => *end = from.1,
                    None => normal.push(' ', from),
                }
            } else if let Some(plain) = plain(c).filter(|_| self.quotes) {
                plain.chars().for_each(|c| normal.push(c, from));
            } else if self.case {
                c.to_lowercase().for_each(|c| normal.push(c, from));
            } else {
                normal.push(c, from);
            }
        }
        Normal { text: Cow::Owned(normal.text), places: Some(normal.places) }
    }
}

struct Builder {
    text: String,
    places: Vec<(usize, usize)>,
}

impl Builder {
    fn push(&mut self, c: char, from: (usize, usize)) {
        self.text.push(c);
        self.places.resize(self.text.len(), from);
    }
}

/// The rest of an escape sequence (ECMA-48: `ESC [`, parameters, one final byte; else one byte).
fn skip_sequence(chars: &mut std::iter::Peekable<std::str::CharIndices<'_>>) {
    if chars.next_if(|(_, c)| *c == '[').is_none() {
        chars.next();
        return;
    }
    while chars.next_if(|(_, c)| matches!(c, ' '..='?')).is_some() {}
    chars.next_if(|(_, c)| matches!(c, '@'..='~'));
}

/// How deep strings stand in strings, at the most: each level doubles the backslashes.
const MOST_SLASHES: usize = 15;

/// Whether a text holds a path of Windows, such as `C:\\a`.
pub(crate) fn has_drive(text: &str) -> bool {
    let bytes = text.as_bytes();
    let letter = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_alphabetic);
    let drive = |(at, _): (usize, &str)| {
        let before = at.checked_sub(2).is_none_or(|before| bytes.get(before).is_none_or(|b| !b.is_ascii_alphanumeric()));
        at.checked_sub(1).is_some_and(letter) && before && bytes.get(at + 2).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'\\')
    };
    text.match_indices(":\\").any(drive)
}

/// Whether a text holds no mark, no escape sequence and no character that is written otherwise than it is meant: most do not.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii() && !matches!(b, 0x1b | b'\\' | b'&'))
}

/// What the beginning of a text means in a string of JSON (RFC 8259, 7), where that may itself stand in one; or in XML (4.6). And how
/// long it is.
fn meant(text: &str, breaks: bool) -> Option<(char, usize)> {
    const ENTITIES: [(&str, char); 6] = [("&quot;", '"'), ("&#39;", '\''), ("&apos;", '\''), ("&lt;", '<'), ("&gt;", '>'), ("&amp;", '&')];
    const UNICODE: [(&str, char); 4] = [("u003c", '<'), ("u003e", '>'), ("u0027", '\''), ("u0022", '"')];
    if text.starts_with('&') {
        return ENTITIES.iter().find(|(entity, _)| text.starts_with(entity)).map(|(entity, c)| (*c, entity.len()));
    }
    let slashes = text.bytes().take(MOST_SLASHES).take_while(|byte| *byte == b'\\').count();
    let escaped = text.get(slashes..)?;
    let c = match escaped.bytes().next().filter(|_| slashes > 0)? {
        b'n' if breaks => '\n',
        b'r' if breaks => '\r',
        b't' if breaks => '\t',
        b'"' => '"',
        b'\'' => '\'',
        b'/' => '/',
        b'u' => {
            let known = |(code, _): &&(&str, char)| escaped.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(code));
            return UNICODE.iter().find(known).map(|(code, c)| (*c, slashes + code.len()));
        }
        _ => return None,
    };
    Some((c, slashes + 1))
}

/// What a typographic mark stands for.
fn plain(c: char) -> Option<&'static str> {
    match c {
        '\u{2018}' | '\u{2019}' | '\u{201a}' | '\u{201b}' | '\u{2032}' | '\u{2039}' | '\u{203a}' | '\u{b4}' => Some("'"),
        '\u{201c}' | '\u{201d}' | '\u{201e}' | '\u{201f}' | '\u{2033}' | '\u{ab}' | '\u{bb}' => Some("\""),
        '\u{2010}'..='\u{2015}' | '\u{2212}' => Some("-"),
        '\u{2026}' => Some("..."),
        _ => None,
    }
}

impl Normal<'_> {
    /// Where a stretch of the plainer text stands in the original.
    #[must_use]
    pub fn origin(&self, start: usize, end: usize) -> (usize, usize) {
        let Some(places) = &self.places else { return (start, end) };
        let end_of = |at: usize| at.checked_sub(1).and_then(|last| places.get(last)).map_or(0, |(_, to)| *to);
        match places.get(start) {
            Some((from, _)) if start < end => (*from, end_of(end)),
            Some((from, _)) => (*from, *from),
            None => (end_of(places.len()), end_of(places.len())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: Normalise = Normalise::ALL;

    #[test]
    fn a_text_is_made_plainer_and_found_again() {
        let text = "\u{1b}[31;1mCan\u{2019}t\u{1b}[0m  reach\n\t HOST\u{2026} now";
        let normal = ALL.apply(text);
        assert_eq!(normal.text, "can't reach host... now");
        let origin = |part: &str| {
            let at = normal.text.find(part).unwrap();
            let (start, end) = normal.origin(at, at + part.len());
            &text[start..end]
        };
        assert_eq!(origin("can't"), "Can\u{2019}t");
        assert_eq!(origin("reach host"), "reach\n\t HOST");
        assert_eq!(origin(".."), "\u{2026}");
        assert_eq!(origin("now"), "now");
        assert_eq!(ALL.apply("can't \u{1b}[0m reach").text, "can't reach");
    }

    #[test]
    fn strings_are_read_as_they_are_meant() {
        let strings = Normalise { strings: true, ..Normalise::default() };
        let text = r#"{\"a\":\\\"b\\\" \\n cx &lt;p&gt; \u003Cq"#;
        let normal = strings.apply(text);
        assert_eq!(normal.text, "{\"a\":\"b\" \n cx <p> <q");
        let at = normal.text.find("b\"").unwrap();
        let (start, end) = normal.origin(at, at + 2);
        assert_eq!(&text[start..end], r#"b\\\""#);
        assert!(matches!(strings.apply("plain \" text").text, Cow::Borrowed(_)));
        assert_eq!(strings.apply(r#"in C:\svc\net\a.cs said \"no\""#).text, r#"in C:\svc\net\a.cs said "no""#);
    }

    #[test]
    fn nothing_asked_for_is_nothing_done() {
        let normal = Normalise::default().apply("A  B");
        assert_eq!((&*normal.text, normal.origin(1, 3)), ("A  B", (1, 3)));
        assert!(matches!(normal.text, Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn every_origin_is_a_part_of_the_text(text in "(\\PC|[\\x1b\\[ \u{2019}mİ]|\\x1b\\[0m){0,30}", a in 0_usize..60, b in 0_usize..60) {
            let normal = ALL.apply(&text);
            let boundary = |at: usize| (0..=at.min(normal.text.len())).rev().find(|at| normal.text.is_char_boundary(*at)).unwrap();
            let (start, end) = (boundary(a.min(b)), boundary(a.max(b)));
            let (from, to) = normal.origin(start, end);
            prop_assert!(text.get(from..to).is_some(), "{from}..{to} of {text:?}");
        }

        #[test]
        fn what_is_plain_stays_plain(text in "\\PC{0,30}") {
            let once = ALL.apply(&text).text.into_owned();
            // A capital that becomes two characters may leave one that is no small letter.
            prop_assert_eq!(&ALL.apply(&once).text, &once);
        }
    }
}
