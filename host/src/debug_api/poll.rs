//! Polling a session until it has ended, by its place in the schedule. A poll changes nothing, so every failure of ours is
//! repeated; only the deadline, a session that is gone, an answer that cannot be read, and a refusal end the wait without a trace.

use super::budget::Call;
use super::schedule::Ticket;
use super::sightings::Sightings;
use super::{About, ApiError, DebugApi, Ended, Polled, call_text, described, profile, read_apart, retry};
use crate::http::{CallError, Reply};
use crate::model::{ActionId, Environment, SessionId, Status, Trace};
use reqwest::Method;
use std::future::Future;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// How long a token may take to be renewed for the last poll, made when the deadline has passed.
const LAST_TRY: Duration = Duration::from_secs(10);

/// What one poll brought.
#[derive(Debug)]
pub(super) enum Seen<T> {
    Ended(T),
    /// Not yet; and how long to wait, where the platform says so.
    Running(Status, Option<Duration>),
    /// The platform does not know the session.
    Unknown(String),
    /// An answer that is none.
    Unreadable(String),
    /// No answer on the session: the platform asks to wait, or it is in trouble.
    Nothing {
        why: String,
        wait: Wait,
    },
    /// The token was rejected and a new one is to be tried at once.
    Again,
}

/// How long to wait after a poll that brought nothing.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wait {
    /// So long: the platform asked for it.
    Asked(Duration),
    /// So long: a backoff of ours.
    Backoff(Duration),
    /// As after any poll: too many fail for this one to be tried again sooner.
    Ordinary,
}

/// What bounds the waiting.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    /// When the session was submitted.
    since: Instant,
    /// How long after it to give up.
    deadline: Duration,
    /// How long after it the session may be unknown.
    visible_within: Duration,
    /// How many answers in a row may be unreadable.
    unreadable: usize,
    /// The least wait that the platform can ask for.
    least: Duration,
    /// How long after `since` it was known that the submit was accepted: the execution may have begun as late as that.
    accepted: Duration,
    /// When, after it, somebody wants to know whether the session has ended.
    expected_within: Option<Duration>,
}

/// One poll; a trait, so that the waiting can be tested without a network.
trait Ask<T> {
    /// Polls; `troubles` is how many polls in a row brought nothing.
    fn ask(&mut self, troubles: u32) -> impl Future<Output = Result<Seen<T>, ApiError>> + Send;
}

pub(super) async fn until_ended(poller: Poller<'_>, polled: Polled) -> Result<Ended, ApiError> {
    let settings = &poller.api.caller.settings;
    let bounds = Bounds {
        since: poller.since,
        deadline: settings.deadline.duration(),
        visible_within: settings.visible_within.duration(),
        unreadable: settings.attempts.get(),
        least: settings.poll_first.duration(),
        accepted: polled.accepted - poller.since,
        expected_within: polled.expected_within,
    };
    let (trace, ran_at_least) = wait(bounds, polled.ticket, poller).await?;
    Ok(Ended { trace, ran_at_least: Some(ran_at_least) })
}

