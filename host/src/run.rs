//! The whole flow: vectors → token → submit → poll → trace → classifiers → merge → outcome → webhook, audit. What becomes of each vector is
//! written down as it happens, so that a run that is cut off can be resumed.

mod recover;
mod scribe;
mod witness;

pub use recover::catch_up;

use crate::audit::AuditLog;
use crate::classify::{Asked, Terms, finish, judge};
use crate::debug_api::{ApiError, DebugApi, stopped};
use crate::jury::Jury;
use crate::log::{Mask, masked};
use crate::model::{Expect, Outcome, Problem, ProblemKind, RunId, SessionId, Vector};
use crate::outbox::{Courier, Outbox};
use crate::redact::Redactor;
use crate::store::{Stage, Store};
use scribe::Scribe;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
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
        let (told, deliveries) = mpsc::channel(64);
        let forwarding = tokio::spawn(forward(deliveries, events.clone()));
        let courier = Arc::new(Courier::start(&self.outbox, &self.store, &self.id, Some(told)));
        let scribe = self.audit.as_ref().map(|log| Scribe::start(Arc::clone(log), self.store.clone(), self.audit_group));
        let (scribe, writing) = scribe.unzip();
        let desk = Desk { run: Arc::clone(&self), events: events.clone(), courier: Arc::clone(&courier), scribe };
        let mut flying = JoinSet::new();
        let mut flights = HashMap::new();
        let mut waiting = vectors.enumerate();
        let mut no_more = false;
        loop {
            while !no_more && flying.len() < self.concurrency {
                let next = match waiting.next() {
                    None => break,
                    Some((place, Ok(vector))) => self.taxi(place, vector).await,
                    Some((_, Err(why))) => Err(Halt::Changed(why)),
                };
                let flight = match next {
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
                let (desk, stop, own) = (desk.clone(), stop.clone(), Arc::clone(&flight));
                let task = flying.spawn(async move {
                    let mask = own.mask(&desk.run.terms);
                    masked(mask, async {
                        let outcome = desk.run.one(&own, stop).await;
                        desk.close(&own, outcome).await;
                    })
                    .await;
                });
                flights.insert(task.id(), flight);
            }
            let Some(done) = flying.join_next_with_id().await else { break };
            let id = done.as_ref().map_or_else(tokio::task::JoinError::id, |(id, ())| *id);
            let flight = flights.remove(&id);
            if let (Err(_), Some(flight)) = (done, flight) {
                desk.close(&flight, broken(&flight, &self.terms)).await;
            }
        }
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

    /// What is known of a vector before it is run; an error where it is another than it was.
    async fn taxi(&self, place: usize, vector: Vector) -> Result<Flight, Halt> {
        let before = match self.resume {
            Resume::No => None,
            Resume::Careful | Resume::Resubmit => self.store.known(&self.id, place).await.map_err(|e| Halt::Journal(e.to_string()))?,
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
        Ok(Flight { place, vector, stage, session: OnceLock::new() })
    }

    /// One vector from submit to outcome.
    async fn one(&self, flight: &Flight, mut stop: watch::Receiver<bool>) -> Outcome {
        let (mut outcome, expect) = (flight.outcome(), flight.expect());
        let asked = Asked { input: Some(&flight.vector.input), expect: Some(&expect), terms: &self.terms };
        let input = self.terms.privacy.hasher.hash(&flight.vector.input);
        let record = Record { store: &self.store, run: &self.id, place: flight.place, vector: &flight.vector, input };
        let session = match &flight.stage {
            Stage::Done(outcome) => return outcome.as_ref().clone(),
            Stage::Sent => return not_compared(outcome, asked, cut_off()),
            Stage::Submitted(session) => {
                outcome.session_id = Some(session.clone());
                self.api.attach(&flight.vector, session.clone())
            }
            Stage::NotSent => self.api.submit(&flight.vector, &mut stop, &record).await,
        };
        let session = match session {
            Ok(session) => session,
            Err(error) => return not_compared(outcome, asked, error),
        };
        let _ = flight.session.set(session.id.clone());
        outcome.session_id = Some(session.id.clone());
        if session.is_polled() && flight.stage == Stage::NotSent {
            record.submitted(&session.id).await;
        }
        let (since, session_id) = (session.since, session.id.clone());
        let ended = tokio::select! {
            ended = self.api.trace(session) => ended,
            () = stopped(&mut stop) => {
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

/// Where outcomes are brought.
#[derive(Clone)]
struct Desk {
    run: Arc<Run>,
    events: mpsc::Sender<Event>,
    courier: Arc<Courier>,
    scribe: Option<Scribe>,
}

impl Desk {
    /// Writes an outcome down with all that is to be told of it, has it logged, and reports it.
    async fn close(&self, flight: &Flight, outcome: Outcome) {
        // What can still become something else is no outcome yet; without a journal that outlives us it is all there will be.
        let last = outcome.is_final() || (self.run.store.is_in_memory() && outcome.was_submitted());
        if last && !matches!(flight.stage, Stage::Done(_)) {
            self.keep(flight, &outcome).await;
        }
        let _ = self.events.send(Event::Outcome(flight.place, Box::new(outcome))).await;
    }

    async fn keep(&self, flight: &Flight, outcome: &Outcome) {
        let run = &self.run;
        let entry = run.audit.as_ref().and_then(|log| log.entry(outcome, run.id.as_str()));
        let parcels = run.outbox.parcels(outcome);
        if let Err(error) = run.store.done(&run.id, flight.place, outcome, entry.clone(), parcels).await {
            // What is not in the journal is neither logged nor told: a resumed run will do all of it.
            let _ = self.events.send(Event::NotRecorded(error.to_string())).await;
            return;
        }
        self.courier.look();
        if let (Some(scribe), Some(entry)) = (&self.scribe, entry) {
            let event = scribe.write(entry).await.map_or_else(Event::NotAudited, |()| Event::Audited);
            let _ = self.events.send(event).await;
        }
    }
}

async fn forward(mut deliveries: mpsc::Receiver<()>, events: mpsc::Sender<Event>) {
    while let Some(()) = deliveries.recv().await {
        let _ = events.send(Event::Delivered).await;
    }
}

/// A vector under way, and its session as soon as it has one: known outside its task too, so that nothing is lost with it.
struct Flight {
    place: usize,
    vector: Vector,
    /// How far it had come before.
    stage: Stage,
    session: OnceLock<SessionId>,
}

impl Flight {
    fn outcome(&self) -> Outcome {
        Outcome::of(self.vector.name.clone(), self.vector.action, self.vector.environment)
    }

    /// What takes the input out of log lines. It is made when a line is: most vectors have none.
    fn mask(self: &Arc<Self>, terms: &Arc<Terms>) -> Mask {
        let (flight, terms) = (Arc::clone(self), Arc::clone(terms));
        Arc::new(move |text| Redactor::new(&flight.vector.input, &terms.privacy.rules).mask(text).0)
    }

    fn expect(&self) -> Expect {
        self.vector.expect.clone().unwrap_or_default()
    }
}

/// The outcome of a vector whose task of ours panicked: what was submitted is said, audited and delivered all the same.
fn broken(flight: &Flight, terms: &Terms) -> Outcome {
    let text = "tracejury failed on this vector, please report it; the action may have run".to_owned();
    let problem = Some(Problem { kind: ProblemKind::Ambiguous, text });
    let outcome = Outcome { session_id: flight.session.get().cloned(), problem, ..flight.outcome() };
    finish(outcome, Asked { input: Some(&flight.vector.input), expect: None, terms })
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
