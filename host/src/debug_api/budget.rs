//! The one budget of requests: whoever wants to send one waits here for a turn. Turns come evenly, never more in any minute than the
//! platform allows, tokens before polls before submits; a 429 to anyone makes everyone wait.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

const MINUTE_NANOS: u64 = 60_000_000_000;

/// What a turn is wanted for; the earlier one goes first. A token is what all others wait for; a poll that is due may end a session and
/// make room for the next submit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Call {
    Token,
    Poll,
    Submit,
}

/// When the next request may be sent. The generic cell rate algorithm (ITU-T I.371), in its virtual scheduling form: requests
/// are due one `interval` after the other, and may come up to `slack` early.
///
/// Of `n` requests a minute a second's worth, `b = n / 60`, may be saved up while nothing is to be sent, so that a single vector is not
/// slowed down. Any window of a minute then holds fewer than `60 s / interval + b + 1` requests, hence an interval of `60 s / (n + 1 - b)`:
/// for 300 requests 98.7 % of the budget, evenly, at work without end. A bucket of `n` that refills at `n` a minute would allow twice as many
/// in its first minute.
#[derive(Debug)]
struct Pace {
    interval: Duration,
    slack: Duration,
    /// When the next request would be due if all had come evenly.
    due: Instant,
    paused_until: Instant,
}

impl Pace {
    fn new(per_minute: usize, now: Instant) -> Self {
        let n = u64::try_from(per_minute).unwrap_or(u64::MAX).clamp(1, 1_000_000_000);
        let burst = (n / 60).max(1);
        let interval = Duration::from_nanos(MINUTE_NANOS.div_ceil(n + 1 - burst));
        let slack = interval.saturating_mul(u32::try_from(burst - 1).unwrap_or(u32::MAX));
        Self { interval, slack, due: now, paused_until: now }
    }

    /// When the next request may be sent; it may lie in the past.
    fn ready(&self) -> Instant {
        let early = self.due.checked_sub(self.slack).unwrap_or(self.due);
        early.max(self.paused_until)
    }

    /// A request is sent.
    fn take(&mut self, now: Instant) {
        self.due = self.due.max(now) + self.interval;
    }

    /// Nothing is sent until then, and nothing is saved up meanwhile.
    fn pause(&mut self, until: Instant) {
        self.paused_until = self.paused_until.max(until);
        self.due = self.due.max(self.paused_until + self.slack);
    }
}

/// What went over the wire so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Requests sent.
    pub requests: usize,
    /// How many of them were answered with 429.
    pub throttled: usize,
    /// How many were made again after a failure on the way.
    pub retried: usize,
}

/// The budget. Cheap to clone; all clones share it.
#[derive(Debug, Clone)]
pub(super) struct Budget(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    pace: Pace,
    waiting: BinaryHeap<Waiting>,
    arrivals: u64,
    /// Whether a task gives out turns; it lives while somebody waits.
    driven: bool,
    traffic: Traffic,
    /// Answers of 429 without a success since.
    strikes: u32,
}

#[derive(Debug)]
struct Waiting {
    order: Reverse<(Call, u64)>,
    turn: oneshot::Sender<()>,
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.order.cmp(&other.order)
    }
}

impl Budget {
    pub(super) fn new(per_minute: usize) -> Self {
        let pace = Pace::new(per_minute, Instant::now());
        let (waiting, traffic) = (BinaryHeap::new(), Traffic::default());
        Self(Arc::new(Mutex::new(State { pace, waiting, arrivals: 0, driven: false, traffic, strikes: 0 })))
    }

    /// Waits for a turn. Who stops waiting gives it up to the next one.
    pub(super) async fn turn(&self, call: Call) {
        let turn = {
            let mut state = self.state();
            let now = Instant::now();
            if state.waiting.is_empty() && state.pace.ready() <= now {
                return state.send(now);
            }
            let (sender, turn) = oneshot::channel();
            state.arrivals += 1;
            let order = Reverse((call, state.arrivals));
            state.waiting.push(Waiting { order, turn: sender });
            if !state.driven {
                state.driven = true;
                tokio::spawn(self.clone().drive());
            }
            turn
        };
        // The driver ends only when nobody waits, or with the runtime.
        let _ = turn.await;
    }

    /// Gives out turns while somebody waits for one.
    async fn drive(self) {
        loop {
            let ready = {
                let mut state = self.state();
                let now = Instant::now();
                while state.pace.ready() <= now {
                    let Some(next) = state.waiting.pop() else { break };
                    if !next.turn.is_closed() && next.turn.send(()).is_ok() {
                        state.send(now);
                    }
                }
                if state.waiting.is_empty() {
                    state.driven = false;
                    return;
                }
                state.pace.ready()
            };
            sleep_until(ready).await;
        }
    }

