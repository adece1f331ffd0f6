//! A run as it goes on: its events turned into a report, the signals that stop it, and what is said of it at the end. Nothing is decided
//! here about vectors.

use super::unclassified::Collector;
use crate::config::Settings;
use crate::debug_api::Traffic;
use crate::exit::{Exit, Failure};
use crate::report::{self, Files, Format, Pace, Progress, Report, Summary};
use crate::run::{Event, Run};
use crate::store::DeliveryState;
use crate::vectors::Suite;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

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

/// How a run is shown.
pub(super) struct View {
    pub(super) format: Format,
    pub(super) progress: Progress,
    pub(super) files: Files,
}

/// Runs and reports.
pub(super) async fn drive(run: Run, suite: Suite, view: View, notes: &Notes, collector: &Collector) -> Result<Summary, Failure> {
    let total = suite.count();
    announce(total, run.api.requests_per_minute());
    let mut report = Report::new(view.format, Some(total), view.progress, view.files);
    let (events, mut happened) = mpsc::channel(64);
    let (stop, stopped) = watch::channel(false);
    let (interrupts, asked_to_stop) = (tokio::spawn(interrupts(stop)), stopped.clone());
    let run = Arc::new(run);
    let running = tokio::spawn(Arc::clone(&run).all(suite.vectors(), events, stopped));
    let mut no_more = None;
    let mut redraw = tokio::time::interval(report::REDRAW);
    redraw.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let event = tokio::select! {
            event = happened.recv() => event,
            _ = redraw.tick() => {
                report.tick(pace(&run));
                continue;
            }
        };
        let Some(event) = event else { break };
        match event {
            Event::Begun(place, name) => report.begun(place, name),
            Event::NotRun(_, vector) => report.not_run(&vector),
            Event::Outcome(place, mut outcome) => {
                collector.collect([&mut *outcome]);
                report.outcome(place, *outcome);
            }
            Event::NoMore(why) => no_more = Some(why),
            Event::Audited => report.summary().audited += 1,
            Event::Delivered => report.summary().delivered += 1,
            Event::NotAudited(why) => *report.summary().not_audited.entry(why).or_default() += 1,
            Event::NotRecorded(why) => *report.summary().not_recorded.entry(why).or_default() += 1,
        }
        if report.outcomes() + report.summary().not_run == total {
            report.table();
        }
    }
    interrupts.abort();
    report.summary().stopped = *asked_to_stop.borrow();
    let finished = settle(&run, report.summary()).await;
    let lines = notes.lines(report.summary(), run.api.traffic(), finished);
    report.table();
    let (summary, unwritten) = report.finish(&lines);
    running.await.map_err(|e| Failure::new(Exit::CouldNotRun, format!("the run broke off: {e}"), "please report this"))?;
    if let Some(why) = no_more {
        return Err(match summary.not_recorded.is_empty() {
            true => Failure::new(Exit::Usage, why, "leave vector files as they are while they are run; what is above was run"),
            false => Failure::new(Exit::CouldNotRun, why, "check journal.path, and resume the run; what is above was run"),
        });
    }
    if summary.vectors + summary.not_run < total {
        let lost = total - summary.vectors - summary.not_run;
        return Err(Failure::new(Exit::CouldNotRun, format!("{lost} vectors ended without an outcome"), "please report this"));
    }
    if let Some(why) = unwritten.first() {
        let help = "make room, or give --report another file; `tracejury runs show` has every outcome";
        return Err(Failure::new(Exit::CouldNotRun, format!("a report was not written: {why}"), help));
    }
    Ok(summary)
}

/// What the view shows beside outcomes.
fn pace(run: &Run) -> Pace {
    let throttled = run.api.throttled_until().map(|until| until.saturating_duration_since(tokio::time::Instant::now()));
    Pace { per_minute: run.api.requests_per_minute(), throttled }
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
    let (requests, seconds) = estimate(vectors, per_minute);
    if seconds >= 10 {
        report::to_stderr(&format!("about {requests} requests at {per_minute} a minute: {seconds} s or more"));
    }
}

/// How many requests a run takes at least, and how many seconds they take by the budget.
pub(super) fn estimate(vectors: usize, per_minute: usize) -> (usize, usize) {
    let requests = 2 * vectors + 1;
    (requests, requests.saturating_sub(per_minute / 60) * 60 / per_minute)
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
