//! Digests: of files as they lie on disk, and of inputs in their canonical form.

use super::{Malformed, Secret};
use hmac::{Hmac, Mac as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::str::FromStr;

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
        to_hex(&self.0)
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

impl FromStr for Digest {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let wrong = Malformed("is not sha256: and 64 hex digits");
        let hex = text.strip_prefix("sha256:").ok_or(wrong.clone())?;
        from_hex(hex).map(Self).ok_or(wrong)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        super::ids::parsed(deserializer)
    }
}

/// 32 bytes as 64 hex digits in small letters.
#[must_use]
pub fn to_hex(bytes: &[u8; 32]) -> String {
    let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// 64 hex digits as 32 bytes.
#[must_use]
pub fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digit = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        _ => None,
    };
    let bytes: Vec<u8> = text
        .as_bytes()
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect::<Option<_>>()?;
    bytes.try_into().ok()
}

/// What stands in for an input wherever the input must not go, made by an [`InputHasher`]. The order in which an author wrote the
/// keys makes no difference.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct InputHash(String);

/// Hashes inputs over their canonical JSON (RFC 8785): by SHA-256, as 64 hex digits; or, with a key, by HMAC-SHA-256 (RFC 2104), as
/// `hmac-sha256:`, the key's id, `:` and 64 hex digits. Without a key whoever can guess an input can check the guess.
#[derive(Debug, Clone, Default)]
pub struct InputHasher(Option<Secret>);

/// The fewest characters of a key: what `init` makes has 64.
const MIN_KEY: usize = 32;

impl InputHasher {
    /// A hasher; without a key where it is empty.
    ///
    /// # Errors
    /// A key that is too short to be one.
    pub fn new(key: Secret) -> Result<Self, Malformed> {
        match key.expose().trim().len() {
            0 => Ok(Self(None)),
            1..MIN_KEY => Err(Malformed("is too short: a key has at least 32 characters; `tracejury init` makes one")),
            _ => Ok(Self(Some(Secret::new(key.expose().trim().to_owned())))),
        }
    }

    /// The key's id: the first 8 hex digits of its own MAC over a fixed text. None without a key.
    #[must_use]
    pub fn key_id(&self) -> Option<String> {
        self.mac(b"tracejury input key").map(|mac| to_hex(&mac).chars().take(8).collect())
    }

    /// The hash of an input.
    #[must_use]
    pub fn hash(&self, input: &Map<String, Value>) -> InputHash {
        // A map of JSON values always has a canonical form: keys are strings and numbers are finite by construction.
        let canonical = serde_json_canonicalizer::to_vec(input).unwrap_or_default();
        InputHash(match (self.key_id(), self.mac(&canonical)) {
            (Some(id), Some(mac)) => format!("hmac-sha256:{id}:{}", to_hex(&mac)),
            _ => Digest::of(&canonical).hex(),
        })
    }

    fn mac(&self, bytes: &[u8]) -> Option<[u8; 32]> {
        // A key of any length will do: RFC 2104 hashes or pads it.
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.as_ref()?.expose().as_bytes()).ok()?;
        mac.update(bytes);
        Some(mac.finalize().into_bytes().into())
    }
}

impl FromStr for InputHash {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let keyed = |rest: &str| {
            let id = |id: &str| id.len() == 8 && id.bytes().all(|b| b.is_ascii_hexdigit());
            rest.split_once(':').is_some_and(|(key, mac)| id(key) && from_hex(mac).is_some())
        };
        if from_hex(text).is_some() || text.strip_prefix("hmac-sha256:").is_some_and(keyed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Malformed("is no hash of an input"))
        }
    }
}

impl<'de> Deserialize<'de> for InputHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        super::ids::parsed(deserializer)
    }
}

impl fmt::Display for InputHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
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

    fn plain(input: &Map<String, Value>) -> String {
        InputHasher::default().hash(input).to_string()
    }

    #[test]
    fn with_a_key_it_is_an_hmac_with_the_keys_id() {
        let hasher = |key: &str| InputHasher::new(Secret::new(key.into()));
        let key = "0123456789abcdef0123456789abcdef";
        let input = map(r#"{"a":1}"#);
        // printf '{"a":1}' | openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef, and the same of `tracejury input key`
        let hash = hasher(key).unwrap().hash(&input);
        assert_eq!(hash.to_string(), "hmac-sha256:5b184b2a:f0546246da9e2349100c845a8561214788d75d900f3c086a72fcfa03bb1f42ab");
        assert_eq!(hash.to_string().parse(), Ok(hash));
        assert!(hasher("short").is_err() && hasher("").unwrap().key_id().is_none());
        assert_eq!(hasher(&format!("{key}\n")).unwrap().key_id(), hasher(key).unwrap().key_id(), "a file ends with a line's end");
    }

    #[test]
    fn digests_are_read_as_they_are_written() {
        let digest = Digest::of(b"x");
        assert_eq!(digest.to_string().parse(), Ok(digest));
        for bad in ["", "sha256:", "sha256:zz", &digest.hex(), "sha256:é"] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }

    fn map(text: &str) -> Map<String, Value> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn the_original_vector_hashes_as_any_rfc_8785_library_says() {
        // printf '{"currency":"USD","customerId":"CUST-998877","orderAmount":150.75}' | sha256sum
        let sorted = "9bbb1b996ff8981af7010e7cfb5c32f8377c0b53bfbb0224fd1c9c8f49eec8d6";
        assert_eq!(plain(&map(r#"{"customerId":"CUST-998877","orderAmount":150.75,"currency":"USD"}"#)), sorted);
        assert_eq!(plain(&map(r#"{ "orderAmount": 1.5075e2, "currency":"USD","customerId":"CUST-998877"}"#)), sorted);
    }

    proptest! {
        #[test]
        fn the_order_of_keys_never_matters(entries in proptest::collection::btree_map("[a-zé]{1,6}", any::<i32>(), 0..8)) {
            let forward: Map<_, _> = entries.iter().map(|(k, v)| (k.clone(), Value::from(*v))).collect();
            let backward: Map<_, _> = entries.iter().rev().map(|(k, v)| (k.clone(), Value::from(*v))).collect();
            prop_assert_eq!(plain(&forward), plain(&backward));
        }
    }
}
