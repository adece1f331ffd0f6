//! The commands on what is kept of runs: `runs`, `webhook`, `audit`. No logic.

use super::{AUDIT_EXIT_CODES, COMPARE_EXIT_CODES, VERIFY_EXIT_CODES};
use crate::report::Format;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// What commands on records share.
#[derive(Debug, Args)]
pub struct Records {
    /// The settings file [default: tracejury.toml, where it exists].
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How results are written.
    #[arg(long, value_enum, default_value = "human")]
    pub format: Format,
}

/// What can be asked about runs.
#[derive(Debug, Subcommand)]
pub enum RunsCommand {
    /// List the runs that the journal knows of, the newest first.
    List(Records),
    /// Show what became of each vector of a run; with --format json its outcome lines.
    Show(RunArg),
    /// Compare two runs: new failures, what is fixed, what is flaky, whose confidence changed, what is slower.
    #[command(after_help = COMPARE_EXIT_CODES)]
    Compare(CompareArgs),
}

/// What `runs compare` takes.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// The earlier run's id, or `previous`: the one before the latest.
    pub before: String,
    /// The later run's id, or `latest`.
    #[arg(default_value = "latest")]
    pub after: String,
    /// How the comparison is written.
    #[arg(long, value_enum, default_value = "human")]
    pub format: CompareFormat,
    /// The settings file [default: tracejury.toml, where it exists].
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// How a comparison is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum CompareFormat {
    /// For people on a terminal.
    Human,
    /// For a pull request.
    Markdown,
    /// One line of JSON.
    Json,
}

/// One run.
#[derive(Debug, Args)]
pub struct RunArg {
    /// The run's id, or `latest`, or `previous`.
    #[arg(default_value = "latest")]
    pub run: String,
    /// Settings and output.
    #[command(flatten)]
    pub records: Records,
}

/// What can be done about webhooks.
#[derive(Debug, Subcommand)]
pub enum WebhookCommand {
    /// List deliveries that wait and dead letters.
    List(ListArgs),
    /// Show one delivery: its body, and how each attempt went.
    Show(ShowArgs),
    /// Have deliveries made again: their schedule begins anew, and so do endpoints that were disabled.
    Replay(ReplayArgs),
    /// Forget deliveries that were made, and dead letters.
    Purge(PurgeArgs),
    /// Deliver what is due, and what becomes due within `webhook.grace_ms`.
    Flush(FlushArgs),
    /// Check a delivery as a receiver should: its signature, and that it is not older than five minutes.
    #[command(after_help = VERIFY_EXIT_CODES)]
    Verify(VerifyArgs),
}

/// What `webhook list` takes.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Those that were delivered too.
    #[arg(long)]
    pub all: bool,
    /// Those of this endpoint only.
    #[arg(long, value_name = "NAME")]
    pub endpoint: Option<String>,
    /// Settings and output.
    #[command(flatten)]
    pub records: Records,
}

/// What `webhook show` takes.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The webhook-id.
    pub id: String,
    /// Settings and output.
    #[command(flatten)]
    pub records: Records,
}

/// What `webhook replay` takes.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// The webhook-id of a delivery.
    #[arg(required_unless_present = "dead", conflicts_with = "dead")]
    pub id: Option<String>,
    /// All dead letters.
    #[arg(long)]
    pub dead: bool,
    /// To this endpoint only.
    #[arg(long, value_name = "NAME")]
    pub endpoint: Option<String>,
    /// Settings and output.
    #[command(flatten)]
    pub records: Records,
}

/// What `webhook purge` takes.
#[derive(Debug, Args)]
pub struct PurgeArgs {
    /// Those older than this, such as 30d or 12h.
    #[arg(long, value_name = "AGE")]
    pub older_than: humantime::Duration,
    /// To this endpoint only.
    #[arg(long, value_name = "NAME")]
    pub endpoint: Option<String>,
    /// Those that still wait too.
    #[arg(long)]
    pub waiting: bool,
    /// Settings and output.
    #[command(flatten)]
    pub records: Records,
}

