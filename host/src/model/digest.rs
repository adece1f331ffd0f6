//! Digests: of files as they lie on disk, and of inputs in their canonical form.

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use std::fmt;

/// The SHA-256 of some bytes, shown as `sha256:` and 64 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The 64 hex digits alone.
    #[must_use]
    pub fn hex(&self) -> String {
        let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or_default();
        self.0.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What stands in for an input wherever the input must not go: SHA-256, as 64 hex digits, over its canonical JSON (RFC 8785).
/// The order in which an author wrote the keys makes no difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct InputHash(Digest);

impl InputHash {
    /// The hash of an input.
    #[must_use]
    pub fn of(input: &Map<String, Value>) -> Self {
        // A map of JSON values always has a canonical form: keys are strings and numbers are finite by construction.
        let canonical = serde_json_canonicalizer::to_vec(input).unwrap_or_default();
        Self(Digest::of(&canonical))
    }
}

impl fmt::Display for InputHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.hex())
    }
}

impl Serialize for InputHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn map(text: &str) -> Map<String, Value> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn the_original_vector_hashes_as_any_rfc_8785_library_says() {
        // printf '{"currency":"USD","customerId":"CUST-998877","orderAmount":150.75}' | sha256sum
        let sorted = "9bbb1b996ff8981af7010e7cfb5c32f8377c0b53bfbb0224fd1c9c8f49eec8d6";
        assert_eq!(InputHash::of(&map(r#"{"customerId":"CUST-998877","orderAmount":150.75,"currency":"USD"}"#)).to_string(), sorted);
        assert_eq!(InputHash::of(&map(r#"{ "orderAmount": 1.5075e2, "currency":"USD","customerId":"CUST-998877"}"#)).to_string(), sorted);
    }

    proptest! {
        #[test]
        fn the_order_of_keys_never_matters(entries in proptest::collection::btree_map("[a-zé]{1,6}", any::<i32>(), 0..8)) {
            let forward: Map<_, _> = entries.iter().map(|(k, v)| (k.clone(), Value::from(*v))).collect();
            let backward: Map<_, _> = entries.iter().rev().map(|(k, v)| (k.clone(), Value::from(*v))).collect();
            prop_assert_eq!(InputHash::of(&forward), InputHash::of(&backward));
        }
    }
}
