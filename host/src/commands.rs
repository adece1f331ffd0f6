//! The commands: flags laid over settings, files read, the flow called, its events turned into a report. Nothing is decided here
//! about vectors, traces or verdicts.

mod classify;
mod demo;
mod plugins;
mod run;
mod simulate;

use crate::cli::{Command, Common};
use crate::config::{self, Plugins, Settings};
use crate::exit::{Exit, Failure};
use crate::jury::Jury;
use crate::plugin::{self, Loaded, PluginError};
use crate::report;
use std::io::Read as _;
use std::path::Path;

/// Does what the command line asks for.
///
/// # Errors
/// [`Failure`], where the command could not do its work at all.
pub async fn execute(command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Run(args) => run::execute(args).await,
        Command::Classify(args) => classify::execute(args).await,
        Command::Demo(args) => demo::execute(args).await,
        Command::Simulate(args) => simulate::execute(args).await,
        Command::Plugin(command) => plugins::execute(command).await,
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
            "give --plugins the folder that holds your *.wasm",
        ));
    }
    settings.plugins.dir = dir.to_owned();
    Ok(())
}

/// The jury of the settings' plugins. What was refused is told on stderr; the others go on.
async fn jury(settings: &Plugins) -> Result<Jury, Failure> {
    let loaded = loaded(settings).await?;
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(Jury::new(loaded.classifiers, settings, processors))
}

/// The plugins of the settings' folder, with a warning for what is wrong with them.
async fn loaded(settings: &Plugins) -> Result<Loaded, Failure> {
    let own = settings.clone();
    let loaded = tokio::task::spawn_blocking(move || plugin::load(&own)).await;
    let loaded =
        loaded.map_err(|e| Failure::new(Exit::CouldNotRun, format!("plugins could not be loaded: {e}"), "please report this"))??;
    for error in &loaded.refused {
        let help = if let PluginError::Refused { help, .. } = error { help.as_str() } else { "check the plugins folder" };
        report::warn(&format!("{error}; it abstains"), help);
    }
    for name in &loaded.granted_to_nobody {
        report::warn(&format!("plugins.grants: no plugin is named {name}"), "check the name; `tracejury plugin list` shows them");
    }
    Ok(loaded)
}

/// The name of a file for people, and its text; `-` is stdin.
fn read(path: &Path) -> Result<(String, String), Failure> {
    let name = if path == Path::new("-") { "stdin".to_owned() } else { path.display().to_string() };
    let mut bytes = Vec::new();
    let done = if path == Path::new("-") {
        std::io::stdin().read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|mut f| f.read_to_end(&mut bytes))
    };
    done.map_err(|e| Failure::new(Exit::Usage, format!("{name}: cannot be read: {e}"), "check the file's name and permissions"))?;
    let text = String::from_utf8(bytes).map_err(|e| {
        let line = e.as_bytes().iter().take(e.utf8_error().valid_up_to()).filter(|b| **b == b'\n').count() + 1;
        Failure::new(Exit::Usage, format!("{name}:{line}: is not UTF-8"), "save the file as UTF-8")
    })?;
    Ok((name, text))
}
