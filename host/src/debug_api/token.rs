//! The access token: fetched once for all who wait, renewed in the background before it expires, dropped when it is rejected.
//! OAuth 2.0 client credentials (RFC 6749 §4.4).

use super::budget::Call;
use super::caller::Caller;
use super::hosts::Directory;
use super::profile::{Authentication, TokenCall};
use super::template::Place;
use super::{ApiError, call_text, described, wire};
use crate::http::{CallError, Reply};
use crate::model::Secret;
use base64::Engine as _;
use reqwest::header::HeaderValue;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};
use zeroize::Zeroizing;

/// How long before its end a token is renewed, unless a tenth of its life is less.
const LEEWAY: Duration = Duration::from_secs(60);
/// The life of a token whose answer names none (RFC 6749 §5.1 leaves it to documentation).
const DEFAULT_LIFE: u64 = 300;
/// The longest life a token is believed to have; some platforms write "never" as a very large number.
const LONGEST_LIFE: u64 = 24 * 3600;
/// How long a failed fetch speaks for those who ask next: a platform that is down is not asked again for every vector.
const FAILURE_STANDS: Duration = Duration::from_secs(5);

/// A token in use.
#[derive(Debug, Clone)]
pub(super) struct Token {
    text: Arc<Secret>,
    /// When it is to be renewed, while it still serves.
    renew: Instant,
    /// When it no longer serves: so short before its end that a request might meet it.
    end: Instant,
}

impl Token {
    pub(super) fn text(&self) -> &str {
        self.text.expose()
    }

    /// Whether it is this very token.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.text, &other.text)
    }
}

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

/// A token, and how it was come by.
#[derive(Debug)]
pub(super) struct Got {
    pub(super) token: Token,
    /// Whether it was fetched while the caller waited: then there is no fresher one to be had.
    pub(super) fetched: bool,
}

/// The cache. Whoever finds it empty fetches while the others wait for the lock: one request however many ask.
#[derive(Debug)]
pub(super) struct Tokens {
    caller: Arc<Caller>,
    directory: Arc<Directory>,
    form: TokenCall,
    scopes: String,
    cached: Mutex<Cached>,
    /// How many fetches somebody waited for; changed under the lock of `cached`.
    fetches: AtomicUsize,
    /// Held by the one renewal there is at a time.
    renewal: Arc<Mutex<()>>,
}

impl Tokens {
    pub(super) fn new(caller: Arc<Caller>, directory: Arc<Directory>, form: TokenCall) -> Self {
        let set = &caller.settings.scopes;
        let scopes = if set.is_empty() { form.scopes.clone() } else { set.clone() };
        Self { caller, directory, form, scopes, cached: Mutex::new(Cached::Nothing), fetches: AtomicUsize::new(0), renewal: Arc::default() }
    }

    /// The scopes asked for, and needed.
    pub(super) fn scopes(&self) -> &str {
        &self.scopes
    }

    /// A token that is good for a while yet. One that will end soon is renewed meanwhile, and nobody waits for it.
    pub(super) async fn get(self: &Arc<Self>) -> Result<Got, ApiError> {
        let (asked, fetches) = (Instant::now(), self.fetches.load(Ordering::Relaxed));
        let mut cached = self.cached.lock().await;
        match &*cached {
            Cached::Token(token) if Instant::now() < token.end => {
                // Another may have fetched it while this one waited for the lock: then it is as fresh to this one as to the other.
                let got = Got { token: token.clone(), fetched: fetches != self.fetches.load(Ordering::Relaxed) };
                if Instant::now() >= token.renew {
                    self.renew();
                }
                return Ok(got);
            }
            Cached::Refused(error) => return Err(error.clone()),
            // Who waited while it failed has had his attempts.
            Cached::Failed(error, at) if asked <= *at || at.elapsed() < FAILURE_STANDS => return Err(error.clone()),
            Cached::Token(_) | Cached::Nothing | Cached::Failed(..) => {}
        }
        let fetched = self.fetch().await;
        self.fetches.fetch_add(1, Ordering::Relaxed);
        match &fetched {
            Ok(token) => *cached = Cached::Token(token.clone()),
            Err(error @ ApiError::Credentials(_)) => *cached = Cached::Refused(error.clone()),
            Err(error) => *cached = Cached::Failed(error.clone(), Instant::now()),
        }
        fetched.map(|token| Got { token, fetched: true })
    }

