//! The whole flow: vectors → token → submit → poll → trace → classifiers → merge → outcome → webhook, audit. What becomes of each vector is
//! written down as it happens, so that a run that is cut off can be resumed.

mod desk;
mod flight;
mod recover;
mod scribe;
mod witness;

pub use recover::catch_up;

use crate::audit::AuditLog;
use crate::classify::{Asked, Terms, finish, judge};
use crate::debug_api::{ApiError, DebugApi, Stops, stopped};
use crate::jury::Jury;
use crate::log::masked;
use crate::model::{Expect, Outcome, Problem, ProblemKind, RunId, Vector};
use crate::outbox::{Courier, Outbox};
use crate::store::{Stage, Store, Told};
use desk::Desk;
use flight::{Flight, broken};
use scribe::Scribe;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use witness::Record;

/// All that a run needs.
pub struct Run {
    /// Its id in the journal.
    pub id: RunId,
    /// The journal.
    pub store: Store,
    /// What is done with what the journal knows of it already.
    pub resume: Resume,
    /// The platform.
    pub api: DebugApi,
    /// The classifiers.
    pub jury: Arc<Jury>,
    /// By what outcomes are made.
    pub terms: Arc<Terms>,
    /// Where outcomes are delivered.
    pub outbox: Outbox,
    /// Where they are logged.
    pub audit: Option<Arc<AuditLog>>,
    /// How long entries of the log may wait to be on disk, where they may.
    pub audit_group: Duration,
    /// How many vectors are in flight at once.
    pub concurrency: usize,
    /// How often a vector that is not as expected is tried, and when no further one is begun.
    pub patience: Patience,
}

/// How long a run goes on with what is not as expected.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// How many attempts each vector has, 1 or more: one that is not as expected is run again, as a session of its own.
    pub attempts: usize,
    /// After how many vectors that are not as expected none is begun any more.
    pub fail_fast: Option<usize>,
    /// When none is begun any more.
    pub until: Option<Instant>,
}

impl Default for Patience {
    fn default() -> Self {
        Self { attempts: 1, fail_fast: None, until: None }
    }
}

/// Whether a run has been begun before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    /// It is new.
    No,
    /// What is done is told again, sessions are attached to, and what may have run without our knowing is reported as ambiguous.
    Careful,
    /// The same, but what is ambiguous is submitted again, on the user's word.
    Resubmit,
}

/// Vectors as they are read. After an error there are none.
pub trait Vectors: Iterator<Item = Result<Vector, String>> + Send {}

impl<T: Iterator<Item = Result<Vector, String>> + Send> Vectors for T {}

/// What happens in a run, as it happens. Every vector gives one [`Event::Outcome`]; an outcome's delivery may follow later.
#[derive(Debug)]
pub enum Event {
    /// A vector's turn has come; its place among all, from 0, and its name.
    Begun(usize, String),
    /// A vector is not run, since none is begun any more.
    NotRun(usize, Box<Vector>),
    /// A vector is done; its place among all, from 0. Its entry is in the audit log by now, or the error says why not.
    Outcome(usize, Box<Outcome>),
    /// The next vector cannot be read, or is another than before; none is submitted any more.
    NoMore(String),
    /// An entry was written.
    Audited,
    /// An entry could not be written.
    NotAudited(String),
    /// A dashboard has an outcome, of this run or of an earlier one.
    Delivered,
    /// An outcome could not be written down: a resumed run would find it anew.
    NotRecorded(String),
}

