//! The compliance audit log: what became of each session, in JSON lines that are chained by hashes, one file a day, so that nothing can be
//! changed or left out unnoticed. It knows files and entries, not how an outcome came about.

mod chain;
mod checkpoint;
mod entry;
mod ocsf;
mod reconcile;
mod retention;
mod segments;
mod tail;
mod tree;
mod verify;

pub use checkpoint::{Checkpoint, Keys, check_proof};
pub use ocsf::{VERSION as OCSF_VERSION, export};
pub use reconcile::{Found, Reconciled, find, reconcile};
pub use retention::Removal;
pub use segments::Location;
pub use verify::{Verified, verify};

use crate::config::{Audit, Durability};
use crate::model::Outcome;
use crate::store::{Pending, now};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tail::Tail;

/// What is wrong with a log, by what may be done about it.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// A file cannot be read or written: may work later.
    #[error("{path}: {why}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's word.
        why: std::io::Error,
    },
    /// Somebody or something changed the log.
    #[error("{place}: {what}")]
    Broken {
        /// The file, and the line.
        place: String,
        /// What does not hold.
        what: String,
    },
    /// The log holds, but what was pruned cannot be compared with a checkpoint any more.
    #[error("the checkpoint was made of {size} entries, and only those from {first} on are kept: it cannot be compared any more")]
    TooOld {
        /// How many entries the checkpoint is of.
        size: u64,
        /// The first that is kept.
        first: u64,
    },
    /// A key, a checkpoint or a proof is not what it should be.
    #[error("{0}")]
    Unusable(String),
}

impl AuditError {
    fn io(path: &Path, why: std::io::Error) -> Self {
        Self::Io { path: path.to_owned(), why }
    }
}

/// An open log.
pub struct AuditLog {
    location: Location,
    lock: File,
    tail: Mutex<Tail>,
    retention_days: u32,
    durability: Durability,
}

impl AuditLog {
    /// Opens a log, making it and its folder where they are missing; readable by its owner only. A line that a crash has torn is moved
    /// into quarantine.
    ///
    /// # Errors
    /// [`AuditError`]: better before a run than in its midst.
    pub fn open(settings: &Audit) -> Result<Self, AuditError> {
        let location = Location::of(&settings.path);
        let (lock, tail) = (location.lock()?, Mutex::new(Tail::new(location.clone())));
        let log = Self { location, lock, tail, retention_days: settings.retention_days, durability: settings.durability };
        // Nothing is appended, but the first entry of a day is: whether the log can be written is known before anything is submitted.
        log.append(&[])?;
        if let Some(damage) = &log.tail().damage {
            tracing::warn!("audit log: {damage}; it goes on after that, and `tracejury audit verify` tells more");
        }
        Ok(log)
    }

    /// Where it is.
    #[must_use]
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// When its entries are on disk.
    #[must_use]
    pub fn durability(&self) -> Durability {
        self.durability
    }

    /// The entry of an outcome, with an id of its own; none where nothing was sent.
    #[must_use]
    pub fn entry(&self, outcome: &Outcome, run: &str) -> Option<Pending> {
        let audit_id = uuid::Uuid::now_v7().to_string();
        outcome.was_submitted().then(|| Pending {
            run: run.to_owned(),
            body: entry::session(&audit_id, outcome, self.retention_days),
            audit_id,
            made: now(),
        })
    }

    /// Appends entries, each the fields of one; with [`Durability::Always`] they are on disk when this ends. Blocks.
    ///
    /// # Errors
    /// [`AuditError`]; then none of them is in the log.
    pub fn append(&self, entries: &[String]) -> Result<(), AuditError> {
        let mut tail = self.tail();
        let failed = |e| AuditError::io(&self.location.pattern(), e);
        // The lock on the file keeps two processes from writing into each other's lines.
        self.lock.lock().map_err(failed)?;
        let done = tail.append(retention::today(), entries).and_then(|file| match self.durability {
            Durability::Always => file.sync_data().map_err(failed),
            Durability::Group | Durability::Os => Ok(()),
        });
        self.lock.unlock().map_err(failed).and(done)
    }

    /// Has all that was appended on disk. Blocks.
    ///
    /// # Errors
    /// [`AuditError`].
    pub fn sync(&self) -> Result<(), AuditError> {
        let tail = self.tail();
        tail.file().map_or(Ok(()), File::sync_data).map_err(|e| AuditError::io(&self.location.pattern(), e))
    }

    fn tail(&self) -> MutexGuard<'_, Tail> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