/// Polls until the session has ended or the deadline has passed. Throttling is no answer: where the deadline falls into a wait that
/// the platform asked for, one more poll is made after it, since the session may long be done. Beside what the end brought it is told
/// how long after its submit the session was last found running.
async fn wait<T>(bounds: Bounds, mut ticket: Ticket, mut poller: impl Ask<T>) -> Result<(T, Duration), ApiError> {
    let until = bounds.since + bounds.deadline;
    // Asked too early, the answer would say nothing about whether the session keeps to its time.
    let wanted = bounds.expected_within.map(|within| bounds.since + bounds.accepted + within + Duration::from_millis(1));
    let in_time = |next: Instant| wanted.filter(|wanted| Instant::now() < *wanted).map_or(next, |wanted| next.min(wanted)).min(until);
    let mut next = in_time(bounds.since + jittered(ticket.first()));
    let (mut not_before, mut running) = (bounds.since, Duration::ZERO);
    let mut last = None;
    let mut trouble: Option<String> = None;
    let (mut troubles, mut unreadable) = (0, 0);
    loop {
        tokio::select! {
            biased;
            () = ticket.learned() => {
                next = next.min(bounds.since + jittered(ticket.first())).max(not_before);
                continue;
            }
            () = sleep_until(next) => {}
        }
        let asked = bounds.since.elapsed();
        let seen = poller.ask(troubles).await?;
        let (now, elapsed) = (Instant::now(), bounds.since.elapsed());
        if let Seen::Nothing { why, .. } | Seen::Unknown(why) | Seen::Unreadable(why) = &seen {
            tracing::debug!(troubles, "poll: {why}");
        }
        let (why, wait) = match seen {
            Seen::Ended(trace) => {
                ticket.ended(elapsed);
                return Ok((trace, running));
            }
            Seen::Again => continue,
            Seen::Running(status, asked_to_wait) => {
                (last, trouble, troubles, unreadable, running) = (Some(status), None, 0, 0, asked.saturating_sub(bounds.accepted));
                if now >= until {
                    return Err(deadline(bounds.deadline, last, None));
                }
                let ours = jittered(ticket.next(elapsed));
                // The platform knows better when there may be news, if it says so at all: a date gone by is no word.
                match asked_to_wait.filter(|asked| *asked >= bounds.least) {
                    Some(asked) => {
                        next = now + jittered(asked);
                        not_before = next;
                    }
                    None => next = in_time(now + ours),
                }
                continue;
            }
            Seen::Unknown(why) if last.is_some() => return Err(ApiError::Gone(format!("{why}: the session has expired or was purged"))),
            Seen::Unknown(why) if elapsed >= bounds.visible_within => {
                return Err(ApiError::Gone(format!("{why}: the session was submitted {} s ago and is not to be seen", elapsed.as_secs())));
            }
            // Not visible yet: the submit is on its way through the platform.
            Seen::Unknown(why) => (why, Wait::Ordinary),
            Seen::Unreadable(why) => {
                unreadable += 1;
                if unreadable >= bounds.unreadable {
                    return Err(ApiError::Unreadable(format!("{why}; so it was {unreadable} times")));
                }
                (why, Wait::Ordinary)
            }
            Seen::Nothing { why, wait } => (why, wait),
        };
        if now >= until {
            return Err(deadline(bounds.deadline, last, trouble.or(Some(why))));
        }
        troubles += 1;
        next = match wait {
            Wait::Asked(wait) => now + wait,
            // Without a wait of the platform's asking, ours ends at the deadline with one last try.
            Wait::Backoff(wait) => (now + wait).min(until),
            Wait::Ordinary => (now + jittered(ticket.next(elapsed))).min(until),
        };
        if !matches!(wait, Wait::Ordinary) {
            not_before = next;
        }
        trouble = Some(why);
    }
}

/// Up to a twentieth more than `interval`: sessions that were submitted together must not be asked about together, and too early is
/// in vain.
fn jittered(interval: Duration) -> Duration {
    interval.mul_f64(1.0 + 0.05 * fastrand::f64())
}

fn deadline(after: Duration, last: Option<Status>, trouble: Option<String>) -> ApiError {
    let seen = match (&last, trouble) {
        (_, Some(trouble)) => trouble,
        (Some(status), None) => format!("last status {status}"),
        (None, None) => "no answer".to_owned(),
    };
    ApiError::Deadline { text: format!("no result after {} s: {seen}", after.as_secs_f64()), last }
}

/// Who polls one session.
pub(super) struct Poller<'a> {
    api: &'a DebugApi,
    id: SessionId,
    action: ActionId,
    environment: Environment,
    since: Instant,
    token_renewed: bool,
    sightings: Sightings,
}

impl<'a> Poller<'a> {
    pub(super) fn new(
        api: &'a DebugApi,
        id: SessionId,
        action: ActionId,
        environment: Environment,
        since: Instant,
        sightings: Sightings,
    ) -> Self {
        Self { api, id, action, environment, since, token_renewed: false, sightings }
    }
}

impl Ask<Trace> for Poller<'_> {
    async fn ask(&mut self, troubles: u32) -> Result<Seen<Trace>, ApiError> {
        let seen = self.poll(troubles).await;
        if let Ok(seen) = &seen {
            self.sightings.note(seen);
        }
        seen
    }
}

