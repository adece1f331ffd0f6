//! Bytes that should be text, and where they are none.

/// The text in `bytes`, or the line, from 1, on which the first byte stands that is not UTF-8.
pub fn utf8(bytes: &[u8]) -> Result<&str, usize> {
    std::str::from_utf8(bytes).map_err(|e| bytes.iter().take(e.valid_up_to()).filter(|byte| **byte == b'\n').count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_what_is_no_text_is_told() {
        assert_eq!(utf8("größer\n".as_bytes()), Ok("größer\n"));
        assert_eq!(utf8(b"\xff"), Err(1));
        assert_eq!(utf8(b"a\nb\nc\xff\n\xff"), Err(3));
    }
}
