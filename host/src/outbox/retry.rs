//! When a delivery is tried again: the schedule of the settings, which by default is that of Standard Webhooks. Pure: no clock, no I/O.

use std::time::Duration;

/// The longest wait that a receiver can ask for: a day.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// The wait after `attempts` attempts (from 1): the schedule's, or the receiver's `Retry-After`, whichever is longer; up to a tenth longer
/// by `luck` (0 to 1), so that what failed together does not come back together. None after the last.
pub(super) fn wait(schedule: &[Duration], attempts: usize, asked: Option<Duration>, luck: f64) -> Option<Duration> {
    let ours = *schedule.get(attempts.saturating_sub(1))?;
    Some(ours.max(asked.unwrap_or_default().min(LONGEST)).mul_f64(1.0 + luck / 10.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEDULE: [Duration; 3] = [Duration::from_secs(5), Duration::from_secs(300), Duration::from_secs(1800)];

    #[test]
    fn waits_follow_the_schedule_to_its_end() {
        let waits: Vec<_> = (1..=4).map(|n| wait(&SCHEDULE, n, None, 0.0).map(|w| w.as_secs())).collect();
        assert_eq!(waits, [Some(5), Some(300), Some(1800), None]);
        assert_eq!(wait(&SCHEDULE, 2, None, 1.0), Some(Duration::from_secs(330)));
        assert_eq!(wait(&[], 1, None, 0.5), None);
    }

    #[test]
    fn a_receiver_can_ask_for_more_but_not_for_less_or_for_ever() {
        let asked = |seconds| wait(&SCHEDULE, 1, Some(Duration::from_secs(seconds)), 0.0).map(|w| w.as_secs());
        assert_eq!((asked(0), asked(60), asked(u64::MAX)), (Some(5), Some(60), Some(24 * 3600)));
        assert_eq!(wait(&SCHEDULE, 4, Some(Duration::from_secs(1)), 0.0), None, "nor for a further attempt");
    }
}
