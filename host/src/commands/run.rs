//! `tracejury run`: the main job.

use super::runs::no_such;
use super::unclassified::Collector;
use super::{Court, Hold, court, settings, terms, trust};
use crate::audit::AuditLog;
use crate::classify::{Keep, Terms};
use crate::cli::RunArgs;
use crate::config::Settings;
use crate::debug_api::{DebugApi, Traffic};
use crate::exit::{Exit, Failure};
use crate::model::{Digest, RunId};
use crate::outbox::Outbox;
use crate::report::{self, Format, Report, Summary};
use crate::run::{Event, Resume, Run, catch_up};
use crate::store::{DeliveryState, Lease, Listed, Pick, Store, is_live, now};
use crate::vectors::{Prod, Reading, Schemas, Suite};
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
    if let Some(schemas) = &args.schemas {
        settings.api.schemas.clone_from(schemas);
    }
    let before = match &args.resume {
        None => None,
        Some(run) => Some(unfinished(&super::journal(&settings)?, run.as_ref(), &args).await?),
    };
    let files = match &before {
        Some(listed) if args.vectors.is_empty() => files_of(listed)?,
        _ => args.vectors.clone(),
    };
    let suite = load(&files, &settings.api.schemas)?;
    if !args.allow_prod {
        refuse_prod(suite.prod())?;
    }
    if let Some(listed) = before.as_ref().filter(|listed| listed.run.vectors != suite.count()) {
        let what =
            format!("the files hold {} vectors; when run {} was begun they held {}", suite.count(), listed.run.id, listed.run.vectors);
        return Err(Failure::new(Exit::Usage, what, "put the files back as they were, or start a new run"));
    }
    if let Some(listed) = before.as_ref().filter(|listed| listed.run.platform != platform(&settings)) {
        let what =
            format!("run {} was begun on another platform, or as another client: its sessions are not to be found here", listed.run.id);
        return Err(Failure::new(Exit::Usage, what, "set api.profile, api.base_url, api.discovery_url and api.client_id as they were"));
    }
    let resume = match (&before, args.resubmit_ambiguous) {
        (None, _) => Resume::No,
        (Some(_), false) => Resume::Careful,
        (Some(_), true) => Resume::Resubmit,
    };
    let id = before.map_or_else(RunId::new, |listed| listed.run.id);
    let (run, _court) = assemble(&settings, id, resume, Hold::of(args.locked)).await?;
    let _lease = begin(&run, &suite, &files, &settings).await?;
    let notes = notes(&settings, &run, Some(again(&run, &args)));
    let collector = Collector::new(&settings.plugins);
    let summary = drive(run, suite, args.common.format, &notes, &collector).await?;
    Ok(Exit::of(&summary))
}

/// Where runs go, and as whom, in a form that tells nothing but whether it is the same.
fn platform(settings: &Settings) -> String {
    let api = &settings.api;
    Digest::of(format!("{}\n{}\n{}\n{}", api.profile, api.base_url, api.discovery_url, api.client_id).as_bytes()).hex()
}