    /// A request was answered with 429: nobody sends before it is over. `wait` says for how long, given how many such answers
    /// came in a row; it is told to the caller too.
    pub(super) fn throttled(&self, wait: impl FnOnce(u32) -> Duration) -> Duration {
        let mut state = self.state();
        state.traffic.throttled += 1;
        state.strikes = state.strikes.saturating_add(1);
        let wait = wait(state.strikes);
        state.pace.pause(Instant::now() + wait);
        wait
    }

    /// A request went through.
    pub(super) fn went_through(&self) {
        self.state().strikes = 0;
    }

    /// A request is about to be made again.
    pub(super) fn retried(&self) {
        self.state().traffic.retried += 1;
    }

    pub(super) fn traffic(&self) -> Traffic {
        self.state().traffic
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn send(&mut self, now: Instant) {
        self.pace.take(now);
        self.traffic.requests += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: Duration = Duration::from_nanos(MINUTE_NANOS);

    /// The most of `sent` within any window of a minute, its end excluded.
    fn busiest_minute(sent: &[Instant]) -> usize {
        let within = |(i, start): (usize, &Instant)| sent.iter().skip(i).take_while(|t| **t - *start < MINUTE).count();
        sent.iter().enumerate().map(within).max().unwrap_or_default()
    }

    proptest! {
        #[test]
        fn no_window_of_a_minute_holds_more_than_the_budget(
            per_minute in 1_usize..400,
            gaps in proptest::collection::vec((0_u64..3_000, 1_usize..60, 0_u64..20), 1..40),
        ) {
            let start = Instant::now();
            let mut pace = Pace::new(per_minute, start);
            let (mut now, mut sent) = (start, Vec::new());
            // Bursts of wishes after idle times, each served as soon as it may be, some of them paused.
            for (idle, wishes, pause) in gaps {
                now += Duration::from_millis(idle);
                if pause == 0 {
                    pace.pause(now + Duration::from_secs(7));
                }
                for _ in 0..wishes {
                    now = now.max(pace.ready());
                    pace.take(now);
                    sent.push(now);
                }
            }
            prop_assert!(busiest_minute(&sent) <= per_minute, "{} of {per_minute}", busiest_minute(&sent));
        }
    }

    #[test]
    fn work_without_end_gets_nearly_all_of_it() {
        for (n, share) in [(1_u32, 1.0), (60, 1.0), (120, 0.99), (300, 0.985), (60_000, 0.983)] {
            let interval = Pace::new(n as usize, Instant::now()).interval;
            let used = MINUTE.as_secs_f64() / interval.as_secs_f64() / f64::from(n);
            assert!(used >= share && used <= 1.0, "{n}: {used}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_go_before_polls_and_polls_before_submits() {
        let budget = Budget::new(60);
        budget.turn(Call::Submit).await;
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut waiting = tokio::task::JoinSet::new();
        for call in [Call::Submit, Call::Poll, Call::Token, Call::Poll] {
            let (budget, order) = (budget.clone(), Arc::clone(&order));
            waiting.spawn(async move {
                budget.turn(call).await;
                order.lock().unwrap().push(call);
            });
        }
        let start = Instant::now();
        waiting.join_all().await;
        assert_eq!(*order.lock().unwrap(), [Call::Token, Call::Poll, Call::Poll, Call::Submit]);
        assert!(start.elapsed() >= Duration::from_secs(4) && start.elapsed() < Duration::from_millis(4_100), "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn who_stops_waiting_costs_nobody_a_turn() {
        let budget = Budget::new(60);
        budget.turn(Call::Poll).await;
        let start = Instant::now();
        let given_up = tokio::time::timeout(Duration::from_millis(10), budget.turn(Call::Token)).await;
        assert!(given_up.is_err());
        budget.turn(Call::Submit).await;
        assert!(start.elapsed() <= Duration::from_millis(1_010), "{:?}", start.elapsed());
        assert_eq!(budget.traffic().requests, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_429_pauses_everyone_and_leaves_nothing_saved_up() {
        let budget = Budget::new(300);
        let start = Instant::now();
        budget.turn(Call::Submit).await;
        assert_eq!(budget.throttled(|strikes| Duration::from_secs(u64::from(strikes) * 10)), Duration::from_secs(10));
        for _ in 0..6 {
            budget.turn(Call::Token).await;
        }
        let took = start.elapsed();
        // Ten seconds, then six turns without a burst: five intervals of 60 s / 296.
        assert!(took >= Duration::from_millis(11_010) && took < Duration::from_millis(11_300), "{took:?}");
        assert_eq!((budget.traffic().requests, budget.traffic().throttled), (7, 1));
    }
}
