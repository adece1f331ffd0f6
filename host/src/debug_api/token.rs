//! The access token: fetched once for all who wait, renewed in the background before it ends, dropped when it is rejected. How one is
//! asked for is in `grant`.

use super::grant::{Granted, Grants};
use super::{ApiError, described};
use crate::http::Reply;
use crate::model::Secret;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::OwnedMutexGuard;
use tokio::time::{Instant, sleep_until};

/// How long before its end a token is renewed, unless a tenth of its life is less.
const LEEWAY: Duration = Duration::from_secs(60);
/// How long a failed fetch stands: who asks meanwhile waits, so that a platform that is down is not asked again for every vector,
/// and a suite is not used up in the time it takes to come back.
const FAILURE_STANDS: Duration = Duration::from_secs(5);
/// For how long a token that somebody waited for counts as just fetched.
const FRESH: Duration = Duration::from_secs(5);
/// After how many tokens in a row that were rejected before they served once the client is given up.
const REJECTED: u32 = 3;

/// A token in use.
#[derive(Debug, Clone)]
pub(super) struct Token {
    text: Arc<Secret>,
    fetched: Instant,
    /// When it no longer serves: so short before its end that a request might meet it.
    end: Instant,
    /// Whether the platform has let a request through with it.
    served: Arc<AtomicBool>,
}

impl Token {
    pub(super) fn text(&self) -> &str {
        self.text.expose()
    }

    /// A request with it was answered so. What a gateway answers before it looks at the token says nothing of it.
    fn answered(&self, status: u16) {
        if !matches!(status, 401 | 408 | 429 | 500..) {
            self.served.store(true, Ordering::Relaxed);
        }
    }

    fn has_served(&self) -> bool {
        self.served.load(Ordering::Relaxed)
    }

    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.text, &other.text)
    }
}

/// A token for one request.
#[derive(Debug)]
pub(super) struct Got {
    pub(super) token: Token,
    /// Whether it was fetched while the request waited for it.
    waited_for: bool,
}

impl Got {
    /// The same, if this token is still the one there is; else the one there is by now.
    pub(super) fn or_by_now(self, current: Token) -> Self {
        Self { waited_for: self.waited_for && current.is(&self.token), token: current }
    }

    /// Whether there is no fresher token to be had: another fetch would bring one that is no better.
    fn is_fresh(&self) -> bool {
        self.waited_for && !self.token.has_served() && self.token.fetched.elapsed() < FRESH
    }
}

#[derive(Debug)]
enum Cached {
    Nothing,
    Token {
        token: Token,
        /// When to renew it, while it still serves.
        renew: Instant,
    },
    /// The last fetch came to nothing at this time, after all its attempts.
    Failed(ApiError, Instant),
    /// The client itself was refused: asking again would not help and may lock the account.
    Refused(ApiError),
}

#[derive(Debug)]
struct State {
    cached: Cached,
    /// How many fetches have failed.
    failures: usize,
    /// Tokens in a row that were rejected before they served.
    rejected: u32,
    /// Whether there was a token once.
    had: bool,
}

/// The cache. Whoever finds it empty fetches while the others wait for him: one request however many ask.
#[derive(Debug)]
pub(super) struct Tokens {
    grants: Grants,
    state: Mutex<State>,
    /// Held by the one who fetches.
    fetching: Arc<tokio::sync::Mutex<()>>,
}

impl Tokens {
    pub(super) fn new(grants: Grants) -> Self {
        let state = Mutex::new(State { cached: Cached::Nothing, failures: 0, rejected: 0, had: false });
        Self { grants, state, fetching: Arc::default() }
    }

    /// The scopes asked for, and needed.
    pub(super) fn scopes(&self) -> &str {
        self.grants.scopes()
    }

    /// A token that is good for a while yet. One that will end soon is renewed meanwhile, and nobody waits for it.
    pub(super) async fn get(self: &Arc<Self>) -> Result<Got, ApiError> {
        if let Some(token) = self.current() {
            return Ok(Got { token, waited_for: false });
        }
        let failures = self.state().failures;
        loop {
            let stands_until = {
                let state = self.state();
                match &state.cached {
                    Cached::Refused(error) => return Err(error.clone()),
                    // Who waited while it failed has had his attempts.
                    Cached::Failed(error, _) if state.failures > failures => return Err(error.clone()),
                    Cached::Failed(_, at) => *at + FAILURE_STANDS,
                    Cached::Token { .. } | Cached::Nothing => Instant::now(),
                }
            };
            if stands_until > Instant::now() {
                sleep_until(stands_until).await;
                continue;
            }
            let alone = Arc::clone(&self.fetching).lock_owned().await;
            if let Some(token) = self.current() {
                return Ok(Got { token, waited_for: true });
            }
            // Somebody else's fetch may have failed while this one waited for him.
            if !self.stands(failures) {
                self.fetch(alone).await;
            }
            // Whatever its life: one that is as short as its fetch took is good for one try.
            if let Cached::Token { token, .. } = &self.state().cached {
                return Ok(Got { token: token.clone(), waited_for: true });
            }
        }
    }

