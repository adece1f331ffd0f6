//! What a text of an error quotes rather than says: addresses, statements, rows, values. Words in there are somebody's data, and must
//! not decide. It knows how software quotes, not what errors mean.

use std::ops::Range;

/// Words before a quoted text that make it data, in lower case.
const VALUES: [&str; 59] = [
    "value",
    "input",
    "got",
    "received",
    "entry",
    "string",
    "note",
    "notes",
    "comment",
    "comments",
    "subject",
    "name",
    "content",
    "memo",
    "label",
    "customer",
    "query",
    "prompt",
    "topic",
    "ticket",
    "summary",
    "argument",
    "field",
    "key",
    "path",
    "file",
    "url",
    "uri",
    "host",
    "user",
    "title",
    "text",
    "literal",
    "payload",
    "parameter",
    "data",
    "q",
    "username",
    "email",
    "id",
    "order",
    "product",
    "titled",
    "called",
    "near",
    "relation",
    "table",
    "column",
    "invoke",
    "because",
    "constraint",
    "says",
    "said",
    "wrote",
    "sees",
    "see",
    "transcript",
    "reply",
    "dice",
];
/// How stretches begin and end that are quoted as a whole; without an end up to the end of the text, or of the line where the end is a line's.
const STRETCHES: [(&str, &str); 24] = [
    ("http://", ""),
    ("https://", ""),
    ("wss://", ""),
    ("input_value=", ", input_type"),
    ("[SQL: ", "]\n"),
    ("(SQL: ", ""),
    ("[parameters: ", "]\n"),
    ("Failing row contains (", ")."),
    (")=(", ")"),
    ("<script", "</script>"),
    ("<style", "</style>"),
    ("User-Agent", "\n"),
    ("user-agent", "\n"),
    ("requestBody", "\n"),
    ("inputParameters", "\n"),
    ("\nLINE ", "\n"),
    ("\nCONTEXT: ", "\n"),
    ("\nSTATEMENT: ", "\n"),
    ("\nQUERY: ", "\n"),
    ("\nquery: ", "\n"),
    ("\n+ '", "\n"),
    ("\n- '", "\n"),
    ("for payload {", "\n"),
    ("last body: ", "\n"),
];
/// The longest text in quotation marks that is taken for one, in bytes.
const LONGEST: usize = 600;

/// Within so many bytes the end of a stretch is looked for.
const LONGEST_STRETCH: usize = 16 << 10;
/// How far before a quotation mark its word is looked for, in bytes.
const BEFORE: usize = 64;

/// The stretches that are quoted, one after the other.
#[must_use]
pub fn ranges(text: &str) -> Vec<Range<usize>> {
    let mut found: Vec<_> = STRETCHES.iter().flat_map(|(begin, end)| stretches(text, begin, end)).collect();
    let bytes = text.as_bytes();
    for (at, quote) in bytes.iter().enumerate().filter(|(_, b)| matches!(b, b'"' | b'\'' | b'`')) {
        let opens = at.checked_sub(1).and_then(|i| bytes.get(i)).is_none_or(|b| !b.is_ascii_alphanumeric() && *b != b'\\' && *b != b'.');
        if opens && VALUES.contains(&word_before(text, at).as_str()) {
            found.extend(closing(bytes, at, *quote).map(|end| at + 1..end));
        }
    }
    joined(found)
}

/// The same stretches in order, those that touch put together.
fn joined(mut found: Vec<Range<usize>>) -> Vec<Range<usize>> {
    found.sort_unstable_by_key(|range| (range.start, range.end));
    let mut joined: Vec<Range<usize>> = Vec::with_capacity(found.len());
    for range in found {
        match joined.last_mut().filter(|last| range.start <= last.end) {
            Some(last) => last.end = last.end.max(range.end),
            None => joined.push(range),
        }
    }
    joined
}

/// The stretches between two words: without the second to the end of the line.
fn stretches<'t>(text: &'t str, begin: &'t str, end: &'t str) -> impl Iterator<Item = Range<usize>> + 't {
    let mut from = 0;
    std::iter::from_fn(move || {
        let at = from + text.get(from..)?.find(begin)?;
        let inside = at + begin.len();
        let rest = text.get(inside..)?;
        let to_line = || rest.find('\n').unwrap_or(rest.len());
        let length = if begin.ends_with("://") {
            let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '<' | '>' | ')' | ']' | '}' | ',' | '|' | '\\');
            rest.find(ends).unwrap_or(rest.len())
        } else if end.is_empty() {
            to_line()
        } else {
            let most = (0..=LONGEST_STRETCH.min(rest.len())).rev().find(|at| rest.is_char_boundary(*at));
            rest.get(..most.unwrap_or_default()).and_then(|near| near.find(end)).unwrap_or_else(to_line)
        };
        // What begins within a stretch is part of it.
        from = inside + length;
        Some(at..from)
    })
}

/// Where a text in quotation marks ends: on the same line, before what is no part of a word.
fn closing(bytes: &[u8], open: usize, quote: u8) -> Option<usize> {
    let inside = bytes.iter().enumerate().skip(open + 1).take(LONGEST).take_while(|(_, b)| **b != b'\n');
    let ends = |i: usize| bytes.get(i + 1).is_none_or(|b| !b.is_ascii_alphanumeric());
    let mut escaped = false;
    for (i, b) in inside {
        if *b == quote && !escaped && ends(i) {
            return Some(i);
        }
        escaped = *b == b'\\' && !escaped;
    }
    None
}

/// The word before a quotation mark, in lower case: past an equals sign, a colon or a bracket, and out of its own quotation marks.
fn word_before(text: &str, at: usize) -> String {
    let from = (at.saturating_sub(BEFORE)..=at).find(|from| text.is_char_boundary(*from)).unwrap_or(at);
    let before = text.get(from..at).unwrap_or_default();
    let before = before.trim_end_matches([' ', '=', ':', '(', '[', '"', '\'', '`']);
    let word = before.len() - before.chars().rev().take_while(char::is_ascii_alphanumeric).count();
    before.get(word..).unwrap_or_default().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quoted(text: &str) -> Vec<&str> {
        let mut found: Vec<_> = ranges(text).into_iter().map(|range| &text[range]).collect();
        found.sort_unstable();
        found
    }

    #[test]
    fn data_is_quoted() {
        for (text, expected) in [
            ("GET https://h/timeout?e=refused failed", vec!["https://h/timeout?e=refused"]),
            ("value 'connection refused' is not one of [a]", vec!["connection refused"]),
            ("got \"HTTP 503\", wanted a date", vec!["HTTP 503"]),
            ("Duplicate entry 'timed out' for key 'orders.note'", vec!["orders.note", "timed out"]),
            ("{\"note\": \"it's refused\"}", vec!["it's refused"]),
            ("[type=x, input_value='Request timed out', input_type=str]", vec!["input_value='Request timed out'"]),
            ("Key (note)=(timed out) already exists", vec![")=(timed out"]),
            ("<script>throw TypeError</script>x", vec!["<script>throw TypeError"]),
        ] {
            assert_eq!(quoted(text), expected, "{text}");
        }
    }

    #[test]
    fn what_an_error_says_of_itself_is_not() {
        for text in [
            "{\"message\": \"Connection refused\"}",
            "OperationalError('database is locked')",
            "Unexpected token '<'",
            "it's refused, isn't it",
        ] {
            assert_eq!(quoted(text), [""; 0], "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(\\PC|\n|value|'|\"|http://|=|:|\\\\|\\)=\\(){0,40}") {
            for range in ranges(&text) {
                proptest::prop_assert!(text.get(range).is_some());
            }
        }
    }
}
