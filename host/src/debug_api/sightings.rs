//! What polls saw of one session, and when: kept beside the waiting, so that it can be told whatever comes of that.

use super::poll::{Seen, Wait};
use crate::model::Sighting;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::Instant;

/// How many are kept: a session that is asked about so often has shown its course.
const KEPT: usize = 256;

/// Cheap to clone; all clones hold the same.
#[derive(Debug, Clone, Default)]
pub struct Sightings(Arc<Mutex<Vec<(Instant, Sighting)>>>);

impl Sightings {
    /// All so far, in order.
    #[must_use]
    pub fn all(&self) -> Vec<(Instant, Sighting)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn note<T>(&self, seen: &Seen<T>) {
        let sighting = match seen {
            Seen::Ended(_) => Sighting::Ended,
            Seen::Running(status, _) => Sighting::Running(status.0.clone()),
            Seen::Nothing { wait: Wait::Asked(_), .. } => Sighting::Throttled,
            Seen::Unknown(_) | Seen::Unreadable(_) | Seen::Nothing { .. } => Sighting::Nothing,
            Seen::Again => return,
        };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() < KEPT {
            all.push((Instant::now(), sighting));
        }
    }
}