impl Run {
    /// Runs all vectors and tells `events` of each. Ends when every outcome is audited, and delivered or left for later. Once `stop` turns
    /// true no further vector is submitted, those in flight are let go with their session ids, and deliveries under way are ended.
    pub async fn all(self: Arc<Self>, vectors: impl Vectors, events: mpsc::Sender<Event>, stop: watch::Receiver<bool>) {
        let began = Instant::now();
        let (halt, halted) = watch::channel(false);
        let halt = Arc::new(halt);
        let halting = tokio::spawn(out_of_time(Arc::clone(&halt), stop.clone(), self.patience.until));
        let stops = Stops { begin: halted, run: stop.clone() };
        let (told, deliveries) = mpsc::channel(64);
        let forwarding = tokio::spawn(forward(deliveries, events.clone()));
        let courier = Arc::new(Courier::start(&self.outbox, &self.store, &self.id, Some(told)));
        let scribe = self.audit.as_ref().map(|log| Scribe::start(Arc::clone(log), self.store.clone(), self.audit_group));
        let (scribe, writing) = scribe.unzip();
        let desk = Desk {
            run: Arc::clone(&self),
            events: events.clone(),
            courier: Arc::clone(&courier),
            scribe,
            began,
            unexpected: Arc::default(),
            halt,
            stop: stop.clone(),
        };
        let mut flying = JoinSet::new();
        let mut flights = HashMap::new();
        let mut waiting = vectors.enumerate();
        let mut no_more = false;
        loop {
            while !no_more && flying.len() < self.concurrency {
                let next = match waiting.next() {
                    None => break,
                    Some((place, Ok(vector))) => self.taxi(place, 0, vector).await,
                    Some((_, Err(why))) => Err(Halt::Changed(why)),
                };
                let flight = match next {
                    // What was begun before is gone on with, whatever came meanwhile.
                    Ok(flight) if desk.is_out_of_patience() && flight.stage == Stage::NotSent => {
                        let _ = events.send(Event::NotRun(flight.place, Box::new(flight.vector))).await;
                        continue;
                    }
                    Ok(flight) => Arc::new(flight),
                    Err(halt) => {
                        let why = match halt {
                            Halt::Changed(why) => why,
                            Halt::Journal(why) => {
                                let _ = events.send(Event::NotRecorded(why.clone())).await;
                                why
                            }
                        };
                        let _ = events.send(Event::NoMore(why)).await;
                        no_more = true;
                        break;
                    }
                };
                let (desk, stops, own) = (desk.clone(), stops.clone(), Arc::clone(&flight));
                let task = flying.spawn(async move {
                    let mask = own.mask(&desk.run.terms);
                    masked(mask, desk.fly(own, stops)).await;
                });
                flights.insert(task.id(), flight);
            }
            let Some(done) = flying.join_next_with_id().await else { break };
            let id = done.as_ref().map_or_else(tokio::task::JoinError::id, |(id, ())| *id);
            let flight = flights.remove(&id);
            if let (Err(_), Some(flight)) = (done, flight) {
                desk.close(&flight, broken(&flight, &self.terms), Told::Last).await;
            }
        }
        halting.abort();
        drop(desk);
        if let Some(writing) = writing {
            let _ = writing.await;
        }
        let grace = if *stop.borrow() { Duration::ZERO } else { self.outbox.grace() };
        if let Some(courier) = Arc::into_inner(courier) {
            let mut stop = stop.clone();
            courier.finish(grace, stopped(&mut stop)).await;
        }
        let _ = forwarding.await;
    }

    /// What is known of an attempt at a vector before it is run; an error where it is another than it was.
    async fn taxi(&self, place: usize, attempt: usize, vector: Vector) -> Result<Flight, Halt> {
        let row = place * self.patience.attempts + attempt;
        let before = match self.resume {
            Resume::No => None,
            Resume::Careful | Resume::Resubmit => self.store.known(&self.id, row).await.map_err(|e| Halt::Journal(e.to_string()))?,
        };
        if let Some(known) = &before
            && !known.is(&vector.name, vector.action, vector.environment, &self.terms.privacy.hasher.hash(&vector.input))
        {
            let was = &known.is.0;
            return Err(Halt::Changed(format!(
                "vector {} ({}) is not what it was when the run was begun ({was}): the files or privacy.key were changed",
                place + 1,
                vector.name
            )));
        }
        let again = self.resume == Resume::Resubmit && before.as_ref().is_some_and(|known| known.is_ambiguous());
        let stage = before.filter(|_| !again).map_or(Stage::NotSent, |known| known.stage);
        Ok(Flight { place, row, attempt, vector, stage, session: OnceLock::new(), sightings: OnceLock::new(), begun: Instant::now() })
    }

