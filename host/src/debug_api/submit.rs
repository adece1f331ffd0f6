//! The submit. It starts an execution, so it is repeated only where it certainly was not processed: the connection was never
//! made, 429, 503 with `Retry-After`, or 401. Whatever else goes wrong after it was sent is ambiguous and reported as such.

use super::budget::Call;
use super::sightings::Sightings;
use super::wire;
use super::{About, ApiError, Course, DebugApi, Polled, Session, call_text, described, no_more_retries, retry};
use crate::http::{CallError, Reply};
use crate::model::{SessionId, Vector};
use reqwest::Method;
use std::future::Future;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

/// What an answer to a submit means.
enum Meaning {
    Accepted,
    /// Not processed, and everybody waits.
    Throttled,
    /// Not processed; may be sent again after a wait.
    TryLater,
    Fail(ApiError),
}

/// Who keeps a record of submits, so that none is ever repeated that may have been processed.
pub trait Witness: Sync {
    /// A submit is about to be sent. Where this fails it is not.
    fn sending(&self) -> impl Future<Output = Result<(), String>> + Send;

    /// What was sent was certainly not processed.
    fn unprocessed(&self) -> impl Future<Output = ()> + Send;
}

pub(super) async fn submit(api: &DebugApi, vector: &Vector, stops: &mut Stops, witness: &impl Witness) -> Result<Session, ApiError> {
    let settings = &api.caller.settings;
    let body = serde_json::to_vec(&api.profile.submit.body.filled(&vector.input))
        .map_err(|e| ApiError::Refused(format!("the input cannot be written as JSON: {e}")))?;
    let (mut attempt, mut put_off, mut renewed, mut refused_since) = (0, 0, false, None);
    loop {
        // Every wait can be stopped, but never a request that is on its way: it may have been processed.
        let got = tokio::select! {
            biased;
            () = stopped(&mut stops.begin) => return Err(ApiError::Stopped),
            got = api.signed_in(Call::Submit, None) => got,
        };
        let got = match got {
            // The platform was there before, so it is in trouble: a vector is worth some patience.
            Err(ApiError::Unreachable(text)) if api.tokens.were_had() => {
                let since = *refused_since.get_or_insert_with(Instant::now);
                if since.elapsed() > settings.deadline.duration() {
                    return Err(given_up(since, &text));
                }
                continue;
            }
            got => got?,
        };
        let about = About { action: vector.action, environment: vector.environment, session: None };
        let request = api.request(Method::POST, api.profile.submit.parts(), about, &got.token).await?;
        witness.sending().await.map_err(ApiError::NotRecorded)?;
        let since = Instant::now();
        let sent = send(api, request.header("content-type", "application/json").body(body.clone()), &mut stops.run).await?;
        if was_not_processed(&sent) {
            witness.unprocessed().await;
        }
        if let Ok(reply) = &sent
            && api.tokens.heard(&got, reply, &mut renewed)?
        {
            continue;
        }
        let (text, wait) = match sent {
            Ok(reply) => match meaning(&reply) {
                Meaning::Accepted => return session(api, reply, vector, since).await,
                Meaning::Throttled => (described(&reply), None),
                Meaning::TryLater => {
                    put_off += 1;
                    (described(&reply), Some(retry::wait(settings, reply.retry_after, put_off)))
                }
                Meaning::Fail(error) => return Err(error),
            },
            Err(error @ CallError::Retryable(_)) => {
                attempt += 1;
                let text = call_text("submit", &error);
                if attempt as usize >= settings.attempts.get() {
                    return Err(ApiError::Unreachable(format!("not submitted after {attempt} attempts: {text}")));
                }
                let wait = api.caller.retry(None, attempt);
                (text.clone(), Some(wait.ok_or_else(|| ApiError::Unreachable(no_more_retries("not submitted", &text)))?))
            }
            Err(error @ (CallError::Ambiguous(_) | CallError::TooLarge(_))) => return Err(ambiguous(&call_text("submit", &error))),
            Err(CallError::Fatal(text)) => return Err(ApiError::Refused(text)),
        };
        // To be told to wait is no failure: patience with it ends when the vector has been put off for as long as its deadline.
        let since = *refused_since.get_or_insert(since);
        if since.elapsed() + wait.unwrap_or_default() > settings.deadline.duration() {
            return Err(given_up(since, &text));
        }
        tracing::debug!(attempt, ?wait, "submit: trying again: {text}");
        tokio::select! {
            () = stopped(&mut stops.begin) => return Err(ApiError::Stopped),
            () = sleep(wait.unwrap_or_default()) => {}
        }
    }
}

fn was_not_processed(sent: &Result<Reply, CallError>) -> bool {
    match sent {
        Ok(reply) => match meaning(reply) {
            Meaning::Accepted => false,
            Meaning::Throttled | Meaning::TryLater => true,
            Meaning::Fail(error) => !matches!(error, ApiError::Ambiguous(_)),
        },
        Err(error) => matches!(error, CallError::Retryable(_) | CallError::Fatal(_)),
    }
}

