//! The whole flow: vectors → token → submit → poll → trace → classifiers → merge → outcome → webhook, audit.

use crate::audit::AuditLog;
use crate::classify::{Asked, finish, judge};
use crate::debug_api::{ApiError, DebugApi};
use crate::jury::Jury;
use crate::model::{Expect, Outcome, Problem, ProblemKind, Vector};
use crate::outbox::Outbox;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// All that a run needs.
pub struct Run {
    /// The platform.
    pub api: DebugApi,
    /// The classifiers.
    pub jury: Jury,
    /// Where outcomes are delivered.
    pub outbox: Option<Outbox>,
    /// Where they are logged.
    pub audit: Option<AuditLog>,
    /// How many vectors are in flight at once.
    pub concurrency: usize,
}

/// What happens in a run, as it happens. Every vector gives one [`Event::Outcome`]; an outcome's delivery may follow later.
#[derive(Debug)]
pub enum Event {
    /// A vector is done. Its entry is in the audit log by now, or the error says why not.
    Outcome(Box<Outcome>),
    /// An entry was written.
    Audited,
    /// An entry could not be written.
    NotAudited(String),
    /// The dashboard has an outcome.
    Delivered,
    /// The dashboard could not be told.
    NotDelivered(String),
}

impl Run {
    /// Runs all vectors and tells `events` of each. Ends when every outcome is audited and delivered or given up. Once `stop`
    /// turns true no further vector is submitted, and those in flight are let go with their session ids.
    pub async fn all(self: Arc<Self>, vectors: Vec<Vector>, events: mpsc::Sender<Event>, stop: watch::Receiver<bool>) {
        let mut flying = JoinSet::new();
        let mut deliveries = JoinSet::new();
        let mut waiting = vectors.into_iter();
        loop {
            while flying.len() < self.concurrency {
                let Some(vector) = waiting.next() else { break };
                let (run, stop) = (Arc::clone(&self), stop.clone());
                flying.spawn(async move { run.one(vector, stop).await });
            }
            let Some(done) = flying.join_next().await else { break };
            // A task of ours that panicked has no outcome to give; the count of vectors will show it.
            let Ok(outcome) = done else { continue };
            let outcome = Arc::new(outcome);
            self.log(&outcome, &events).await;
            let (run, events_too, delivered) = (Arc::clone(&self), events.clone(), Arc::clone(&outcome));
            deliveries.spawn(async move { run.deliver(&delivered, &events_too).await });
            let _ = events.send(Event::Outcome(Box::new(outcome.as_ref().clone()))).await;
        }
        while deliveries.join_next().await.is_some() {}
    }

    /// One vector from submit to outcome.
    async fn one(&self, vector: Vector, mut stop: watch::Receiver<bool>) -> Outcome {
        let mut outcome = Outcome::of(vector.name.clone(), vector.action, vector.environment);
        let expect = vector.expect.clone().unwrap_or_default();
        let asked = Asked { input: Some(&vector.input), expect: Some(&expect) };
        if *stop.borrow() {
            return stopped(outcome, asked, "not submitted");
        }
        let session = match self.api.submit(&vector).await {
            Ok(session) => session,
            Err(error) => return without_session(outcome, asked, error),
        };
        outcome.session_id = Some(session.id.clone());
        let ended = tokio::select! {
            ended = self.api.trace(&session) => ended,
            () = stops(&mut stop) => return stopped(outcome, asked, "the session goes on at the platform"),
        };
        outcome.execution_duration_ms = u64::try_from(session.since.elapsed().as_millis()).ok();
        match ended {
            Ok(trace) => judge(&self.jury, trace, asked, outcome).await,
            Err(error) => {
                if let ApiError::Deadline { last, .. } = &error {
                    outcome.status.clone_from(last);
                }
                outcome.problem = Some(error.into());
                finish(outcome, asked)
            }
        }
    }

    async fn log(self: &Arc<Self>, outcome: &Arc<Outcome>, events: &mpsc::Sender<Event>) {
        let (run, entry) = (Arc::clone(self), Arc::clone(outcome));
        let written = tokio::task::spawn_blocking(move || run.audit.as_ref().map_or(Ok(false), |log| log.append(&entry))).await;
        let event = match written {
            Ok(Ok(true)) => Event::Audited,
            Ok(Ok(false)) => return,
            Ok(Err(error)) => Event::NotAudited(error.to_string()),
            Err(_) => Event::NotAudited("the writer failed".to_owned()),
        };
        let _ = events.send(event).await;
    }

    async fn deliver(&self, outcome: &Outcome, events: &mpsc::Sender<Event>) {
        let Some(outbox) = &self.outbox else { return };
        let event = match outbox.deliver(outcome).await {
            Ok(true) => Event::Delivered,
            Ok(false) => return,
            Err(error) => Event::NotDelivered(error.to_string()),
        };
        let _ = events.send(event).await;
    }
}

/// Where no session came of it there is nothing to compare, unless this very problem was expected.
fn without_session(mut outcome: Outcome, asked: Asked<'_>, error: ApiError) -> Outcome {
    outcome.problem = Some(error.into());
    let awaited = asked.expect.is_some_and(|e: &Expect| e.problem.is_some());
    finish(outcome, Asked { expect: asked.expect.filter(|_| awaited), ..asked })
}

fn stopped(mut outcome: Outcome, asked: Asked<'_>, text: &str) -> Outcome {
    outcome.problem = Some(Problem { kind: ProblemKind::Interrupted, text: text.to_owned() });
    finish(outcome, Asked { expect: None, ..asked })
}

async fn stops(stop: &mut watch::Receiver<bool>) {
    // Where nobody can stop the run any more, this never ends.
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}