    /// One vector from submit to outcome.
    async fn one(&self, flight: &Flight, mut stops: Stops) -> Outcome {
        let (mut outcome, expect) = (flight.outcome(), flight.expect());
        let asked = Asked { input: Some(&flight.vector.input), expect: Some(&expect), terms: &self.terms };
        let input = self.terms.privacy.hasher.hash(&flight.vector.input);
        let record = Record { store: &self.store, run: &self.id, place: flight.row, vector: &flight.vector, input };
        let session = match &flight.stage {
            Stage::Done(outcome) => return outcome.as_ref().clone(),
            Stage::Sent => return not_compared(outcome, asked, cut_off()),
            Stage::Submitted(session) => {
                outcome.session_id = Some(session.clone());
                self.api.attach(&flight.vector, session.clone())
            }
            Stage::NotSent => self.api.submit(&flight.vector, &mut stops, &record).await,
        };
        let session = match session {
            Ok(session) => session,
            Err(error) => return not_compared(outcome, asked, error),
        };
        let _ = flight.session.set(session.id.clone());
        let _ = flight.sightings.set((session.since, session.sightings.clone()));
        outcome.session_id = Some(session.id.clone());
        if session.is_polled() && flight.stage == Stage::NotSent {
            record.submitted(&session.id).await;
        }
        let (since, session_id) = (session.since, session.id.clone());
        let ended = tokio::select! {
            ended = self.api.trace(session) => ended,
            () = stopped(&mut stops.run) => {
                // Once more: it may be that it could not be written down before.
                record.submitted(&session_id).await;
                return let_go(outcome, asked);
            }
        };
        // How long an execution took that went on while nobody looked is not known.
        let watched = flight.stage == Stage::NotSent;
        outcome.execution_duration_ms = watched.then(|| u64::try_from(since.elapsed().as_millis()).ok()).flatten();
        match ended {
            Ok(ended) => {
                let ran = ended.ran_at_least.filter(|_| watched);
                outcome.ran_at_least_ms = ran.and_then(|ran| u64::try_from(ran.as_millis()).ok());
                judge(&self.jury, ended.trace, asked, outcome).await
            }
            // None of these says anything of the execution.
            Err(error @ (ApiError::Unreadable(_) | ApiError::Credentials(_) | ApiError::Settings(_) | ApiError::Unreachable(_))) => {
                not_compared(outcome, asked, error)
            }
            Err(error) => {
                if let ApiError::Deadline { last, .. } = &error {
                    outcome.status.clone_from(last);
                }
                outcome.problem = Some(error.into());
                finish(outcome, asked)
            }
        }
    }
}

/// Why no further vector is run.
enum Halt {
    /// It cannot be read, or is another than it was.
    Changed(String),
    /// What became of it before cannot be looked up.
    Journal(String),
}

/// Has nothing more begun once the run is stopped, or its time is over.
async fn out_of_time(halt: Arc<watch::Sender<bool>>, mut stop: watch::Receiver<bool>, until: Option<Instant>) {
    tokio::select! {
        () = stopped(&mut stop) => {}
        () = async { match until { Some(until) => tokio::time::sleep_until(until).await, None => std::future::pending().await } } => {}
    }
    let _ = halt.send(true);
}

async fn forward(mut deliveries: mpsc::Receiver<()>, events: mpsc::Sender<Event>) {
    while let Some(()) = deliveries.recv().await {
        let _ = events.send(Event::Delivered).await;
    }
}

fn cut_off() -> ApiError {
    ApiError::Ambiguous(
        "the run was cut off between the submit and its answer; the action may have run and is not submitted again".to_owned(),
    )
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
