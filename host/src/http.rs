//! The one HTTP client: timeouts, size limits, and errors that say whether a request may be repeated. It knows no API and
//! logs no header and no body.

mod packed;
mod probe;
mod public;
mod trust;

pub use probe::{Found, Stage, proxy_for};
pub use public::{NotPublic, check_literal};
pub use trust::Trust;

use packed::{Body, Unread};
use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue, RETRY_AFTER};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The most that is read of an answer that tells of an error.
const MAX_ERROR: usize = 64 << 10;
/// Answers over this size take turns, [`LARGE_AT_ONCE`] of them at a time: many in flight must not be many in memory.
const LARGE: usize = 1 << 20;
const LARGE_AT_ONCE: usize = 4;

/// A request that brought no answer, by what the caller may do next.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CallError {
    /// It certainly never reached the other side: it may be repeated.
    #[error("{0}")]
    Retryable(String),
    /// It may have been processed: only an idempotent request may be repeated.
    #[error("{0}")]
    Ambiguous(String),
    /// It was answered with success, and the answer is too large to be read: it would be so again.
    #[error("{0}")]
    TooLarge(String),
    /// It can never work, such as an address that is none.
    #[error("{0}")]
    Fatal(String),
}

/// An answer, whatever its status.
#[derive(Debug, Default)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// How long the other side asks to wait.
    pub retry_after: Option<Duration>,
    /// The media type, without parameters.
    pub content_type: Option<String>,
    /// All its headers.
    pub headers: HeaderMap,
    /// The whole body; of an answer that tells of an error, as much as could be read.
    pub body: Vec<u8>,
    /// The turn of a large answer, which ends when it is dropped.
    pub turn: Option<OwnedSemaphorePermit>,
}

impl Reply {
    /// Whether the status is 2xx.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Whether reading it takes a while.
    #[must_use]
    pub fn is_large(&self) -> bool {
        self.body.len() > LARGE
    }
}

/// Where a client may connect to.
#[derive(Debug, Clone, Copy)]
enum Reach {
    Anywhere,
    PublicOnly,
}

