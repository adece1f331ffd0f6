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
        let ahead = log.location.segments()?.pop().filter(|newest| newest.day > retention::today() + chrono::Days::new(1));
        if let Some(ahead) = ahead {
            let name = ahead.name();
            tracing::warn!("audit log: {name} is of a day to come; until then no other is begun, and nothing is pruned: check the clock");
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Millis;
    use crate::model::{Environment, Problem, ProblemKind};
    use chrono::NaiveDate;

    fn settings(path: &Path, durability: Durability) -> Audit {
        Audit { path: path.join("deep/audit.jsonl"), retention_days: 30, durability, group: Millis::default(), key_file: PathBuf::new() }
    }

    fn outcome(session: &str) -> Outcome {
        let action = "a1b2c3d4-e5f6-7890-abcd-ef1234567890".parse().unwrap();
        Outcome { session_id: Some(session.parse().unwrap()), ..Outcome::of("v".into(), action, Environment::Test) }
    }

    fn open(dir: &tempfile::TempDir) -> AuditLog {
        AuditLog::open(&settings(dir.path(), Durability::Os)).unwrap()
    }

    fn append(log: &AuditLog, session: &str) {
        log.append(&[log.entry(&outcome(session), "r").unwrap().body]).unwrap();
    }

    /// A log of so many sessions a day.
    fn days(dir: &tempfile::TempDir, days: &[(&str, usize)]) -> AuditLog {
        let log = AuditLog {
            location: Location::of(&dir.path().join("deep/audit.jsonl")),
            lock: Location::of(&dir.path().join("deep/audit.jsonl")).lock().unwrap(),
            tail: Mutex::new(Tail::new(Location::of(&dir.path().join("deep/audit.jsonl")))),
            retention_days: 30,
            durability: Durability::Os,
        };
        for (day, count) in days {
            let day: NaiveDate = day.parse().unwrap();
            for n in 0..*count {
                let entry = log.entry(&outcome(&format!("{day}-{n}")), "r").unwrap().body;
                log.tail().append(day, &[entry]).unwrap();
            }
        }
        log
    }

    fn holds(log: &AuditLog) -> Result<Verified, String> {
        verify(&log.location, None).map_err(|e| e.to_string())
    }

    #[test]
    fn flags_say_what_was_done() {
        let dir = tempfile::tempdir().unwrap();
        let log = open(&dir);
        let masked = Outcome { masked: [("email".to_owned(), 2)].into(), rule_set: "1-x".into(), ..outcome("s") };
        let remains = Outcome { input_remains: true, ..outcome("s") };
        let flags = |outcome: &Outcome| {
            let body = log.entry(outcome, "r").unwrap().body;
            body.split_once("\"complianceFlags\":").unwrap().1.to_owned()
        };
        assert_eq!(flags(&masked), r#"{"dataMasked":true,"masked":{"email":2},"ruleSet":"1-x","piiExcluded":true,"retentionDays":30}"#);
        assert!(flags(&remains).contains(r#""dataMasked":false,"masked":{},"#) && flags(&remains).contains(r#""piiExcluded":false"#));
        let never = Outcome { session_id: None, ..outcome("s") };
        assert!(log.entry(&never, "r").is_none(), "only what was or may have been submitted is logged");
        let problem = Some(Problem { kind: ProblemKind::Ambiguous, text: "?".into() });
        assert!(log.entry(&Outcome { problem, ..never }, "r").unwrap().body.contains(r#""sessionId":null"#));
    }

    #[test]
    fn a_log_of_several_days_holds_and_goes_on_in_another_process() {
        let dir = tempfile::tempdir().unwrap();
        let log = days(&dir, &[("2026-01-01", 3), ("2026-01-02", 2), ("2026-01-05", 1)]);
        let verified = holds(&log).unwrap();
        assert_eq!((verified.first, verified.size, verified.segments), (0, 9, 3), "six sessions, and each segment's first entry");
        let other = open(&dir);
        append(&other, "s");
        append(&log, "t");
        append(&other, "u");
        assert_eq!((holds(&log).unwrap().size, holds(&log).unwrap().segments), (13, 4));
        // A clock that is put back changes nothing about the order.
        let entry = log.entry(&outcome("late"), "r").unwrap().body;
        log.tail().append("2026-01-03".parse().unwrap(), &[entry]).unwrap();
        assert_eq!((holds(&log).unwrap().size, holds(&log).unwrap().segments), (14, 4));
    }

    #[test]
    fn two_processes_never_write_into_each_others_lines() {
        let dir = tempfile::tempdir().unwrap();
        let logs = [open(&dir), open(&dir)];
        std::thread::scope(|scope| {
            for log in &logs {
                scope.spawn(|| (0..50).for_each(|n| append(log, &format!("s-{n}"))));
            }
        });
        assert_eq!(holds(&logs[0]).unwrap().size, 101);
    }

    /// Whatever happens to the last bytes of a log, it is either found to be broken, or mended with what was torn in quarantine and a word
    /// about it in the log; and it goes on in any case.
    #[test]
    fn a_thousand_ways_to_damage_the_end_are_told_or_mended() {
        let dir = tempfile::tempdir().unwrap();
        let log = days(&dir, &[("2026-01-01", 4), ("2026-01-02", 6)]);
        let (keys, checkpoint) = signed(&log);
        let segment = log.location.newest().unwrap().unwrap();
        let good = std::fs::read(&segment).unwrap();
        let lines: Vec<usize> = good.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(at, _)| at + 1).collect();
        let mut chance = fastrand::Rng::with_seed(6);
        let (mut mended, mut told, mut unnoticed) = (0, 0, 0);
        for variant in 0..1_000 {
            let mut bad = good.clone();
            let at = chance.usize(1..bad.len());
            match variant % 4 {
                0 => bad.truncate(at),
                1 => bad[at] ^= chance.u8(1..),
                2 => bad.extend(std::iter::repeat_with(|| chance.u8(..)).take(1 + variant % 97)),
                _ => bad[at..].fill(0),
            }
            std::fs::write(&segment, &bad).unwrap();
            let _ = std::fs::remove_file(log.location.quarantine());
            let again = open(&dir);
            append(&again, "after");
            let text = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
            let quarantined = text(&log.location.quarantine()).lines().count();
            match holds(&again) {
                Err(why) => {
                    assert!(why.contains(".jsonl:"), "{why}");
                    told += 1;
                }
                Ok(_) if quarantined > 0 => {
                    let said = log.location.segments().unwrap().iter().any(|s| text(&s.path).contains("\"kind\":\"recovered\""));
                    // Where nothing was left of a segment the next entry is its first one.
                    assert!(said || bad.iter().take(lines[0]).ne(good.iter().take(lines[0])), "variant {variant}: mended without a word");
                    mended += 1;
                }
                Ok(_) => {
                    // Cut between two lines: only a checkpoint that was kept elsewhere knows of what is missing.
                    assert!(lines.contains(&bad.len()) && bad.len() < good.len(), "variant {variant} went unnoticed");
                    unnoticed += 1;
                }
            }
            let lost = bad.len() < good.len();
            let with = verify(&again.location, Some(&Checkpoint::read(&checkpoint, &keys.public).unwrap()));
            assert!(!lost || with.is_err(), "variant {variant}: the checkpoint would know");
            for extra in log.location.segments().unwrap().iter().filter(|s| s.path != segment && s.name().as_str() > "audit-2026-01-02") {
                std::fs::remove_file(&extra.path).unwrap();
            }
        }
        assert!(mended > 300 && told > 100, "{mended} mended, {told} told, {unnoticed} cut between lines");
    }

    fn signed(log: &AuditLog) -> (Keys, String) {
        let (_, keys) = Keys::make("example.com/audit").unwrap();
        let checkpoint = keys.checkpoint(&log.location).unwrap();
        (keys, checkpoint)
    }

    #[test]
    fn a_checkpoint_catches_a_log_that_was_cut_or_written_anew() {
        let dir = tempfile::tempdir().unwrap();
        let log = days(&dir, &[("2026-01-01", 3)]);
        let (keys, note) = signed(&log);
        assert!(note.starts_with("example.com/audit\n4\n") && note.contains("\n\n— example.com/audit "), "{note}");
        let checkpoint = Checkpoint::read(&note, &keys.public).unwrap();
        append(&log, "more");
        assert!(verify(&log.location, Some(&checkpoint)).is_ok());
        let elsewhere = tempfile::tempdir().unwrap();
        let forged = days(&elsewhere, &[("2026-01-01", 5)]);
        assert!(holds(&forged).is_ok(), "whoever writes it anew can chain it");
        let why = verify(&forged.location, Some(&checkpoint)).unwrap_err().to_string();
        assert!(why.ends_with("its first 4 entries are not those of the checkpoint"), "{why}");
        let short = tempfile::tempdir().unwrap();
        let why = verify(&days(&short, &[("2026-01-01", 1)]).location, Some(&checkpoint)).unwrap_err().to_string();
        assert!(why.ends_with("holds 2 entries, but the checkpoint was made of 4: the end is missing"), "{why}");
        let (_, other) = Keys::make("example.com/audit").unwrap();
        assert!(Checkpoint::read(&note, &other.public).is_err());
        assert!(Checkpoint::read(&note.replace("\n4\n", "\n3\n"), &keys.public).is_err());
    }

    #[test]
    fn one_entry_is_proved_without_the_others() {
        let dir = tempfile::tempdir().unwrap();
        let log = days(&dir, &[("2026-01-01", 5), ("2026-01-02", 6)]);
        let (keys, _) = signed(&log);
        let found = find(&log.location, "2026-01-01-3").unwrap().unwrap();
        let proof = keys.prove(&log.location, found.index).unwrap();
        assert!(proof.starts_with("c2sp.org/tlog-proof@v1\nextra "));
        let (line, index, size) = check_proof(&proof, &keys.public).unwrap();
        assert_eq!((line.as_str(), index, size), (found.line.as_str(), 4, 13));
        assert!(!proof.contains("2026-01-01-2"), "others are not shown");
        assert!(check_proof(&proof.replace("index 4", "index 5"), &keys.public).is_err());
        let other = find(&log.location, "2026-01-01-2").unwrap().unwrap();
        let swapped = keys.prove(&log.location, other.index).unwrap();
        let swapped: Vec<_> = proof.lines().take(1).chain(swapped.lines().skip(1).take(1)).chain(proof.lines().skip(2)).collect();
        assert!(check_proof(&swapped.join("\n"), &keys.public).is_err());
        assert!(keys.prove(&log.location, 99).unwrap_err().to_string().contains("there is no entry 99"));
        for bad in ["", "\n\n", "c2sp.org/tlog-proof@v1\n\n", &proof[..40]] {
            assert!(check_proof(bad, &keys.public).is_err());
        }
    }

    #[test]
    fn pruning_is_accounted_for_and_the_rest_holds() {
        let dir = tempfile::tempdir().unwrap();
        let log = days(&dir, &[("2026-01-01", 3), ("2026-01-02", 2)]);
        let (keys, old) = signed(&log);
        append(&log, "today");
        let removed = log.prune(90).unwrap();
        assert_eq!(
            (removed.segments.as_slice(), removed.entries),
            (["audit-2026-01-01.jsonl".to_owned(), "audit-2026-01-02.jsonl".to_owned()].as_slice(), 7)
        );
        let verified = holds(&log).unwrap();
        assert_eq!((verified.first, verified.size, verified.segments), (7, 10, 1));
        let (newer, note) = signed(&log);
        assert!(verify(&log.location, Some(&Checkpoint::read(&note, &newer.public).unwrap())).is_ok());
        let before = Checkpoint::read(&old, &keys.public).unwrap();
        assert!(verify(&log.location, Some(&before)).is_ok(), "it was made just where the kept part begins");
        let last = find(&log.location, "today").unwrap().unwrap();
        assert!(check_proof(&keys.prove(&log.location, last.index).unwrap(), &keys.public).is_ok());
        assert_eq!(log.prune(90).unwrap(), Removal::default());
    }

    #[test]
    fn what_is_missing_without_a_word_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let log = days(&dir, &[("2026-01-01", 3), ("2026-01-02", 2), ("2026-01-03", 1)]);
        let remove = |day: &str| std::fs::remove_file(log.location.segment(day.parse().unwrap()).path).unwrap();
        remove("2026-01-02");
        let why = holds(&log).unwrap_err();
        assert!(why.ends_with("audit-2026-01-03.jsonl:1: continues entry 7 where entry 4 is missing"), "{why}");
        remove("2026-01-01");
        let why = holds(&log).unwrap_err();
        assert!(why.ends_with("its first 7 entries are missing, and no entry says that they were pruned"), "{why}");
        assert!(log.prune(1).is_err(), "of a log that does not hold nothing is removed");
    }

    #[test]
    fn journal_and_log_are_compared_and_what_is_missing_is_written_once() {
        let dir = tempfile::tempdir().unwrap();
        let log = open(&dir);
        let entries: Vec<Pending> = (0..4).map(|n| log.entry(&outcome(&format!("s-{n}")), "r").unwrap()).collect();
        log.append(&[entries[0].body.clone(), entries[2].body.clone(), entries[2].body.clone()]).unwrap();
        append(&log, "another-journals");
        let found = reconcile(&log.location, entries.clone()).unwrap();
        assert_eq!((found.both, found.unknown), (2, 1));
        assert_eq!(
            (found.missing.as_slice(), found.doubled.as_slice()),
            ([entries[1].clone(), entries[3].clone()].as_slice(), [entries[2].audit_id.clone()].as_slice())
        );
        assert_eq!((log.append_missing(&entries).unwrap(), log.append_missing(&entries).unwrap()), (2, 0));
        assert!(reconcile(&log.location, entries).unwrap().missing.is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_can_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let log = open(&dir);
        let segment = log.location.newest().unwrap().unwrap();
        assert_eq!(std::fs::metadata(segment).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
