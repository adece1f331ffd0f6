//! The whole flow: vectors → token → submit → poll → trace → classifiers → merge → outcome → webhook, audit.

use crate::audit::AuditLog;
use crate::classify::{Asked, finish, judge};
use crate::debug_api::{ApiError, DebugApi, stopped};
use crate::jury::Jury;
use crate::model::{Expect, Outcome, Problem, ProblemKind, SessionId, Vector};
use crate::outbox::Outbox;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// All that a run needs.
pub struct Run {
    /// The platform.
    pub api: DebugApi,
    /// The classifiers.
    pub jury: Arc<Jury>,
    /// Where outcomes are delivered.
    pub outbox: Option<Outbox>,
    /// Where they are logged.
    pub audit: Option<AuditLog>,
    /// How many vectors are in flight at once.
    pub concurrency: usize,
}

/// Vectors as they are read. After an error there are none.
pub trait Vectors: Iterator<Item = Result<Vector, String>> + Send {}

impl<T: Iterator<Item = Result<Vector, String>> + Send> Vectors for T {}

/// What happens in a run, as it happens. Every vector gives one [`Event::Outcome`]; an outcome's delivery may follow later.
#[derive(Debug)]
pub enum Event {
    /// A vector is done; its place among all, from 0. Its entry is in the audit log by now, or the error says why not.
    Outcome(usize, Box<Outcome>),
    /// The next vector cannot be read; none is submitted any more.
    NoMore(String),
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
    /// turns true no further vector is submitted, those in flight are let go with their session ids, and deliveries get one
    /// attempt's time to end.
    pub async fn all(self: Arc<Self>, vectors: impl Vectors, events: mpsc::Sender<Event>, stop: watch::Receiver<bool>) {
        let mut flying = JoinSet::new();
        let mut flights = HashMap::new();
        let mut deliveries = JoinSet::new();
        let mut waiting = vectors.enumerate();
        loop {
            while flying.len() < self.concurrency {
                let (place, vector) = match waiting.next() {
                    None => break,
                    Some((place, Ok(vector))) => (place, vector),
                    Some((_, Err(why))) => {
                        let _ = events.send(Event::NoMore(why)).await;
                        break;
                    }
                };
                let flight = Arc::new(Flight { place, vector, session: OnceLock::new() });
                let (run, stop, own) = (Arc::clone(&self), stop.clone(), Arc::clone(&flight));
                let task = flying.spawn(async move { run.one(&own, stop).await });
                flights.insert(task.id(), flight);
            }
            let Some(done) = flying.join_next_with_id().await else { break };
            let id = done.as_ref().map_or_else(tokio::task::JoinError::id, |(id, _)| *id);
            let Some(flight) = flights.remove(&id) else { continue };
            let outcome = done.map_or_else(|_| broken(&flight), |(_, outcome)| outcome);
            let outcome = Arc::new(outcome);
            self.log(&outcome, &events).await;
            let (run, told, delivered, stop) = (Arc::clone(&self), events.clone(), Arc::clone(&outcome), stop.clone());
            deliveries.spawn(async move { run.deliver(&delivered, &told, stop).await });
            let _ = events.send(Event::Outcome(flight.place, Box::new(outcome.as_ref().clone()))).await;
            // What is delivered is forgotten as it comes, or a long run would remember it all.
            while deliveries.try_join_next().is_some() {}
        }
        while deliveries.join_next().await.is_some() {}
    }

    /// One vector from submit to outcome.
    async fn one(&self, flight: &Flight, mut stop: watch::Receiver<bool>) -> Outcome {
        let (mut outcome, expect) = (flight.outcome(), flight.expect());
        let asked = Asked { input: Some(&flight.vector.input), expect: Some(&expect) };
        let session = match self.api.submit(&flight.vector, &mut stop).await {
            Ok(session) => session,
            Err(error) => return not_compared(outcome, asked, error),
        };
        let _ = flight.session.set(session.id.clone());
        outcome.session_id = Some(session.id.clone());
        let since = session.since;
        let ended = tokio::select! {
            ended = self.api.trace(session) => ended,
            () = stopped(&mut stop) => return let_go(outcome, asked),
        };
        outcome.execution_duration_ms = u64::try_from(since.elapsed().as_millis()).ok();
        match ended {
            Ok(ended) => {
                outcome.ran_at_least_ms = ended.ran_at_least.and_then(|ran| u64::try_from(ran.as_millis()).ok());
                judge(&self.jury, ended.trace, asked, outcome).await
            }
            Err(error @ ApiError::Unreadable(_)) => not_compared(outcome, asked, error),
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

    async fn deliver(&self, outcome: &Outcome, events: &mpsc::Sender<Event>, mut stop: watch::Receiver<bool>) {
        let Some(outbox) = &self.outbox else { return };
        let given_up = async {
            stopped(&mut stop).await;
            sleep(outbox.timeout()).await;
        };
        let event = tokio::select! {
            delivered = outbox.deliver(outcome) => match delivered {
                Ok(true) => Event::Delivered,
                Ok(false) => return,
                Err(error) => Event::NotDelivered(error.to_string()),
            },
            () = given_up => Event::NotDelivered("given up when the run was stopped".to_owned()),
        };
        let _ = events.send(event).await;
    }
}

/// A vector under way, and its session as soon as it has one: known outside its task too, so that nothing is lost with it.
struct Flight {
    place: usize,
    vector: Vector,
    session: OnceLock<SessionId>,
}

impl Flight {
    fn outcome(&self) -> Outcome {
        Outcome::of(self.vector.name.clone(), self.vector.action, self.vector.environment)
    }

    fn expect(&self) -> Expect {
        self.vector.expect.clone().unwrap_or_default()
    }
}

/// The outcome of a vector whose task of ours panicked: what was submitted is said, audited and delivered all the same.
fn broken(flight: &Flight) -> Outcome {
    let text = "tracejury failed on this vector, please report it; the action may have run".to_owned();
    let problem = Some(Problem { kind: ProblemKind::Ambiguous, text });
    let outcome = Outcome { session_id: flight.session.get().cloned(), problem, ..flight.outcome() };
    finish(outcome, Asked { input: Some(&flight.vector.input), expect: None })
}

/// Where no session came of it, or nobody can tell how it ended, there is nothing to compare, unless this very problem was expected.
fn not_compared(mut outcome: Outcome, asked: Asked<'_>, error: ApiError) -> Outcome {
    outcome.problem = Some(error.into());
    let awaited = asked.expect.is_some_and(|e: &Expect| e.problem.is_some());
    finish(outcome, Asked { expect: asked.expect.filter(|_| awaited), ..asked })
}

fn let_go(mut outcome: Outcome, asked: Asked<'_>) -> Outcome {
    outcome.problem = Some(Problem { kind: ProblemKind::Interrupted, text: "the session goes on at the platform".to_owned() });
    finish(outcome, Asked { expect: None, ..asked })
}
