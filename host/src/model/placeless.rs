//! What a parser of JSON or YAML says is wrong, without the place it puts at the end: where a text is part of a file the place is another.

/// The message up to ` at line …`.
#[must_use]
pub fn without_place(message: &str) -> &str {
    message.rfind(" at line ").and_then(|end| message.get(..end)).unwrap_or(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_cut_off() {
        let error = serde_json::from_str::<u8>("größer").unwrap_err().to_string();
        assert_eq!((without_place(&error), without_place("é at line")), ("expected value", "é at line"));
    }
}
