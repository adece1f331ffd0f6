//! The command line as clap sees it. No logic.

use crate::report::Format;
use clap::{Args, Parser, Subcommand};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;

const EXIT_CODES: &str = "Exit codes:
  0    everything as expected
  1    some vector is not as expected (one without `expect` expects COMPLETED)
  2    usage, settings, or an invalid file
  3    could not run: credentials, platform unreachable, no classifier, audit log not written
  130  interrupted";

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
    #[command(after_help = EXIT_CODES)]
    Classify(ClassifyArgs),
    /// Show the main job on a simulated platform; needs nothing.
    Demo(DemoArgs),
    /// Be the debug API on loopback, to try things out.
    Simulate(SimulateArgs),
    /// Look at plugins.
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Compile one component, for this program itself: an order and a component on stdin, code on stdout.
    #[command(hide = true)]
    CompilePlugin,
}

/// What `run` takes.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Vector files: JSON (one object or an array) or NDJSON; `-` is stdin.
    #[arg(required = true)]
    pub vectors: Vec<PathBuf>,
    /// How many vectors are in flight at once.
    #[arg(long, value_name = "N")]
    pub concurrency: Option<NonZeroUsize>,
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
    /// How outcomes are written.
    #[arg(long, value_enum, default_value = "human")]
    pub format: Format,
    /// The folder of plugins.
    #[arg(long, value_name = "DIR")]
    pub plugins: Option<PathBuf>,
}

/// What `simulate` takes.
#[derive(Debug, Args)]
pub struct SimulateArgs {
    /// The loopback address to listen on; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// A script of scenarios in place of the built-in one.
    #[arg(long, value_name = "FILE")]
    pub scenario: Option<PathBuf>,
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
}

/// What `plugin inspect` takes.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// A plugin of the folder, by its name or its file's, or any `*.wasm`.
    pub plugin: String,
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
    /// The folder of plugins.
    #[arg(long, value_name = "DIR")]
    pub plugins: Option<PathBuf>,
    /// How outcomes are written.
    #[arg(long, value_enum, default_value = "human")]
    pub format: Format,
}