/// Chooses whose cryptography TLS uses in this process, for every client of it.
pub fn choose_cryptography() {
    // Refused where another part of the process has chosen already: then that one serves.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The client. Cheap to clone; connections are shared.
#[derive(Debug, Clone)]
pub struct Http {
    client: reqwest::Client,
    /// For loopback addresses, which a proxy cannot reach and must not see.
    direct: reqwest::Client,
    max_body: usize,
    large: Arc<Semaphore>,
}

impl Http {
    /// A client that gives up connecting after `connect_timeout`, reads no body over `max_body` bytes, and trusts whom the
    /// system trusts and `trust` names. There is no way to leave certificates unchecked.
    ///
    /// # Errors
    /// Where certificates or the system's proxy settings cannot be used.
    pub fn new(connect_timeout: Duration, max_body: usize, trust: &Trust) -> Result<Self, CallError> {
        Self::built(connect_timeout, max_body, trust, Reach::Anywhere)
    }

    /// The same, for requests on somebody else's word: a name is resolved to public addresses only. A host named by an address is
    /// [`check_literal`]'s; what a proxy connects to is the proxy's to judge.
    ///
    /// # Errors
    /// As [`Http::new`].
    pub fn to_the_public(connect_timeout: Duration, max_body: usize, trust: &Trust) -> Result<Self, CallError> {
        Self::built(connect_timeout, max_body, trust, Reach::PublicOnly)
    }

    fn built(connect_timeout: Duration, max_body: usize, trust: &Trust, reach: Reach) -> Result<Self, CallError> {
        choose_cryptography();
        let builder = || {
            let builder = reqwest::Client::builder()
                .user_agent(concat!("tracejury/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(connect_timeout)
                // Servers close idle connections after some seconds without a word; a submit sent into that moment would be
                // ambiguous.
                .pool_idle_timeout(Duration::from_secs(4))
                // A redirect would carry a token or a signed body to a host nobody named.
                .redirect(reqwest::redirect::Policy::none())
                .default_headers(HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("gzip"))]));
            let builder = match reach {
                Reach::Anywhere => builder,
                Reach::PublicOnly => builder.dns_resolver(Arc::new(public::PublicOnly)),
            };
            trust.given_to(builder)
        };
        let built = |builder: reqwest::ClientBuilder| builder.build().map_err(|e| CallError::Fatal(chain(&e)));
        Ok(Self {
            client: built(builder()?)?,
            direct: built(builder()?.no_proxy())?,
            max_body,
            large: Arc::new(Semaphore::new(LARGE_AT_ONCE)),
        })
    }

    /// Starts a POST.
    pub fn post(&self, url: &str) -> reqwest::RequestBuilder {
        self.request(reqwest::Method::POST, url)
    }

    /// Starts a GET.
    pub fn get(&self, url: &str) -> reqwest::RequestBuilder {
        self.request(reqwest::Method::GET, url)
    }

    /// Starts a request.
    pub fn request(&self, method: reqwest::Method, url: &str) -> reqwest::RequestBuilder {
        let loopback = reqwest::Url::parse(url).is_ok_and(|url| is_loopback(&url));
        if loopback { &self.direct } else { &self.client }.request(method, url)
    }

    /// Sends a request and reads the whole answer within `timeout`.
    ///
    /// # Errors
    /// [`CallError`], by what the caller may do next. An answer that tells of an error is never one: its status counts, even
    /// where its body is cut off, endless or slow.
    pub async fn send(&self, request: reqwest::RequestBuilder, timeout: Duration) -> Result<Reply, CallError> {
        let (client, request) = request.timeout(timeout).build_split();
        let request = request.map_err(sort)?;
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        let response = client.execute(request).await.map_err(sort)?;
        let headers = response.headers();
        let content_type = headers.get(reqwest::header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
        let mut reply = Reply {
            status: response.status().as_u16(),
            retry_after: retry_after(headers, SystemTime::now()),
            content_type: content_type.and_then(|t| t.split(';').next()).map(|t| t.trim().to_ascii_lowercase()),
            headers: headers.clone(),
            ..Reply::default()
        };
        if reply.is_success() {
            self.read(response, &mut reply).await?
        } else {
            read_error(response, &mut reply.body).await
        }
        tracing::debug!(%method, path, status = reply.status, bytes = reply.body.len(), "answered");
        Ok(reply)
    }

    async fn read(&self, mut response: reqwest::Response, reply: &mut Reply) -> Result<(), CallError> {
        let unread = |why| match why {
            Unread::TooLarge => CallError::TooLarge(format!("the answer is larger than {} MiB", self.max_body >> 20)),
            Unread::Broken => CallError::Ambiguous("the answer is packed, and was cut off or is broken".to_owned()),
        };
        let mut body = Body::of(&reply.headers, self.max_body);
        while let Some(chunk) = response.chunk().await.map_err(sort)? {
            if body.len() + chunk.len() > LARGE && reply.turn.is_none() {
                // Waiting counts as time of the request. The semaphore is never closed.
                reply.turn = Arc::clone(&self.large).acquire_owned().await.ok();
            }
            body.push(&chunk).map_err(unread)?;
        }
        let (bytes, ended) = body.finish();
        reply.body = bytes;
        ended.map_err(unread)
    }
}

async fn read_error(mut response: reqwest::Response, body: &mut Vec<u8>) {
    let mut read = Body::of(response.headers(), MAX_ERROR);
    while let Ok(Some(chunk)) = response.chunk().await {
        if read.push(&chunk).is_err() {
            break;
        }
    }
    *body = read.finish().0;
}

/// Whether a URL leads to this very machine.
#[must_use]
pub fn is_loopback(url: &reqwest::Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|ip| ip.is_loopback())
}

