//! Polling a session until it has ended. A poll changes nothing, so every failure of ours is repeated; only the deadline, a
//! session that is gone, and a refusal end the wait without a trace.

use super::{ApiError, DebugApi, Session, call_text, described, submit, wait_asked_for, wire};
use crate::http::{CallError, Reply};
use crate::model::{Status, Trace};
use std::future::Future;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// How long a token may take to be renewed for the last poll, made when the deadline has passed.
const LAST_TRY: Duration = Duration::from_secs(10);

/// What one poll brought.
#[derive(Debug)]
enum Seen<T> {
    Ended(T),
    Running(Status),
    /// No answer on the session: the platform asks to wait, or it is in trouble.
    Nothing {
        why: String,
        wait: Option<Duration>,
    },
    /// The token was rejected and a new one is to be tried at once.
    Again,
}

/// How to wait between polls.
#[derive(Debug, Clone, Copy)]
struct Pace {
    first: Duration,
    max: Duration,
    /// When to stop waiting.
    until: Instant,
    after: Duration,
}

/// One poll; a trait, so that the waiting can be tested without a network.
trait Ask<T> {
    fn ask(&mut self) -> impl Future<Output = Result<Seen<T>, ApiError>> + Send;
    fn wait_asked_for(&self, asked: Option<Duration>, attempt: u32) -> Duration;
}

pub(super) async fn until_ended(api: &DebugApi, session: &Session) -> Result<Trace, ApiError> {
    let after = api.settings.deadline.duration();
    let pace =
        Pace { first: api.settings.poll_first.duration(), max: api.settings.poll_max.duration(), until: session.since + after, after };
    wait(pace, Poller { api, session, until: pace.until, token_renewed: false }).await
}

/// Polls at growing intervals until the session has ended or the deadline has passed. Throttling is no answer: where the
/// deadline falls into a wait that the platform asked for, one more poll is made after it, since the session may long be done.
async fn wait<T>(pace: Pace, mut poller: impl Ask<T>) -> Result<T, ApiError> {
    let mut interval = pace.first;
    let mut next = Instant::now() + jittered(interval);
    let mut last = None;
    let mut trouble: Option<String> = None;
    let mut troubles = 0;
    loop {
        sleep_until(next).await;
        match poller.ask().await? {
            Seen::Ended(trace) => return Ok(trace),
            Seen::Again => continue,
            Seen::Running(status) => {
                (last, trouble, troubles) = (Some(status), None, 0);
                interval = (interval * 3 / 2).min(pace.max);
                if Instant::now() >= pace.until {
                    return Err(deadline(pace.after, last, None));
                }
                next = (Instant::now() + jittered(interval)).min(pace.until);
            }
            Seen::Nothing { why, wait } => {
                if Instant::now() >= pace.until {
                    return Err(deadline(pace.after, last, trouble.or(Some(why))));
                }
                troubles += 1;
                let asked = Instant::now() + poller.wait_asked_for(wait, troubles);
                // Without a wait of its own asking, our backoff ends at the deadline with one last try.
                next = if wait.is_some() { asked } else { asked.min(pace.until) };
                trouble = Some(why);
            }
        }
    }
}

/// Nine to eleven tenths of `interval`.
fn jittered(interval: Duration) -> Duration {
    interval.mul_f64(0.9 + 0.2 * fastrand::f64())
}

fn deadline(after: Duration, last: Option<Status>, trouble: Option<String>) -> ApiError {
    let seen = match (&last, trouble) {
        (_, Some(trouble)) => trouble,
        (Some(status), None) => format!("last status {status}"),
        (None, None) => "no answer".to_owned(),
    };
    ApiError::Deadline { text: format!("no result after {} s: {seen}", after.as_secs_f64()), last }
}

struct Poller<'a> {
    api: &'a DebugApi,
    session: &'a Session,
    /// The vector's deadline.
    until: Instant,
    token_renewed: bool,
}

