//! Where outcomes are brought: written down with all that is to be told of them, logged and reported; and whether a vector is tried again, or
//! none begun any more.

use super::flight::Flight;
use super::scribe::Scribe;
use super::{Event, Halt, Run};
use crate::debug_api::Stops;
use crate::model::{Earlier, Outcome, Problem, ProblemKind};
use crate::outbox::Courier;
use crate::store::{Stage, Told};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// Where outcomes are brought.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) run: Arc<Run>,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) courier: Arc<Courier>,
    pub(super) scribe: Option<Scribe>,
    /// When the run began.
    pub(super) began: Instant,
    /// How many vectors are not as expected so far.
    pub(super) unexpected: Arc<AtomicUsize>,
    /// Says that nothing more is to be begun.
    pub(super) halt: Arc<watch::Sender<bool>>,
    /// Whether the user has stopped the run.
    pub(super) stop: watch::Receiver<bool>,
}

impl Desk {
    /// A vector with all its attempts.
    pub(super) async fn fly(self, mut flight: Arc<Flight>, stops: Stops) {
        let _ = self.events.send(Event::Begun(flight.place, flight.vector.name.clone())).await;
        let mut earlier = Vec::new();
        loop {
            let mut outcome = self.run.one(&flight, stops.clone().of_attempt(flight.attempt)).await;
            if outcome.was_not_run() && flight.attempt == 0 && self.is_out_of_patience() {
                // It waited for its turn when there were no more.
                let _ = self.events.send(Event::NotRun(flight.place, Box::new(flight.vector.clone()))).await;
                return;
            }
            outcome.flaky = outcome.expected == Some(true) && !earlier.is_empty();
            outcome.earlier.clone_from(&earlier);
            let more = outcome.expected == Some(false) && flight.attempt + 1 < self.run.patience.attempts;
            if !more || *stops.begin.borrow() {
                // What is stopped between two attempts goes on with the next when it is resumed.
                let told = if more { Told::Superseded } else { Told::Last };
                return self.close(&flight, outcome, told).await;
            }
            self.keep(&flight, &outcome, Told::Superseded).await;
            earlier.push(Earlier { session_id: outcome.session_id, classification: outcome.classification, mismatch: outcome.mismatch });
            flight = match self.run.taxi(flight.place, flight.attempt + 1, flight.vector.clone()).await {
                Ok(next) => Arc::new(next),
                Err(Halt::Journal(why) | Halt::Changed(why)) => {
                    let problem = Some(Problem { kind: ProblemKind::Journal, text: why });
                    return self.close(&flight, Outcome { problem, earlier, ..flight.outcome() }, Told::Last).await;
                }
            };
        }
    }

    /// Whether no further vector is to be begun, though nobody has stopped the run.
    pub(super) fn is_out_of_patience(&self) -> bool {
        *self.halt.borrow() && !*self.stop.borrow()
    }

    /// Writes an outcome down with all that is to be told of it, has it logged, and reports it.
    pub(super) async fn close(&self, flight: &Flight, mut outcome: Outcome, told: Told) {
        // What can still become something else is no outcome yet; without a journal that outlives us it is all there will be.
        let last = outcome.is_final() || (self.run.store.is_in_memory() && outcome.was_submitted());
        if last {
            self.keep(flight, &outcome, told).await;
        }
        let wrong = outcome.expected == Some(false) || (outcome.expected.is_none() && outcome.problem.is_some());
        // What went wrong before the run was resumed has been seen.
        if wrong && !matches!(flight.stage, Stage::Done(_)) {
            let so_far = self.unexpected.fetch_add(1, Ordering::Relaxed) + 1;
            if self.run.patience.fail_fast.is_some_and(|most| so_far >= most) {
                let _ = self.halt.send(true);
            }
        }
        flight.place_in_time(&mut outcome, self.began);
        let _ = self.events.send(Event::Outcome(flight.place, Box::new(outcome))).await;
    }

    async fn keep(&self, flight: &Flight, outcome: &Outcome, told: Told) {
        if matches!(flight.stage, Stage::Done(_)) {
            if told == Told::Superseded
                && let Err(error) = self.run.store.supersede(&self.run.id, flight.row).await
            {
                tracing::warn!("journal: {error}");
            }
            return;
        }
        let run = &self.run;
        let entry = run.audit.as_ref().and_then(|log| log.entry(outcome, run.id.as_str()));
        let parcels = run.outbox.parcels(outcome);
        if let Err(error) = run.store.done(&run.id, flight.row, outcome, told, entry.clone(), parcels).await {
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
