//! `tracejury plugin …`: what there is to know of plugins.

use super::{loaded, settings};
use crate::cli::PluginCommand;
use crate::exit::{Exit, Failure};
use crate::plugin::Profile;
use crate::report::{self, Format};

pub(super) async fn execute(command: PluginCommand) -> Result<Exit, Failure> {
    let PluginCommand::List(common) = command;
    let profiles = loaded(&settings(&common)?.plugins).await?.profiles;
    match common.format {
        Format::Json => profiles.iter().for_each(|p| report::to_stdout(&serde_json::to_string(p).unwrap_or_default())),
        Format::Human => {
            let header = ["NAME", "VERSION", "SHA-256", "ASKS FOR", "GRANTED", "FILE", "STATE"];
            report::to_stdout(&report::plain_table(&header, profiles.iter().map(row)));
        }
    }
    // A plugin that was refused has been told of on stderr; listing it is what was asked for.
    Ok(Exit::AsExpected)
}

fn row(profile: &Profile) -> Vec<String> {
    let or_none = |words: String| if words.is_empty() { "–".to_owned() } else { words };
    let digest = profile.digest.map_or_else(String::new, |d| d.hex().chars().take(12).collect());
    let start = if profile.snapshot { "starts from a snapshot" } else { "configured each time" };
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