impl Ask<Trace> for Poller<'_> {
    async fn ask(&mut self) -> Result<Seen<Trace>, ApiError> {
        // A platform that is down must not hold a vector past its deadline.
        let token = match tokio::time::timeout_at(self.until.max(Instant::now() + LAST_TRY), self.api.tokens.get()).await {
            Ok(Ok(token)) => token,
            Ok(Err(ApiError::Unreachable(why))) => return Ok(Seen::Nothing { why, wait: None }),
            Ok(Err(other)) => return Err(other),
            Err(_) => return Ok(Seen::Nothing { why: "no token in time".to_owned(), wait: None }),
        };
        let url = self.api.url(self.session.action, &format!("debug-sessions/{}", self.session.id));
        let request = self.api.signed(self.api.http.get(&url), &token, self.session.environment);
        let reply = match self.api.http.send(request, self.api.settings.poll_timeout.duration()).await {
            Ok(reply) => reply,
            Err(CallError::Fatal(text)) => return Err(ApiError::Refused(text)),
            Err(error) => return Ok(Seen::Nothing { why: call_text("poll", &error), wait: None }),
        };
        match reply.status {
            401 if self.token_renewed => Err(submit::rejected_twice(&reply)),
            401 => {
                self.token_renewed = true;
                self.api.tokens.reject(&token).await;
                Ok(Seen::Again)
            }
            _ => {
                self.token_renewed = false;
                read(&reply, self.session)
            }
        }
    }

    fn wait_asked_for(&self, asked: Option<Duration>, attempt: u32) -> Duration {
        wait_asked_for(&self.api.settings, asked, attempt)
    }
}

fn read(reply: &Reply, session: &Session) -> Result<Seen<Trace>, ApiError> {
    let text = || described(reply.status, &reply.body);
    match reply.status {
        200..300 => Ok(match serde_json::from_slice::<wire::PollAnswer>(&reply.body) {
            Ok(answer) if answer.ended() => Seen::Ended(answer.into_trace(session.id.clone(), session.action, session.environment)),
            Ok(answer) => Seen::Running(Status(answer.status.chars().filter(|c| !c.is_control()).take(64).collect())),
            Err(_) => {
                let kind = reply.content_type.as_deref().unwrap_or("no content type");
                Seen::Nothing {
                    why: format!("the platform answered {} with something that is no session ({kind})", reply.status),
                    wait: None,
                }
            }
        }),
        404 | 410 => Err(ApiError::Gone(format!("{}: the session has expired or was purged", text()))),
        403 => Err(ApiError::Credentials(text())),
        // 408 and 425 are the server's own word that asking again is right (RFC 9110 §15.5.9, RFC 8470 §5.2).
        408 | 425 | 429 | 500.. => Ok(Seen::Nothing { why: text(), wait: reply.retry_after }),
        _ => Err(ApiError::Refused(text())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    struct Script {
        answers: VecDeque<Seen<u8>>,
        polled: Vec<Duration>,
        start: Instant,
    }

    impl Ask<u8> for &mut Script {
        async fn ask(&mut self) -> Result<Seen<u8>, ApiError> {
            self.polled.push(self.start.elapsed());
            Ok(self.answers.pop_front().unwrap_or_else(|| Seen::Running(Status("RUNNING".into()))))
        }
        fn wait_asked_for(&self, asked: Option<Duration>, _: u32) -> Duration {
            asked.unwrap_or(Duration::from_secs(1))
        }
    }

    async fn play(answers: Vec<Seen<u8>>) -> (Result<u8, ApiError>, Vec<Duration>) {
        let start = Instant::now();
        let mut script = Script { answers: answers.into(), polled: Vec::new(), start };
        let after = Duration::from_secs(20);
        let pace = Pace { first: Duration::from_millis(500), max: Duration::from_secs(5), until: start + after, after };
        (wait(pace, &mut script).await, script.polled)
    }

    fn running() -> Seen<u8> {
        Seen::Running(Status("RUNNING".into()))
    }

    fn throttled(seconds: u64) -> Seen<u8> {
        Seen::Nothing { why: "429".into(), wait: Some(Duration::from_secs(seconds)) }
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
}