    /// The token there is, if it serves, without waiting.
    pub(super) fn current(self: &Arc<Self>) -> Option<Token> {
        let mut state = self.state();
        let now = Instant::now();
        let Cached::Token { token, renew, .. } = &mut state.cached else { return None };
        if now >= token.end {
            return None;
        }
        let token = token.clone();
        if now >= *renew
            && let Ok(alone) = Arc::clone(&self.fetching).try_lock_owned()
        {
            tokio::spawn(Arc::clone(self).renew(alone));
        }
        Some(token)
    }

    /// What an answer says of the token that was sent: whether the request is to be made once more with another. `renewed` is whether it
    /// has been already; it is kept here.
    ///
    /// # Errors
    /// Where the token is rejected, and there is none that would be better.
    pub(super) fn heard(&self, got: &Got, reply: &Reply, renewed: &mut bool) -> Result<bool, ApiError> {
        got.token.answered(reply.status);
        if reply.status != 401 {
            if got.token.has_served() {
                self.state().rejected = 0;
            }
            *renewed = false;
            return Ok(false);
        }
        let (error, fresh) = (ApiError::Credentials(format!("a fresh token was rejected: {}", described(reply))), got.is_fresh());
        self.reject(&got.token, &error);
        if std::mem::replace(renewed, true) || fresh { Err(error) } else { Ok(true) }
    }

    /// Whether there was a token once in this run: then the platform is in trouble, and not the settings.
    pub(super) fn were_had(&self) -> bool {
        self.state().had
    }

    /// Drops a token the platform rejected, unless another has taken its place already. Where one after the other is rejected before it
    /// served, the client is given up: with the wrong audience each vector would cost a token.
    fn reject(&self, rejected: &Token, why: &ApiError) {
        let mut state = self.state();
        let Cached::Token { token, .. } = &state.cached else { return };
        if !token.is(rejected) {
            return;
        }
        state.rejected = if token.has_served() { 0 } else { state.rejected + 1 };
        state.cached = if state.rejected >= REJECTED { Cached::Refused(why.clone()) } else { Cached::Nothing };
    }

    /// Whether a failure or a refusal stands for one who asked after so many failures.
    fn stands(&self, failures: usize) -> bool {
        let state = self.state();
        matches!(state.cached, Cached::Refused(_)) || (matches!(state.cached, Cached::Failed(..)) && state.failures > failures)
    }

    /// Fetches, and keeps what came of it. In a task of its own: one who stops waiting must not break off what others wait for.
    async fn fetch(self: &Arc<Self>, alone: OwnedMutexGuard<()>) {
        let tokens = Arc::clone(self);
        let fetching = tokio::spawn(async move {
            let fetched = tokens.grants.fetch().await;
            let cached = match fetched {
                Ok(granted) => tokens.kept(granted),
                Err(error @ (ApiError::Credentials(_) | ApiError::Settings(_))) => Cached::Refused(error),
                Err(error) => Cached::Failed(error, Instant::now()),
            };
            tokens.keep(cached);
            drop(alone);
        });
        if let Err(error) = fetching.await {
            self.keep(Cached::Failed(ApiError::Unreachable(format!("token: {error}")), Instant::now()));
        }
    }

    fn keep(&self, cached: Cached) {
        let mut state = self.state();
        state.failures += usize::from(matches!(cached, Cached::Failed(..)));
        state.had |= matches!(cached, Cached::Token { .. });
        state.cached = cached;
    }

