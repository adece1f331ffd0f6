//! The command line as clap sees it. No logic.

mod eval;
mod records;
mod run;
pub mod share;
mod workshop;

pub use eval::{BacktestArgs, CalibrateArgs, EvalArgs, LabelArgs};
pub use records::{
    AuditCommand, AuditVerifyArgs, CompareArgs, CompareFormat, EntryArgs, ExportArgs, ExportFormat, FlushArgs, ListArgs, OutputArgs,
    ProveArgs, PruneArgs, PurgeArgs, ReconcileArgs, Records, ReplayArgs, RunArg, RunsCommand, ShowArgs, VerifyArgs, WebhookCommand,
};

pub use run::{RunArgs, SelectionArgs, ValueArgs};
pub use share::ShareCommand;
pub use workshop::{BenchArgs, BuildArgs, CheckArgs, ExplainArgs, NewArgs, PackArgs, TestArgs, WorkshopCommand};

use crate::model::ActionId;
use crate::report::Format;
use crate::simulator::Vendor;
use clap::{Args, Parser, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;

const EXIT_CODES: &str = "Exit codes:
  0    everything as expected
  1    some vector is not as expected (one without `expect` expects COMPLETED), or was not run because of
       --fail-fast or --max-duration
  2    usage, settings, or an invalid file
  3    could not run: credentials, platform unreachable, no classifier, journal or audit log not written
  130  interrupted; `tracejury run --resume` goes on with it";

const CLASSIFY_EXIT_CODES: &str = "Exit codes:
  0    every trace was read, and those with `expect` are as expected
  1    some trace is not as its `expect` has it
  2    usage, settings, or an invalid file or line
  3    could not run: no classifier";

const EVAL_EXIT_CODES: &str = "Exit codes:
  0    every figure that was asked for is reached
  1    some figure is not, or cannot be told
  2    usage, settings, or an invalid file
  3    could not run: a plugin that was named cannot be loaded";

const BACKTEST_EXIT_CODES: &str = "Exit codes:
  0    not more outcomes would change than --max-flips allows
  1    more would
  2    usage, settings, or an invalid file
  3    could not run: the plugin cannot be loaded";

const COMPARE_EXIT_CODES: &str = "Exit codes:
  0    nothing fails that did not fail before
  1    something does
  2    usage or settings, or there is no such run
  3    the journal cannot be read";

const VERIFY_EXIT_CODES: &str = "Exit codes:
  0    the delivery is what it says
  1    it is not: wrong signature, or too old
  2    usage, settings, or a file that cannot be read";

const AUDIT_EXIT_CODES: &str = "Exit codes:
  0    it holds
  1    it does not
  2    usage, settings, or a key, checkpoint or proof that cannot be read
  3    a file cannot be read";

const DOCTOR_EXIT_CODES: &str = "Exit codes:
  0    nothing failed; warnings may be worth a look
  2    usage, settings, or an invalid file
  3    something failed: a run would not go well";

/// Finds out why Data Actions fail: runs test vectors against the debug API and lets classifiers judge the traces.
#[derive(Debug, Parser)]
#[command(name = "tracejury", version, about, after_help = EXIT_CODES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Say more on stderr: -vv shows each answer, each retry and what plugins log.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Submit vectors, collect their traces, classify what failed.
    #[command(after_help = EXIT_CODES)]
    Run(RunArgs),
    /// Classify recorded traces; no network is touched.
    #[command(after_help = CLASSIFY_EXIT_CODES)]
    Classify(ClassifyArgs),
    /// Measure how right the classifiers are on labelled failures; no network is touched.
    #[command(after_help = EVAL_EXIT_CODES)]
    Eval(EvalArgs),
    /// Say what a session's failure really was: `calibrate` learns from it.
    Label(LabelArgs),
    /// Fit what each plugin's confidence is worth to labelled sessions and failures, and write it to a file that merging reads.
    Calibrate(CalibrateArgs),
    /// Show the main job on a simulated platform; needs nothing.
    Demo(DemoArgs),
    /// Be the debug API on loopback, to try things out.
    Simulate(SimulateArgs),
    /// Look at everything a run needs, and say what to do about what is wrong; nothing is run.
    #[command(after_help = DOCTOR_EXIT_CODES)]
    Doctor(DoctorArgs),
    /// Look at plugins, and write your own.
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Look at what became of earlier runs.
    #[command(subcommand)]
    Runs(RunsCommand),
    /// Look after deliveries to dashboards, and check one as a receiver.
    #[command(subcommand)]
    Webhook(WebhookCommand),
    /// Check, prove, prune and export the audit log.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Begin a project: settings with a comment each, a first vector, a CI workflow, and keys for the audit log's checkpoints and for the hashes
    /// of inputs. What is there stays as it is.
    Init(InitArgs),
    /// Print what completes commands in a shell, to be loaded by it: `source <(tracejury completions bash)`.
    Completions(CompletionsArgs),
    /// Write manual pages, one for each command: `man -l tracejury.1` shows one.
    Man(ManArgs),
    /// Compile one component, for this program itself: an order and a component on stdin, code on stdout.
    #[command(hide = true)]
    CompilePlugin,
}

