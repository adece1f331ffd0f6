//! The `[share]` and `[trust]` tables: where plugins of other organisations come from, and whose word counts. It knows names, patterns
//! and dates, not how a signature is checked.

use super::{Count, Grants, Millis};
use chrono::NaiveDate;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// The `[share]` table.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct Share {
    pub lock: PathBuf,
    /// Where local copies are; the user's own folder of data where it is empty.
    pub shelf: PathBuf,
    pub shelf_max_mib: Count,
    #[serde(rename = "timeout_ms")]
    pub timeout: Millis,
    /// How a registry is spoken to, by host and port, where it is not as ever.
    pub scheme: BTreeMap<String, Scheme>,
    /// Where else than to itself a registry may send us, by host and port.
    pub also: BTreeMap<String, BTreeSet<String>>,
}

/// How a registry is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// In clear text.
    Http,
    /// Over TLS.
    Https,
}

/// The `[trust]` table.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Trust {
    /// Public keys, by the names that rules call them.
    pub keys: BTreeMap<String, Key>,
    /// What may come from where. The first rule that fits decides; what none fits is refused.
    pub from: Vec<Origin>,
}

/// The `[trust.keys.NAME]` table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// The file with the public key.
    pub file: PathBuf,
    /// The last day on which its signatures count.
    pub expires: Option<NaiveDate>,
    /// Why its signatures count no more.
    pub revoked: Option<String>,
}

/// One `[[trust.from]]` table: a rule.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Origin {
    /// Patterns of references without tag and digest; `*` stands for anything but `/`, `**` for anything.
    pub references: Vec<String>,
    /// Patterns of the names that plugins from there may bear; any where there is none.
    pub plugins: Vec<String>,
    /// Whose signatures count.
    pub keys: Vec<String>,
    /// How many of them there must be, each by another key; 1 where nothing is said.
    pub signatures: Option<Count>,
    /// Whether it may come unsigned.
    pub unsigned: bool,
    /// What plugins from there may be granted.
    pub reads: Grants,
}

impl Origin {
    /// How many signatures it takes.
    #[must_use]
    pub fn needed(&self) -> usize {
        if self.unsigned { 0 } else { self.signatures.map_or(1, Count::get) }
    }
}
