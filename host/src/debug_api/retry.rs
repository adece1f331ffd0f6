//! When a request may be made again: how long to wait before it, and whether at all. PURE but for the clock it is handed.

use crate::config::Api;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The wait after attempt number `attempt` (from 1) of any call: what the platform asked for, within the settings' bounds, or
/// a backoff of ours where that is longer.
pub(super) fn wait(settings: &Api, asked: Option<Duration>, attempt: u32) -> Duration {
    let (first, cap) = (settings.retry_first.duration(), settings.retry_after_max.duration());
    // Never less than half a first wait: a `Retry-After` of 0 must not make a hammer of us.
    let backoff = crate::http::backoff(first, attempt, cap).max(first / 2);
    // A little jitter on top of what was asked, so that waiting vectors do not all come back in one instant.
    asked.map_or(backoff, |asked| asked.min(cap).max(backoff) + Duration::from_millis(fastrand::u64(0..50)))
}

/// How long everybody waits after the 429 that is number `strikes` (from 1) in a row: as long as was asked for, within the settings'
/// bounds; where nothing was asked for that is worth the name, a backoff of ours.
pub(super) fn pause(settings: &Api, asked: Option<Duration>, strikes: u32) -> Duration {
    match asked {
        Some(asked) if asked >= settings.retry_first.duration() => asked.min(settings.retry_after_max.duration()),
        _ => wait(settings, asked, strikes),
    }
}

/// Whether a status tells of trouble that may be over the next time. 408 and 425 are the server's own word that asking again is right
/// (RFC 9110 §15.5.9, RFC 8470 §5.2).
pub(super) fn is_transient(status: u16) -> bool {
    matches!(status, 408 | 425 | 500..)
}

/// The budget of retries: a bucket of tokens, one taken by each retry, a tenth given back by each request that went through. An
/// outage thereby meets one retry for ten requests and not a multiple of what is sent in good times, as it would if each request
/// had its own tries (<https://sre.google/sre-book/handling-overload/>, "Deciding to retry"; gRPC's retry throttling).
#[derive(Debug)]
pub(super) struct Retries(Mutex<Bucket>);

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    /// Until when time has been counted.
    counted: Instant,
}

/// The most tokens the bucket holds, and what it starts with.
const CAPACITY: f64 = 20.0;
/// What a request that went through gives back.
const PER_SUCCESS: f64 = 0.1;
/// What a second gives back, so that a run which starts in an outage does not end in it.
const PER_SECOND: f64 = 0.5;

impl Retries {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Bucket { tokens: CAPACITY, counted: Instant::now() }))
    }

    /// Takes a token; false where there is none.
    pub(super) fn take(&self) -> bool {
        let mut bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.count(Instant::now());
        let there = bucket.tokens >= 1.0;
        if there {
            bucket.tokens -= 1.0;
        }
        there
    }

    /// A request went through.
    pub(super) fn went_through(&self) {
        let mut bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.tokens = (bucket.tokens + PER_SUCCESS).min(CAPACITY);
    }
}

impl Bucket {
    fn count(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.counted).as_secs_f64();
        self.tokens = PER_SECOND.mul_add(passed, self.tokens).min(CAPACITY);
        self.counted = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[tokio::test(start_paused = true)]
    async fn an_outage_uses_the_budget_up_and_success_fills_it() {
        let retries = Retries::new();
        assert_eq!((0..100).filter(|_| retries.take()).count(), 20);
        (0..25).for_each(|_| retries.went_through());
        assert_eq!((0..100).filter(|_| retries.take()).count(), 2);
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!((0..100).filter(|_| retries.take()).count(), 5);
        tokio::time::advance(Duration::from_secs(10_000)).await;
        assert_eq!((0..100).filter(|_| retries.take()).count(), 20, "it never holds more than its capacity");
    }

    proptest! {
        #[test]
        fn a_wait_keeps_to_its_bounds(first in 1_u32..5_000, cap in 1_u32..100_000, asked in proptest::option::of(0_u64..1_000_000), attempt: u32) {
            let text = format!("retry_first_ms = {first}\nretry_after_max_ms = {cap}");
            let settings: Api = toml::from_str(&text).unwrap();
            let waited = wait(&settings, asked.map(Duration::from_millis), attempt);
            let (first, cap) = (settings.retry_first.duration(), settings.retry_after_max.duration());
            prop_assert!(waited >= first / 2 && waited <= cap.max(first / 2) + Duration::from_millis(50));
            if let Some(asked) = asked.map(Duration::from_millis) {
                prop_assert!(waited >= asked.min(cap));
            }
        }
    }
}
