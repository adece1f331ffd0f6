//! Which hosts are the platform's: as the settings name them, or as a discovery document does. None is written into this program.

use super::budget::Call;
use super::caller::Caller;
use super::profile::{Discovery, Profile};
use super::wire::Pointer;
use super::{ApiError, call_text, described, retry};
use crate::config::Api;
use crate::http::CallError;
use tokio::sync::OnceCell;

/// Base addresses, without a slash at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hosts {
    pub(super) base: String,
    pub(super) login: String,
}

/// The hosts, as soon as they are known.
#[derive(Debug)]
pub(super) enum Directory {
    Set(Hosts),
    Discovered(Box<Document>),
}

/// A document that names the hosts.
#[derive(Debug)]
pub(super) struct Document {
    url: reqwest::Url,
    form: Discovery,
    /// The host of tokens, where the settings name it all the same.
    login: Option<String>,
    found: OnceCell<Hosts>,
}

impl Directory {
    /// Checks the settings.
    ///
    /// # Errors
    /// The setting that is missing or unusable, by name.
    pub(super) fn new(settings: &Api, profile: &Profile) -> Result<Self, ApiError> {
        let set = |value: &str, name: &str| if value.is_empty() { Ok(None) } else { checked(value, &format!("api.{name}")).map(Some) };
        let (base, login) = (set(&settings.base_url, "base_url")?, set(&settings.login_url, "login_url")?);
        let document = set(&settings.discovery_url, "discovery_url")?;
        let name = &settings.profile;
        let missing = |what: String| Err(ApiError::Settings(what));
        if let (None, Some(example), true) = (&login, &profile.token.apart, base.is_some() || document.is_none()) {
            let what = "api.login_url is not set (TRACEJURY_LOGIN_URL)";
            return missing(format!("{what}: the profile {name} gets its tokens from another host, such as {example}"));
        }
        match (base, document) {
            (Some(base), _) => Ok(Self::Set(Hosts { login: login.unwrap_or_else(|| base.clone()), base })),
            (None, Some(_)) => match reqwest::Url::parse(&settings.discovery_url).ok().zip(profile.discovery.clone()) {
                Some((url, form)) => Ok(Self::Discovered(Box::new(Document { url, form, login, found: OnceCell::new() }))),
                None => missing(format!("api.discovery_url: the profile {name} has no [discovery]")),
            },
            (None, None) => missing("api.base_url is not set (CXONE_BASE_URL or TRACEJURY_BASE_URL), nor is api.discovery_url".to_owned()),
        }
    }

    /// The hosts, asked for where they are not known yet.
    ///
    /// # Errors
    /// [`ApiError::Unreachable`] where the document cannot be had, [`ApiError::Settings`] where it cannot be used.
    pub(super) async fn get(&self, caller: &Caller) -> Result<&Hosts, ApiError> {
        match self {
            Self::Set(hosts) => Ok(hosts),
            Self::Discovered(document) => document.found.get_or_try_init(|| document.ask(caller)).await,
        }
    }

    /// The addresses that are known without asking anybody, with their settings' names.
    pub(super) fn known(&self) -> Vec<(&'static str, &str)> {
        match self {
            Self::Set(hosts) if hosts.base == hosts.login => vec![("api.base_url", &hosts.base)],
            Self::Set(hosts) => vec![("api.base_url", &hosts.base), ("api.login_url", &hosts.login)],
            Self::Discovered(document) => {
                let mut known = vec![("api.discovery_url", document.url.as_str())];
                if let Some(hosts) = document.found.get() {
                    known.push(("the platform", &hosts.base));
                    known.extend((hosts.login != hosts.base).then_some(("the host of tokens", hosts.login.as_str())));
                }
                known
            }
        }
    }
}

impl Document {
    async fn ask(&self, caller: &Caller) -> Result<Hosts, ApiError> {
        let timeout = caller.settings.token_timeout.duration();
        let request = caller.http.get(self.url.as_str()).header("accept", "application/json");
        let reply = match caller.call(Call::Token, request, timeout).await {
            Ok(reply) if reply.is_success() => reply,
            Ok(reply) if reply.status == 429 || retry::is_transient(reply.status) => {
                return Err(ApiError::Unreachable(format!("discovery: {}", described(&reply))));
            }
            Ok(reply) => return Err(ApiError::Settings(format!("api.discovery_url: {}", described(&reply)))),
            Err(CallError::Fatal(text)) => return Err(ApiError::Settings(format!("api.discovery_url: {text}"))),
            Err(error) => return Err(ApiError::Unreachable(call_text("discovery", &error))),
        };
        let document = String::from_utf8_lossy(&reply.body);
        if !document.trim_start().starts_with('{') {
            return Err(ApiError::Unreachable("discovery: the answer is no JSON document; is api.discovery_url right?".to_owned()));
        }
        let named = |text: &str| resolved(text, &document).and_then(|host| checked(&host, "its answer").map_err(|e| e.to_string()));
        let wrong = |what: String| ApiError::Settings(format!("api.discovery_url: {what}"));
        let base = named(&self.form.base).map_err(wrong)?;
        let login = match (&self.login, &self.form.login) {
            (Some(login), _) => login.clone(),
            (None, Some(text)) => named(text).map_err(wrong)?,
            (None, None) => base.clone(),
        };
        Ok(Hosts { base, login })
    }
}

