//! When a session is asked about: from what is known of how long its action takes. The rule for all sessions; the waiting itself is
//! in `poll`.
//!
//! An action's first sessions, and every 64th after them, are scouts: they are asked often, and only they teach how long the action
//! takes, so that what is learned does not depend on when the others happened to be asked. The others follow: they are asked when half of
//! the sessions should be done, and seldom need a second poll. Asking all of them from the start would spend the budget of requests on
//! "still running".

use crate::config::Api;
use crate::model::{ActionId, Environment};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// How many of an action's first sessions are scouts, and which of the later ones.
const FIRST_SCOUTS: u64 = 3;
const LATER_SCOUTS: u64 = 64;
/// The median is that of so many scouts, the latest ones.
const SAMPLES: usize = 9;

/// What is known of all actions.
#[derive(Debug, Default)]
pub(super) struct Schedule(Mutex<HashMap<(ActionId, Environment), Arc<Learned>>>);

/// What is known of one action.
#[derive(Debug)]
struct Learned {
    taught: Mutex<Taught>,
    median: watch::Sender<Option<Duration>>,
}

#[derive(Debug, Default)]
struct Taught {
    sessions: u64,
    samples: VecDeque<Duration>,
    /// Places of scouts that were lost: whoever comes next takes them.
    vacant: usize,
}

/// One session's place in the schedule.
#[derive(Debug)]
pub(super) struct Ticket {
    learned: Arc<Learned>,
    median: watch::Receiver<Option<Duration>>,
    scout: bool,
    /// Whether it was given its time before anything was known of the action.
    uninformed: bool,
    /// Whether its session was submitted so long ago that it may well have ended.
    late: bool,
    first: Duration,
    ceiling: Duration,
    /// The last wait between two polls.
    interval: Option<Duration>,
}

impl Schedule {
    /// A place for a session that was just submitted.
    pub(super) fn ticket(&self, action: ActionId, environment: Environment, settings: &Api) -> Ticket {
        let mut actions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let learned = Arc::clone(
            actions
                .entry((action, environment))
                .or_insert_with(|| Arc::new(Learned { taught: Mutex::default(), median: watch::Sender::new(None) })),
        );
        let (number, vacant) = {
            let mut taught = learned.taught.lock().unwrap_or_else(PoisonError::into_inner);
            taught.sessions += 1;
            let vacant = taught.vacant > 0;
            taught.vacant -= usize::from(vacant);
            (taught.sessions - 1, vacant)
        };
        let median = learned.median.subscribe();
        let uninformed = median.borrow().is_none();
        let scout = number < FIRST_SCOUTS || vacant || (number.is_multiple_of(LATER_SCOUTS) && !uninformed);
        // The first scouts ask at times of their own, so that together they look closely.
        let pace = if number < FIRST_SCOUTS { 1.0 + 0.2 * f64::from(u8::try_from(number).unwrap_or_default()) } else { 1.0 };
        let (first, ceiling) = (settings.poll_first.duration().mul_f64(pace), settings.poll_max.duration());
        Ticket { median, learned, scout, uninformed, late: false, first, ceiling, interval: None }
    }
}

impl Schedule {
    /// A place for a session that was submitted some time ago: it is asked about at once, and teaches nothing.
    pub(super) fn late(&self, action: ActionId, environment: Environment, settings: &Api) -> Ticket {
        let mut ticket = self.ticket(action, environment, settings);
        if std::mem::take(&mut ticket.scout) {
            ticket.learned.taught.lock().unwrap_or_else(PoisonError::into_inner).vacant += 1;
        }
        (ticket.uninformed, ticket.late, ticket.interval) = (false, true, Some(settings.poll_first.duration()));
        ticket
    }
}

impl Ticket {
    /// How long after the submit the session is first asked about.
    pub(super) fn first(&self) -> Duration {
        if self.late {
            return Duration::ZERO;
        }
        match (*self.median.borrow(), self.scout) {
            (Some(median), true) => median.mul_f64(0.8),
            // A little later than half of them end: where all take alike, asking at that very time would be in vain for every second one.
            (Some(median), false) => median.mul_f64(1.05),
            (None, true) => self.first,
            (None, false) => self.ceiling,
        }
    }

