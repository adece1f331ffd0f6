//! When a delivery is tried again. Pure: no clock, no I/O.

use std::time::Duration;

/// The longest wait between two attempts of one run, also where the receiver asks for more.
pub(super) const LONGEST: Duration = Duration::from_secs(30);

/// The wait after `attempts` attempts: `first`, then four times as long each time, between half and all of it by `luck` (0 to 1).
pub(super) fn wait(first: Duration, attempts: usize, luck: f64) -> Duration {
    let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or(u32::MAX).saturating_mul(2);
    let full = first.saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX)).min(LONGEST);
    full.mul_f64(0.5 + luck / 2.0)
}

/// Whether another attempt can end otherwise: not where the receiver says that the request itself is wrong or unwanted.
pub(super) fn worth_it(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_quadruple_up_to_the_longest() {
        let first = Duration::from_millis(500);
        let full: Vec<_> = (1..=5).map(|n| wait(first, n, 1.0).as_millis()).collect();
        assert_eq!(full, [500, 2000, 8000, 30_000, 30_000]);
        assert_eq!(wait(first, 1, 0.0), first / 2);
        assert!(wait(first, usize::MAX, 1.0) <= LONGEST);
    }

    #[test]
    fn a_refusal_is_final() {
        assert!([429, 500, 503].into_iter().all(worth_it));
        assert!(![301, 400, 401, 404, 410].into_iter().any(worth_it));
    }
}