/// What `classify` takes.
#[derive(Debug, Args)]
pub struct ClassifyArgs {
    /// Files with one recorded trace a line; `-` or none is stdin.
    pub traces: Vec<PathBuf>,
    /// Run nothing but the plugins of plugins.lock, as they stand there.
    #[arg(long)]
    pub locked: bool,
    /// Settings and output.
    #[command(flatten)]
    pub common: Common,
}

/// What `demo` takes.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// How results are written.
    #[arg(long, value_enum, default_value = "human")]
    pub format: Format,
    /// The folder of plugins [default: plugins].
    #[arg(long, value_name = "DIR")]
    pub plugins: Option<PathBuf>,
}

/// What `init` takes.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The folder to write to.
    #[arg(default_value = ".")]
    pub dir: PathBuf,
    /// The name of the audit log: it stands in its checkpoints.
    #[arg(long, value_name = "NAME", default_value = "tracejury.local/audit")]
    pub log: String,
}

/// What `completions` takes.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// What `man` takes.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// The folder to write to.
    #[arg(default_value = ".")]
    pub dir: PathBuf,
}

/// What `doctor` takes.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Vector files whose actions are looked for on the platform; they are not run.
    pub vectors: Vec<PathBuf>,
    /// An action to look for, in each environment.
    #[arg(long = "action", value_name = "ID")]
    pub actions: Vec<ActionId>,
    /// Values for what vectors leave open.
    #[command(flatten)]
    pub values: ValueArgs,
    /// Settings and output.
    #[command(flatten)]
    pub common: Common,
}

/// What `simulate` takes.
#[derive(Debug, Args)]
pub struct SimulateArgs {
    /// The loopback address to listen on; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// The port of 127.0.0.1 to listen on, in place of --listen; 0 takes a free one.
    #[arg(long, value_name = "PORT", conflicts_with = "listen")]
    pub port: Option<u16>,
    /// A script of scenarios in place of the built-in one, in JSON or YAML.
    #[arg(long, value_name = "FILE")]
    pub scenario: Option<PathBuf>,
    /// Whose API to be: cxone or genesys [default: what the script says].
    #[arg(long, value_enum)]
    pub profile: Option<Vendor>,
    /// Append received webhooks to this file, one a line.
    #[arg(long, value_name = "FILE")]
    pub deliveries: Option<PathBuf>,
}

/// What can be done with plugins.
#[derive(Debug, Subcommand)]
pub enum PluginCommand {
    /// List the default classifier and every plugin of the folder: what each is, and what it may see.
    List(PluginListArgs),
    /// Show all there is to know of one plugin: what it asks for, what it may see and use up, how it is run and why.
    Inspect(InspectArgs),
    /// Write plugins.
    #[command(flatten)]
    Workshop(WorkshopCommand),
    /// Give plugins to others, and take theirs into use.
    #[command(flatten)]
    Share(ShareCommand),
    /// Try a plugin on recorded traces before it is trusted: which outcomes would change, and how.
    #[command(after_help = BACKTEST_EXIT_CODES)]
    Backtest(BacktestArgs),
    /// Group the sessions that no classifier could classify, and propose a rule for each group.
    Unclassified(UnclassifiedArgs),
}

/// What `plugin unclassified` takes.
#[derive(Debug, Args)]
pub struct UnclassifiedArgs {
    /// Files with one recorded trace a line [default: the file that `plugins.unclassified` names]. Executions that went well are no
    /// part of any group: proposed rules are checked against them.
    pub traces: Vec<PathBuf>,
    /// Settings and output.
    #[command(flatten)]
    pub common: Common,
}

/// What `plugin list` takes.
#[derive(Debug, Args)]
pub struct PluginListArgs {
    /// List the shelf instead: what was pulled or loaded, and can be taken into use without a network.
    #[arg(long)]
    pub available: bool,
    /// Settings and output.
    #[command(flatten)]
    pub common: Common,
}

/// What `plugin inspect` takes.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// A plugin of the folder, by its name or its file's, or any file.
    pub plugin: String,
    /// Print its rules or its script, as its author wrote them.
    #[arg(long)]
    pub rules: bool,
    /// Settings and output.
    #[command(flatten)]
    pub common: Common,
}

/// What commands that use plugins share.
#[derive(Debug, Args)]
pub struct Common {
    /// The settings file [default: tracejury.toml, where it exists].
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The folder of plugins [default: plugins].
    #[arg(long, value_name = "DIR")]
    pub plugins: Option<PathBuf>,
    /// How results are written.
    #[arg(long, value_enum, default_value = "human")]
    pub format: Format,
}