/// The wait after attempt number `attempt` (from 1): somewhere between nothing and `first`, doubled with each attempt, at most `cap`.
/// Full jitter, so that many clients of one outage do not come back together
/// (<https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>).
#[must_use]
pub fn backoff(first: Duration, attempt: u32, cap: Duration) -> Duration {
    first.saturating_mul(1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX)).min(cap).mul_f64(fastrand::f64())
}

/// `Retry-After` as RFC 9110 §10.2.3 has it: seconds, or a date. A date gone by is no wait.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    match text.parse::<u32>() {
        Ok(seconds) => Some(Duration::from_secs(u64::from(seconds))),
        Err(_) => Some(httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or_default()),
    }
}

fn sort(error: reqwest::Error) -> CallError {
    let text = chain(&error);
    if error.is_builder() || is_not_public(&error) {
        CallError::Fatal(text)
    } else if error.is_connect() {
        CallError::Retryable(text)
    } else {
        CallError::Ambiguous(text)
    }
}

/// An error and its causes, the outermost first. What travels inside `std::io::Error`s is among them, which their `source` leaves out.
pub fn causes<'e>(error: &'e (dyn std::error::Error + 'static)) -> impl Iterator<Item = &'e (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |cause| {
        let inner = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        inner.map(|inner| inner as &(dyn std::error::Error + 'static)).or_else(|| cause.source())
    })
}

fn is_not_public(error: &reqwest::Error) -> bool {
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        if cause.is::<NotPublic>() {
            return true;
        }
        next = cause.source();
    }
    false
}

/// An error and its causes in one line, without the address: it may hold what must not be shown.
fn chain(error: &reqwest::Error) -> String {
    if error.is_timeout() && !error.is_connect() {
        return "no answer in time".to_owned();
    }
    let mut texts = Vec::new();
    let mut next: Option<&dyn std::error::Error> = std::error::Error::source(error);
    while let Some(cause) = next {
        texts.push(cause.to_string());
        next = cause.source();
    }
    texts.dedup();
    if texts.is_empty() { "the request could not be made".to_owned() } else { texts.join(": ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(value: &str) -> Option<Duration> {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())]);
        retry_after(&headers, SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770))
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(parsed("7"), Some(Duration::from_secs(7)));
        assert_eq!(parsed("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::from_secs(7)));
        assert_eq!(parsed("Sat, 06 Nov 1993 08:49:37 GMT"), Some(Duration::ZERO));
        assert_eq!(parsed("soon"), None);
        assert_eq!(parsed("-3"), None);
    }

    #[test]
    fn backoff_stays_under_its_cap() {
        let (first, cap) = (Duration::from_millis(100), Duration::from_secs(2));
        for attempt in [0, 1, 4, 31, 32, u32::MAX] {
            assert!(backoff(first, attempt, cap) <= cap);
        }
        assert!(backoff(first, 0, cap) <= first && backoff(first, 1, cap) <= first);
    }

    #[tokio::test]
    async fn a_connection_never_made_is_retryable() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let http = Http::new(Duration::from_secs(1), 10, &Trust::default()).unwrap();
        let error = http.send(http.get(&format!("http://{free}/secret")), Duration::from_secs(2)).await.unwrap_err();
        assert!(matches!(&error, CallError::Retryable(text) if !text.contains("/secret")), "{error:?}");
    }

    #[tokio::test]
    async fn a_connection_cut_before_the_answer_is_ambiguous() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { drop(listener.accept().await) });
        let http = Http::new(Duration::from_secs(1), 10, &Trust::default()).unwrap();
        let error = http.send(http.post(&url), Duration::from_secs(2)).await.unwrap_err();
        assert!(matches!(error, CallError::Ambiguous(_)), "{error:?}");
    }

    #[tokio::test]
    async fn an_address_that_is_none_is_fatal() {
        let http = Http::new(Duration::from_secs(1), 10, &Trust::default()).unwrap();
        assert!(matches!(http.send(http.get("nonsense"), Duration::from_secs(1)).await, Err(CallError::Fatal(_))));
    }
}
