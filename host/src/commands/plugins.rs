//! `tracejury plugin …`: what there is to know of plugins.

use super::{backtest, loaded, refused, settings, share, shelf, unclassified, workshop};
use crate::cli::{InspectArgs, PluginCommand, PluginListArgs};
use crate::exit::{Exit, Failure};
use crate::model::printable;
use crate::plugin::{self, Compiled, Kind, Loaded, Loader, Packed, Profile};
use crate::report::{self, Format};
use std::path::Path;

pub(super) async fn execute(command: PluginCommand) -> Result<Exit, Failure> {
    match command {
        PluginCommand::List(args) if args.available => shelf::available(args.common),
        PluginCommand::List(PluginListArgs { common, .. }) => {
            let (_, loaded) = loaded(&settings(&common)?.plugins).await?;
            show(common.format, loaded.profiles(), |profiles| {
                let header = ["NAME", "VERSION", "SHA-256", "ASKS FOR", "GRANTED", "FILE", "STATE"];
                report::plain_table(&header, profiles.iter().map(|profile| row(profile)))
            });
            // A plugin that was refused has been told of on stderr; listing it is what was asked for.
            Ok(Exit::AsExpected)
        }
        PluginCommand::Share(command) => share::execute(command).await,
        PluginCommand::Inspect(args) => inspect(args).await,
        PluginCommand::Backtest(args) => backtest::execute(args).await,
        PluginCommand::Unclassified(args) => unclassified::execute(args).await,
        PluginCommand::Workshop(command) => {
            // They compile, measure and call tools: nothing for a thread that others wait for.
            let work = tokio::task::spawn_blocking(move || workshop::execute(command)).await;
            work.map_err(|e| Failure::new(Exit::CouldNotRun, format!("the work broke off: {e}"), "please report this"))?
        }
    }
}

/// The other side of the process that compiles.
pub(super) async fn compile() -> Result<Exit, Failure> {
    let served = tokio::task::spawn_blocking(|| plugin::serve_compiler(std::io::stdin(), std::io::stdout())).await;
    let served = served.map_err(std::io::Error::other).and_then(|served| served);
    served.map_err(|e| Failure::new(Exit::CouldNotRun, format!("compiling: {e}"), "this command is for tracejury itself"))?;
    Ok(Exit::AsExpected)
}

async fn inspect(args: InspectArgs) -> Result<Exit, Failure> {
    let settings = settings(&args.common)?;
    let (loader, loaded) = loaded(&settings.plugins).await?;
    let path = Path::new(&args.plugin);
    if args.rules {
        return texts(&loader, &loaded, &args.plugin);
    }
    let inspected = match find(&loaded, &args.plugin) {
        Some(profile) => profile.clone(),
        None if path.is_file() => match loader.inspect(path) {
            Ok(profile) => profile,
            Err(error) => {
                refused(&error, "it cannot be used");
                return Ok(Exit::CouldNotRun);
            }
        },
        None => return Err(nobody(&args.plugin)),
    };
    show(args.common.format, vec![&inspected], |_| report::plain_table(&[], lines(&inspected).into_iter()));
    Ok(if inspected.refused.is_some() { Exit::CouldNotRun } else { Exit::AsExpected })
}

/// The rules or the script of a plugin, as its author wrote them.
fn texts(loader: &Loader, loaded: &Loaded, plugin: &str) -> Result<Exit, Failure> {
    let file = find(loaded, plugin).map_or(plugin, |profile| profile.file.as_str());
    let texts = loader.judge(Path::new(file))?.texts();
    if texts.is_empty() {
        let what = format!("{file}: is a component of its own: it has no rules that could be read");
        return Err(Failure::new(Exit::Usage, what, "`tracejury plugin inspect` without --rules shows what there is to know"));
    }
    for (name, text) in &texts {
        if texts.len() > 1 {
            report::to_stdout(&format!("# {}", printable(name)));
        }
        text.lines().for_each(|line| report::to_stdout(&printable(line)));
    }
    Ok(Exit::AsExpected)
}

/// That there is no such plugin.
pub(super) fn nobody(wanted: &str) -> Failure {
    Failure::new(Exit::Usage, format!("{wanted}: no plugin has this name, and no file"), "`tracejury plugin list` shows what is there")
}

/// A plugin by its name, its file or its file's name.
pub(super) fn find<'a>(loaded: &'a Loaded, wanted: &str) -> Option<&'a Profile> {
    let profiles = loaded.profiles();
    let named = |profile: &&&Profile| {
        let file = Path::new(&profile.file);
        profile.name == wanted || file == Path::new(wanted) || file.file_name().is_some_and(|name| name == wanted)
    };
    profiles.iter().find(named).copied()
}