    /// How long to wait after a poll that said the session is still running, `elapsed` after its submit.
    pub(super) fn next(&mut self, elapsed: Duration) -> Duration {
        let median = *self.median.borrow();
        // A scout of an action of which nothing is known looks closely too: what it finds is too much by as much as its waits grow.
        let grown = self.interval.map(|last| if self.scout && median.is_none() { last * 5 / 4 } else { last * 3 / 2 });
        let interval = match median {
            // Around the median a scout looks closely.
            Some(median) if self.scout && elapsed < median.mul_f64(1.25) => {
                (median / 10).clamp(self.first / 4, self.ceiling.max(self.first / 4))
            }
            Some(median) => grown.unwrap_or(median / 4).clamp(self.first, self.ceiling.max(self.first)),
            None if self.scout => grown.unwrap_or(self.first * 5 / 4).min(self.ceiling.max(self.first)),
            // Without a ceiling: what is not known to be soon is left to the scouts.
            // With one for those who come late: no scout will tell them more.
            None if self.late => grown.unwrap_or(self.ceiling).min(self.ceiling.max(self.first)),
            None => grown.unwrap_or(self.ceiling),
        };
        self.interval = Some(interval);
        interval
    }

    /// Ends when more is known about the action than when this session was given its time; at most once.
    pub(super) async fn learned(&mut self) {
        if self.scout || !self.uninformed || self.median.wait_for(Option::is_some).await.is_err() {
            std::future::pending::<()>().await;
        }
        self.uninformed = false;
    }

    /// The session had ended by `elapsed` after its submit.
    pub(super) fn ended(mut self, elapsed: Duration) {
        if !std::mem::take(&mut self.scout) {
            return;
        }
        // What had ended when it was first looked at may have done so at any time before.
        let took = if self.interval.is_none() && !self.uninformed { elapsed.mul_f64(0.7) } else { elapsed };
        let mut taught = self.learned.taught.lock().unwrap_or_else(PoisonError::into_inner);
        taught.samples.push_back(took);
        if taught.samples.len() > SAMPLES {
            taught.samples.pop_front();
        }
        let mut sorted: Vec<_> = taught.samples.iter().copied().collect();
        sorted.sort_unstable();
        let median = sorted.get(sorted.len() / 2).copied();
        self.learned.median.send_if_modified(|known| std::mem::replace(known, median) != median);
    }
}