    /// Fetches another token while the old one serves. Where that fails it is tried again a little later; not where the client was
    /// refused, which is told when the old token ends.
    async fn renew(self: Arc<Self>, alone: OwnedMutexGuard<()>) {
        let fetched = self.grants.fetch().await;
        let granted = fetched.map(|granted| self.kept(granted));
        let mut state = self.state();
        match (granted, &mut state.cached) {
            (Ok(renewed), _) => state.cached = renewed,
            (Err(error), Cached::Token { token, renew, .. }) => {
                tracing::debug!("token: not renewed ahead of its end: {error}");
                *renew = if matches!(error, ApiError::Credentials(_) | ApiError::Settings(_)) {
                    token.end
                } else {
                    Instant::now() + FAILURE_STANDS
                };
            }
            (Err(_), _) => {}
        }
        drop(state);
        drop(alone);
    }

    fn kept(&self, granted: Granted) -> Cached {
        let Granted { text, asked, life } = granted;
        let (text, leeway) = (Arc::new(text), LEEWAY.min(life / 10));
        self.grants.caller.conceal(Arc::clone(&text));
        let token = Token { text, fetched: Instant::now(), end: asked + life - leeway / 6, served: Arc::default() };
        Cached::Token { token, renew: asked + life - leeway }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::caller::Caller;
    use super::super::hosts::Directory;
    use super::super::profile::Profile;
    use super::*;
    use crate::config::Api;
    use crate::http::{Http, Trust};
    use std::collections::BTreeMap;

    fn tokens() -> Arc<Tokens> {
        let http = Http::new(Duration::from_secs(1), 1 << 20, &Trust::default()).unwrap();
        let profile = Profile::named("cxone", &BTreeMap::new()).unwrap();
        let settings = Api { base_url: "http://127.0.0.1:1".into(), profile: "cxone".into(), ..Api::default() };
        let directory = Arc::new(Directory::new(&settings, &profile).unwrap());
        Arc::new(Tokens::new(Grants::new(Arc::new(Caller::new(http, settings, 300)), directory, profile.token)))
    }

    /// Has a token in the cache that lives so long.
    fn kept(tokens: &Tokens, life: u64) -> Token {
        let granted = Granted { text: Secret::new("t".into()), asked: Instant::now(), life: Duration::from_secs(life) };
        let cached = tokens.kept(granted);
        tokens.state().cached = cached;
        match &tokens.state().cached {
            Cached::Token { token, .. } => token.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn why() -> ApiError {
        ApiError::Credentials("rejected".into())
    }

    #[tokio::test]
    async fn only_the_rejected_token_is_dropped() {
        let tokens = tokens();
        let (old, new) = (kept(&tokens, 90), kept(&tokens, 90));
        tokens.reject(&old, &why());
        assert!(tokens.current().unwrap().is(&new));
        tokens.reject(&new, &why());
        assert!(tokens.current().is_none());
    }

    #[tokio::test]
    async fn a_client_whose_tokens_never_serve_is_given_up() {
        let tokens = tokens();
        for _ in 0..REJECTED - 1 {
            tokens.reject(&kept(&tokens, 90), &why());
        }
        let good = kept(&tokens, 90);
        good.answered(429);
        assert!(!good.has_served(), "a gateway's word says nothing of it");
        let (good, mut renewed) = (Got { token: good, waited_for: false }, true);
        assert_eq!(tokens.heard(&good, &Reply { status: 200, ..Reply::default() }, &mut renewed), Ok(false));
        assert!(!renewed && good.token.has_served());
        let good = good.token;
        tokens.reject(&good, &why());
        for _ in 0..REJECTED {
            assert!(!matches!(tokens.state().cached, Cached::Refused(_)));
            tokens.reject(&kept(&tokens, 90), &why());
        }
        assert_eq!(tokens.get().await.unwrap_err(), why());
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_renewed_a_minute_or_a_tenth_before_its_end() {
        let tokens = tokens();
        for (life, renew) in [(3600, 3540), (20, 18)] {
            let token = kept(&tokens, life);
            let Cached::Token { renew: at, .. } = tokens.state().cached else { panic!() };
            assert_eq!(at - Instant::now(), Duration::from_secs(renew));
            assert!(token.end > at && token.end < Instant::now() + Duration::from_secs(life));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_fresh_is_so_for_a_while_and_for_those_who_waited() {
        let token = kept(&tokens(), 90);
        let got = |waited_for| Got { token: token.clone(), waited_for };
        assert!(got(true).is_fresh() && !got(false).is_fresh());
        let served = kept(&tokens(), 90);
        served.answered(404);
        assert!(!Got { token: served, waited_for: true }.is_fresh(), "what has served may have been revoked");
        tokio::time::advance(FRESH).await;
        assert!(!got(true).is_fresh(), "it may have been revoked meanwhile");
    }
}
