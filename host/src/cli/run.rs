//! The command `run`. No logic.

use super::Common;
use crate::model::{RunId, Secret};
use crate::report::{Progress, Target};
use crate::vectors::{Filter, Shard};
use clap::Args;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;

/// What `run` takes.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Vectors: files in JSON, NDJSON, YAML or CSV, folders with such files, patterns such as 'vectors/**/*.yaml'; `-` is stdin.
    #[arg(required_unless_present_any = ["resume", "rerun_failed"])]
    pub vectors: Vec<PathBuf>,
    /// Go on with a run that was cut off [default: the latest such run]. Its vector files are read again, and must come out the same: values
    /// (--var, --data and the like), --repeat and --retries are given again, filters and shares are known. Sessions it has submitted are
    /// attached to, and never submitted again.
    #[arg(long, value_name = "RUN", num_args = 0..=1)]
    pub resume: Option<Option<RunId>>,
    /// Submit again what may have run without our knowing.
    #[arg(long, requires = "resume")]
    pub resubmit_ambiguous: bool,
    /// How many vectors are in flight at once.
    #[arg(long, value_name = "N")]
    pub concurrency: Option<NonZeroUsize>,
    /// How many requests a minute are sent at most.
    #[arg(long, value_name = "N")]
    pub rate: Option<NonZeroUsize>,
    /// JSON Schemas to check inputs against: a folder of ACTION-ID.json, a file of schemas by action id, or one for all.
    #[arg(long, value_name = "PATH")]
    pub schemas: Option<PathBuf>,
    /// Allow vectors for the environment prod.
    #[arg(long)]
    pub allow_prod: bool,
    /// Run nothing but the plugins of plugins.lock, as they stand there.
    #[arg(long)]
    pub locked: bool,
    /// Write a report too, as FORMAT=FILE, of any of junit, json, ndjson, markdown, sarif, html; may be given several times.
    #[arg(long = "report", value_name = "FORMAT=FILE")]
    pub reports: Vec<Target>,
    /// How progress is shown: live on a terminal and in plain lines elsewhere, unless this says otherwise.
    #[arg(long, value_enum, default_value = "auto")]
    pub progress: Progress,
    /// Values for what vectors leave open.
    #[command(flatten)]
    pub values: ValueArgs,
    /// Which vectors, and how often.
    #[command(flatten)]
    pub selection: SelectionArgs,
    /// Settings and output.
    #[command(flatten)]
    pub common: Common,
}

/// Values for what vectors leave open.
#[derive(Debug, Args)]
#[command(next_help_heading = "Values for {{name}} in vectors")]
pub struct ValueArgs {
    /// A variable: a text, or with := in place of = a value in JSON.
    #[arg(long = "var", value_name = "NAME=VALUE")]
    pub vars: Vec<String>,
    /// Variables from a file: an object in JSON or YAML.
    #[arg(long, value_name = "FILE")]
    pub vars_file: Option<PathBuf>,
    /// A variable from the environment; [vectors] env in the settings names more of them.
    #[arg(long = "env-var", value_name = "NAME")]
    pub env_vars: Vec<String>,
    /// A variable that may stand in inputs only and is never shown; without =VALUE it comes from the environment, where other processes do
    /// not see it.
    #[arg(long = "secret", value_name = "NAME[=VALUE]", value_parser = secret)]
    pub secrets: Vec<Secret>,
    /// Run each vector with each row of a file in CSV, NDJSON, JSON or YAML; its columns are variables.
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
}

/// Which vectors are run, and how often.
#[derive(Debug, Args)]
#[command(next_help_heading = "Which vectors, and how often")]
pub struct SelectionArgs {
    /// Run those only that this is true of: tag(x), name(x), name(~regex), action(id), env(test), joined by and, or, not, ( ).
    #[arg(long, value_name = "EXPRESSION")]
    pub filter: Option<Filter>,
    /// Run one of N shares of all vectors; which one a vector is in depends on its name alone.
    #[arg(long, value_name = "I/N")]
    pub shard: Option<Shard>,
    /// Run those only that a run [default: the latest] did not find as expected, or did not come to, of those it had; without vector files,
    /// of its files.
    #[arg(long, value_name = "RUN", num_args = 0..=1, require_equals = true, conflicts_with = "resume")]
    pub rerun_failed: Option<Option<RunId>>,
    /// Run each vector N times.
    #[arg(long, value_name = "N")]
    pub repeat: Option<NonZeroU32>,
    /// Run a vector that is not as expected again, N times at most; one that then is as expected is marked flaky.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub retries: u32,
    /// Begin no further vector once N [default: 1] are not as expected; those that were submitted are waited for.
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "1")]
    pub fail_fast: Option<NonZeroUsize>,
    /// Begin no further vector after this long, such as 90s or 10m; those under way are waited for.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub max_duration: Option<std::time::Duration>,
    /// Check everything and print the plan; nothing is submitted, and no network is touched.
    #[arg(long, conflicts_with_all = ["resume"])]
    pub dry_run: bool,
}

/// What is given must not be shown, whatever becomes of it.
#[allow(clippy::unnecessary_wraps)]
fn secret(text: &str) -> Result<Secret, std::convert::Infallible> {
    Ok(Secret::new(text.to_owned()))
}
