//! The compliance audit log: one JSON line per session (schema 1), appended and on disk before the run goes on. It knows files and
//! entries, not how an outcome came about.

use crate::model::{ActionId, Classification, Confidence, Environment, InputHash, Outcome, Problem, ProblemKind, SessionId, Status};
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// The log cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("{}: {why}", path.display())]
pub struct AuditError {
    /// The log.
    pub path: PathBuf,
    /// The system's word.
    pub why: std::io::Error,
}

/// One line of the log.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    schema: u32,
    audit_id: uuid::Uuid,
    session_id: &'a Option<SessionId>,
    action_id: ActionId,
    environment_id: Environment,
    input_hash: Option<InputHash>,
    status: &'a Option<Status>,
    classification: &'a Option<Classification>,
    confidence: Option<Confidence>,
    execution_duration_ms: Option<u64>,
    problem: &'a Option<Problem>,
    logged_at: String,
    compliance_flags: ComplianceFlags,
}

/// What was done to protect the input; computed from this session's outcome.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct ComplianceFlags {
    /// Input values were found in texts and masked.
    data_masked: bool,
    /// Every text that leaves was searched afterwards and holds no input value.
    pii_excluded: bool,
    /// The retention in force.
    retention_days: u32,
}

/// An open log.
#[derive(Debug)]
pub struct AuditLog {
    path: PathBuf,
    file: Mutex<File>,
    retention_days: u32,
}

impl AuditLog {
    /// Opens a log, making it and its folder where they are missing; readable by its owner only.
    ///
    /// # Errors
    /// [`AuditError`]: better before a run than in its midst.
    pub fn open(path: &Path, retention_days: u32) -> Result<Self, AuditError> {
        let failed = |why| AuditError { path: path.to_owned(), why };
        if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
            std::fs::create_dir_all(dir).map_err(failed)?;
        }
        let mut options = OpenOptions::new();
        options.create(true).append(true).read(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).map_err(failed)?;
        Ok(Self { path: path.to_owned(), file: Mutex::new(file), retention_days })
    }

    /// Appends the entry of one outcome and waits until it is on disk; `false` where there is nothing to log, since nothing
    /// was sent. Blocks.
    ///
    /// # Errors
    /// [`AuditError`]; the entry is then not in the log as a whole line.
    pub fn append(&self, outcome: &Outcome) -> Result<bool, AuditError> {
        if !was_submitted(outcome) {
            return Ok(false);
        }
        let mut line = self.line(outcome);
        line.push('\n');
        let mut file = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // The lock on the file keeps two processes from writing into each other's lines.
        let written = file.lock().and_then(|()| {
            let done = append(&mut file, &line);
            file.unlock().and(done)
        });
        written.map(|()| true).map_err(|why| AuditError { path: self.path.clone(), why })
    }

    fn line(&self, outcome: &Outcome) -> String {
        let entry = Entry {
            schema: 1,
            audit_id: uuid::Uuid::now_v7(),
            session_id: &outcome.session_id,
            action_id: outcome.action_id,
            environment_id: outcome.environment_id,
            input_hash: outcome.input_hash,
            status: &outcome.status,
            classification: &outcome.classification,
            confidence: outcome.confidence,
            execution_duration_ms: outcome.execution_duration_ms,
            problem: &outcome.problem,
            logged_at: chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
            compliance_flags: ComplianceFlags {
                data_masked: outcome.masked > 0,
                pii_excluded: !outcome.input_remains,
                retention_days: self.retention_days,
            },
        };
        // Every field has a plain JSON form; there is nothing in it that can fail.
        serde_json::to_string(&entry).unwrap_or_default()
    }
}

/// Whether the input may have reached the platform: with a session it did, after an ambiguous submit it may have.
fn was_submitted(outcome: &Outcome) -> bool {
    outcome.session_id.is_some() || outcome.problem.as_ref().is_some_and(|p| p.kind == ProblemKind::Ambiguous)
}

fn append(file: &mut File, line: &str) -> std::io::Result<()> {
    // A crash may have left half a line: it stays as it is, and the new entry begins on a line of its own.
    let torn = match file.seek(SeekFrom::End(-1)) {
        Ok(_) => {
            let mut last = [0];
            file.read_exact(&mut last)?;
            last != *b"\n"
        }
        Err(_) => false,
    };
    if torn {
        file.write_all(b"\n")?;
    }
    file.write_all(line.as_bytes())?;
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn outcome() -> Outcome {
        let mut outcome = Outcome::of("v".into(), "a1b2c3d4-e5f6-7890-abcd-ef1234567890".parse().unwrap(), Environment::Test);
        outcome.session_id = Some("s-1".parse().unwrap());
        outcome
    }

    fn logged(outcomes: &[Outcome], before: &str) -> Vec<Value> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/er/audit.jsonl");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, before).unwrap();
        let log = AuditLog::open(&path, 30).unwrap();
        for outcome in outcomes {
            log.append(outcome).unwrap();
        }
        let text = std::fs::read_to_string(&path).unwrap();
        text.lines().filter(|line| !line.starts_with("{\"torn")).map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn flags_say_what_was_done() {
        let masked = Outcome { masked: 2, ..outcome() };
        let remains = Outcome { input_remains: true, ..outcome() };
        let flags: Vec<_> = logged(&[outcome(), masked, remains], "").iter().map(|e| e["complianceFlags"].to_string()).collect();
        assert_eq!(
            flags,
            [
                r#"{"dataMasked":false,"piiExcluded":true,"retentionDays":30}"#,
                r#"{"dataMasked":true,"piiExcluded":true,"retentionDays":30}"#,
                r#"{"dataMasked":false,"piiExcluded":false,"retentionDays":30}"#,
            ]
        );
    }

    #[test]
    fn only_what_was_or_may_have_been_submitted_is_logged() {
        let never = Outcome { session_id: None, ..outcome() };
        let problem = Problem { kind: ProblemKind::Ambiguous, text: "?".into() };
        let ambiguous = Outcome { problem: Some(problem), ..never.clone() };
        let entries = logged(&[never, ambiguous], "");
        assert_eq!(entries.len(), 1);
        assert_eq!(
            (entries[0]["sessionId"].clone(), entries[0]["actionId"].as_str()),
            (Value::Null, Some("a1b2c3d4-e5f6-7890-abcd-ef1234567890"))
        );
    }

    #[test]
    fn a_torn_line_does_not_swallow_the_next_entry() {
        assert_eq!(logged(&[outcome()], "{\"torn\":").len(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_can_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.jsonl");
        AuditLog::open(&path, 1).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
