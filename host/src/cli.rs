//! The command line as clap sees it. No logic.

mod eval;
mod records;

pub use eval::{BacktestArgs, CalibrateArgs, EvalArgs, LabelArgs};
pub use records::{
    AuditCommand, AuditVerifyArgs, EntryArgs, ExportArgs, ExportFormat, FlushArgs, ListArgs, OutputArgs, ProveArgs, PruneArgs, PurgeArgs,
    ReconcileArgs, Records, ReplayArgs, RunArg, RunsCommand, ShowArgs, VerifyArgs, WebhookCommand,
};

use crate::model::{ActionId, RunId};
use crate::report::Format;
use crate::simulator::Vendor;
use crate::workshop::Language;
use clap::{Args, Parser, Subcommand};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;

const EXIT_CODES: &str = "Exit codes:
  0    everything as expected
  1    some vector is not as expected (one without `expect` expects COMPLETED)
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
    /// Make keys for the audit log's checkpoints and for the hashes of inputs, and settings that name them.
    Init(InitArgs),
    /// Compile one component, for this program itself: an order and a component on stdin, code on stdout.
    #[command(hide = true)]
    CompilePlugin,
}

/// What `run` takes.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Vector files: JSON (one object or an array) or NDJSON, which is read as it is run; `-` is stdin.
    #[arg(required_unless_present = "resume")]
    pub vectors: Vec<PathBuf>,
    /// Go on with a run that was cut off [default: the latest such run]. Its vector files are read again; sessions it has submitted are
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
    /// Settings and output.
    #[command(flatten)]
    pub common: Common,
}

/// What `classify` takes.
#[derive(Debug, Args)]
pub struct ClassifyArgs {
    /// Files with one recorded trace a line; `-` or none is stdin.
    pub traces: Vec<PathBuf>,
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

/// What `doctor` takes.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Vector files whose actions are looked for on the platform; they are not run.
    pub vectors: Vec<PathBuf>,
    /// An action to look for, in each environment.
    #[arg(long = "action", value_name = "ID")]
    pub actions: Vec<ActionId>,
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
    List(Common),
    /// Show all there is to know of one plugin: what it asks for, what it may see and use up, how it is run and why.
    Inspect(InspectArgs),
    /// Write plugins.
    #[command(flatten)]
    Workshop(WorkshopCommand),
    /// Try a plugin on recorded traces before it is trusted: which outcomes would change, and how.
    #[command(after_help = BACKTEST_EXIT_CODES)]
    Backtest(BacktestArgs),
    /// Group the sessions that no classifier could classify, and propose a rule for each group.
    Unclassified(UnclassifiedArgs),
}

/// What those ask for who write plugins.
#[derive(Debug, Subcommand)]
pub enum WorkshopCommand {
    /// Start a classifier of your own: a project that builds, tests and passes `check` as it is.
    New(NewArgs),
    /// Build a project to a component, with its name, version, licence and source in it.
    Build(BuildArgs),
    /// Look at a plugin from all sides before it is given to others.
    Check(CheckArgs),
    /// Run a plugin's examples and cases.
    Test(TestArgs),
    /// Show why a plugin says of traces what it says: the rules tried, what matched where, what each would need.
    Explain(ExplainArgs),
    /// Measure what a plugin costs, beside the default classifier.
    Bench(BenchArgs),
    /// Make one file of a rule pack or a script, with its engine and its cases.
    Pack(PackArgs),
}

/// What `plugin new` takes.
#[derive(Debug, Args)]
pub struct NewArgs {
    /// The classifier's name, in kebab-case.
    pub name: String,
    /// In what it is to be written.
    #[arg(long, value_enum, value_name = "LANGUAGE", default_value = "rules")]
    pub lang: Language,
    /// The folder to write to [default: the name].
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// What `plugin build` takes.
#[derive(Debug, Args)]
pub struct BuildArgs {
    /// The project's folder.
    #[arg(default_value = ".")]
    pub dir: PathBuf,
    /// The file to write [default: NAME.wasm in the project].
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Settings and output.
    #[command(flatten)]
    pub common: Common,
}

/// What `plugin check` takes.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The plugin: a component, a rule pack or a script.
    pub file: PathBuf,
    /// A file of cases [default: NAME.cases.ndjson or cases.ndjson beside it, or those inside it].
    pub cases: Option<PathBuf>,
    /// Settings and output.
    #[command(flatten)]
    pub common: Common,
}

/// What `plugin bench` takes.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// The plugin: a component, a rule pack or a script.
    pub file: PathBuf,
    /// A file of cases, whose traces it hears [default: NAME.cases.ndjson or cases.ndjson beside it, or short traces of every kind].
    pub cases: Option<PathBuf>,
    /// The crate it is built of, to be measured natively too; rules are anyway.
    #[arg(long, value_name = "DIR")]
    pub native: Option<PathBuf>,
    /// Settings and output.
    #[command(flatten)]
    pub common: Common,
}

/// What `plugin test` takes.
#[derive(Debug, Args)]
pub struct TestArgs {
    /// The plugin: a component, a rule pack or a script.
    pub file: PathBuf,
    /// Files of cases [default: NAME.cases.ndjson or cases.ndjson beside it, or those inside it].
    pub cases: Vec<PathBuf>,
    /// Write what it says now into the cases.
    #[arg(long)]
    pub update: bool,
    /// Say which rules no test matches, and which match the same texts.
    #[arg(long)]
    pub coverage: bool,
    /// Run again whenever one of the files is saved.
    #[arg(long, conflicts_with_all = ["update", "junit"])]
    pub watch: bool,
    /// Write a JUnit report to this file too.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Settings and output.
    #[command(flatten)]
    pub common: Common,
}

/// What `plugin explain` takes.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The plugin: a component, a rule pack or a script; or a plugin of the folder, by its name.
    pub plugin: String,
    /// Files with one recorded trace a line; `-` or none is stdin.
    pub traces: Vec<PathBuf>,
    /// Show rules of which nothing matched too.
    #[arg(long)]
    pub every_rule: bool,
    /// Settings and output.
    #[command(flatten)]
    pub common: Common,
}

/// What `plugin pack` takes.
#[derive(Debug, Args)]
pub struct PackArgs {
    /// The rule pack or script.
    pub file: PathBuf,
    /// The file to write [default: NAME.wasm beside it].
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Cases that go along [default: NAME.cases.ndjson or cases.ndjson beside it].
    #[arg(long, value_name = "FILE")]
    pub cases: Option<PathBuf>,
    /// Under which licence it may be used, as an SPDX expression [default: what the pack says].
    #[arg(long, value_name = "SPDX")]
    pub license: Option<String>,
    /// Where it is developed [default: what the pack says].
    #[arg(long, value_name = "URL")]
    pub source: Option<String>,
    /// Settings and output.
    #[command(flatten)]
    pub common: Common,
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