    /// Fetches another token in the background, unless that is being done. Where it fails the old one serves until its end, and
    /// the next to ask tries again.
    fn renew(self: &Arc<Self>) {
        let Ok(alone) = Arc::clone(&self.renewal).try_lock_owned() else { return };
        let tokens = Arc::clone(self);
        tokio::spawn(async move {
            let fetched = tokens.fetch().await;
            match fetched {
                Ok(token) => *tokens.cached.lock().await = Cached::Token(token),
                Err(error) => {
                    tracing::debug!("token: not renewed ahead of its end: {error}");
                    sleep(FAILURE_STANDS).await;
                }
            }
            drop(alone);
        });
    }

    /// Drops a token the platform rejected, unless another has taken its place already.
    pub(super) async fn reject(&self, rejected: &Token) {
        let mut cached = self.cached.lock().await;
        if matches!(&*cached, Cached::Token(token) if token.is(rejected)) {
            *cached = Cached::Nothing;
        }
    }

    async fn fetch(&self) -> Result<Token, ApiError> {
        let caller = &self.caller;
        let mut attempt = 0;
        loop {
            let hosts = self.directory.get(caller).await?;
            let url = self.form.url.filled(|place| if place == Place::Base { &hosts.base } else { &hosts.login });
            caller.budget.turn(Call::Token).await;
            let asked = Instant::now();
            let (text, failed) = match caller.send(self.request(&url), caller.settings.token_timeout.duration()).await {
                Ok(reply) if reply.is_success() => match self.read(reply, asked) {
                    Err(ApiError::Unreachable(text)) => (text, Some(None)),
                    read => return read,
                },
                Ok(reply) if reply.status == 429 => (described(reply.status, &reply.body), None),
                Ok(reply) if reply.status >= 500 => (described(reply.status, &reply.body), Some(reply.retry_after)),
                Ok(reply) => return Err(refusal(&reply)),
                Err(CallError::Fatal(text)) => return Err(ApiError::Credentials(format!("token: {text}"))),
                // Asking for a token twice does no harm, so an ambiguous failure is repeated too.
                Err(error) => (call_text("token", &error), Some(None)),
            };
            attempt += 1;
            if attempt as usize >= caller.settings.attempts.get() {
                return Err(ApiError::Unreachable(format!("no token after {attempt} attempts: {text}")));
            }
            tracing::debug!(attempt, "token: trying again");
            // Where we were throttled the wait is everybody's, and part of the next turn.
            if let Some(asked) = failed {
                let wait = caller.retry(asked, attempt);
                sleep(wait.ok_or_else(|| ApiError::Unreachable(super::no_more_retries("token", &text)))?).await;
            }
        }
    }

    fn request(&self, url: &str) -> reqwest::RequestBuilder {
        let settings = &self.caller.settings;
        let mut form = vec![("grant_type", "client_credentials")];
        if !self.scopes.is_empty() {
            form.push(("scope", &self.scopes));
        }
        let request =
            self.caller.http.post(url).header("content-type", "application/x-www-form-urlencoded").header("accept", "application/json");
        match self.form.authentication {
            Authentication::Basic => {
                let basic = basic(&settings.client_id, settings.client_secret.expose());
                request.header("authorization", basic).body(encoded(&form).to_string())
            }
            Authentication::Body => {
                form.push(("client_id", &settings.client_id));
                form.push(("client_secret", settings.client_secret.expose()));
                request.body(encoded(&form).to_string())
            }
        }
    }

    fn read(&self, mut reply: Reply, asked: Instant) -> Result<Token, ApiError> {
        let body = Zeroizing::new(std::mem::take(&mut reply.body));
        let answer: wire::TokenAnswer = serde_json::from_slice(&body)
            .map_err(|_| ApiError::Unreachable("token: the answer is not what RFC 6749 asks for; is the address right?".to_owned()))?;
        let missing = missing_scopes(&self.scopes, answer.scope.as_deref());
        if !missing.is_empty() {
            return Err(ApiError::Credentials(format!("the client was not granted: {missing}")));
        }
        let life = Duration::from_secs(answer.expires_in.unwrap_or(DEFAULT_LIFE).min(LONGEST_LIFE));
        let leeway = LEEWAY.min(life / 10);
        Ok(Token { text: Arc::new(answer.access_token), renew: asked + life - leeway, end: asked + life - leeway / 6 })
    }
}

/// RFC 6749 §2.3.1: id and secret are form-encoded before they are joined, which reqwest's `basic_auth` leaves out.
fn basic(id: &str, secret: &str) -> HeaderValue {
    let encode = |text: &str| Zeroizing::new(encoded(&[("", text)]).trim_start_matches('=').to_owned());
    let pair = Zeroizing::new(format!("{}:{}", *encode(id), *encode(secret)));
    let text = Zeroizing::new(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair.as_bytes())));
    // Base64 is always fit for a header.
    let mut value = HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

