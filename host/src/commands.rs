//! The commands: flags laid over settings, files read, the flow called, its events turned into a report. Nothing is decided here
//! about vectors, traces or verdicts.

mod admission;
mod audit;
mod backtest;
mod calibrate;
mod classify;
mod demo;
mod doctor;
mod drive;
mod eval;
mod init;
mod lock;
mod manual;
mod plugins;
mod run;
mod runs;
mod share;
mod shelf;
mod simulate;
mod suite;
mod unclassified;
mod update;
mod webhook;
mod workshop;

use crate::classify::{Keep, Terms};
use crate::cli::{Command, Common, Records};
use crate::config::{self, Merge, Plugins, Settings};
use crate::debug_api::{Recorded, parse_recorded};
use crate::exit::{Exit, Failure};
use crate::http::Trust;
use crate::jury::Jury;
use crate::merge::{Calibration, Policy};
use crate::model::{InputHasher, Secret, printable, utf8};
use crate::plugin::{Change, Compiler, Loaded, Loader, Loading, PluginError, Watch};
use crate::redact::{Privacy, Rules};
use crate::report;
use crate::store::{Store, StoreError};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Does what the command line asks for.
///
/// # Errors
/// [`Failure`], where the command could not do its work at all.
pub async fn execute(command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Run(args) => run::execute(args).await,
        Command::Classify(args) => classify::execute(args).await,
        Command::Eval(args) => eval::execute(args).await,
        Command::Label(args) => calibrate::label(args).await,
        Command::Calibrate(args) => calibrate::execute(args).await,
        Command::Demo(args) => demo::execute(args).await,
        Command::Simulate(args) => simulate::execute(args).await,
        Command::Doctor(args) => doctor::execute(args).await,
        Command::Runs(command) => runs::execute(command).await,
        Command::Webhook(command) => webhook::execute(command).await,
        Command::Audit(command) => audit::execute(command).await,
        Command::Init(args) => init::execute(&args),
        Command::Plugin(command) => plugins::execute(command).await,
        Command::Completions(args) => manual::completions(&args),
        Command::Man(args) => manual::pages(&args),
        Command::CompilePlugin => plugins::compile().await,
    }
}

fn settings(common: &Common) -> Result<Settings, Failure> {
    let mut settings = config::load(common.config.as_deref(), |name| std::env::var(name).ok())?;
    if let Some(dir) = &common.plugins {
        plugins_in(&mut settings, dir)?;
    }
    Ok(settings)
}

/// The folder of plugins by flag. Unlike the default one it must exist: nobody names a folder that is not there on purpose.
fn plugins_in(settings: &mut Settings, dir: &Path) -> Result<(), Failure> {
    if !dir.is_dir() {
        return Err(Failure::new(
            Exit::Usage,
            format!("{}: is not a folder", dir.display()),
            "give --plugins the folder that holds your *.wasm, *.toml and *.js",
        ));
    }
    settings.plugins.dir = dir.to_owned();
    Ok(())
}

/// Whom TLS trusts, and as whom it presents itself.
fn trust(settings: &Settings) -> Result<Trust, Failure> {
    let tls = &settings.tls;
    Trust::read(&tls.ca_file, &tls.client_certificate, &tls.client_key)
        .map_err(|what| Failure::new(Exit::Usage, format!("tls: {what}"), "[tls] in tracejury.toml names PEM files"))
}

/// By what outcomes are made.
fn terms(settings: &Settings) -> Result<Terms, Failure> {
    let policy = Policy::new(settings.merge.clone(), calibration(&settings.merge.calibration)?);
    Ok(Terms { privacy: privacy(settings)?, policy, keep: Keep::Unclassified, show_steps: false })
}

/// What is known of plugins' confidences: nothing, where there is no file.
fn calibration(file: &Path) -> Result<Calibration, Failure> {
    let wrong = |what: String| Failure::new(Exit::Usage, what, "`tracejury calibrate` writes it anew; merge.calibration names it");
    match std::fs::read_to_string(file) {
        Ok(text) => Calibration::parse(&text).map_err(|what| wrong(format!("{}:{what}", file.display()))),
        Err(e) if file.as_os_str().is_empty() || e.kind() == std::io::ErrorKind::NotFound => Ok(Calibration::default()),
        Err(e) => Err(wrong(format!("{}: cannot be read: {e}", file.display()))),
    }
}

