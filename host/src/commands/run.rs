//! `tracejury run`: the main job.

use super::unclassified::Collector;
use super::{Court, court, read, settings};
use crate::audit::AuditLog;
use crate::cli::RunArgs;
use crate::config::Settings;
use crate::debug_api::DebugApi;
use crate::exit::{Exit, Failure};
use crate::model::{Environment, Vector};
use crate::outbox::Outbox;
use crate::report::{self, Format, Report, Summary};
use crate::run::{Event, Run};
use crate::vectors;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

pub(super) async fn execute(args: RunArgs) -> Result<Exit, Failure> {
    let mut settings = settings(&args.common)?;
    if let Some(concurrency) = args.concurrency {
        settings.api.concurrency = concurrency.into();
    }
    let vectors = load(&args.vectors)?;
    if !args.allow_prod {
        refuse_prod(&vectors)?;
    }
    let (run, _court) = assemble(&settings).await?;
    let notes = notes(&settings, &run);
    let collector = Collector::new(&settings.plugins.unclassified);
    let summary = drive(run, vectors, args.common.format, &notes, &collector).await?;
    Ok(Exit::of(&summary))
}

/// All vectors of all files, or all problems of all files.
fn load(files: &[PathBuf]) -> Result<Vec<Vector>, Failure> {
    let mut vectors = Vec::new();
    let mut problems = Vec::new();
    for file in files {
        let (name, text) = read(file)?;
        match vectors::parse(&name, &text) {
            Ok(found) => vectors.extend(found),
            Err(found) => problems.extend(found.iter().map(ToString::to_string)),
        }
    }
    if problems.is_empty() {
        return Ok(vectors);
    }
    let count = problems.len();
    let what = format!(
        "{count} {} in vector files; nothing was submitted\n  {}",
        if count == 1 { "problem" } else { "problems" },
        problems.join("\n  ")
    );
    Err(Failure::new(Exit::Usage, what, "README, section Vectors, has the format"))
}

fn refuse_prod(vectors: &[Vector]) -> Result<(), Failure> {
    let prod: Vec<_> = vectors.iter().filter(|v| v.environment == Environment::Prod).map(|v| v.name.as_str()).collect();
    if prod.is_empty() {
        return Ok(());
    }
    let what = format!("these vectors would run in production: {}; nothing was submitted", prod.join(", "));
    Err(Failure::new(Exit::Usage, what, "add --allow-prod if you mean it"))
}

/// All that a run needs, and what must live as long as it goes on.
pub(super) async fn assemble(settings: &Settings) -> Result<(Run, Court), Failure> {
    let audit = match settings.audit.path.as_os_str().is_empty() {
        true => None,
        false => Some(AuditLog::open(&settings.audit.path, settings.audit.retention_days)?),
    };
    let (api, outbox) = (DebugApi::new(&settings.api)?, Outbox::new(&settings.webhook)?);
    let court = court(&settings.plugins).await?;
    let run = Run { api, outbox, jury: Arc::clone(&court.jury), audit, concurrency: settings.api.concurrency.get() };
    Ok((run, court))
}

/// Where things went, as the last lines of the report will say.
pub(super) struct Notes {
    webhook: Option<String>,
    audit: Option<String>,
}

pub(super) fn notes(settings: &Settings, run: &Run) -> Notes {
    Notes {
        webhook: run.outbox.as_ref().map(|o| o.endpoint().to_owned()),
        audit: run.audit.as_ref().map(|_| settings.audit.path.display().to_string()),
    }
}

impl Notes {
    fn lines(&self, summary: &Summary) -> Vec<String> {
        let webhook = self.webhook.as_ref().map(|to| format!("webhook: {} delivered to {to}", summary.delivered));
        let audit = self.audit.as_ref().map(|path| format!("audit log: {} written to {path}", summary.audited));
        webhook.into_iter().chain(audit).collect()
    }
}

/// Runs and reports.
pub(super) async fn drive(
    run: Run,
    vectors: Vec<Vector>,
    format: Format,
    notes: &Notes,
    collector: &Collector,
) -> Result<Summary, Failure> {
    let names: Vec<_> = vectors.iter().map(|v| v.name.clone()).collect();
    let mut report = Report::new(format, Some(vectors.len()));
    let (events, mut happened) = mpsc::channel(64);
    let (stop, stopped) = watch::channel(false);
    let interrupts = tokio::spawn(interrupts(stop));
    let running = tokio::spawn(Arc::new(run).all(vectors, events, stopped));
    while let Some(event) = happened.recv().await {
        match event {
            Event::Outcome(mut outcome) => {
                collector.collect([&mut *outcome]);
                report.outcome(*outcome);
                if report.outcomes() == names.len() {
                    report.table(&names);
                }
            }
            Event::Audited => report.summary().audited += 1,
            Event::Delivered => report.summary().delivered += 1,
            Event::NotAudited(why) => *report.summary().not_audited.entry(why).or_default() += 1,
            Event::NotDelivered(why) => *report.summary().not_delivered.entry(why).or_default() += 1,
        }
    }
    interrupts.abort();
    let lines = notes.lines(report.summary());
    report.table(&names);
    let summary = report.finish(&lines);
    running.await.map_err(|e| Failure::new(Exit::CouldNotRun, format!("the run broke off: {e}"), "please report this"))?;
    if summary.vectors < names.len() {
        let lost = names.len() - summary.vectors;
        return Err(Failure::new(Exit::CouldNotRun, format!("{lost} vectors ended without an outcome"), "please report this"));
    }
    Ok(summary)
}

/// The first Ctrl-C or SIGTERM stops the run cleanly; after it the signal does what it always does.
async fn interrupts(stop: watch::Sender<bool>) {
    if interrupt().await.is_ok() {
        report::to_stderr("stopping: no further vector is submitted; what is done is reported; press again to break off at once");
        let _ = stop.send(true);
        if interrupt().await.is_ok() {
            crate::exit::break_off();
        }
    }
}

#[cfg(unix)]
async fn interrupt() -> std::io::Result<()> {
    let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed,
        _ = terminated.recv() => Ok(()),
    }
}

#[cfg(not(unix))]
async fn interrupt() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}
