//! How entries of the audit log are linked. Pure: no files, no clock.
//!
//! An entry is one line of JSON (format version 2) that begins with `{"version":2,"index":N,"previous":"P",` and ends with
//! `,"hash":"H"}`. `N` counts from 0 over all segments. `H` is SHA-256, as 64 hex digits, over the line's bytes before `,"hash":`, so the
//! version and the index are hashed too. `P` is the `H` of the entry before; 64 zeros in the first. Nothing need be brought into a canonical
//! form to check it: what is hashed is what stands there.

use crate::model::{from_hex, to_hex};
use sha2::{Digest as _, Sha256};

/// A SHA-256 hash.
pub(super) type Hash = [u8; 32];

const START: &str = "{\"version\":2,\"index\":";
const PREVIOUS: &str = ",\"previous\":\"";
const HASH: &str = ",\"hash\":\"";
const END: &str = "\"}";
/// `,"hash":"…"}`
const SEAL: usize = HASH.len() + 64 + END.len();

/// An entry as it stands in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    /// Its place among all entries.
    pub(super) index: u64,
    /// The hash of the one before.
    pub(super) previous: Hash,
    /// Its own hash; it has been checked.
    pub(super) hash: Hash,
    /// Its own fields, from the first field's name to the last one's value, without braces.
    pub(super) fields: &'a [u8],
}

/// Why a line is no entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Broken {
    #[error("is no entry of version 2")]
    NotAnEntry,
    #[error("was changed: its hash is another")]
    Changed,
}

/// An entry's line, without its end, and its hash. `fields` is what stands between the braces of a JSON object.
pub(super) fn seal(index: u64, previous: &Hash, fields: &str) -> (String, Hash) {
    let mut line = format!("{START}{index}{PREVIOUS}{}\",{fields}", to_hex(previous));
    let hash: Hash = Sha256::digest(line.as_bytes()).into();
    line.push_str(HASH);
    line.push_str(&to_hex(&hash));
    line.push_str(END);
    (line, hash)
}

/// Reads a line, without its end, and checks its hash.
pub(super) fn read(line: &[u8]) -> Result<Entry<'_>, Broken> {
    let (hashed, seal) = line.split_at_checked(line.len().saturating_sub(SEAL)).ok_or(Broken::NotAnEntry)?;
    let hash = seal.strip_prefix(HASH.as_bytes()).and_then(|rest| rest.strip_suffix(END.as_bytes()));
    let hash = hash.and_then(hex).ok_or(Broken::NotAnEntry)?;
    let rest = hashed.strip_prefix(START.as_bytes()).ok_or(Broken::NotAnEntry)?;
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    let (number, rest) = rest.split_at_checked(digits).ok_or(Broken::NotAnEntry)?;
    let index = std::str::from_utf8(number).ok().and_then(|n| n.parse().ok()).ok_or(Broken::NotAnEntry)?;
    let rest = rest.strip_prefix(PREVIOUS.as_bytes()).and_then(|rest| rest.split_at_checked(64)).ok_or(Broken::NotAnEntry)?;
    let previous = hex(rest.0).ok_or(Broken::NotAnEntry)?;
    let fields = rest.1.strip_prefix(b"\",").ok_or(Broken::NotAnEntry)?;
    if Hash::from(Sha256::digest(hashed)) != hash {
        return Err(Broken::Changed);
    }
    Ok(Entry { index, previous, hash, fields })
}

fn hex(text: &[u8]) -> Option<Hash> {
    std::str::from_utf8(text).ok().and_then(from_hex)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_entry_of_the_documented_form() {
        let (line, hash) = seal(0, &[0; 32], "\"kind\":\"x\"");
        // printf '{"version":2,"index":0,"previous":"%064d","kind":"x"' 0 | sha256sum
        assert_eq!(to_hex(&hash), "b3f4bd9293d0e692ab14720dd8344540e9cb23fcc9f6c9dad50661cf8a464f28");
        assert!(
            line.starts_with("{\"version\":2,\"index\":0,\"previous\":\"0000")
                && line.ends_with(&format!(",\"hash\":\"{}\"}}", to_hex(&hash)))
        );
        assert!(serde_json::from_str::<serde_json::Value>(&line).is_ok());
        assert_eq!(read(line.as_bytes()), Ok(Entry { index: 0, previous: [0; 32], hash, fields: b"\"kind\":\"x\"" }));
    }

    proptest! {
        #[test]
        fn any_changed_byte_is_noticed(index in any::<u64>(), text in "[a-z]{0,9}", at in any::<prop::sample::Index>(), by in 1_u8..) {
            let (line, _) = seal(index, &[7; 32], &format!("\"kind\":\"{text}\""));
            let mut bytes = line.into_bytes();
            prop_assert!(read(&bytes).is_ok());
            let at = at.index(bytes.len());
            bytes[at] ^= by;
            prop_assert!(read(&bytes).is_err());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }
    }
}
