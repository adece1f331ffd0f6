//! Exit codes, and failures as the user meets them: what failed, and one line with the next step.

use crate::audit::AuditError;
use crate::config::ConfigError;
use crate::debug_api::ApiError;
use crate::outbox::OutboxError;
use crate::plugin::PluginError;
use crate::report::Summary;
use crate::share::ShareError;
use crate::store::StoreError;
use crate::workshop::WorkshopError;

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Everything as expected.
    AsExpected = 0,
    /// Some vector is not as expected.
    Unexpected = 1,
    /// Usage, settings, or an invalid file.
    Usage = 2,
    /// Could not run: credentials, platform unreachable, no classifier.
    CouldNotRun = 3,
    /// Stopped by the user.
    Interrupted = 130,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Exit {
    /// How a run ends that came to `summary`.
    #[must_use]
    pub fn of(summary: &Summary) -> Self {
        let could_not = |kind: &&str| summary.undecided_problems.contains(*kind);
        if summary.problems.contains_key("interrupted") || (summary.stopped && summary.undecided > 0) {
            Self::Interrupted
        } else if ["credentials", "settings", "unreachable", "unreadable", "journal"].iter().any(could_not)
            || !summary.not_audited.is_empty()
            || !summary.not_recorded.is_empty()
        {
            // A run whose log is incomplete must not look like one that went well.
            Self::CouldNotRun
        } else if summary.unexpected > 0 || summary.undecided > 0 || summary.not_run > 0 {
            Self::Unexpected
        } else {
            Self::AsExpected
        }
    }
}

/// Ends the process at once, for a user who has asked twice.
pub fn break_off() -> ! {
    #[allow(clippy::exit)]
    std::process::exit(Exit::Interrupted as i32)
}

/// A failure that ends the program.
#[derive(Debug)]
pub struct Failure {
    /// How the process ends.
    pub exit: Exit,
    /// What failed.
    pub error: anyhow::Error,
    /// What to do next.
    pub help: String,
}

impl Failure {
    /// A failure of a kind that has no error type of its own.
    #[must_use]
    pub fn new(exit: Exit, what: impl std::fmt::Display, help: &str) -> Self {
        Self { exit, error: anyhow::anyhow!("{what}"), help: help.to_owned() }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let help = "README, section Settings, has every name and default";
        Self { exit: Exit::Usage, error: error.into(), help: help.to_owned() }
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        let text = error.to_string();
        let help = if text.starts_with("tls") {
            "[tls] in tracejury.toml names PEM files"
        } else if text.contains("CXONE_") {
            "set CXONE_BASE_URL, CXONE_CLIENT_ID and CXONE_CLIENT_SECRET, or [api] in tracejury.toml; `tracejury demo` needs none of them"
        } else {
            "README, section Platforms, says which addresses are needed, what profiles there are, and how to write one"
        };
        Self { exit: Exit::Usage, error: error.into(), help: help.to_owned() }
    }
}

impl From<OutboxError> for Failure {
    fn from(error: OutboxError) -> Self {
        Self {
            exit: Exit::Usage,
            error: error.into(),
            help: "check WEBHOOK_URL and WEBHOOK_SECRET, or [webhook] in tracejury.toml".to_owned(),
        }
    }
}

impl From<AuditError> for Failure {
    fn from(error: AuditError) -> Self {
        Self {
            exit: Exit::CouldNotRun,
            error: anyhow::Error::from(error).context("the audit log cannot be opened"),
            help: "check AUDIT_LOG_PATH and the folder's permissions; nothing was submitted".to_owned(),
        }
    }
}

impl From<ShareError> for Failure {
    fn from(error: ShareError) -> Self {
        let exit = match &error {
            ShareError::Refused { .. } => Exit::Unexpected,
            ShareError::Failed { .. } | ShareError::Absent(_) => Exit::CouldNotRun,
        };
        let help = error.help().to_owned();
        Self { exit, error: error.into(), help }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let help = match &error {
            StoreError::Newer { .. } => "update tracejury, or name another file in journal.path; nothing was submitted",
            StoreError::Damaged { .. } => {
                "move it aside, or name another file in journal.path; its runs cannot be resumed; nothing was submitted"
            }
            StoreError::Unusable { .. } => "check journal.path (TRACEJURY_JOURNAL) and the folder's permissions; nothing was submitted",
        };
        Self { exit: Exit::CouldNotRun, error: anyhow::Error::from(error).context("the journal cannot be opened"), help: help.to_owned() }
    }
}

impl From<WorkshopError> for Failure {
    fn from(error: WorkshopError) -> Self {
        let help = error.help.clone();
        Self { exit: Exit::Usage, error: error.into(), help }
    }
}

impl From<PluginError> for Failure {
    fn from(error: PluginError) -> Self {
        let help = if let PluginError::Refused { help, .. } = &error { help } else { "check plugins.dir and its permissions" }.to_owned();
        Self { exit: Exit::CouldNotRun, error: error.into(), help }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_follow_what_happened() {
        let sum = |change: fn(&mut Summary)| {
            let mut summary = Summary { vectors: 2, ..Summary::default() };
            change(&mut summary);
            Exit::of(&summary)
        };
        assert_eq!(sum(|_| ()), Exit::AsExpected);
        assert_eq!(sum(|s| s.unexpected = 1), Exit::Unexpected);
        assert_eq!(sum(|s| s.undecided = 1), Exit::Unexpected);
        assert_eq!(sum(|s| s.not_run = 1), Exit::Unexpected);
        assert_eq!(sum(|s| _ = s.undecided_problems.insert("unreachable")), Exit::CouldNotRun);
        assert_eq!(sum(|s| _ = s.not_audited.insert("x".into(), 1)), Exit::CouldNotRun);
        assert_eq!(sum(|s| _ = s.waiting.insert("x".into(), 1)), Exit::AsExpected);
        assert_eq!(sum(|s| _ = s.problems.insert("interrupted", 1)), Exit::Interrupted);
    }
}
