//! The one budget of requests: whoever wants to send one waits here for a turn. Turns come evenly, never more in any minute than the
//! platform allows, tokens first, polls and submits by turns; a 429 to anyone makes everyone wait.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until};

/// A pause from which on people are told of it.
const WORTH_A_WORD: Duration = Duration::from_secs(2);
const MINUTE_NANOS: u64 = 60_000_000_000;

/// What a turn is wanted for. A token is what all others wait for. Polls and submits go by turns while both wait: polls alone would
/// spend the budget on sessions that take long, submits alone would leave those unseen that have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    fn take(&mut self, now: Instant) -> Turn {
        let turn = Turn { due_before: self.due, due_after: self.due.max(now) + self.interval };
        self.due = turn.due_after;
        turn
    }

    /// The last turn taken was not used after all.
    fn give_back(&mut self, turn: Turn) {
        self.due = turn.due_before;
    }

    /// Nothing is sent until then, and nothing is saved up meanwhile.
    fn pause(&mut self, until: Instant) {
        self.paused_until = self.paused_until.max(until);
        self.due = self.due.max(self.paused_until + self.slack);
    }
}

/// Leave to send one request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn {
    due_before: Instant,
    due_after: Instant,
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
pub(super) struct Budget {
    state: Arc<Mutex<State>>,
    /// Told when a turn comes sooner than the driver thinks.
    sooner: Arc<Notify>,
}

#[derive(Debug)]
struct State {
    pace: Pace,
    waiting: Waiting,
    /// Whether a task gives out turns; it lives while somebody waits.
    driven: bool,
    traffic: Traffic,
    /// Answers of 429 without a success since, those to requests that were on their way together counted once.
    strikes: u32,
    /// When the last of them came.
    struck: Instant,
}

/// Who waits for a turn, in the order they came.
#[derive(Debug, Default)]
struct Waiting {
    tokens: VecDeque<oneshot::Sender<Turn>>,
    polls: VecDeque<oneshot::Sender<Turn>>,
    submits: VecDeque<oneshot::Sender<Turn>>,
    /// Whether the last turn of these two kinds was a poll's.
    polled: bool,
}

impl Waiting {
    fn of(&mut self, call: Call) -> &mut VecDeque<oneshot::Sender<Turn>> {
        match call {
            Call::Token => &mut self.tokens,
            Call::Poll => &mut self.polls,
            Call::Submit => &mut self.submits,
        }
    }

    fn is_empty(&self) -> bool {
        self.tokens.is_empty() && self.polls.is_empty() && self.submits.is_empty()
    }

    fn next(&mut self) -> Option<oneshot::Sender<Turn>> {
        if let Some(token) = self.tokens.pop_front() {
            return Some(token);
        }
        self.polled = self.submits.is_empty() || (!self.polled && !self.polls.is_empty());
        if self.polled { self.polls.pop_front() } else { self.submits.pop_front() }
    }
}

impl Budget {
    pub(super) fn new(per_minute: usize) -> Self {
        let (now, waiting, traffic) = (Instant::now(), Waiting::default(), Traffic::default());
        let pace = Pace::new(per_minute, now);
        let state = State { pace, waiting, driven: false, traffic, strikes: 0, struck: now };
        Self { state: Arc::new(Mutex::new(state)), sooner: Arc::default() }
    }

    /// Until when nothing is sent, where the platform has asked for that.
    pub(super) fn paused_until(&self) -> Option<Instant> {
        let until = self.state().pace.paused_until;
        Some(until).filter(|until| *until > Instant::now())
    }

    /// Waits for a turn. Who stops waiting gives it up to the next one.
    pub(super) async fn turn(&self, call: Call) -> Turn {
        let turn = {
            let mut state = self.state();
            let now = Instant::now();
            if state.waiting.is_empty() && state.pace.ready() <= now {
                return state.send(now);
            }
            let (sender, turn) = oneshot::channel();
            state.waiting.of(call).push_back(sender);
            if !state.driven {
                state.driven = true;
                tokio::spawn(self.clone().drive());
            }
            turn
        };
        match turn.await {
            Ok(turn) => turn,
            // The driver ends only when nobody waits, or with the runtime, which drops this future too.
            Err(_) => std::future::pending().await,
        }
    }

