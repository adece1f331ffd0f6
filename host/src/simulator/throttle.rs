//! How many requests the simulated platform takes. PURE: it is handed the time.

use super::scenario::{FixedWindow, Limits, TokenBucket};
use std::time::Duration;
use tokio::time::Instant;

/// The counters of one client.
#[derive(Debug)]
pub(super) struct Throttle {
    window: Option<(FixedWindow, Option<Instant>, u32)>,
    bucket: Option<(TokenBucket, f64, Option<Instant>)>,
}

impl Throttle {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            window: limits.fixed_window.map(|window| (window, None, 0)),
            bucket: limits.token_bucket.map(|bucket| (bucket, f64::from(bucket.capacity), None)),
        }
    }

    /// Counts a request; where there are too many, how long to wait until one is taken again.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), Duration> {
        if let Some((window, started, count)) = &mut self.window {
            let length = Duration::from_millis(window.window_ms);
            let start = match *started {
                Some(start) if now < start + length => start,
                _ => {
                    *count = 0;
                    *started.insert(now)
                }
            };
            if *count >= window.requests {
                return Err(start + length - now);
            }
            *count += 1;
        }
        if let Some((bucket, tokens, counted)) = &mut self.bucket {
            let passed = counted.map_or(0.0, |before| now.saturating_duration_since(before).as_secs_f64());
            *tokens = bucket.per_second.mul_add(passed, *tokens).min(f64::from(bucket.capacity));
            *counted = Some(now);
            if *tokens < 1.0 {
                return Err(Duration::try_from_secs_f64((1.0 - *tokens) / bucket.per_second).unwrap_or(Duration::from_secs(3600)));
            }
            *tokens -= 1.0;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn throttle(limits: &str) -> Throttle {
        Throttle::new(&serde_json::from_str(limits).unwrap())
    }

    #[test]
    fn a_window_takes_so_many_and_begins_anew() {
        let mut throttle = throttle(r#"{"fixedWindow":{"requests":2,"windowMs":1000}}"#);
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        assert!(throttle.take(at(0)).is_ok() && throttle.take(at(900)).is_ok());
        assert_eq!(throttle.take(at(900)), Err(Duration::from_millis(100)));
        assert!(throttle.take(at(1_000)).is_ok());
    }

    #[test]
    fn a_bucket_fills_up_again() {
        let mut throttle = throttle(r#"{"tokenBucket":{"capacity":2,"perSecond":10}}"#);
        let start = Instant::now();
        assert!(throttle.take(start).is_ok() && throttle.take(start).is_ok());
        assert_eq!(throttle.take(start), Err(Duration::from_millis(100)));
        assert!(throttle.take(start + Duration::from_millis(100)).is_ok());
        assert!(throttle.take(start + Duration::from_secs(9)).is_ok() && throttle.take(start + Duration::from_secs(9)).is_ok());
        assert!(throttle.take(start + Duration::from_secs(9)).is_err());
    }
}