/// What is masked, and how inputs are hashed.
fn privacy(settings: &Settings) -> Result<Privacy, Failure> {
    let wrong = |what: String| Failure::new(Exit::Usage, what, "README, section Privacy, says what goes there");
    let own = &settings.privacy;
    let rules = Rules::new(own).map_err(wrong)?;
    let key = match (own.key.expose().is_empty(), own.key_file.as_os_str().is_empty()) {
        (true, false) => {
            let text = std::fs::read_to_string(&own.key_file);
            Secret::new(text.map_err(|e| wrong(format!("privacy.key_file: {}: {e}", own.key_file.display())))?)
        }
        _ => own.key.clone(),
    };
    // A file that is there but empty is no word for doing without.
    if key.expose().trim().is_empty() && !own.key_file.as_os_str().is_empty() {
        return Err(wrong(format!("privacy.key_file: {}: is empty", own.key_file.display())));
    }
    let hasher = InputHasher::new(key).map_err(|e| wrong(format!("privacy.key {e}")))?;
    Ok(Privacy { rules, hasher })
}

/// The settings of a command on records.
fn records(records: &Records) -> Result<Settings, Failure> {
    Ok(config::load(records.config.as_deref(), |name| std::env::var(name).ok())?)
}

/// The journal that must be there for a command on it.
fn journal(settings: &Settings) -> Result<Store, Failure> {
    Store::existing(&settings.journal.path).map_err(|error| match error {
        StoreError::Unusable { .. } => {
            Failure::new(Exit::CouldNotRun, error, "check journal.path (TRACEJURY_JOURNAL), or the folder you are in")
        }
        other => other.into(),
    })
}

/// A time of the journal, for people.
fn at(millis: i64) -> String {
    chrono::DateTime::from_timestamp_millis(millis).map_or_else(String::new, |at| at.format("%Y-%m-%d %H:%M:%SZ").to_string())
}

/// A jury, and the watch over the folder its members came from.
struct Court {
    jury: Arc<Jury>,
    _watch: Option<Watch>,
}

/// The jury of the settings' plugins. What was refused is told on stderr; the others go on. A plugin that is changed meanwhile
/// takes its seat, unless only what is locked may run.
async fn court(settings: &Settings, hold: Hold) -> Result<Court, Failure> {
    let (merge, plugins) = (&settings.merge, &settings.plugins);
    let (loader, loaded) = loaded(plugins).await?;
    for what in in_vain(merge, &loaded) {
        report::warn(&what, IN_VAIN);
    }
    lock::hold(settings, &loaded, hold)?;
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let jury = Arc::new(Jury::new(loaded.classifiers(), plugins, processors));
    let watched = plugins.dir.is_dir() && hold == Hold::AsTrusted;
    let watch = watched.then(|| Watch::start(Arc::new(loader), loaded, Arc::clone(&jury), told));
    let watch = watch.and_then(|watch| watch.inspect_err(|e| report::warn(&e.to_string(), "changed plugins need a new start")).ok());
    Ok(Court { jury, _watch: watch })
}

/// To what the plugins of a run are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hold {
    /// What comes from others, to what is trusted.
    AsTrusted,
    /// All of them, to what is locked.
    AsLocked,
}

impl Hold {
    fn of(locked: bool) -> Self {
        if locked { Self::AsLocked } else { Self::AsTrusted }
    }
}

const IN_VAIN: &str = "check the [merge] table; `tracejury plugin list` shows the plugins";