fn show(format: Format, profiles: Vec<&Profile>, human: impl FnOnce(&[&Profile]) -> String) {
    match format {
        Format::Json => profiles.iter().for_each(|p| report::to_stdout(&serde_json::to_string(p).unwrap_or_default())),
        Format::Human => report::to_stdout(&human(&profiles)),
    }
}

fn row(profile: &Profile) -> Vec<String> {
    let digest = profile.digest.map_or_else(String::new, |d| d.hex().chars().take(12).collect());
    let start = match (profile.disabled, profile.snapshot) {
        (true, _) => "disabled by the settings",
        (false, true) => "starts from a snapshot",
        (false, false) => "configured each time",
    };
    vec![
        profile.name.clone(),
        or_none(profile.version.clone()),
        or_none(digest),
        or_none(profile.reads.join(" ")),
        or_none(profile.granted.join(" ")),
        profile.file.clone(),
        profile.refused.clone().unwrap_or_else(|| start.to_owned()),
    ]
}

fn or_none(words: String) -> String {
    if words.is_empty() { "–".to_owned() } else { words }
}

/// What kind of plugin it is, in words.
pub(super) fn kind(profile: &Profile) -> String {
    let kind = match (profile.kind, profile.rules) {
        (Some(Kind::Rules), Some(rules)) => format!("rule pack of {rules} rules"),
        (Some(Kind::Rules), None) => "rule pack".to_owned(),
        (Some(Kind::Script), _) => "script".to_owned(),
        _ => "component".to_owned(),
    };
    match profile.packed {
        Packed::No => kind,
        Packed::OurEngine => format!("{kind}, packed with the engine that runs it here"),
        Packed::OtherEngine => {
            format!("{kind}, packed with another engine than this tracejury's: whether that does what they say nobody can tell")
        }
    }
}

/// All there is to know of a plugin, as name and value.
fn lines(profile: &Profile) -> Vec<Vec<String>> {
    let start = match (&profile.no_snapshot, profile.isolation) {
        (None, "warm") => "warm instances, made from a snapshot taken after `configure`".to_owned(),
        (None, _) => "a fresh instance per trace, made from a snapshot taken after `configure`".to_owned(),
        (Some(why), "warm") => format!("warm instances, each configured once: no snapshot, since {why}"),
        (Some(why), _) => format!("a fresh instance per trace, configured each time: no snapshot, since {why}"),
    };
    let place = if profile.pooled { "from the pool" } else { "made on demand, since it does not fit into the pool" };
    let compiled = match profile.compiled {
        Compiled::Before => "before; taken from the cache, nothing of it has run",
        Compiled::Now => "just now, in a process of its own; kept in the cache",
        Compiled::Never => "not at all",
    };
    let mut lines = vec![
        ("name", profile.name.clone()),
        ("version", profile.version.clone()),
        ("kind", kind(profile)),
        ("licence", or_none(profile.metadata.licenses.clone().unwrap_or_default())),
        ("source", or_none(profile.metadata.source.clone().unwrap_or_default())),
        ("summary", profile.summary.clone()),
        ("file", profile.file.clone()),
        ("size", format!("{} bytes", profile.bytes)),
        ("digest", profile.digest.map_or_else(String::new, |d| d.to_string())),
        ("world", profile.world.to_owned()),
        ("imports", or_none(profile.imports.join(" "))),
        ("exports", or_none(profile.exports.join(" "))),
        ("answers", or_none(profile.classifications.join(" "))),
        ("asks for", or_none(profile.reads.join(" "))),
        ("granted", or_none(profile.granted.join(" "))),
        ("priority", profile.priority.to_string()),
        ("runs as", start),
        ("memory", profile.memory_bytes.map_or_else(|| place.to_owned(), |bytes| format!("{} KiB at the start, {place}", bytes >> 10))),
        ("compiled", compiled.to_owned()),
    ];
    if let Some(why) = &profile.refused {
        lines.retain(|(name, _)| ["name", "file"].contains(name));
        lines.push(("refused", why.clone()));
    }
    let limits = profile.limits.as_ref().and_then(|limits| serde_json::to_value(limits).ok());
    let limits = limits.as_ref().and_then(|limits| limits.as_object()).into_iter().flatten();
    lines
        .into_iter()
        .map(|(name, value)| vec![name.to_owned(), value])
        .chain(limits.map(|(name, value)| vec![name.clone(), value.to_string()]))
        .collect()
}