/// Sends. Where the answer is the trace, the execution's whole time passes meanwhile: then a run that is stopped lets go of it.
async fn send(
    api: &DebugApi,
    request: reqwest::RequestBuilder,
    stop: &mut watch::Receiver<bool>,
) -> Result<Result<Reply, CallError>, ApiError> {
    let settings = &api.caller.settings;
    if api.profile.poll.is_some() {
        return Ok(api.caller.send(request, settings.submit_timeout.duration()).await);
    }
    tokio::select! {
        sent = api.caller.send(request, settings.deadline.duration()) => Ok(sent.map_err(|error| match error {
            CallError::Ambiguous(text) => CallError::Ambiguous(format!("{text} (api.deadline_ms is {})", settings.deadline.duration().as_millis())),
            other => other,
        })),
        () = stopped(stop) => Err(ambiguous("stopped while the action was running")),
    }
}

/// What ends waiting.
#[derive(Debug, Clone)]
pub struct Stops {
    /// Nothing more is to be begun.
    pub begin: watch::Receiver<bool>,
    /// Nothing is to be waited for any more, what is under way included.
    pub run: watch::Receiver<bool>,
}

impl Stops {
    /// Those of an attempt, from 0: what follows the first belongs to a vector that was begun.
    #[must_use]
    pub fn of_attempt(self, attempt: usize) -> Self {
        if attempt == 0 { self } else { Self { begin: self.run.clone(), run: self.run } }
    }
}

/// Ends when the run is stopped; where nobody can stop it any more, never.
pub async fn stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn meaning(reply: &Reply) -> Meaning {
    let text = || described(reply);
    match reply.status {
        200..300 => Meaning::Accepted,
        403 => Meaning::Fail(ApiError::Credentials(text())),
        429 => Meaning::Throttled,
        503 if reply.retry_after.is_some() => Meaning::TryLater,
        // A proxy's 408 does not say how far the request had come.
        408 | 500.. => Meaning::Fail(ambiguous(&text())),
        _ => Meaning::Fail(ApiError::Refused(text())),
    }
}

async fn session(api: &DebugApi, reply: Reply, vector: &Vector, since: Instant) -> Result<Session, ApiError> {
    let (action, environment) = (vector.action, vector.environment);
    let Some(pointer) = &api.profile.submit.session else {
        let id = named_by_header(api, &reply);
        let answer = super::read_apart(api, reply, id.clone(), action, environment).await.map_err(|what| ambiguous(&what))?;
        let trace = answer.ended.ok_or_else(|| ambiguous(&format!("the answer's status {} is not known", answer.status)))?;
        return Ok(Session { id, action, environment, since, sightings: Sightings::default(), course: Course::Answered(trace) });
    };
    let text = String::from_utf8_lossy(&reply.body);
    let id = pointer.find(&text).and_then(|raw| wire::text_of(serde_json::from_str(raw.get()).ok()?));
    let id = id.ok_or_else(|| ambiguous(&format!("the platform answered {} without a session id", reply.status)))?;
    let id = id.parse().map_err(|e| ambiguous(&format!("the session id {e}")))?;
    let ticket = api.schedule.ticket(action, environment, &api.caller.settings);
    let expected_within = vector.expect.as_ref().and_then(|expect| expect.max_duration_ms).map(Duration::from_millis);
    let course = Course::Polled(Polled { accepted: Instant::now(), ticket, expected_within });
    Ok(Session { id, action, environment, since, sightings: Sightings::default(), course })
}

fn named_by_header(api: &DebugApi, reply: &Reply) -> SessionId {
    let header = api.profile.submit.session_header.as_ref().and_then(|name| reply.headers.get(name)?.to_str().ok()?.parse().ok());
    header.unwrap_or_else(SessionId::own)
}

fn given_up(since: Instant, why: &str) -> ApiError {
    ApiError::Unreachable(format!("not submitted after {} s: {why}", since.elapsed().as_secs()))
}

fn ambiguous(what: &str) -> ApiError {
    ApiError::Ambiguous(format!("{what}; the action may have run and is not submitted again"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, retry_after: Option<u64>) -> Reply {
        Reply { status, retry_after: retry_after.map(Duration::from_secs), ..Reply::default() }
    }

    #[test]
    fn only_what_was_not_processed_is_sent_again() {
        assert!(matches!(meaning(&reply(429, None)), Meaning::Throttled));
        assert!(matches!(meaning(&reply(503, Some(1))), Meaning::TryLater));
        for status in [408, 500, 502, 503, 504] {
            assert!(matches!(meaning(&reply(status, None)), Meaning::Fail(ApiError::Ambiguous(_))), "{status}");
        }
        for status in [302, 400, 404, 422] {
            assert!(matches!(meaning(&reply(status, None)), Meaning::Fail(ApiError::Refused(_))), "{status}");
        }
    }
}