impl Poller<'_> {
    async fn poll(&mut self, troubles: u32) -> Result<Seen<Trace>, ApiError> {
        let api = self.api;
        // A platform that is down must not hold a vector past its deadline; a turn comes in any case.
        let until = (self.since + api.caller.settings.deadline.duration()).max(Instant::now() + LAST_TRY);
        let got = match api.signed_in(Call::Poll, Some(until)).await {
            Ok(got) => got,
            // Getting it was tried often enough by those who wait for it together.
            Err(ApiError::Unreachable(why)) => return Ok(Seen::Nothing { why, wait: Wait::Ordinary }),
            Err(other) => return Err(other),
        };
        // What is polled has a form for it: the profile was checked.
        let form = api.profile.poll.as_ref().map_or_else(|| api.profile.submit.parts(), profile::Call::parts);
        let about = About { action: self.action, environment: self.environment, session: Some(&self.id) };
        let request = api.request(Method::GET, form, about, &got.token).await?;
        let failed = |why: String, asked| Seen::Nothing {
            why,
            wait: match (asked, api.caller.retry(asked, troubles + 1)) {
                (Some(_), Some(wait)) => Wait::Asked(wait),
                (None, Some(wait)) => Wait::Backoff(wait),
                (Some(asked), None) => Wait::Asked(retry::wait(&api.caller.settings, Some(asked), troubles + 1)),
                (None, None) => Wait::Ordinary,
            },
        };
        let reply = match api.caller.send(request, api.caller.settings.poll_timeout.duration()).await {
            Ok(reply) => reply,
            Err(CallError::Fatal(text)) => return Err(ApiError::Refused(text)),
            Err(error @ CallError::TooLarge(_)) => return Err(ApiError::Unreadable(call_text("poll", &error))),
            Err(error) => return Ok(failed(call_text("poll", &error), None)),
        };
        let text = || described(&reply);
        if api.tokens.heard(&got, &reply, &mut self.token_renewed)? {
            return Ok(Seen::Again);
        }
        match reply.status {
            429 => Ok(Seen::Nothing { why: text(), wait: Wait::Asked(reply.retry_after.unwrap_or_default()) }),
            status if retry::is_transient(status) => Ok(failed(text(), reply.retry_after)),
            _ => self.read(reply).await,
        }
    }

    async fn read(&self, reply: Reply) -> Result<Seen<Trace>, ApiError> {
        let wait = reply.retry_after.map(|asked| asked.min(self.api.caller.settings.retry_after_max.duration()));
        match reply.status {
            200..300 => Ok(match read_apart(self.api, reply, self.id.clone(), self.action, self.environment).await {
                Ok(answer) => answer.ended.map_or(Seen::Running(answer.status, wait), |trace| Seen::Ended(*trace)),
                Err(why) => Seen::Unreadable(why),
            }),
            404 => Ok(Seen::Unknown(described(&reply))),
            410 => Err(ApiError::Gone(format!("{}: the session has expired or was purged", described(&reply)))),
            403 => Err(ApiError::Credentials(described(&reply))),
            _ => Err(ApiError::Refused(described(&reply))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::schedule::Schedule;
    use super::*;
    use std::collections::VecDeque;

    fn unknown() -> Seen<u8> {
        Seen::Unknown("404".into())
    }

    fn unreadable() -> Seen<u8> {
        Seen::Unreadable("<html>".into())
    }

    struct Script {
        answers: VecDeque<Seen<u8>>,
        polled: Vec<Duration>,
        start: Instant,
    }

    impl Ask<u8> for &mut Script {
        async fn ask(&mut self, _: u32) -> Result<Seen<u8>, ApiError> {
            self.polled.push(self.start.elapsed());
            Ok(self.answers.pop_front().unwrap_or_else(|| Seen::Running(Status("RUNNING".into()), None)))
        }
    }

    async fn play(answers: Vec<Seen<u8>>) -> (Result<u8, ApiError>, Vec<Duration>) {
        let (result, polled) = play_within(answers, None).await;
        (result.map(|(ended, _)| ended), polled)
    }

    async fn play_within(answers: Vec<Seen<u8>>, expected_within: Option<Duration>) -> (Result<(u8, Duration), ApiError>, Vec<Duration>) {
        let start = Instant::now();
        let mut script = Script { answers: answers.into(), polled: Vec::new(), start };
        let bounds = Bounds {
            since: start,
            deadline: Duration::from_secs(20),
            // Between the fourth poll (2.88 s to 3.03 s) and the fifth (4.10 s to 4.31 s): no jitter crosses it.
            visible_within: Duration::from_millis(3_500),
            unreadable: 3,
            least: Duration::from_millis(500),
            accepted: Duration::ZERO,
            expected_within,
        };
        let settings = toml::from_str("poll_first_ms = 500\npoll_max_ms = 5000").unwrap();
        let action = "a1b2c3d4-e5f6-7890-abcd-ef1234567890".parse().unwrap();
        let ticket = Schedule::default().ticket(action, crate::model::Environment::Test, &settings);
        (wait(bounds, ticket, &mut script).await, script.polled)
    }

    fn running() -> Seen<u8> {
        Seen::Running(Status("RUNNING".into()), None)
    }

    fn throttled(seconds: u64) -> Seen<u8> {
        Seen::Nothing { why: "429".into(), wait: Wait::Asked(Duration::from_secs(seconds)) }
    }

    #[tokio::test(start_paused = true)]
    async fn intervals_grow_to_a_ceiling_and_end_at_the_deadline() {
        let (result, polled) = play(vec![]).await;
        assert!(matches!(result, Err(ApiError::Deadline { last: Some(_), .. })));
        assert!(polled.windows(2).take(5).all(|w| w[1] - w[0] > Duration::from_millis(600)), "{polled:?}");
        assert!(polled.windows(2).all(|w| w[1] - w[0] < Duration::from_millis(5600)), "{polled:?}");
        let end = polled.last().unwrap();
        assert!(*end >= Duration::from_secs(20) && *end < Duration::from_millis(20_100), "{end:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_throttled_poll_waits_as_asked_and_is_no_answer() {
        let (result, polled) = play(vec![running(), throttled(7), Seen::Ended(1)]).await;
        assert_eq!(result, Ok(1));
        assert!(polled[2] - polled[1] >= Duration::from_secs(7), "{polled:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_running_session_may_say_when_to_come_back() {
        let busy = Seen::Running(Status("RUNNING".into()), Some(Duration::from_secs(9)));
        let (result, polled) = play(vec![busy, Seen::Ended(1)]).await;
        assert_eq!((result, (polled[1] - polled[0]).as_secs()), (Ok(1), 9));
        let gone_by = || Seen::Running(Status("RUNNING".into()), Some(Duration::ZERO));
        let (_, polled) = play((0..100).map(|_| gone_by()).collect()).await;
        assert!(polled.len() < 12, "no hammer is made of us: {polled:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_whose_last_poll_is_throttled_is_not_lost() {
        let (result, polled) = play(vec![throttled(19), throttled(10), Seen::Ended(3)]).await;
        assert_eq!(result, Ok(3), "{polled:?}");
        assert!(polled[2] > Duration::from_secs(20));
    }

    #[tokio::test(start_paused = true)]
    async fn endless_throttling_ends_all_the_same() {
        let (result, _) = play((0..100).map(|_| throttled(30)).collect()).await;
        assert!(matches!(result, Err(ApiError::Deadline { text, .. }) if text == "no result after 20 s: 429"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_is_not_visible_at_once_and_later_purged() {
        assert_eq!(play(vec![unknown(), unknown(), Seen::Ended(1)]).await.0, Ok(1));
        let (never, polled) = play((0..100).map(|_| unknown()).collect()).await;
        assert_eq!(never, Err(ApiError::Gone("404: the session was submitted 4 s ago and is not to be seen".into())), "{polled:?}");
        let (purged, polled) = play(vec![running(), unknown()]).await;
        assert_eq!((purged, polled.len()), (Err(ApiError::Gone("404: the session has expired or was purged".into())), 2));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_cannot_be_read_is_asked_for_again_and_then_said_to_be_one() {
        assert_eq!(play(vec![unreadable(), running(), unreadable(), unreadable(), Seen::Ended(1)]).await.0, Ok(1));
        let (result, polled) = play((0..100).map(|_| unreadable()).collect()).await;
        assert_eq!((result, polled.len()), (Err(ApiError::Unreadable("<html>; so it was 3 times".into())), 3));
    }

    #[tokio::test(start_paused = true)]
    async fn trouble_on_our_way_ends_at_the_deadline_with_one_last_try() {
        let trouble = |wait| Seen::Nothing { why: "502".into(), wait };
        let (result, polled) = play((0..100).map(|_| trouble(Wait::Backoff(Duration::from_secs(7)))).collect()).await;
        assert!(matches!(result, Err(ApiError::Deadline { text, last: None }) if text == "no result after 20 s: 502"));
        assert_eq!(polled.last().unwrap().as_millis(), 20_000);
        let (result, polled) = play((0..100).map(|_| trouble(Wait::Ordinary)).collect()).await;
        assert!(result.is_err() && polled.len() < 12, "no faster than any poll: {polled:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_that_should_have_ended_is_asked_about_then() {
        let within = Some(Duration::from_millis(2_000));
        let (result, polled) = play_within(vec![running(), running(), running(), running(), running(), Seen::Ended(1)], within).await;
        let (_, at_least) = result.unwrap();
        let wanted = polled.iter().find(|at| at.as_millis() == 2_001).expect("just after its time");
        assert!(at_least >= *wanted, "it was found running after its time: {polled:?}");
        let (result, _) = play_within(vec![running(), Seen::Ended(1)], within).await;
        assert!(result.unwrap().1 < Duration::from_secs(1), "it may have ended as soon as it was last found running");
    }
}
