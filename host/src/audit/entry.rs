//! What entries say: their own fields, as they stand between the links of the chain. `kind` tells them apart: `session` for what became
//! of a vector, `segment` at the start of each file, `recovered` and `pruned` for what was done to the log itself.

use super::chain::Hash;
use super::tree::Tree;
use crate::model::{ActionId, Classification, Confidence, Environment, InputHash, Outcome, Problem, SessionId, Status, to_hex};
use crate::store::timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What became of one vector.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Session<'a> {
    kind: &'static str,
    audit_id: &'a str,
    session_id: &'a Option<SessionId>,
    action_id: ActionId,
    environment_id: Environment,
    input_hash: &'a Option<InputHash>,
    status: &'a Option<Status>,
    classification: &'a Option<Classification>,
    confidence: Option<Confidence>,
    execution_duration_ms: Option<u64>,
    problem: &'a Option<Problem>,
    logged_at: String,
    compliance_flags: ComplianceFlags<'a>,
}

/// What was done to protect the input; computed from this session's outcome.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct ComplianceFlags<'a> {
    /// Something was found in texts and masked.
    data_masked: bool,
    /// How often, by what: `input` for values of the input, else the detector or `rule:` and the organisation's rule.
    masked: &'a BTreeMap<String, usize>,
    /// By which set of rules: the version of the detectors, and a digest of what the settings add or leave out.
    rule_set: &'a str,
    /// Every text that leaves was searched afterwards and holds no input value.
    pii_excluded: bool,
    /// The retention in force.
    retention_days: u32,
}

/// The first entry of a segment: what it continues.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Head {
    kind: String,
    pub(super) segment: String,
    /// The segment before; none in the first of all.
    pub(super) continues: Option<String>,
    /// The roots of the whole subtrees of all entries before, the largest first, as hex: the log can be checked from here on.
    pub(super) tree: Vec<String>,
    logged_at: String,
}

/// Segments that were removed for their age.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Pruned {
    kind: String,
    pub(super) removed: Vec<Removed>,
    pub(super) older_than_days: u32,
    logged_at: String,
}

impl Pruned {
    /// The segments that were old enough to be removed by what the entry says itself.
    pub(super) fn accounted(self) -> Vec<Removed> {
        let at = chrono::DateTime::parse_from_rfc3339(&self.logged_at).ok();
        let kept = at.and_then(|at| at.date_naive().checked_sub_days(chrono::Days::new(self.older_than_days.max(1).into())));
        let old = |removed: &Removed| {
            // The day stands at the end of the name, before the extension.
            let stem = removed.segment.rsplit_once('.').map_or(removed.segment.as_str(), |(stem, _)| stem);
            let day = stem.len().checked_sub(10).and_then(|at| stem.get(at..)).and_then(|day| day.parse::<chrono::NaiveDate>().ok());
            day.zip(kept).is_some_and(|(day, kept)| day < kept) && removed.first <= removed.last
        };
        self.removed.into_iter().filter(old).collect()
    }
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Removed {
    pub(super) segment: String,
    /// The indexes of its first and last entry.
    pub(super) first: u64,
    pub(super) last: u64,
    /// The hash of its last entry: what the next segment continues.
    pub(super) hash: String,
}

pub(super) fn session(audit_id: &str, outcome: &Outcome, retention_days: u32) -> String {
    fields(&Session {
        kind: "session",
        audit_id,
        session_id: &outcome.session_id,
        action_id: outcome.action_id,
        environment_id: outcome.environment_id,
        input_hash: &outcome.input_hash,
        status: &outcome.status,
        classification: &outcome.classification,
        confidence: outcome.confidence,
        execution_duration_ms: outcome.execution_duration_ms,
        problem: &outcome.problem,
        logged_at: timestamp(),
        compliance_flags: ComplianceFlags {
            data_masked: !outcome.masked.is_empty(),
            masked: &outcome.masked,
            rule_set: &outcome.rule_set,
            pii_excluded: !outcome.input_remains,
            retention_days,
        },
    })
}

pub(super) fn segment(name: &str, continues: Option<&str>, tree: &Tree) -> String {
    fields(&Head {
        kind: "segment".to_owned(),
        segment: name.to_owned(),
        continues: continues.map(str::to_owned),
        tree: tree.roots().iter().map(to_hex).collect(),
        logged_at: timestamp(),
    })
}

pub(super) fn recovered(segment: &str, offset: u64, bytes: usize, digest: &Hash) -> String {
    fields(&serde_json::json!({
        "kind": "recovered", "segment": segment, "offset": offset, "bytes": bytes, "sha256": to_hex(digest), "loggedAt": timestamp(),
    }))
}

pub(super) fn pruned(removed: &[Removed], older_than_days: u32) -> String {
    fields(&Pruned { kind: "pruned".to_owned(), removed: removed.to_vec(), older_than_days, logged_at: timestamp() })
}

/// An entry's own fields, read back; none where they are of another kind.
pub(super) fn read<T: serde::de::DeserializeOwned>(kind: &str, fields: &[u8]) -> Option<T> {
    fields.starts_with(format!("\"kind\":\"{kind}\"").as_bytes()).then(|| serde_json::from_slice(&braced(fields)).ok()).flatten()
}

/// An entry's own fields as a JSON object.
pub(super) fn braced(fields: &[u8]) -> Vec<u8> {
    [b"{", fields, b"}"].concat()
}

/// What stands between the braces.
fn fields(entry: &impl Serialize) -> String {
    // Every field has a plain JSON form; there is nothing in it that can fail.
    let object = serde_json::to_string(entry).unwrap_or_default();
    object.get(1..object.len().saturating_sub(1)).unwrap_or_default().to_owned()
}