    /// A turn is given back unused: there is no token to send a request with any more.
    pub(super) fn give_back(&self, turn: Turn) {
        let mut state = self.state();
        state.traffic.requests -= 1;
        // Where another was taken meanwhile, or all were told to wait, it is lost: better than one too many in a minute.
        if state.pace.due == turn.due_after {
            state.pace.give_back(turn);
            self.sooner.notify_one();
        }
    }

    /// Gives out turns while somebody waits for one.
    async fn drive(self) {
        loop {
            let ready = {
                let mut state = self.state();
                let now = Instant::now();
                while state.pace.ready() <= now {
                    let Some(next) = state.waiting.next() else { break };
                    let turn = state.send(now);
                    if next.send(turn).is_err() {
                        state.pace.give_back(turn);
                        state.traffic.requests -= 1;
                    }
                }
                if state.waiting.is_empty() {
                    state.driven = false;
                    return;
                }
                state.pace.ready()
            };
            tokio::select! {
                () = sleep_until(ready) => {}
                () = self.sooner.notified() => {}
            }
        }
    }

    /// A request that was sent at this time was answered with 429: nobody sends before it is over. `pause` says for how long, given how
    /// many such answers came in a row; the wait is told to the caller too.
    pub(super) fn throttled(&self, sent: Instant, pause: impl FnOnce(u32) -> Duration) -> Duration {
        let mut state = self.state();
        let now = Instant::now();
        state.traffic.throttled += 1;
        if state.strikes == 0 || sent > state.struck {
            state.strikes = state.strikes.saturating_add(1);
            state.struck = now;
        }
        let pause = pause(state.strikes);
        if pause >= WORTH_A_WORD && now + pause > state.pace.paused_until + WORTH_A_WORD {
            tracing::warn!("the platform asks us to wait: nothing is sent for {} s", pause.as_secs());
        }
        state.pace.pause(now + pause);
        pause
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
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn send(&mut self, now: Instant) -> Turn {
        self.traffic.requests += 1;
        self.pace.take(now)
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
                match pause {
                    0 => pace.pause(now + Duration::from_secs(7)),
                    1 => {
                        // A turn that is given back, and whatever is made of it.
                        now = now.max(pace.ready());
                        let turn = pace.take(now);
                        now += Duration::from_millis(idle / 7);
                        pace.give_back(turn);
                    }
                    _ => {}
                }
                for _ in 0..wishes {
                    now = now.max(pace.ready());
                    let _ = pace.take(now);
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
    async fn tokens_go_first_and_polls_and_submits_by_turns() {
        let budget = Budget::new(60);
        budget.turn(Call::Submit).await;
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut waiting = tokio::task::JoinSet::new();
        for call in [Call::Submit, Call::Submit, Call::Poll, Call::Poll, Call::Poll, Call::Poll, Call::Token] {
            let (budget, order) = (budget.clone(), Arc::clone(&order));
            waiting.spawn(async move {
                budget.turn(call).await;
                order.lock().unwrap().push(call);
            });
        }
        let start = Instant::now();
        waiting.join_all().await;
        let (token, poll, submit) = (Call::Token, Call::Poll, Call::Submit);
        assert_eq!(*order.lock().unwrap(), [token, poll, submit, poll, submit, poll, poll]);
        assert!(start.elapsed() >= Duration::from_secs(7) && start.elapsed() < Duration::from_millis(7_100), "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_that_is_given_back_is_the_next_ones() {
        let budget = Budget::new(60);
        let turn = budget.turn(Call::Poll).await;
        budget.give_back(turn);
        let start = Instant::now();
        budget.turn(Call::Poll).await;
        assert_eq!((start.elapsed(), budget.traffic().requests), (Duration::ZERO, 1));
        budget.turn(Call::Poll).await;
        assert!(start.elapsed() >= Duration::from_secs(1));
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
        let tens = |strikes| Duration::from_secs(u64::from(strikes) * 10);
        assert_eq!(budget.throttled(start, tens), Duration::from_secs(10));
        assert_eq!(budget.throttled(start, tens), Duration::from_secs(10), "it was on its way together with the first");
        for _ in 0..6 {
            budget.turn(Call::Token).await;
        }
        let took = start.elapsed();
        // Ten seconds, then six turns without a burst: five intervals of 60 s / 296.
        assert!(took >= Duration::from_millis(11_010) && took < Duration::from_millis(11_300), "{took:?}");
        assert_eq!((budget.traffic().requests, budget.traffic().throttled), (7, 2));
        assert_eq!(budget.throttled(Instant::now(), tens), Duration::from_secs(20));
    }
}
