//! What those ask for who write plugins.

use super::Common;
use crate::workshop::Language;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// The commands.
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
