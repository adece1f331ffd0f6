//! The commands on how right classifiers are: `eval`, `label`, `calibrate`, `plugin backtest`. No logic.

use super::{Common, Records};
use crate::model::{Classification, SessionId};
use clap::Args;
use std::path::PathBuf;
use tracejury_regex::pack::kebab as is_kebab;

/// What `eval` takes.
#[derive(Debug, Args)]
pub struct EvalArgs {
    /// Labelled failures, one a line: corpus records (`message`, `category`, …) or recorded traces with an `expect`; `-` is stdin.
    #[arg(required = true)]
    pub corpus: Vec<PathBuf>,
    /// A rule pack, script or component to measure alone on the same failures, beside the jury.
    #[arg(long, value_name = "PACK")]
    pub baseline: Option<PathBuf>,
    /// Measure two halves that share no source repository (or session), each with confidences calibrated on the other half.
    #[arg(long)]
    pub cross_validate: bool,
    /// Write a page with all figures to this file.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Show the figures of each reason too.
    #[arg(long)]
    pub reasons: bool,
    /// The least macro-F1.
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub min_macro_f1: Option<f64>,
    /// The least macro-F1 over the records that are marked hard.
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub min_hard_macro_f1: Option<f64>,
    /// The largest share of internal faults that may be called external.
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub max_internal_as_external: Option<f64>,
    /// The largest share of external outages that may be called internal.
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub max_external_as_internal: Option<f64>,
    /// The least share of right reasons, where the classification is right.
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub min_reason_right: Option<f64>,
    /// The largest expected calibration error.
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub max_calibration_error: Option<f64>,
    /// Settings and output.
    #[command(flatten)]
    pub common: Common,
}

/// What `label` takes.
#[derive(Debug, Args)]
pub struct LabelArgs {
    /// The session, as the outcome names it.
    pub session: SessionId,
    /// What its failure really was: EXTERNAL_DEPENDENCY_OUTAGE, INTERNAL_LOGIC_FAULT, UNKNOWN, or a name of your own.
    #[arg(required_unless_present = "remove")]
    pub classification: Option<Classification>,
    /// The kind of cause, such as dns or type-error.
    #[arg(long, value_name = "REASON", value_parser = kebab)]
    pub reason: Option<String>,
    /// Take its label away.
    #[arg(long, conflicts_with_all = ["classification", "reason"])]
    pub remove: bool,
    /// Settings and output.
    #[command(flatten)]
    pub records: Records,
}

/// What `calibrate` takes.
#[derive(Debug, Args)]
pub struct CalibrateArgs {
    /// Labelled failures beside the labelled sessions of the journal, in the formats of `eval`.
    pub corpus: Vec<PathBuf>,
    /// The file to write [default: what merge.calibration says].
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Show what would be written; write nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Settings and output.
    #[command(flatten)]
    pub common: Common,
}

/// What `plugin backtest` takes.
#[derive(Debug, Args)]
pub struct BacktestArgs {
    /// The plugin: a component, a rule pack or a script. It takes the seat of a plugin of the same name, where there is one.
    pub plugin: PathBuf,
    /// Recorded traces, one a line, such as those that `plugins.archive` collects; `-` is stdin.
    #[arg(long, required = true, num_args = 1.., value_name = "ARCHIVE")]
    pub against: Vec<PathBuf>,
    /// The folder of plugins in use now [default: that of the settings].
    #[arg(long, value_name = "DIR", conflicts_with = "plugins")]
    pub current: Option<PathBuf>,
    /// How many outcomes may change their classification.
    #[arg(long, value_name = "N")]
    pub max_flips: Option<usize>,
    /// Settings and output.
    #[command(flatten)]
    pub common: Common,
}

fn share(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|share| (0.0..=1.0).contains(share)).ok_or_else(|| "must be a number from 0 to 1".to_owned())
}

fn kebab(text: &str) -> Result<String, String> {
    if is_kebab(text) { Ok(text.to_owned()) } else { Err("must be kebab-case, such as missing-config".to_owned()) }
}
