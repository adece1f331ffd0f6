//! Names of things on the platform, each with a parsing constructor, so that no unchecked text gets into a URL or a header.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// A text that is not what its type asks for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub &'static str);

/// The id of a Data Action: a UUID, written in lower case with hyphens; on some platforms with `custom_-_` before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ActionId {
    id: Uuid,
    custom: bool,
}

/// What Genesys Cloud writes before the UUID of an action that its customer made.
const CUSTOM: &str = "custom_-_";

impl FromStr for ActionId {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let (custom, digits) = text.strip_prefix(CUSTOM).map_or((false, text), |digits| (true, digits));
        // The uuid crate also reads braces, URNs and bare digits; the platform's paths take the hyphenated form only.
        match Uuid::try_parse(digits) {
            Ok(id) if digits.len() == 36 => Ok(Self { id, custom }),
            _ => Err(Malformed("is not a UUID such as a1b2c3d4-e5f6-7890-abcd-ef1234567890")),
        }
    }
}

impl Serialize for ActionId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ActionId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer)
    }
}

impl fmt::Display for ActionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.custom { CUSTOM } else { "" }, self.id)
    }
}

/// Reads a text by its parsing constructor.
pub(super) fn parsed<'de, T: FromStr, D: serde::Deserializer<'de>>(deserializer: D) -> Result<T, D::Error>
where
    T::Err: fmt::Display,
{
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

/// The platform's id of one execution: 1 to 128 letters, digits, `-`, `_`, `.`, `:`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct SessionId(String);

impl FromStr for SessionId {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':');
        // `.` and `..` would climb out of the path the id is put into.
        if (1..=128).contains(&text.len()) && text.bytes().all(plain) && text.bytes().any(|b| b != b'.') {
            Ok(Self(text.to_owned()))
        } else {
            Err(Malformed("is not a session id: 1 to 128 letters, digits, - _ . :"))
        }
    }
}

impl<'de> Deserialize<'de> for SessionId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer)
    }
}

/// The id of one run of ours: when it began (UTC), and four letters or digits by chance, such as `20261125-143015-x7k2`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct RunId(String);

impl RunId {
    /// An id for a run that begins now.
    #[must_use]
    pub fn new() -> Self {
        let chance: String = std::iter::repeat_with(fastrand::alphanumeric).take(4).map(|c| c.to_ascii_lowercase()).collect();
        Self(format!("{}-{chance}", chrono::Utc::now().format("%Y%m%d-%H%M%S")))
    }

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for RunId {
    fn default() -> Self {
        Self::new()
    }
}

impl FromStr for RunId {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let digits = |part: &str, length: usize| part.len() == length && part.bytes().all(|b| b.is_ascii_digit());
        let chance = |part: &str| part.len() == 4 && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        match text.split('-').collect::<Vec<_>>().as_slice() {
            [day, time, rest] if digits(day, 8) && digits(time, 6) && chance(rest) => Ok(Self(text.to_owned())),
            _ => Err(Malformed("is not the id of a run, such as 20261125-143015-x7k2; `tracejury runs list` shows them")),
        }
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl ActionId {
    /// The id of no action: for executions that are made up.
    #[must_use]
    pub fn made_up() -> Self {
        Self { id: Uuid::nil(), custom: false }
    }
}

impl SessionId {
    /// The id of an execution that is made up.
    #[must_use]
    pub fn made_up() -> Self {
        Self("made-up".to_owned())
    }

    /// An id of our own for an execution that the platform gives none, so that its outcome can be told from all others.
    #[must_use]
    pub fn own() -> Self {
        Self(format!("own-{}", Uuid::now_v7()))
    }

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where on the platform an action runs; sent as the workspace id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    /// Development.
    Dev,
    /// Test.
    Test,
    /// Production; submitting there needs the user's explicit word.
    Prod,
}

impl Environment {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Dev, Self::Test, Self::Prod];

    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Test => "test",
            Self::Prod => "prod",
        }
    }
}

impl FromStr for Environment {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        Self::ALL.into_iter().find(|e| e.as_str() == text).ok_or(Malformed("is not one of dev, test, prod"))
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn action_ids_are_hyphenated_uuids() {
        let id: ActionId = "A1B2C3D4-e5f6-7890-abcd-ef1234567890".parse().unwrap();
        assert_eq!(id.to_string(), "a1b2c3d4-e5f6-7890-abcd-ef1234567890");
        let custom = "custom_-_a1b2c3d4-e5f6-7890-abcd-ef1234567890";
        assert_eq!(custom.parse::<ActionId>().unwrap().to_string(), custom);
        for bad in ["", "custom_-_", "a1b2c3d4e5f67890abcdef1234567890", "{a1b2c3d4-e5f6-7890-abcd-ef1234567890}", "x", "../../oauth/token"]
        {
            assert!(bad.parse::<ActionId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn session_ids_cannot_leave_their_path_segment() {
        assert!("sess-1_a.b:c".parse::<SessionId>().is_ok());
        for bad in ["", "..", ".", "a/b", "a?b", "a b", "a\nb", "ä", &"x".repeat(129)] {
            assert!(bad.parse::<SessionId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn ids_of_runs_are_files_names_too() {
        let id = RunId::new();
        assert_eq!(id.as_str().parse(), Ok(id));
        for bad in ["", "vectors.json", "20261125-143015-x7k2/..", "20261125-143015-X7K2", "2026112-143015-x7k2", "20261125-143015-x7k2-"] {
            assert!(bad.parse::<RunId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn environments_are_three() {
        assert_eq!("prod".parse(), Ok(Environment::Prod));
        assert!("PROD".parse::<Environment>().is_err());
    }
}
