//! Where outcomes are brought: written down with all that is to be told of them, logged and reported; and whether a vector is tried again, or
//! none begun any more.

use super::flight::Flight;
use super::scribe::Scribe;
use super::{Event, Halt, Run};
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
}

impl Desk {
    /// A vector with all its attempts.
    pub(super) async fn fly(self, mut flight: Arc<Flight>, mut stop: watch::Receiver<bool>) {
        let _ = self.events.send(Event::Begun(flight.place, flight.vector.name.clone())).await;
        let mut earlier = Vec::new();
        loop {
            let mut outcome = self.run.one(&flight, stop.clone()).await;
            outcome.flaky = outcome.expected == Some(true) && !earlier.is_empty();
            outcome.earlier.clone_from(&earlier);
            let more = outcome.expected == Some(false) && flight.attempt + 1 < self.run.patience.attempts;
            if !more || *stop.borrow_and_update() {
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

    /// Whether no further vector is to be begun.
    pub(super) fn is_out_of_patience(&self) -> bool {
        let patience = &self.run.patience;
        patience.fail_fast.is_some_and(|most| self.unexpected.load(Ordering::Relaxed) >= most)
            || patience.until.is_some_and(|until| Instant::now() >= until)
    }

    /// Writes an outcome down with all that is to be told of it, has it logged, and reports it.
    pub(super) async fn close(&self, flight: &Flight, mut outcome: Outcome, told: Told) {
        // What can still become something else is no outcome yet; without a journal that outlives us it is all there will be.
        let last = outcome.is_final() || (self.run.store.is_in_memory() && outcome.was_submitted());
        if last {
            self.keep(flight, &outcome, told).await;
        }
        if outcome.expected == Some(false) || (outcome.expected.is_none() && outcome.problem.is_some()) {
            self.unexpected.fetch_add(1, Ordering::Relaxed);
        }
        flight.place_in_time(&mut outcome, self.began);
        let _ = self.events.send(Event::Outcome(flight.place, Box::new(outcome))).await;
    }

    async fn keep(&self, flight: &Flight, outcome: &Outcome, told: Told) {
        if matches!(flight.stage, Stage::Done(_)) {
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