/// All vectors of all files, checked, or all problems of all files.
fn load(files: &[PathBuf], schemas: &Path) -> Result<Suite, Failure> {
    let schemas = Schemas::read(schemas)
        .map_err(|what| Failure::new(Exit::Usage, format!("api.schemas: {what}"), "README, section Vectors, says what goes there"))?;
    Suite::read(files, Reading { schemas, ..Reading::default() }).map_err(|problems| {
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

/// The run to go on with: the one named, or the latest that has something left to do.
async fn unfinished(store: &Store, named: Option<&RunId>, args: &RunArgs) -> Result<Listed, Failure> {
    let left = |listed: &Listed| !listed.run.finished || (args.resubmit_ambiguous && listed.ambiguous > 0);
    let mut runs = store.runs().await?.into_iter();
    let Some(named) = named else {
        let none = || Failure::new(Exit::Usage, "there is no run to go on with", "`tracejury runs list` shows what there is");
        return runs.find(|listed| left(listed) && !is_live(store.path(), &listed.run.id)).ok_or_else(none);
    };
    runs.find(|listed| listed.run.id == *named).ok_or_else(|| no_such(named))
}

fn files_of(listed: &Listed) -> Result<Vec<PathBuf>, Failure> {
    let files: Vec<_> = listed.run.files.iter().map(PathBuf::from).collect();
    match files.iter().any(|file| file == Path::new("-")) {
        false => Ok(files),
        true => Err(Failure::new(
            Exit::Usage,
            format!("run {} was given vectors on stdin", listed.run.id),
            &format!("give them again: tracejury run - --resume {}", listed.run.id),
        )),
    }
}

/// All that a run needs, and what must live as long as it goes on.
pub(super) async fn assemble(settings: &Settings, id: RunId, resume: Resume, hold: Hold) -> Result<(Run, Court), Failure> {
    let keep = if settings.plugins.archive.as_os_str().is_empty() { Keep::Unclassified } else { Keep::Failed };
    let terms = Arc::new(Terms { keep, ..terms(settings)? });
    let trust = trust(settings)?;
    let (api, outbox) = (DebugApi::new(settings, &trust)?, Outbox::new(&settings.webhook, &trust.anonymous())?);
    let store = Store::open(&settings.journal.path)?;
    let audit = match settings.audit.path.as_os_str().is_empty() {
        true => None,
        false => Some(Arc::new(AuditLog::open(&settings.audit)?)),
    };
    let court = court(settings, hold).await?;
    let run = Run {
        id,
        store,
        resume,
        api,
        outbox,
        jury: Arc::clone(&court.jury),
        terms,
        audit,
        audit_group: settings.audit.group.duration(),
        concurrency: settings.api.concurrency.get(),
    };
    Ok((run, court))
}

/// Takes the lease of a run and writes down that it begins; what is too old goes, and what an earlier process left undone in the audit log
/// is done. The lease must be held for as long as the run goes on.
pub(super) async fn begin(run: &Run, suite: &Suite, files: &[PathBuf], settings: &Settings) -> Result<Lease, Failure> {
    let lease = lease(run).await?.ok_or_else(|| {
        Failure::new(
            Exit::CouldNotRun,
            format!("another process is at run {}", run.id),
            "wait until it ends; `tracejury runs list` shows it",
        )
    })?;
    if run.resume == Resume::No {
        let name = |file: &PathBuf| match file == Path::new("-") {
            true => "-".to_owned(),
            // Resumed from another folder it must find the same file.
            false => std::path::absolute(file).unwrap_or_else(|_| file.clone()).display().to_string(),
        };
        run.store.begin(&run.id, suite.count(), &platform(settings), &files.iter().map(name).collect::<Vec<_>>()).await?;
    } else {
        run.store.go_on(&run.id).await?;
    }
    let oldest = now().saturating_sub(i64::try_from(settings.journal.keep_days.get()).unwrap_or(i64::MAX).saturating_mul(86_400_000));
    run.store.forget_runs(oldest).await?;
    let states = vec![DeliveryState::Delivered, DeliveryState::Dead];
    run.store.forget_deliveries(&Pick { states, before: Some(oldest), ..Pick::default() }).await?;
    if let Some(log) = &run.audit {
        let left = catch_up(&run.store, log, Some(&run.id)).await;
        let left =
            left.map_err(|what| Failure::new(Exit::CouldNotRun, what, "check AUDIT_LOG_PATH and journal.path; nothing was submitted"))?;
        if left > 0 {
            report::to_stderr(&format!("audit log: {} of a run that was cut off written now", report::plural(left, "entry")));
        }
    }
    Ok(lease)
}

/// The lease of a run. Others take it for a moment to see whether somebody has it, and for what was left undone of it.
async fn lease(run: &Run) -> Result<Option<Lease>, Failure> {
    for _ in 0..20 {
        if let Some(lease) = Lease::take(run.store.path(), &run.id)? {
            return Ok(Some(lease));
        }
        // A lock of a file tells nobody when it is free.
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    Ok(None)
}

/// The command that goes on with a run.
fn again(run: &Run, args: &RunArgs) -> String {
    let mut words = vec!["tracejury run".to_owned()];
    if args.vectors.iter().any(|file| file == Path::new("-")) {
        words.push("-".to_owned());
    }
    words.push(format!("--resume {}", run.id));
    let mut flag = |name: &str, value: Option<String>| words.extend(value.map(|value| format!("--{name} {value}")));
    flag("config", args.common.config.as_ref().map(|file| file.display().to_string()));
    flag("plugins", args.common.plugins.as_ref().map(|dir| dir.display().to_string()));
    flag("schemas", args.schemas.as_ref().map(|path| path.display().to_string()));
    flag("format", (args.common.format == Format::Json).then(|| "json".to_owned()));
    if args.allow_prod {
        words.push("--allow-prod".to_owned());
    }
    if args.locked {
        words.push("--locked".to_owned());
    }
    words.join(" ")
}

/// Where things went, as the last lines of the report will say.
pub(super) struct Notes {
    webhook: Vec<String>,
    audit: Option<String>,
    /// How to go on with the run, where that can be done.
    again: Option<String>,
}

pub(super) fn notes(settings: &Settings, run: &Run, again: Option<String>) -> Notes {
    Notes {
        webhook: run.outbox.endpoints().map(|(_, host)| host.to_owned()).collect(),
        audit: run.audit.as_ref().map(|log| log.location().pattern().display().to_string()),
        again: again.filter(|_| !settings.journal.path.as_os_str().is_empty()),
    }
}

impl Notes {
    fn lines(&self, summary: &Summary, traffic: Traffic, finished: bool) -> Vec<String> {
        // Worth a line only where it went on differently than one would think.
        let traffic = (traffic.throttled + traffic.retried > 0).then(|| {
            let Traffic { requests, throttled, retried } = traffic;
            format!("platform: {requests} requests, {throttled} of them throttled, {retried} made again after a failure on the way")
        });
        let webhook =
            (!self.webhook.is_empty()).then(|| format!("webhook: {} delivered to {}", summary.delivered, self.webhook.join(", ")));
        let audit = self.audit.as_ref().map(|path| format!("audit log: {} written to {path}", summary.audited));
        let again = self.again.as_ref().filter(|_| !finished).map(|again| format!("go on with it: {again}"));
        traffic.into_iter().chain(webhook).chain(audit).chain(again).collect()
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
            Event::NotRecorded(why) => *report.summary().not_recorded.entry(why).or_default() += 1,
        }
    }
    interrupts.abort();
    report.summary().stopped = *asked_to_stop.borrow();
    let finished = settle(&run, report.summary()).await;
    let lines = notes.lines(report.summary(), run.api.traffic(), finished);
    report.table();
    let summary = report.finish(&lines);
    running.await.map_err(|e| Failure::new(Exit::CouldNotRun, format!("the run broke off: {e}"), "please report this"))?;
    if let Some(why) = no_more {
        return Err(match summary.not_recorded.is_empty() {
            true => Failure::new(Exit::Usage, why, "leave vector files as they are while they are run; what is above was run"),
            false => Failure::new(Exit::CouldNotRun, why, "check journal.path, and resume the run; what is above was run"),
        });
    }
    if summary.vectors < total {
        let lost = total - summary.vectors;
        return Err(Failure::new(Exit::CouldNotRun, format!("{lost} vectors ended without an outcome"), "please report this"));
    }
    Ok(summary)
}

/// Writes down that the run has come to an end, and sums up what is left of it; whether it is finished.
async fn settle(run: &Run, summary: &mut Summary) -> bool {
    let finished = run.store.end(&run.id).await;
    let left = run.store.left(&run.id).await;
    for (state, why, number) in left.unwrap_or_default() {
        let why = why.unwrap_or_else(|| "not tried yet".to_owned());
        let into = if state == DeliveryState::Dead { &mut summary.dead } else { &mut summary.waiting };
        *into.entry(why).or_default() += number;
    }
    finished.unwrap_or_else(|error| {
        *summary.not_recorded.entry(error.to_string()).or_default() += 1;
        false
    })
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
