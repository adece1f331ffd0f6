//! Texts from outside, made fit for a screen and a log.

/// A text without what could move a terminal's cursor, hide text or reverse its direction: control characters, zero-width
/// characters and direction marks become blanks.
#[must_use]
pub fn printable(text: &str) -> String {
    let unseen =
        |c: char| c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    text.chars().map(|c| if unseen(c) { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_and_direction_marks_are_blanks() {
        assert_eq!(printable("a\u{1b}[31mb\nc\u{9b}d\u{202e}e\u{200b}f"), "a [31mb c d e f");
        assert_eq!(printable("Zoë – 错误 ✓"), "Zoë – 错误 ✓");
    }
}
