//! The access token: fetched once for all who wait, kept until shortly before it expires, dropped when it is rejected.
//! OAuth 2.0 client credentials (RFC 6749 §4.4) with HTTP Basic client authentication (§2.3.1).

use super::{ApiError, call_text, described, wait_asked_for, wire};
use crate::config::Api;
use crate::http::{CallError, Http, Reply};
use crate::model::Secret;
use base64::Engine as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// How long before its end a token counts as expired, unless a tenth of its life is less.
const LEEWAY: Duration = Duration::from_secs(60);
/// The life of a token whose answer names none (RFC 6749 §5.1 leaves it to documentation).
const DEFAULT_LIFE: u64 = 300;

/// A token in use.
#[derive(Debug, Clone)]
pub(super) struct Token {
    text: Arc<Secret>,
    fresh_until: Instant,
}

impl Token {
    pub(super) fn text(&self) -> &str {
        self.text.expose()
    }
}

/// How long a failed fetch speaks for those who ask next: a platform that is down is not asked again for every vector.
const FAILURE_STANDS: Duration = Duration::from_secs(5);
/// The longest life a token is believed to have; some platforms write "never" as a very large number.
const LONGEST_LIFE: u64 = 24 * 3600;

/// What the cache holds.
#[derive(Debug)]
enum Cached {
    Nothing,
    Token(Token),
    /// The last fetch came to nothing at this time, after all its attempts.
    Failed(ApiError, Instant),
    /// The client itself was refused: asking again would not help and may lock the account.
    Refused(ApiError),
}

/// The cache. Whoever finds it empty fetches while the others wait for the lock: one request however many ask.
#[derive(Debug)]
pub(super) struct Tokens {
    http: Http,
    settings: Api,
    url: String,
    cached: Mutex<Cached>,
}

impl Tokens {
    pub(super) fn new(http: Http, settings: Api, base: &str) -> Self {
        Self { http, settings, url: format!("{base}/api/v2/oauth/token"), cached: Mutex::new(Cached::Nothing) }
    }

    /// A token that is good for a while yet.
    pub(super) async fn get(&self) -> Result<Token, ApiError> {
        let asked = Instant::now();
        let mut cached = self.cached.lock().await;
        match &*cached {
            Cached::Token(token) if Instant::now() < token.fresh_until => return Ok(token.clone()),
            Cached::Refused(error) => return Err(error.clone()),
            // Who waited while it failed has had his attempts.
            Cached::Failed(error, at) if asked <= *at || at.elapsed() < FAILURE_STANDS => return Err(error.clone()),
            Cached::Token(_) | Cached::Nothing | Cached::Failed(..) => {}
        }
        let fetched = self.fetch().await;
        match &fetched {
            Ok(token) => *cached = Cached::Token(token.clone()),
            Err(error @ ApiError::Credentials(_)) => *cached = Cached::Refused(error.clone()),
            Err(error) => *cached = Cached::Failed(error.clone(), Instant::now()),
        }
        fetched
    }

    /// Drops a token the platform rejected, unless another has taken its place already.
    pub(super) async fn reject(&self, rejected: &Token) {
        let mut cached = self.cached.lock().await;
        if matches!(&*cached, Cached::Token(token) if Arc::ptr_eq(&token.text, &rejected.text)) {
            *cached = Cached::Nothing;
        }
    }

    async fn fetch(&self) -> Result<Token, ApiError> {
        let mut attempt = 0;
        loop {
            let asked = Instant::now();
            let (text, wait) = match self.http.send(self.request(), self.settings.token_timeout.duration()).await {
                Ok(reply) if reply.is_success() => return self.read(&reply, asked),
                Ok(reply) if reply.status == 429 || reply.status >= 500 => (described(reply.status, &reply.body), reply.retry_after),
                Ok(reply) => return Err(refusal(&reply)),
                Err(CallError::Fatal(text)) => return Err(ApiError::Credentials(format!("api.base_url: {text}"))),
                // Asking for a token twice does no harm, so an ambiguous failure is repeated too.
                Err(error @ (CallError::Retryable(_) | CallError::Ambiguous(_))) => (call_text("token", &error), None),
            };
            attempt += 1;
            if attempt as usize >= self.settings.attempts.get() {
                return Err(ApiError::Unreachable(format!("no token after {attempt} attempts: {text}")));
            }
            tracing::debug!(attempt, "token: trying again");
            tokio::time::sleep(wait_asked_for(&self.settings, wait, attempt)).await;
        }
    }