/// Names and values in `application/x-www-form-urlencoded` form.
fn encoded(pairs: &[(&str, &str)]) -> Zeroizing<String> {
    let query = reqwest::Url::parse_with_params("x:/", pairs).ok().and_then(|url| url.query().map(str::to_owned));
    Zeroizing::new(query.unwrap_or_default())
}

fn refusal(reply: &Reply) -> ApiError {
    let why = match wire::oauth_error(&reply.body).as_deref() {
        Some("invalid_client") => {
            "invalid_client: the platform does not know this client id or secret; check api.client_id and api.client_secret, or the variables that set them".to_owned()
        }
        Some("unauthorized_client") => {
            "unauthorized_client: the client may not use the grant client_credentials; allow it where the client is registered".to_owned()
        }
        Some("invalid_scope") => {
            "invalid_scope: the client may not ask for these scopes; check api.scopes, and what the client is granted".to_owned()
        }
        _ => format!("token: {}", described(reply.status, &reply.body)),
    };
    ApiError::Credentials(why)
}

/// The needed scopes that were not granted. An answer without `scope` grants what was asked for (RFC 6749 §5.1).
fn missing_scopes(needed: &str, granted: Option<&str>) -> String {
    let Some(granted) = granted else { return String::new() };
    needed.split_whitespace().filter(|need| !granted.split_whitespace().any(|got| got == *need)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::profile::Profile;
    use super::*;
    use crate::config::Api;
    use crate::http::{Http, Trust};
    use std::collections::BTreeMap;

    fn tokens(settings: Api) -> Arc<Tokens> {
        let http = Http::new(Duration::from_secs(1), 1 << 20, &Trust::default()).unwrap();
        let profile = Profile::named("cxone", &BTreeMap::new()).unwrap();
        let settings = Api { base_url: "http://127.0.0.1:1".into(), profile: "cxone".into(), ..settings };
        let directory = Directory::new(&settings, &profile).unwrap();
        Arc::new(Tokens::new(Arc::new(Caller::new(http, settings, 300)), Arc::new(directory), profile.token))
    }

    #[test]
    fn scopes_are_compared_as_words() {
        assert_eq!(missing_scopes("data:execute data:read", Some("data:read data:executed")), "data:execute");
        assert_eq!(missing_scopes("a b", Some("b a c")), "");
        assert_eq!(missing_scopes("a b", None), "");
    }

    #[tokio::test]
    async fn id_and_secret_are_encoded_before_they_are_joined() {
        let settings = Api { client_id: "a:b".into(), client_secret: Secret::new("p%w d".into()), scopes: "x y".into(), ..Api::default() };
        let request = tokens(settings).request("http://127.0.0.1:1/t").build().unwrap();
        let expected = base64::engine::general_purpose::STANDARD.encode("a%3Ab:p%25w+d");
        assert_eq!(request.headers()["authorization"], format!("Basic {expected}"));
        assert!(request.headers()["authorization"].is_sensitive());
        assert_eq!(request.body().unwrap().as_bytes().unwrap(), b"grant_type=client_credentials&scope=x+y");
        assert_eq!(request.url().query(), None);
    }

    #[tokio::test]
    async fn only_the_rejected_token_is_dropped() {
        let tokens = tokens(Api::default());
        let end = Instant::now() + Duration::from_secs(9);
        let token = |text: &str| Token { text: Arc::new(Secret::new(text.into())), renew: end, end };
        let (old, new) = (token("old"), token("new"));
        *tokens.cached.lock().await = Cached::Token(new.clone());
        tokens.reject(&old).await;
        assert_eq!(tokens.get().await.unwrap().token.text(), "new");
        tokens.reject(&new).await;
        assert!(matches!(*tokens.cached.lock().await, Cached::Nothing));
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_renewed_a_minute_before_its_end() {
        let tokens = tokens(Api::default());
        let reply = |body: &str| Reply { status: 200, body: body.as_bytes().to_vec(), ..Reply::default() };
        let scope = r#""scope":"data:execute data:read trace:read","#;
        let life =
            |body: &str| tokens.read(reply(&body.replace('{', &format!("{{{scope}"))), Instant::now()).unwrap().renew - Instant::now();
        assert_eq!(life(r#"{"access_token":"t","expires_in":3600}"#), Duration::from_secs(3540));
        assert_eq!(life(r#"{"access_token":"t","expires_in":20}"#), Duration::from_secs(18));
        assert_eq!(life(r#"{"access_token":"t","expires_in":18446744073709551615}"#), Duration::from_secs(24 * 3600 - 60));
        assert!(tokens.read(reply("<html>"), Instant::now()).is_err());
    }
}
