//! What those ask for who give plugins to others, or take theirs.

use super::Common;
use crate::share::Reference;
use clap::{Args, Subcommand};
use std::path::PathBuf;

const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    refused: nothing was changed, and the words on stderr say which rule is against it
  2    usage, settings, or an invalid file
  3    a registry cannot be reached, does not let us, or has nothing there";

const UPDATE_EXIT_CODES: &str = "\
Exit codes:
  0    all is current, or what would change is shown, or taken with --apply
  1    an update is refused: the lock and the plugins stay as they are
  2    usage, settings, or an invalid file
  3    a registry cannot be reached";

/// The commands.
#[derive(Debug, Subcommand)]
pub enum ShareCommand {
    /// Give a plugin to others: put it into a registry, with its tests, licence, SBOM and budget.
    #[command(after_help = EXIT_CODES)]
    Push(PushArgs),
    /// Take a plugin of others into use, if it is trusted and its tests pass here; without a reference, all of plugins.lock.
    #[command(after_help = EXIT_CODES)]
    Pull(PullArgs),
    /// Make a pair of keys: NAME.key, encrypted with TRACEJURY_KEY_PASSWORD, and NAME.pub, in the form cosign reads.
    Keygen(KeygenArgs),
    /// Sign what lies in a registry, beside the signatures that are there.
    Sign(SignArgs),
    /// Check the signatures of an artifact, of a registry or a file.
    #[command(after_help = EXIT_CODES)]
    Verify(VerifyArgs),
    /// Show the keys and rules of [trust], or what they say of a reference.
    Trust(TrustArgs),
    /// Write the plugins of the folder, as they are now, into plugins.lock.
    Lock(Common),
    /// Show what newer versions would change: imports, reads, rules, outcomes; with --apply, take them.
    #[command(after_help = UPDATE_EXIT_CODES)]
    Update(UpdateArgs),
    /// Write an artifact to one file, with its signatures and its proof, to be carried by hand.
    Save(SaveArgs),
    /// Take a plugin into use from such a file; no network is touched.
    #[command(after_help = EXIT_CODES)]
    Load(LoadArgs),
    /// Take a plugin out of use; or, by its reference, off the shelf.
    Remove(RemoveArgs),
}

/// What makes an artifact of a plugin's file.
#[derive(Debug, Args)]
pub struct MakeArgs {
    /// Cases that go along [default: NAME.cases.ndjson or cases.ndjson beside it].
    #[arg(long, value_name = "FILE")]
    pub cases: Option<PathBuf>,
    /// Under which licence it may be used, as an SPDX expression [default: what the plugin says].
    #[arg(long, value_name = "SPDX")]
    pub license: Option<String>,
    /// Where it is developed [default: what the plugin says].
    #[arg(long, value_name = "URL")]
    pub source: Option<String>,
    /// What it is made of, as CycloneDX or SPDX in JSON [default: itself, its licence and source].
    #[arg(long, value_name = "FILE")]
    pub sbom: Option<PathBuf>,
    /// How long an answer may take, in milliseconds [default: twenty times the longest of its tests, at least 50].
    #[arg(long, value_name = "MS")]
    pub deadline_ms: Option<u32>,
    /// How much memory an instance needs, in MiB [default: twice what it starts with, at least 16].
    #[arg(long, value_name = "MIB")]
    pub memory_mib: Option<u32>,
    /// Sign it with this key too; its password is TRACEJURY_KEY_PASSWORD.
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
}

/// What `plugin push` takes.
#[derive(Debug, Args)]
pub struct PushArgs {
    /// The plugin: a component, a rule pack or a script.
    pub file: PathBuf,
    /// Where to, such as registry.example.com/team/plugin:1.0.0.
    pub reference: Reference,
    /// What goes along.
    #[command(flatten)]
    pub make: MakeArgs,
    /// Settings and output.
    #[command(flatten)]
    pub common: Common,
}

/// What `plugin pull` takes.
#[derive(Debug, Args)]
pub struct PullArgs {
    /// From where, such as registry.example.com/team/plugin:1.0.0; without it, all that plugins.lock names.
    pub reference: Option<Reference>,
    /// How it is taken.
    #[command(flatten)]
    pub take: TakeArgs,
    /// Settings and output.
    #[command(flatten)]
    pub common: Common,
}

/// How a plugin is taken into use.
#[derive(Debug, Args)]
pub struct TakeArgs {
    /// Take it without having run its tests. Nobody will know whether it works here.
    #[arg(long)]
    pub no_verify: bool,
    /// Take an older version than the one in use.
    #[arg(long)]
    pub allow_downgrade: bool,
}

/// What `plugin keygen` takes.
#[derive(Debug, Args)]
pub struct KeygenArgs {
    /// The name of the files, without an ending.
    pub name: PathBuf,
}

/// What `plugin sign` takes.
#[derive(Debug, Args)]
pub struct SignArgs {
    /// What to sign.
    pub reference: Reference,
    /// The private key; its password is TRACEJURY_KEY_PASSWORD.
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// Settings and output.
    #[command(flatten)]
    pub common: Common,
}

/// What `plugin verify` takes.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// A reference, or a file that `plugin save` wrote.
    pub artifact: String,
    /// A public key that must have signed it [default: what [trust] says of the reference].
    #[arg(long, value_name = "FILE")]
    pub key: Vec<PathBuf>,
    /// Settings and output.
    #[command(flatten)]
    pub common: Common,
}

/// What `plugin trust` takes.
#[derive(Debug, Args)]
pub struct TrustArgs {
    /// A reference to ask about.
    pub reference: Option<Reference>,
    /// Settings and output.
    #[command(flatten)]
    pub common: Common,
}

/// What `plugin update` takes.
#[derive(Debug, Args)]
pub struct UpdateArgs {
    /// Plugins of plugins.lock, by name [default: all of them].
    pub names: Vec<String>,
    /// Take what is newer, if nothing is against it.
    #[arg(long)]
    pub apply: bool,
    /// Recorded traces to try it on [default: the file that plugins.archive names].
    #[arg(long, value_name = "FILE")]
    pub against: Vec<PathBuf>,
    /// Refuse an update that changes the classification of more outcomes.
    #[arg(long, value_name = "N")]
    pub max_flips: Option<usize>,
    /// Settings and output.
    #[command(flatten)]
    pub common: Common,
}

/// What `plugin save` takes.
#[derive(Debug, Args)]
pub struct SaveArgs {
    /// A reference, on the shelf or in its registry; or a plugin's file, with --as.
    pub artifact: String,
    /// The file to write.
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// The reference under which a plugin's file shall be known.
    #[arg(long = "as", value_name = "REFERENCE")]
    pub reference: Option<Reference>,
    /// What goes along with a plugin's file.
    #[command(flatten)]
    pub make: MakeArgs,
    /// Settings and output.
    #[command(flatten)]
    pub common: Common,
}

/// What `plugin load` takes.
#[derive(Debug, Args)]
pub struct LoadArgs {
    /// A file that `plugin save` wrote.
    pub file: PathBuf,
    /// How it is taken.
    #[command(flatten)]
    pub take: TakeArgs,
    /// Settings and output.
    #[command(flatten)]
    pub common: Common,
}

/// What `plugin remove` takes.
#[derive(Debug, Args)]
pub struct RemoveArgs {
    /// The name of a plugin in use, or the reference of a copy on the shelf.
    pub plugin: String,
    /// Settings and output.
    #[command(flatten)]
    pub common: Common,
}
