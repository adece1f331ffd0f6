//! `tracejury run`: the main job.

use super::unclassified::Collector;
use super::{Court, court, settings, trust};
use crate::audit::AuditLog;
use crate::cli::RunArgs;
use crate::config::Settings;
use crate::debug_api::{DebugApi, Traffic};
use crate::exit::{Exit, Failure};
use crate::outbox::Outbox;
use crate::report::{self, Format, Report, Summary};
use crate::run::{Event, Run};
use crate::vectors::{Prod, Schemas, Suite};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

pub(super) async fn execute(args: RunArgs) -> Result<Exit, Failure> {
    let mut settings = settings(&args.common)?;
    if let Some(concurrency) = args.concurrency {
        settings.api.concurrency = concurrency.into();
    }
    if args.rate.is_some() {
        settings.api.requests_per_minute = args.rate.map(Into::into);
    }
    if let Some(schemas) = args.schemas {
        settings.api.schemas = schemas;
    }
    let suite = load(&args.vectors, &settings.api.schemas)?;
    if !args.allow_prod {
        refuse_prod(suite.prod())?;
    }
    let (run, _court) = assemble(&settings).await?;
    let notes = notes(&settings, &run);
    let collector = Collector::new(&settings.plugins.unclassified);
    let summary = drive(run, suite, args.common.format, &notes, &collector).await?;
    Ok(Exit::of(&summary))
}

/// All vectors of all files, checked, or all problems of all files.
fn load(files: &[PathBuf], schemas: &Path) -> Result<Suite, Failure> {
    let schemas = Schemas::read(schemas)
        .map_err(|what| Failure::new(Exit::Usage, format!("api.schemas: {what}"), "README, section Vectors, says what goes there"))?;
    Suite::read(files, schemas).map_err(|problems| {
        let count = report::plural(problems.len(), "problem");
        let what = format!("{count} in vector files; nothing was submitted\n  {}", problems.join("\n  "));
        Failure::new(Exit::Usage, what, "README, section Vectors, has the format")
    })
}

fn refuse_prod(prod: &Prod) -> Result<(), Failure> {
    if prod.count == 0 {
        return Ok(());
    }
    let more = prod.count - prod.names.len();
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    let what = format!("these vectors would run in production: {}{more}; nothing was submitted", prod.names.join(", "));
    Err(Failure::new(Exit::Usage, what, "add --allow-prod if you mean it"))
}

/// All that a run needs, and what must live as long as it goes on.
pub(super) async fn assemble(settings: &Settings) -> Result<(Run, Court), Failure> {
    let audit = match settings.audit.path.as_os_str().is_empty() {
        true => None,
        false => Some(AuditLog::open(&settings.audit.path, settings.audit.retention_days)?),
    };
    let trust = trust(settings)?;
    let (api, outbox) = (DebugApi::new(settings, &trust)?, Outbox::new(&settings.webhook, &trust.anonymous())?);
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
    fn lines(&self, summary: &Summary, traffic: Traffic) -> Vec<String> {
        // Worth a line only where it went on differently than one would think.
        let traffic = (traffic.throttled + traffic.retried > 0).then(|| {
            let Traffic { requests, throttled, retried } = traffic;
            format!("platform: {requests} requests, {throttled} of them throttled, {retried} made again after a failure on the way")
        });
        let webhook = self.webhook.as_ref().map(|to| format!("webhook: {} delivered to {to}", summary.delivered));
        let audit = self.audit.as_ref().map(|path| format!("audit log: {} written to {path}", summary.audited));
        traffic.into_iter().chain(webhook).chain(audit).collect()
    }
}

/// Runs and reports.
pub(super) async fn drive(run: Run, suite: Suite, format: Format, notes: &Notes, collector: &Collector) -> Result<Summary, Failure> {
    let total = suite.count();
    announce(total, run.api.requests_per_minute());
    let mut report = Report::new(format, Some(total));
    let (events, mut happened) = mpsc::channel(64);
    let (stop, stopped) = watch::channel(false);
    let (interrupts, asked_to_stop) = (tokio::spawn(interrupts(stop)), stopped.clone());
    let run = Arc::new(run);
    let running = tokio::spawn(Arc::clone(&run).all(suite.vectors(), events, stopped));
    let mut no_more = None;
    while let Some(event) = happened.recv().await {
        match event {
            Event::Outcome(place, mut outcome) => {
                collector.collect([&mut *outcome]);
                report.outcome(place, *outcome);
                if report.outcomes() == total {
                    report.table();
                }
            }
            Event::NoMore(why) => no_more = Some(why),
            Event::Audited => report.summary().audited += 1,
            Event::Delivered => report.summary().delivered += 1,
            Event::NotAudited(why) => *report.summary().not_audited.entry(why).or_default() += 1,
            Event::NotDelivered(why) => *report.summary().not_delivered.entry(why).or_default() += 1,
        }
    }
    interrupts.abort();
    report.summary().stopped = *asked_to_stop.borrow();
    let lines = notes.lines(report.summary(), run.api.traffic());
    report.table();
    let summary = report.finish(&lines);
    running.await.map_err(|e| Failure::new(Exit::CouldNotRun, format!("the run broke off: {e}"), "please report this"))?;
    if let Some(why) = no_more {
        return Err(Failure::new(Exit::Usage, why, "leave vector files as they are while they are run; what is above was run"));
    }
    if summary.vectors < total {
        let lost = total - summary.vectors;
        return Err(Failure::new(Exit::CouldNotRun, format!("{lost} vectors ended without an outcome"), "please report this"));
    }
    Ok(summary)
}

/// Says beforehand what takes its time because of the budget, however quick the platform is.
fn announce(vectors: usize, per_minute: usize) {
    let requests = 2 * vectors + 1;
    let seconds = requests.saturating_sub(per_minute / 60) * 60 / per_minute;
    if seconds >= 10 {
        report::to_stderr(&format!("about {requests} requests at {per_minute} a minute: {seconds} s or more"));
    }
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
