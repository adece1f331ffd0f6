//! A vector under way: what is known of it while it is run, and what its outcome brings of that.

use crate::classify::{Asked, Terms, finish};
use crate::debug_api::Sightings;
use crate::log::Mask;
use crate::model::{Expect, Outcome, Problem, ProblemKind, SessionId, Timeline, Vector};
use crate::redact::Redactor;
use crate::store::Stage;
use std::sync::{Arc, OnceLock};
use tokio::time::Instant;

/// A vector under way, and its session as soon as it has one: known outside its task too, so that nothing is lost with it.
pub(super) struct Flight {
    /// Its vector's place among all.
    pub(super) place: usize,
    /// Its own place in the journal: each attempt has one.
    pub(super) row: usize,
    /// From 0.
    pub(super) attempt: usize,
    pub(super) vector: Vector,
    /// How far it had come before.
    pub(super) stage: Stage,
    pub(super) session: OnceLock<SessionId>,
    /// When its session was submitted, and what polls saw of it.
    pub(super) sightings: OnceLock<(Instant, Sightings)>,
    pub(super) begun: Instant,
}

impl Flight {
    pub(super) fn outcome(&self) -> Outcome {
        let outcome = Outcome::of(self.vector.name.clone(), self.vector.action, self.vector.environment);
        let at = self.vector.source.as_ref().map(|source| source.place());
        Outcome { at, repetition: self.vector.repetition, ..outcome }
    }

    /// Adds what reports show of an outcome beside it: its course, and the lines of what was expected.
    pub(super) fn place_in_time(&self, outcome: &mut Outcome, began: Instant) {
        let ms = |at: Instant| u64::try_from(at.saturating_duration_since(began).as_millis()).unwrap_or_default();
        let (submitted, polls) = match self.sightings.get() {
            Some((since, sightings)) => (Some(ms(*since)), sightings.all().into_iter().map(|(at, seen)| (ms(at), seen)).collect()),
            None => (None, Vec::new()),
        };
        outcome.timeline = Timeline { begun: ms(self.begun), submitted, polls, ended: ms(Instant::now()) };
        if let Some(source) = &self.vector.source {
            outcome.mismatch_at = outcome.mismatch.iter().map(|mismatch| source.of_mismatch(mismatch)).collect();
        }
    }

    /// What takes the input out of log lines. It is made when a line is: most vectors have none.
    pub(super) fn mask(self: &Arc<Self>, terms: &Arc<Terms>) -> Mask {
        let (flight, terms) = (Arc::clone(self), Arc::clone(terms));
        Arc::new(move |text| Redactor::new(&flight.vector.input, &terms.privacy.rules).mask(text).0)
    }

    pub(super) fn expect(&self) -> Expect {
        self.vector.expect.clone().unwrap_or_default()
    }
}

/// The outcome of a vector whose task of ours panicked: what was submitted is said, audited and delivered all the same.
pub(super) fn broken(flight: &Flight, terms: &Terms) -> Outcome {
    let text = "tracejury failed on this vector, please report it; the action may have run".to_owned();
    let problem = Some(Problem { kind: ProblemKind::Ambiguous, text });
    let outcome = Outcome { session_id: flight.session.get().cloned(), problem, ..flight.outcome() };
    finish(outcome, Asked { input: Some(&flight.vector.input), expect: None, terms })
}
