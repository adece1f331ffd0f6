//! Removing what is older than its retention, accountably: the log is checked, an entry says what goes and what stays, and only then whole
//! segments are removed. What is left can be checked from its first segment on.

use super::entry;
use super::segments::Segment;
use super::verify::verify;
use super::{AuditError, AuditLog};
use chrono::{Days, NaiveDate};

/// What was removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removal {
    /// The names of the segments.
    pub segments: Vec<String>,
    /// How many entries they had.
    pub entries: u64,
}

impl AuditLog {
    /// Removes segments of days that are more than `days` ago, but never the last one.
    ///
    /// # Errors
    /// [`AuditError`]; of a log that does not hold nothing is removed.
    pub fn prune(&self, days: u32) -> Result<Removal, AuditError> {
        self.prune_before(today().checked_sub_days(Days::new(days.into())).unwrap_or(NaiveDate::MIN), days)
    }

    fn prune_before(&self, first_kept: NaiveDate, days: u32) -> Result<Removal, AuditError> {
        let verified = verify(&self.location, None)?;
        let last = verified.removable.last().map(|(segment, _)| segment.day);
        let old = verified.removable.into_iter().take_while(|(segment, _)| segment.day < first_kept && Some(segment.day) != last);
        let (segments, removed): (Vec<Segment>, Vec<_>) = old.unzip();
        if segments.is_empty() {
            return Ok(Removal::default());
        }
        self.append(&[entry::pruned(&removed, days)])?;
        self.sync()?;
        for segment in &segments {
            match std::fs::remove_file(&segment.path) {
                // Another process was quicker.
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(AuditError::io(&segment.path, e)),
                _ => {}
            }
        }
        self.location.sync()?;
        let entries = removed.iter().map(|r| r.last - r.first + 1).sum();
        Ok(Removal { segments: segments.iter().map(Segment::name).collect(), entries })
    }
}

pub(super) fn today() -> NaiveDate {
    chrono::Utc::now().date_naive()
}