/// A text in which `{/pointer}` stands for what a document has there.
fn resolved(text: &str, document: &str) -> Result<String, String> {
    let mut whole = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (pointer, after) = after.split_once('}').ok_or_else(|| format!("{text}: a brace is not closed"))?;
        let found = pointer.parse::<Pointer>()?.find(document).and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
        whole.push_str(before);
        whole.push_str(&found.ok_or_else(|| format!("the document has no text at {pointer}"))?);
        rest = after;
    }
    Ok(whole + rest)
}

/// A base address that a secret may be sent to.
fn checked(text: &str, name: &str) -> Result<String, ApiError> {
    let refuse = |why: &str| Err(ApiError::Settings(format!("{name} {why}")));
    let Ok(url) = reqwest::Url::parse(text) else { return refuse("is not a URL such as https://api.example.com") };
    if url.host_str().is_none() {
        return refuse("names no host");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return refuse("must not hold a user name or password");
    }
    match url.scheme() {
        "https" => {}
        "http" if crate::http::is_loopback(&url) => {}
        "http" => return refuse("is plain http: the client secret would be readable on the way; use https"),
        _ => return refuse("must begin with https://"),
    }
    Ok(text.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_base_is_https_or_loopback() {
        for good in
            ["https://api.example.com", "https://api.example.com/x/", "http://127.0.0.1:8080", "http://localhost:1", "http://[::1]:1"]
        {
            assert!(checked(good, "api.base_url").is_ok(), "{good}");
        }
        for bad in
            ["api.example.com", "http://api.example.com", "ftp://x", "https://user:pw@api.example.com", "http://127.0.0.1.example.com"]
        {
            let error = checked(bad, "api.base_url").unwrap_err().to_string();
            assert!(error.starts_with("api.base_url") && !error.contains("pw@"), "{bad}: {error}");
        }
    }

    fn directory(settings: &str, profile: &str) -> Result<Directory, String> {
        let settings: Api = toml::from_str(settings).unwrap();
        Directory::new(&settings, &Profile::named(profile, &BTreeMap::new()).unwrap()).map_err(|e| e.to_string())
    }

    #[test]
    fn hosts_are_set_or_discovered() {
        let set = directory("base_url = 'https://a.example/'\nlogin_url = 'https://l.example'", "genesys").unwrap();
        assert_eq!(set.known(), [("api.base_url", "https://a.example"), ("api.login_url", "https://l.example")]);
        let one = directory("base_url = 'https://a.example'", "cxone").unwrap();
        assert_eq!(one.known(), [("api.base_url", "https://a.example")]);
        let discovered = directory("discovery_url = 'https://d.example/x?tenantId=1'", "cxone").unwrap();
        assert_eq!(discovered.known(), [("api.discovery_url", "https://d.example/x?tenantId=1")]);
    }

    #[test]
    fn what_is_missing_is_named() {
        assert!(directory("", "cxone").unwrap_err().starts_with("api.base_url is not set (CXONE_BASE_URL"));
        let apart = directory("profile = 'genesys'\nbase_url = 'https://a.example'", "genesys").unwrap_err();
        assert!(apart.contains("api.login_url is not set") && apart.contains("such as https://login."), "{apart}");
        assert!(
            directory("discovery_url = 'https://d.example'\nlogin_url = 'https://l.example'", "genesys")
                .unwrap_err()
                .contains("no [discovery]")
        );
    }

    #[test]
    fn a_document_fills_in_hosts() {
        let document = r#"{"area":"na1","domain":"example.com","api_endpoint":"https://api-na1.example.com","n":7}"#;
        assert_eq!(resolved("https://api-{/area}.{/domain}", document).unwrap(), "https://api-na1.example.com");
        assert_eq!(resolved("{/api_endpoint}", document).unwrap(), "https://api-na1.example.com");
        assert_eq!(resolved("{/n}", document).unwrap_err(), "the document has no text at /n");
        assert_eq!(resolved("{/n", document).unwrap_err(), "{/n: a brace is not closed");
    }
}