/// What `webhook flush` takes.
#[derive(Debug, Args)]
pub struct FlushArgs {
    /// What waits for a later attempt too.
    #[arg(long)]
    pub now: bool,
    /// Settings and output.
    #[command(flatten)]
    pub records: Records,
}

/// What `webhook verify` takes.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The body, byte for byte as it came; `-` is stdin.
    pub body: PathBuf,
    /// The header webhook-id.
    #[arg(long, value_name = "ID")]
    pub id: String,
    /// The header webhook-timestamp.
    #[arg(long, value_name = "SECONDS")]
    pub timestamp: String,
    /// The header webhook-signature.
    #[arg(long, value_name = "TEXT")]
    pub signature: String,
    /// The endpoint whose secret it was signed with, where it is one of [webhook.endpoints].
    #[arg(long, value_name = "NAME")]
    pub endpoint: Option<String>,
    /// The settings file; the secret is better kept in WEBHOOK_SECRET [default: tracejury.toml, where it exists].
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// What can be done with the audit log.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Check the whole log: each entry, that none is missing, and that it holds what a checkpoint says; or check a proof.
    #[command(after_help = AUDIT_EXIT_CODES)]
    Verify(AuditVerifyArgs),
    /// Show one entry.
    Show(EntryArgs),
    /// Check the log, and sign what it comes to: to be kept where whoever can change the log cannot.
    Checkpoint(OutputArgs),
    /// Prove that one entry is in the log, without showing others; `audit verify --proof` checks it.
    Prove(ProveArgs),
    /// Remove whole days that are older than their retention, and write down what was removed.
    Prune(PruneArgs),
    /// Compare the log with the journal: what is missing, what is there twice, what was submitted and has no outcome yet.
    #[command(after_help = AUDIT_EXIT_CODES)]
    Reconcile(ReconcileArgs),
    /// Write the entries of sessions in a form that other systems read.
    Export(ExportArgs),
}

/// What `audit verify` takes.
#[derive(Debug, Args)]
pub struct AuditVerifyArgs {
    /// A checkpoint that the log must hold.
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Option<PathBuf>,
    /// A proof to be checked; no log is needed.
    #[arg(long, value_name = "FILE", conflicts_with = "checkpoint")]
    pub proof: Option<PathBuf>,
    /// The public key that the checkpoint or the proof is signed with [default: that of audit.key_file].
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// Settings and output.
    #[command(flatten)]
    pub records: Records,
}

/// What `audit show` takes.
#[derive(Debug, Args)]
pub struct EntryArgs {
    /// The entry's index or audit id, or the id of its session.
    pub entry: String,
    /// Settings and output.
    #[command(flatten)]
    pub records: Records,
}

/// What `audit checkpoint` takes.
#[derive(Debug, Args)]
pub struct OutputArgs {
    /// The file to write [default: stdout].
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Settings and output.
    #[command(flatten)]
    pub records: Records,
}

/// What `audit prove` takes.
#[derive(Debug, Args)]
pub struct ProveArgs {
    /// The entry's index or audit id, or the id of its session.
    pub entry: String,
    /// Where to, settings and output.
    #[command(flatten)]
    pub to: OutputArgs,
}

/// What `audit prune` takes.
#[derive(Debug, Args)]
pub struct PruneArgs {
    /// Days older than this, such as 90d [default: audit.retention_days].
    #[arg(long, value_name = "AGE")]
    pub older_than: Option<humantime::Duration>,
    /// Settings and output.
    #[command(flatten)]
    pub records: Records,
}

/// What `audit reconcile` takes.
#[derive(Debug, Args)]
pub struct ReconcileArgs {
    /// Write what is missing into the log.
    #[arg(long)]
    pub write_missing: bool,
    /// Settings and output.
    #[command(flatten)]
    pub records: Records,
}

/// What `audit export` takes.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The form.
    #[arg(long, value_enum, default_value = "ocsf")]
    pub format: ExportFormat,
    /// The settings file [default: tracejury.toml, where it exists].
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// The forms that entries are exported in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ExportFormat {
    /// Open Cybersecurity Schema Framework 1.6.0, class API Activity; one event a line.
    Ocsf,
}
