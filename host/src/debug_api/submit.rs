//! The submit. It starts an execution, so it is repeated only where it certainly was not processed: the connection was never
//! made, 429, 503 with `Retry-After`, or 401. Whatever else goes wrong after it was sent is ambiguous and reported as such.

use super::{ApiError, DebugApi, Session, call_text, described, wait_asked_for, wire};
use crate::http::{CallError, Reply};
use crate::model::Vector;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

/// What an answer to a submit means.
enum Meaning {
    Accepted,
    /// Not processed; may be sent again after a wait.
    TryLater,
    /// The token was rejected.
    NewToken,
    Fail(ApiError),
}

pub(super) async fn submit(api: &DebugApi, vector: &Vector, stop: &mut watch::Receiver<bool>) -> Result<Session, ApiError> {
    let started = Instant::now();
    let body = wire::SubmitBody { input_parameters: &vector.input, trace: true, version_constraint: "strict" };
    let body = serde_json::to_vec(&body).map_err(|e| ApiError::Refused(format!("the input cannot be written as JSON: {e}")))?;
    let mut attempt: u32 = 0;
    let mut token_renewed = false;
    loop {
        // Every wait can be stopped, but never a request that is on its way: it may have been processed.
        let token = tokio::select! {
            biased;
            () = stopped(stop) => return Err(ApiError::Stopped),
            token = api.tokens.get() => token?,
        };
        let since = Instant::now();
        let request = api.http.post(&api.url(vector.action, "debug")).header("content-type", "application/json").body(body.clone());
        let (text, asked, throttled) =
            match api.http.send(api.signed(request, &token, vector.environment), api.settings.submit_timeout.duration()).await {
                Ok(reply) => match meaning(&reply) {
                    Meaning::Accepted => return session(&reply, vector, since),
                    Meaning::NewToken if !token_renewed => {
                        token_renewed = true;
                        api.tokens.reject(&token).await;
                        continue;
                    }
                    Meaning::NewToken => return Err(rejected_twice(&reply)),
                    Meaning::TryLater => (described(reply.status, &reply.body), reply.retry_after, true),
                    Meaning::Fail(error) => return Err(error),
                },
                Err(error @ CallError::Retryable(_)) => (call_text("submit", &error), None, false),
                Err(error @ CallError::Ambiguous(_)) => return Err(ambiguous(&call_text("submit", &error))),
                Err(CallError::Fatal(text)) => return Err(ApiError::Refused(text)),
            };
        attempt += 1;
        // Throttling is patience, not failure: it ends with the vector's deadline; no connection, with the number of attempts.
        let wait = wait_asked_for(&api.settings, asked, attempt);
        let patience_ends = started.elapsed() + wait > api.settings.deadline.duration();
        if patience_ends || (!throttled && attempt as usize >= api.settings.attempts.get()) {
            return Err(ApiError::Unreachable(format!("not submitted after {attempt} attempts: {text}")));
        }
        tracing::debug!(attempt, ?wait, "submit: trying again");
        tokio::select! {
            () = stopped(stop) => return Err(ApiError::Stopped),
            () = sleep(wait) => {}
        }
    }
}

/// Ends when the run is stopped; where nobody can stop it any more, never.
pub async fn stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn meaning(reply: &Reply) -> Meaning {
    let text = || described(reply.status, &reply.body);
    match reply.status {
        200..300 => Meaning::Accepted,
        401 => Meaning::NewToken,
        403 => Meaning::Fail(ApiError::Credentials(text())),
        429 => Meaning::TryLater,
        503 if reply.retry_after.is_some() => Meaning::TryLater,
        500.. => Meaning::Fail(ambiguous(&text())),
        _ => Meaning::Fail(ApiError::Refused(text())),
    }
}

fn session(reply: &Reply, vector: &Vector, since: Instant) -> Result<Session, ApiError> {
    let answer: wire::SubmitAnswer = serde_json::from_slice(&reply.body)
        .map_err(|_| ambiguous(&format!("the platform answered {} without a session id", reply.status)))?;
    let id = answer.session_id.parse().map_err(|e| ambiguous(&format!("the session id {e}")))?;
    Ok(Session { id, action: vector.action, environment: vector.environment, since })
}

fn ambiguous(what: &str) -> ApiError {
    ApiError::Ambiguous(format!("{what}; the action may have run and is not submitted again"))
}

pub(super) fn rejected_twice(reply: &Reply) -> ApiError {
    ApiError::Credentials(format!("a fresh token was rejected: {}", described(reply.status, &reply.body)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn reply(status: u16, retry_after: Option<u64>) -> Reply {
        Reply { status, retry_after: retry_after.map(Duration::from_secs), content_type: None, body: Vec::new() }
    }

    #[test]
    fn only_what_was_not_processed_is_sent_again() {
        assert!(matches!(meaning(&reply(429, None)), Meaning::TryLater));
        assert!(matches!(meaning(&reply(503, Some(1))), Meaning::TryLater));
        for status in [500, 502, 503, 504] {
            assert!(matches!(meaning(&reply(status, None)), Meaning::Fail(ApiError::Ambiguous(_))), "{status}");
        }
        for status in [302, 400, 404, 422] {
            assert!(matches!(meaning(&reply(status, None)), Meaning::Fail(ApiError::Refused(_))), "{status}");
        }
    }
}
