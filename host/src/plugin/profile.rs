//! What there is to know of a plugin before it has seen a trace, as `plugin list` and `plugin inspect` show it (JSON, schema 1).

use super::form::{Form, Kind, Metadata, Packed};
use super::prepare::About;
use super::sandbox::Sandbox;
use crate::config::{Grants, Limits};
use crate::model::{Abstention, Digest, Identity};
use serde::Serialize;
use std::path::Path;

/// When a plugin was compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compiled {
    /// Before: it came from the cache, and its code did not run.
    Before,
    /// Just now.
    Now,
    /// Not at all: it was refused.
    Never,
}

/// What there is to know of a plugin.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    /// The version of this format; 1.
    pub schema: u32,
    /// Where it comes from.
    pub file: String,
    /// Its name; for one that was refused, its file's.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it says it does.
    pub summary: String,
    /// What kind of plugin it is.
    pub kind: Option<Kind>,
    /// Whether it brings its engine along, and which.
    pub packed: Packed,
    /// How many rules it has, where it is a rule pack in a file of its own.
    pub rules: Option<usize>,
    /// Whether the settings do without it.
    pub disabled: bool,
    /// What its file says about it.
    pub metadata: Metadata,
    /// The digest of its file.
    pub digest: Option<Digest>,
    /// The size of its file, in bytes.
    pub bytes: usize,
    /// The world it is of.
    pub world: &'static str,
    /// What it imports.
    pub imports: Vec<String>,
    /// What it exports.
    pub exports: Vec<String>,
    /// The classifications it says it may answer with.
    pub classifications: Vec<String>,
    /// What it would like to see beside errors.
    pub reads: Vec<String>,
    /// What it is shown beside errors.
    pub granted: Vec<&'static str>,
    /// Whether its instances start from a snapshot taken after `configure`.
    pub snapshot: bool,
    /// Why not.
    pub no_snapshot: Option<String>,
    /// How its instances are shared between traces.
    pub isolation: &'static str,
    /// Whether its instances live in places made ready beforehand; those of large components do not fit there.
    pub pooled: bool,
    /// The largest memory an instance has when it starts, in bytes, where that can be told.
    pub memory_bytes: Option<u64>,
    /// When it was compiled.
    pub compiled: Compiled,
    /// What it may use up.
    pub limits: Option<LimitsLine>,
    /// Who wins a tie: the higher number.
    pub priority: i32,
    /// Why it was refused.
    pub refused: Option<String>,
}

/// What a plugin may use up, in the units of the settings.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub struct LimitsLine {
    pub deadline_ms: u128,
    pub memory_mib: usize,
    pub stack_kib: usize,
    pub max_table_elements: usize,
    pub max_instances: usize,
    pub max_verdicts: usize,
    pub max_text_bytes: usize,
    pub max_answer_kib: usize,
    pub max_log_lines: usize,
    pub max_calls: usize,
    pub breaker_failures: usize,
    pub breaker_pause_ms: u128,
}

impl LimitsLine {
    fn of(limits: &Limits) -> Self {
        Self {
            deadline_ms: limits.deadline.as_millis(),
            memory_mib: limits.memory >> 20,
            stack_kib: limits.stack >> 10,
            max_table_elements: limits.table_elements,
            max_instances: limits.instances,
            max_verdicts: limits.verdicts,
            max_text_bytes: limits.text_bytes,
            max_answer_kib: limits.answer_bytes >> 10,
            max_log_lines: limits.log_lines,
            max_calls: limits.max_calls,
            breaker_failures: limits.breaker_failures,
            breaker_pause_ms: limits.breaker_pause.as_millis(),
        }
    }
}

/// Where instances have their memory, and how much of it when they start.
pub(super) struct Memory {
    pub(super) pooled: bool,
    pub(super) at_start: Option<u64>,
}

impl Profile {
    #[allow(clippy::too_many_arguments)]
    pub(super) fn new(
        file: &str,
        identity: &Identity,
        about: About,
        sandbox: &Sandbox,
        grants: &Grants,
        form: &Form<'_>,
        compiled: Compiled,
        memory: Memory,
    ) -> Self {
        Self {
            schema: 1,
            file: file.to_owned(),
            name: about.name,
            version: about.version,
            summary: about.summary,
            kind: Some(form.kind),
            packed: form.packed,
            rules: form.rules(),
            disabled: false,
            metadata: form.metadata.clone(),
            digest: Some(identity.digest),
            bytes: form.bytes,
            world: WORLD,
            imports: about.imports,
            exports: about.exports,
            classifications: about.classifications,
            reads: about.reads,
            granted: grants.iter().map(|read| read.as_str()).collect(),
            snapshot: about.no_snapshot.is_none(),
            no_snapshot: about.no_snapshot,
            isolation: sandbox.isolation().as_str(),
            pooled: memory.pooled,
            memory_bytes: memory.at_start,
            compiled,
            limits: Some(LimitsLine::of(sandbox.limits())),
            priority: identity.priority,
            refused: None,
        }
    }

    pub(super) fn of_refused(file: &Path, name: &str, why: &Abstention) -> Self {
        Self {
            schema: 1,
            file: file.display().to_string(),
            name: name.to_owned(),
            version: String::new(),
            summary: String::new(),
            kind: None,
            packed: Packed::No,
            rules: None,
            disabled: false,
            metadata: Metadata::default(),
            digest: None,
            bytes: 0,
            world: WORLD,
            imports: Vec::new(),
            exports: Vec::new(),
            classifications: Vec::new(),
            reads: Vec::new(),
            granted: Vec::new(),
            snapshot: false,
            no_snapshot: None,
            isolation: "",
            pooled: false,
            memory_bytes: None,
            compiled: Compiled::Never,
            limits: None,
            priority: 0,
            refused: Some(why.to_string()),
        }
    }
}

/// The world every plugin is of.
const WORLD: &str = "tracejury:classifier/classifier@0.1.0";