/// What the settings of merging ask for that these plugins cannot do, as far as the policy heeds it.
fn in_vain(merge: &Merge, loaded: &Loaded) -> Vec<String> {
    let there = loaded.profiles().iter().filter(|profile| profile.refused.is_none()).count();
    let named =
        merge.weights.keys().map(|name| ("weights", name)).chain(merge.correlated.iter().flatten().map(|name| ("correlated", name)));
    match merge.policy {
        config::Policy::Highest => Vec::new(),
        config::Policy::Pooled => {
            let unknown = named.filter(|(_, name)| !loaded.has(name));
            unknown.map(|(field, name)| format!("merge.{field}: no plugin is named {}", printable(name))).collect()
        }
        config::Policy::Quorum if merge.quorum.get() > there => {
            vec![format!(
                "merge.quorum: {} plugins must agree, and {} can be heard: every outcome will be UNKNOWN",
                merge.quorum.get(),
                there
            )]
        }
        config::Policy::Quorum => Vec::new(),
    }
}

/// The plugins of the settings' folder, with a warning for what is wrong with them.
async fn loaded(settings: &Plugins) -> Result<(Loader, Loaded), Failure> {
    let own = settings.clone();
    let load = move || {
        let loader = loader(&own)?;
        let loaded = loader.all()?;
        Ok::<_, PluginError>((loader, loaded))
    };
    let loaded = tokio::task::spawn_blocking(load).await;
    let (loader, loaded) =
        loaded.map_err(|e| Failure::new(Exit::CouldNotRun, format!("plugins could not be loaded: {e}"), "please report this"))??;
    for error in loaded.refused() {
        refused(error, "it abstains");
    }
    for name in &loaded.named_in_vain {
        report::warn(
            &format!("plugins.grants, plugins.for: no plugin is named {name}"),
            "check the name; `tracejury plugin list` shows them",
        );
    }
    Ok((loader, loaded))
}

/// What makes plugins of files, telling on a terminal of what takes a while.
fn loader(settings: &Plugins) -> Result<Loader, PluginError> {
    let busy = report::Busy::new();
    Loader::new(settings, Compiler::this_program()?, move |what| match what {
        Loading::Compiling(file) => busy.start(&format!("compiling {file}; the next start will find it done")),
        Loading::Compiled => busy.stop(),
    })
}

fn refused(error: &PluginError, so: &str) {
    let help = if let PluginError::Refused { help, .. } = error { help.as_str() } else { "check the plugins folder" };
    report::warn(&format!("{error}; {so}"), help);
}

/// What a change of the folder of plugins came to, for people.
fn told(change: Change) {
    match change {
        Change::Took(name, version, file) => {
            report::to_stderr(&printable(&format!("plugins: {name} {version} of {} is used from now on", file.display())));
        }
        Change::Left(file) => report::to_stderr(&printable(&format!("plugins: {} is gone, and used no more", file.display()))),
        Change::Refused(error) => refused(&error, "it abstains"),
        Change::Kept(error) => refused(&error, "the version loaded before goes on"),
    }
}

/// The name of a file for people, and what is in it; `-` is stdin.
fn bytes(path: &Path) -> Result<(String, Vec<u8>), Failure> {
    let name = if path == Path::new("-") { "stdin".to_owned() } else { path.display().to_string() };
    let mut bytes = Vec::new();
    let done = if path == Path::new("-") {
        std::io::stdin().read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|mut f| f.read_to_end(&mut bytes))
    };
    done.map_err(|e| Failure::new(Exit::Usage, format!("{name}: cannot be read: {e}"), "check the file's name and permissions"))?;
    Ok((name, bytes))
}

/// The name of a file for people, and its text; `-` is stdin.
fn read(path: &Path) -> Result<(String, String), Failure> {
    let (name, bytes) = bytes(path)?;
    let text = utf8(&bytes).map_err(|line| Failure::new(Exit::Usage, format!("{name}:{line}: is not UTF-8"), "save the file as UTF-8"))?;
    // Some editors put a mark in front that is no part of the text.
    Ok((name, text.strip_prefix('\u{feff}').unwrap_or(text).to_owned()))
}

/// All recorded traces of the files.
fn recorded(files: &[PathBuf]) -> Result<Vec<Recorded>, Failure> {
    let mut all = Vec::new();
    for file in files {
        let (place, text) = read(file)?;
        for (i, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let wrong =
                |what| Failure::new(Exit::Usage, format!("{place}:{}: {what}", i + 1), "README, section Recorded traces, has the format");
            all.push(parse_recorded(line).map_err(wrong)?);
        }
    }
    Ok(all)
}