    fn request(&self) -> reqwest::RequestBuilder {
        // RFC 6749 §2.3.1: id and secret are form-encoded before they are joined, which reqwest's basic_auth leaves out.
        let encode =
            |text: &str| -> String { reqwest::Url::parse_with_params("x:/", [("", text)]).map_or_else(|_| text.to_owned(), query) };
        let pair = Secret::new(format!("{}:{}", encode(&self.settings.client_id), encode(self.settings.client_secret.expose())));
        let basic = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair.expose()));
        let mut form = reqwest::Url::parse("x:/").ok();
        if let Some(form) = &mut form {
            form.query_pairs_mut().append_pair("grant_type", "client_credentials").append_pair("scope", &self.settings.scopes);
        }
        self.http
            .post(&self.url)
            .header("authorization", basic)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", "application/json")
            .body(form.and_then(|f| f.query().map(str::to_owned)).unwrap_or_default())
    }

    fn read(&self, reply: &Reply, asked: Instant) -> Result<Token, ApiError> {
        let answer: wire::TokenAnswer = serde_json::from_slice(&reply.body)
            .map_err(|_| ApiError::Unreachable("token: the answer is not what RFC 6749 asks for; is api.base_url right?".to_owned()))?;
        let missing = missing_scopes(&self.settings.scopes, answer.scope.as_deref());
        if !missing.is_empty() {
            return Err(ApiError::Credentials(format!("the client was not granted: {missing}")));
        }
        let life = Duration::from_secs(answer.expires_in.unwrap_or(DEFAULT_LIFE).min(LONGEST_LIFE));
        Ok(Token { text: Arc::new(Secret::new(answer.access_token)), fresh_until: asked + life - LEEWAY.min(life / 10) })
    }
}

fn query(url: reqwest::Url) -> String {
    url.query().unwrap_or_default().trim_start_matches('=').to_owned()
}

fn refusal(reply: &Reply) -> ApiError {
    match wire::oauth_error(&reply.body).as_deref() {
        Some("invalid_client") => ApiError::Credentials("invalid_client: the platform does not know this client id or secret".to_owned()),
        Some("invalid_scope") => ApiError::Credentials("invalid_scope: the client may not ask for these scopes".to_owned()),
        _ => ApiError::Credentials(format!("token: {}", described(reply.status, &reply.body))),
    }
}

/// The needed scopes that were not granted. An answer without `scope` grants what was asked for (RFC 6749 §5.1).
fn missing_scopes(needed: &str, granted: Option<&str>) -> String {
    let Some(granted) = granted else { return String::new() };
    needed.split_whitespace().filter(|need| !granted.split_whitespace().any(|got| got == *need)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_compared_as_words() {
        assert_eq!(missing_scopes("data:execute data:read", Some("data:read data:executed")), "data:execute");
        assert_eq!(missing_scopes("a b", Some("b a c")), "");
        assert_eq!(missing_scopes("a b", None), "");
    }

    #[test]
    fn id_and_secret_are_encoded_before_they_are_joined() {
        let settings = Api { client_id: "a:b".into(), client_secret: Secret::new("p%w d".into()), ..Api::default() };
        let tokens = Tokens::new(Http::new(Duration::from_secs(1), 1).unwrap(), settings, "http://127.0.0.1:1");
        let request = tokens.request().build().unwrap();
        let expected = base64::engine::general_purpose::STANDARD.encode("a%3Ab:p%25w+d");
        assert_eq!(request.headers()["authorization"], format!("Basic {expected}"));
        assert_eq!(request.body().unwrap().as_bytes().unwrap(), b"grant_type=client_credentials&scope=");
        assert_eq!(request.url().query(), None);
    }

    #[tokio::test]
    async fn only_the_rejected_token_is_dropped() {
        let tokens = Tokens::new(Http::new(Duration::from_secs(1), 1).unwrap(), Api::default(), "http://127.0.0.1:1");
        let token = |text: &str| Token { text: Arc::new(Secret::new(text.into())), fresh_until: Instant::now() + Duration::from_secs(9) };
        let (old, new) = (token("old"), token("new"));
        *tokens.cached.lock().await = Cached::Token(new.clone());
        tokens.reject(&old).await;
        assert_eq!(tokens.get().await.unwrap().text(), "new");
        tokens.reject(&new).await;
        assert!(matches!(*tokens.cached.lock().await, Cached::Nothing));
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_fresh_until_a_minute_before_its_end() {
        let tokens = Tokens::new(Http::new(Duration::from_secs(1), 1).unwrap(), Api::default(), "http://127.0.0.1:1");
        let reply = |body: &str| Reply { status: 200, retry_after: None, content_type: None, body: body.as_bytes().to_vec() };
        let life = |body: &str| tokens.read(&reply(body), Instant::now()).unwrap().fresh_until - Instant::now();
        assert_eq!(life(r#"{"access_token":"t","expires_in":3600}"#), Duration::from_secs(3540));
        assert_eq!(life(r#"{"access_token":"t","expires_in":20}"#), Duration::from_secs(18));
        assert_eq!(life(r#"{"access_token":"t","expires_in":18446744073709551615}"#), Duration::from_secs(24 * 3600 - 60));
        assert!(tokens.read(&reply("<html>"), Instant::now()).is_err());
    }
}
