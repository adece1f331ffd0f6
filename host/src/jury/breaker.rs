//! Keeps a classifier that fails again and again from costing its deadline on every trace. A circuit breaker: closed, open, and
//! half-open for one call after a pause. It knows no clock: it is told the time.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The breaker of one classifier.
#[derive(Debug)]
pub(super) struct Breaker {
    most: usize,
    pause: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Failures in a row.
    failures: usize,
    /// Until when nobody is let through; set once there were too many.
    closed_off_until: Option<Instant>,
}

impl Breaker {
    /// Opens after `most` failures in a row, for `pause`.
    pub(super) fn new(most: usize, pause: Duration) -> Self {
        Self { most, pause, state: Mutex::default() }
    }

    /// Whether a call may be made now; else the number of failures that keep it from being made. After the pause one call is let
    /// through, and the next only when that one has gone well or another pause is over.
    pub(super) fn admit(&self, now: Instant) -> Result<(), usize> {
        let mut state = self.state();
        match state.closed_off_until {
            Some(until) if now < until => Err(state.failures),
            Some(_) => {
                state.closed_off_until = Some(now + self.pause);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Takes note of how a call ended.
    pub(super) fn note(&self, failed: bool, now: Instant) {
        let mut state = self.state();
        if failed {
            state.failures += 1;
            if state.failures >= self.most {
                state.closed_off_until = Some(now + self.pause);
            }
        } else {
            *state = State::default();
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // A panic while the lock was held cannot have left a number half-written.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_pauses_and_lets_one_try() {
        let pause = Duration::from_secs(30);
        let (breaker, start) = (Breaker::new(3, pause), Instant::now());
        for _ in 0..2 {
            assert_eq!(breaker.admit(start), Ok(()));
            breaker.note(true, start);
        }
        assert_eq!(breaker.admit(start), Ok(()), "two failures are not three");
        breaker.note(true, start);
        assert_eq!(breaker.admit(start + pause / 2), Err(3));
        let later = start + pause;
        assert_eq!(breaker.admit(later), Ok(()), "half-open");
        assert_eq!(breaker.admit(later), Err(3), "for one call only");
        breaker.note(true, later);
        assert_eq!(breaker.admit(later + pause / 2), Err(4));
        assert_eq!(breaker.admit(later + pause), Ok(()));
        breaker.note(false, later + pause);
        assert_eq!(breaker.admit(later + pause), Ok(()), "closed again");
    }

    #[test]
    fn a_success_between_failures_forgives_them() {
        let (breaker, now) = (Breaker::new(2, Duration::from_secs(1)), Instant::now());
        for failed in [true, false, true, false, true] {
            assert_eq!(breaker.admit(now), Ok(()));
            breaker.note(failed, now);
        }
        assert_eq!(breaker.admit(now), Ok(()));
    }
}