impl Drop for Ticket {
    /// A scout that comes back with nothing leaves its place to another: a session that was lost, or did not end in time, says nothing of
    /// how long the action takes.
    fn drop(&mut self) {
        if self.scout {
            self.learned.taught.lock().unwrap_or_else(PoisonError::into_inner).vacant += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const ACTION: &str = "a1b2c3d4-e5f6-7890-abcd-ef1234567890";

    fn settings() -> Api {
        toml::from_str("poll_first_ms = 500\npoll_max_ms = 5000").unwrap()
    }

    fn ticket(schedule: &Schedule) -> Ticket {
        schedule.ticket(ACTION.parse().unwrap(), Environment::Test, &settings())
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// How many polls a session of this duration takes, and when it is seen to have ended.
    fn play(mut ticket: Ticket, takes: Duration) -> (usize, Duration) {
        let (mut at, mut polls) = (ticket.first(), 1);
        while at < takes {
            at += ticket.next(at);
            polls += 1;
        }
        ticket.ended(at);
        (polls, at)
    }

    #[test]
    fn the_first_sessions_are_asked_at_growing_intervals_up_to_a_ceiling() {
        let schedule = Schedule::default();
        let mut scout = ticket(&schedule);
        let waits: Vec<_> = (0..8).map(|_| scout.next(Duration::ZERO).as_millis()).collect();
        assert_eq!((scout.first(), waits), (ms(500), vec![625, 781, 976, 1220, 1525, 1907, 2384, 2980]));
        assert_eq!((0..9).map(|_| scout.next(Duration::ZERO)).last(), Some(ms(5_000)));
    }

    #[test]
    fn followers_start_from_the_median_and_seldom_ask_twice() {
        let schedule = Schedule::default();
        let scouts: Vec<_> = (0..3).map(|_| play(ticket(&schedule), ms(4_000))).collect();
        assert!(scouts.iter().all(|(_, seen)| *seen < ms(6_000)), "{scouts:?}");
        let sessions: Vec<_> = (0..1_000).map(|_| play(ticket(&schedule), ms(4_000))).collect();
        let polls: usize = sessions.iter().map(|(polls, _)| polls).sum();
        assert!(polls < 1_060, "{polls} polls for 1000 sessions");
        let late: Vec<_> = sessions.iter().skip(400).map(|(_, seen)| seen.as_millis()).collect();
        assert!(late.iter().all(|seen| (4_000..4_900).contains(seen)), "what is learned comes close to what is so: {late:?}");
    }

    #[test]
    fn a_session_of_old_is_asked_about_at_once_and_teaches_nothing() {
        let schedule = Schedule::default();
        let mut late = schedule.late(ACTION.parse().unwrap(), Environment::Test, &settings());
        assert_eq!((late.first(), late.next(ms(1)), late.scout), (ms(0), ms(750), false));
        late.ended(ms(3));
        assert!(ticket(&schedule).scout && ticket(&schedule).median.borrow().is_none());
    }

    #[test]
    fn an_action_that_becomes_quicker_or_slower_is_noticed() {
        let schedule = Schedule::default();
        for takes in [4_000, 1_000, 9_000] {
            (0..64 * 40).for_each(|_| _ = play(ticket(&schedule), ms(takes)));
            let median = ticket(&schedule).median.borrow().unwrap();
            assert!(median >= ms(takes).mul_f64(0.8) && median <= ms(takes).mul_f64(1.3), "{takes}: {median:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_followed_before_anything_was_known_is_told() {
        let schedule = Schedule::default();
        let scout = ticket(&schedule);
        let _others = (ticket(&schedule), ticket(&schedule));
        let mut follower = ticket(&schedule);
        assert_eq!(follower.first(), ms(5_000));
        let early = tokio::time::timeout(ms(10), follower.learned()).await;
        assert!(early.is_err());
        scout.ended(ms(700));
        follower.learned().await;
        assert_eq!(follower.first(), ms(735));
        assert!(tokio::time::timeout(ms(10), follower.learned()).await.is_err(), "once is enough");
    }

    #[test]
    fn a_scout_that_is_lost_leaves_its_place_to_another() {
        let schedule = Schedule::default();
        let scouts = [ticket(&schedule), ticket(&schedule), ticket(&schedule)];
        assert!(scouts.iter().all(|t| t.scout) && !ticket(&schedule).scout);
        drop(scouts);
        let next = [ticket(&schedule), ticket(&schedule), ticket(&schedule), ticket(&schedule)].map(|t| t.scout);
        assert_eq!(next, [true, true, true, false]);
    }

    proptest::proptest! {
        #[test]
        fn no_settings_make_it_panic_or_stand_still(first in 1_u32..100_000, ceiling in 1_u32..100_000, takes in 1_u64..200_000) {
            let settings: Api = toml::from_str(&format!("poll_first_ms = {first}\npoll_max_ms = {ceiling}")).unwrap();
            let schedule = Schedule::default();
            for _ in 0..70 {
                let mut ticket = schedule.ticket(ACTION.parse().unwrap(), Environment::Test, &settings);
                let mut at = ticket.first();
                let mut polls = 0;
                while at < ms(takes) && polls < 1_000 {
                    at += ticket.next(at).max(ms(1));
                    polls += 1;
                }
                ticket.ended(at);
            }
        }
    }
}
