//! The `[plugins]` table: where plugins are, what each may see, and what each may use up. It knows names and numbers, not how a
//! limit is enforced.

use super::{Count, Millis};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

/// The `[plugins]` table.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct Plugins {
    pub dir: PathBuf,
    pub isolation: Isolation,
    pub without_snapshot: Isolation,
    pub max_calls: Count,
    #[serde(rename = "deadline_ms")]
    pub deadline: Millis,
    #[serde(rename = "load_deadline_ms")]
    pub load_deadline: Millis,
    pub memory_mib: Count,
    pub stack_kib: Count,
    pub page_scan: PageScan,
    pub max_table_elements: Count,
    pub max_instances: Count,
    pub max_file_mib: Count,
    #[serde(rename = "compile_deadline_ms")]
    pub compile_deadline: Millis,
    pub compile_memory_mib: Count,
    pub max_verdicts: Count,
    pub max_text_bytes: Count,
    pub max_answer_kib: Count,
    pub max_log_lines: Count,
    pub breaker_failures: Count,
    #[serde(rename = "breaker_pause_ms")]
    pub breaker_pause: Millis,
    /// Only from the environment: what lies there is run as native code, so that a file of a project must not name it.
    #[serde(skip)]
    pub cache_dir: PathBuf,
    pub cache_max_mib: Count,
    /// Names of plugins that the user does without.
    pub disabled: BTreeSet<String>,
    /// Where traces are collected that nobody could classify; nowhere where it is empty.
    pub unclassified: PathBuf,
    /// Where traces of all failed sessions are kept; nowhere where it is empty.
    pub archive: PathBuf,
    pub priority: BTreeMap<String, i32>,
    pub grants: BTreeMap<String, Grants>,
    #[serde(rename = "for")]
    pub own: BTreeMap<String, Own>,
}

/// The `[plugins.for.NAME]` table: what differs for one plugin.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct Own {
    pub isolation: Option<Isolation>,
    pub without_snapshot: Option<Isolation>,
    pub max_calls: Option<Count>,
    #[serde(rename = "deadline_ms")]
    pub deadline: Option<Millis>,
    pub memory_mib: Option<Count>,
    pub max_table_elements: Option<Count>,
    pub max_instances: Option<Count>,
    pub max_verdicts: Option<Count>,
    pub max_text_bytes: Option<Count>,
    pub max_answer_kib: Option<Count>,
    pub max_log_lines: Option<Count>,
    pub breaker_failures: Option<Count>,
    #[serde(rename = "breaker_pause_ms")]
    pub breaker_pause: Option<Millis>,
}

/// How one plugin is run and what it may use up: the defaults, with what differs for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// How its instances are shared between traces.
    pub isolation: Isolation,
    /// The same, where its state after `configure` cannot be captured.
    pub without_snapshot: Isolation,
    /// After how many calls a warm instance is replaced.
    pub max_calls: usize,
    /// How long one call may take, instance included.
    pub deadline: Duration,
    /// The memory of one instance, in bytes.
    pub memory: usize,
    /// The stack of one call, in bytes; the same for all plugins.
    pub stack: usize,
    /// The elements of all tables of one instance.
    pub table_elements: usize,
    /// The core instances, memories and tables one component may be made of.
    pub instances: usize,
    /// Verdicts in one answer.
    pub verdicts: usize,
    /// Bytes of one text of a verdict, and of a line of the log.
    pub text_bytes: usize,
    /// What the host copies of one answer, in bytes.
    pub answer_bytes: usize,
    /// Lines logged about one trace.
    pub log_lines: usize,
    /// After how many failures in a row it is left alone.
    pub breaker_failures: usize,
    /// For how long.
    pub breaker_pause: Duration,
}

impl Plugins {
    /// What the plugin of this name may use up.
    #[must_use]
    pub fn limits(&self, name: &str) -> Limits {
        let none = Own::default();
        let own = self.own.get(name).unwrap_or(&none);
        Limits {
            isolation: own.isolation.unwrap_or(self.isolation),
            without_snapshot: own.without_snapshot.unwrap_or(self.without_snapshot),
            max_calls: own.max_calls.unwrap_or(self.max_calls).get(),
            deadline: own.deadline.unwrap_or(self.deadline).duration(),
            memory: own.memory_mib.unwrap_or(self.memory_mib).mib(),
            stack: self.stack_kib.kib(),
            table_elements: own.max_table_elements.unwrap_or(self.max_table_elements).get(),
            instances: own.max_instances.unwrap_or(self.max_instances).get(),
            verdicts: own.max_verdicts.unwrap_or(self.max_verdicts).get(),
            text_bytes: own.max_text_bytes.unwrap_or(self.max_text_bytes).get(),
            answer_bytes: own.max_answer_kib.unwrap_or(self.max_answer_kib).kib(),
            log_lines: own.max_log_lines.unwrap_or(self.max_log_lines).get(),
            breaker_failures: own.breaker_failures.unwrap_or(self.breaker_failures).get(),
            breaker_pause: own.breaker_pause.unwrap_or(self.breaker_pause).duration(),
        }
    }

    /// What a plugin may use up while it is loaded, before it has said its name: the most that any plugin may.
    #[must_use]
    pub fn load_limits(&self) -> Limits {
        let all = || self.own.keys().map(String::as_str).chain([""]).map(|name| self.limits(name));
        let most = |limit: fn(&Limits) -> usize| all().map(|limits| limit(&limits)).max().unwrap_or_default();
        Limits {
            deadline: self.load_deadline.duration(),
            memory: most(|l| l.memory),
            table_elements: most(|l| l.table_elements),
            instances: most(|l| l.instances),
            answer_bytes: most(|l| l.answer_bytes),
            ..self.limits("")
        }
    }
}

/// Whether the kernel is asked which pages an instance has written to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PageScan {
    /// Where the kernel can tell.
    #[default]
    Auto,
    /// Never.
    Off,
}

/// What of a trace's steps a plugin may see.
pub type Grants = BTreeSet<Read>;

/// A part of a step that is withheld unless it is granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Read {
    /// What the step was given.
    Input,
    /// What it gave back.
    Output,
    /// When it ran.
    Timestamp,
}

impl Read {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Input, Self::Output, Self::Timestamp];

    /// Those that are named among `names`; what is none of them counts for nothing.
    #[must_use]
    pub fn among(names: &[String]) -> Grants {
        Self::ALL.into_iter().filter(|read| names.iter().any(|name| name == read.as_str())).collect()
    }

    /// The part's name, in settings as in a location.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
            Self::Timestamp => "timestamp",
        }
    }
}

/// How instances of a classifier are shared between traces.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// Each trace gets a fresh instance.
    #[default]
    PerTrace,
    /// An instance serves a number of traces, one after the other; it is dropped when it fails.
    Warm,
}

impl Isolation {
    /// The name, as settings have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PerTrace => "per-trace",
            Self::Warm => "warm",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Plugins {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn what_differs_for_one_plugin_differs_for_it_alone() {
        let settings = settings("memory_mib = 64\ndeadline_ms = 9\n[for.big]\nmemory_mib = 256\nisolation = 'warm'\n");
        let (big, other) = (settings.limits("big"), settings.limits("other"));
        assert_eq!((big.memory >> 20, big.isolation, big.deadline), (256, Isolation::Warm, Duration::from_millis(9)));
        assert_eq!((other.memory >> 20, other.isolation), (64, Isolation::PerTrace));
        assert_eq!(settings.load_limits().memory >> 20, 256, "before its name is known, any may be the big one");
    }
}
