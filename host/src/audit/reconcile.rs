//! Whether journal and log say the same: each outcome of a session has its entry, and has it once.

use super::segments::Location;
use super::verify::walk;
use super::{AuditError, AuditLog};
use crate::store::Pending;
use serde::Deserialize;
use std::collections::{HashMap, HashSet};

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// How many entries are in both.
    pub both: usize,
    /// What the journal knows of and the log has not.
    pub missing: Vec<Pending>,
    /// Ids of entries that the log has more than once.
    pub doubled: Vec<String>,
    /// How many entries of the log the journal does not know: older ones, or another journal's.
    pub unknown: usize,
}

/// The names by which an entry of the log can be found.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Names {
    audit_id: String,
    session_id: Option<String>,
}

/// An entry that was looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its index.
    pub index: u64,
    /// Its line.
    pub line: String,
}

/// Compares the log with what the journal knows.
///
/// # Errors
/// [`AuditError`].
pub fn reconcile(location: &Location, journal: Vec<Pending>) -> Result<Reconciled, AuditError> {
    let mut logged: HashMap<String, usize> = HashMap::new();
    let verified = walk(location, |_, seen| {
        if let Some(names) = names(seen.fields) {
            *logged.entry(names.audit_id).or_default() += 1;
        }
    })?;
    let total = logged.len();
    let doubled = logged.iter().filter(|(_, times)| **times > 1).map(|(id, _)| id.clone()).collect();
    // What was pruned is not missing, though the journal may still know of it.
    let kept = verified
        .days
        .filter(|_| verified.first > 0)
        .map_or(i64::MIN, |(first, _)| first.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_millis());
    let kept = journal.into_iter().filter(|entry| entry.made >= kept);
    let (there, missing): (Vec<_>, Vec<_>) = kept.partition(|entry| logged.contains_key(&entry.audit_id));
    Ok(Reconciled { both: there.len(), missing, doubled, unknown: total - there.len() })
}

/// The entry of an index, an audit id or a session id; the latest, where several have it.
///
/// # Errors
/// [`AuditError`].
pub fn find(location: &Location, what: &str) -> Result<Option<Found>, AuditError> {
    let index: Option<u64> = what.parse().ok();
    let mut found = None;
    walk(location, |_, seen| {
        let named = || names(seen.fields).is_some_and(|names| names.audit_id == what || names.session_id.as_deref() == Some(what));
        if Some(seen.index) == index || named() {
            found = Some(Found { index: seen.index, line: String::from_utf8_lossy(seen.line).into_owned() });
        }
    })?;
    Ok(found)
}

impl AuditLog {
    /// Appends those of the entries that are not in the log: where a process ended between an append and its note in the journal, only the
    /// log knows. Gives how many were appended. Blocks.
    ///
    /// # Errors
    /// [`AuditError`].
    pub fn append_missing(&self, entries: &[Pending]) -> Result<usize, AuditError> {
        if entries.is_empty() {
            return Ok(0);
        }
        let wanted: HashSet<&str> = entries.iter().map(|entry| entry.audit_id.as_str()).collect();
        let there = self.ids_among(&wanted)?;
        let missing = entries.iter().filter(|entry| !there.contains(&entry.audit_id) && is_sound(entry));
        let missing: Vec<_> = missing.map(|entry| entry.body.clone()).collect();
        self.append(&missing)?;
        Ok(missing.len())
    }

    /// Which of these ids the log has. A log that is broken somewhere is searched all the same.
    fn ids_among(&self, wanted: &HashSet<&str>) -> Result<HashSet<String>, AuditError> {
        let mut there = HashSet::new();
        for segment in self.location.segments()? {
            let mut lines = super::segments::Lines::open(&segment.path, 0)?;
            while let Some(line) = lines.next()? {
                if let super::segments::Line::Whole(line) = line
                    && let Ok(entry) = super::chain::read(line)
                    && let Some(names) = names(entry.fields)
                    && wanted.contains(names.audit_id.as_str())
                {
                    there.insert(names.audit_id);
                }
            }
        }
        Ok(there)
    }
}

/// Whether an entry that comes out of a file is one of ours: another could break the log's lines.
fn is_sound(entry: &Pending) -> bool {
    let plain = !entry.body.contains(|c: char| c.is_control());
    plain && names(entry.body.as_bytes()).is_some_and(|names| names.audit_id == entry.audit_id)
}

fn names(fields: &[u8]) -> Option<Names> {
    super::entry::read("session", fields)
}
