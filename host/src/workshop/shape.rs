//! The shape of an error's text: what stays when everything that differs from one failure to the next is taken out of it. Pure.

use crate::redact::MASK;

/// What a text is made of, as far as shapes go.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Piece {
    /// Words that make the shape.
    Words(String),
    /// A stretch that differs, by what it looks like.
    Varies(Kind),
}

/// What a stretch that differs looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// A number.
    Number,
    /// An id in hexadecimal digits, with or without hyphens.
    Id,
    /// Something in quotes.
    Quoted,
    /// What was masked.
    Masked,
    /// A URL, a host or a path.
    Address,
}

impl Kind {
    /// What stands for it in a shape.
    fn word(self) -> &'static str {
        match self {
            Self::Number => "⟨number⟩",
            Self::Id => "⟨id⟩",
            Self::Quoted => "⟨quoted⟩",
            Self::Masked => "⟨masked⟩",
            Self::Address => "⟨address⟩",
        }
    }

    /// What matches it.
    fn pattern(self) -> &'static str {
        match self {
            Self::Number => "[0-9][0-9.,]*",
            Self::Id => "[0-9a-fA-F-]+",
            Self::Quoted => r#"["'`].{0,160}?["'`]"#,
            Self::Masked => ".*?",
            Self::Address => r"\S+",
        }
    }
}

/// How much of a text makes its shape, in characters.
const LONGEST: usize = 160;

/// The shape of a text's first line.
pub(super) fn shape(text: &str) -> Vec<Piece> {
    let line = text.trim().lines().next().unwrap_or_default();
    // Cut between words: half a mask is no mask.
    let line = match line.char_indices().nth(LONGEST).and_then(|(end, _)| line.get(..end)) {
        Some(start) => start.rsplit_once(' ').map_or(start, |(whole, _)| whole),
        None => line,
    };
    let mut pieces: Vec<Piece> = Vec::new();
    let mut rest = line;
    while !rest.is_empty() {
        let (piece, length) = next(rest);
        match (piece, pieces.last_mut()) {
            (Piece::Words(more), Some(Piece::Words(words))) => words.push_str(&more),
            (piece, _) => pieces.push(piece),
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    pieces
}

/// The first piece of a text, and its length in bytes.
fn next(rest: &str) -> (Piece, usize) {
    let varies = |kind, length| (Piece::Varies(kind), length);
    if rest.starts_with(MASK) {
        return varies(Kind::Masked, MASK.len());
    }
    let first = rest.chars().next().unwrap_or_default();
    let quoted = matches!(first, '"' | '\'' | '`').then(|| rest.get(1..).and_then(|inner| inner.find(first))).flatten();
    if let Some(end) = quoted {
        return varies(Kind::Quoted, end + 2);
    }
    if !first.is_alphanumeric() {
        return (Piece::Words(first.to_string()), first.len_utf8());
    }
    let ends = |(at, c): &(usize, char)| match c {
        // Within a number it is part of it.
        ',' => !rest.get(at + 1..).is_some_and(|after| after.starts_with(|c: char| c.is_ascii_digit())),
        ';' | '(' | ')' | '"' | '\'' | '[' | ']' => true,
        c => c.is_whitespace(),
    };
    let end = rest.char_indices().find(ends).map_or(rest.len(), |(at, _)| at);
    let word = rest.get(..end).unwrap_or(rest).trim_end_matches(['.', ':', '!', '?']);
    let digits = word.chars().filter(char::is_ascii_digit).count();
    let hexadecimal = word.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    let kind = if word.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | ',')) {
        Some(Kind::Number)
    } else if word.contains("://") || word.contains('/') || (word.contains('.') && digits < word.len() && word.len() > 3) {
        Some(Kind::Address)
    } else if hexadecimal && word.len() >= 8 && digits > 0 {
        Some(Kind::Id)
    } else {
        None
    };
    match kind {
        Some(kind) => varies(kind, word.len()),
        // A number glued to a unit is still a number.
        None if first.is_ascii_digit() => varies(Kind::Number, word.find(|c: char| !c.is_ascii_digit()).unwrap_or(word.len())),
        None => {
            let length = word.find(|c: char| c.is_ascii_digit()).unwrap_or(word.len()).max(first.len_utf8());
            (Piece::Words(rest.get(..length).unwrap_or_default().to_owned()), length)
        }
    }
}

/// The shape for people.
pub(super) fn shown(pieces: &[Piece]) -> String {
    pieces.iter().map(|piece| if let Piece::Words(words) = piece { words.as_str() } else { word(piece) }).collect()
}

fn word(piece: &Piece) -> &'static str {
    if let Piece::Varies(kind) = piece { kind.word() } else { "" }
}

/// A regular expression that matches every text of the shape.
pub(super) fn pattern(pieces: &[Piece]) -> String {
    let part = |piece: &Piece| match piece {
        Piece::Words(words) => escape(words),
        Piece::Varies(kind) => kind.pattern().to_owned(),
    };
    pieces.iter().map(part).collect()
}

/// Words as a pattern that matches just them.
fn escape(words: &str) -> String {
    words.chars().flat_map(|c| [Some('\\').filter(|_| r"\.+*?()|[]{}^$#&-~".contains(c)), Some(c)]).flatten().collect()
}

/// The words of a shape as an id in kebab-case.
pub(super) fn id(pieces: &[Piece]) -> String {
    let words: String = pieces.iter().map(|piece| if let Piece::Words(words) = piece { words.as_str() } else { " " }).collect();
    let plain = words.to_lowercase();
    let parts = plain.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| part.len() > 2);
    let id = parts.take(4).collect::<Vec<_>>().join("-");
    let id: String = id.chars().take(48).collect();
    if id.is_empty() { "unnamed".to_owned() } else { id.trim_matches('-').to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn is(text: &str, wanted: &str) {
        assert_eq!(shown(&shape(text)), wanted);
    }

    #[test]
    fn what_differs_is_taken_out() {
        is("Order 4711 of 'Ann' failed after 30s", "Order ⟨number⟩ of ⟨quoted⟩ failed after ⟨number⟩s");
        is("no route to https://a.example.com/x?y=1: gave up", "no route to ⟨address⟩: gave up");
        is("tenant a1b2c3d4-e5f6-7890-abcd-ef1234567890 is frozen", "tenant ⟨id⟩ is frozen");
        is("refund for [masked] denied\nat x.js:1", "refund for ⟨masked⟩ denied");
        is("150.00 EUR of 1,000", "⟨number⟩ EUR of ⟨number⟩");
        is("", "");
        assert_eq!(id(&shape("Order 4711 of 'Ann' failed after 30s")), "order-failed-after");
        assert_eq!(id(&shape("42")), "unnamed");
    }

    proptest! {
        #[test]
        fn a_shape_matches_the_text_it_was_made_of(text in "(order|[0-9]{1,6}|'a b'|\"|https://x.y/z|\\(|\\)|\\.|[a-f0-9]{8,12}|[+*?^$]| |\\[masked\\]|über|é){0,12}") {
            let pieces = shape(&text);
            let line: String = text.trim().lines().next().unwrap_or_default().to_owned();
            let regex = regex::Regex::new(&pattern(&pieces)).unwrap();
            prop_assert!(regex.is_match(&line), "{:?} does not match {line:?}", pattern(&pieces));
        }

        #[test]
        fn texts_that_differ_in_numbers_have_one_shape(a in 0_u32..1_000_000, b in 0_u32..1_000_000) {
            prop_assert_eq!(shape(&format!("order {a} failed")), shape(&format!("order {b} failed")));
        }
    }
}
