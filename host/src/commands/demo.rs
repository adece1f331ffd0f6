//! `tracejury demo`: the main job against the built-in simulator and its webhook sink. Everything but the address is what `run`
//! does.

use super::drive::{View, drive, notes};
use super::run::{assemble, begin};
use super::suite::Picked;
use super::unclassified::Collector;
use super::{Hold, plugins_in};
use crate::cli::DemoArgs;
use crate::config::{self, Settings};
use crate::exit::{Exit, Failure};
use crate::model::{RunId, Secret};
use crate::report::{self, Files, Progress};
use crate::run::Resume;
use crate::simulator::{self, Script};
use crate::vectors::Suite;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

/// The defaults that a demo is in too much of a hurry for: the simulated sessions take a tenth of a second.
const HURRY: &str = "[api]\npoll_first_ms = 50\npoll_max_ms = 250\ndeadline_ms = 2500\nconcurrency = 24\nrequests_per_minute = 60000\n";
/// A secret that is none, so that signed deliveries can be looked at.
const WEBHOOK_SECRET: &str = "whsec_dHJhY2VqdXJ5LWRlbW8tc2VjcmV0LTAwMDE=";

pub(super) async fn execute(args: DemoArgs) -> Result<Exit, Failure> {
    let broken = |what: String| Failure::new(Exit::CouldNotRun, what, "check that the folder for temporary files can be written");
    let dir = std::env::temp_dir().join(format!("tracejury-demo-{}", uuid::Uuid::new_v4().simple()));
    create_private(&dir).map_err(|e| broken(format!("{}: {e}", dir.display())))?;
    let deliveries = dir.join("deliveries.jsonl");

    let script = Script::built_in().map_err(broken)?;
    let client = script.client.clone();
    let vectors = Suite::of_text("the demo's vectors", &script.vectors().to_string()).map_err(|problems| broken(problems.join("; ")))?;
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let simulator = simulator::start(loopback, script, Some(deliveries.clone()))
        .await
        .map_err(|e| broken(format!("the simulator cannot listen: {e}")))?;

    let mut settings = hurried(&dir)?;
    settings.api.base_url = simulator.url.clone();
    settings.api.client_id = client.id;
    settings.api.client_secret = client.secret;
    settings.webhook.url = simulator.webhook;
    settings.webhook.allow_private_targets = true;
    settings.webhook.secret = Secret::new(WEBHOOK_SECRET.to_owned());
    settings.audit.path = dir.join("audit.jsonl");
    settings.journal.path = dir.join("journal.db");
    // That of a project is held to what its settings trust, which are not read here.
    settings.share.lock = dir.join("plugins.lock");
    if let Some(plugins) = &args.plugins {
        plugins_in(&mut settings, plugins)?;
    }

    report::to_stderr(&format!("running {} vectors against a simulated debug API at {}", vectors.count(), simulator.url));
    let (run, _court) = assemble(&settings, RunId::new(), Resume::No, Hold::AsTrusted).await?;
    let _lease = begin(&run, &vectors, &[], Picked::default(), &settings).await?;
    let notes = notes(&settings, &run, None);
    let log = run.audit.as_ref().and_then(|log| log.location().newest().ok().flatten()).unwrap_or_default();
    let collector = Collector::new(&settings.plugins);
    let summary =
        drive(run, vectors, View { format: args.format, progress: Progress::Auto, files: Files::default() }, &notes, &collector).await?;
    report::to_stderr(&format!("\nread on:\n  webhook deliveries  {}\n  audit log           {}", deliveries.display(), log.display()));
    report::to_stderr("next: `tracejury run vectors.json` with your own platform; the README's quick start says how");
    Ok(Exit::of(&summary))
}

/// The defaults, hurried: neither a settings file nor the environment changes what the demo shows.
fn hurried(dir: &Path) -> Result<Settings, Failure> {
    let file = dir.join("tracejury.toml");
    std::fs::write(&file, HURRY)
        .map_err(|e| Failure::new(Exit::CouldNotRun, format!("{}: {e}", file.display()), "check the folder for temporary files"))?;
    Ok(config::load(Some(&file), |_| None)?)
}

#[cfg(unix)]
fn create_private(dir: &Path) -> std::io::Result<()> {
    std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700).create(dir)
}

#[cfg(not(unix))]
fn create_private(dir: &Path) -> std::io::Result<()> {
    std::fs::create_dir(dir)
}
