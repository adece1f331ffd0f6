//! What differs between platforms, as data: addresses, headers, bodies, words for a status, where in an answer things stand.
//! `cxone` and `genesys` are built in; settings add others, which may extend one. Format version 1.

use super::template::{Body, Place, Template};
use super::wire::Pointer;
use crate::config::lay_over;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;

const BUILT_IN: [(&str, &str); 2] = [("cxone", include_str!("profiles/cxone.toml")), ("genesys", include_str!("profiles/genesys.toml"))];

/// How one platform's API is spoken to.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Profile {
    /// What the platform allows one client.
    pub(super) requests_per_minute: NonZeroUsize,
    /// How a discovery document names the hosts; none where there is no such document.
    #[serde(default)]
    pub(super) discovery: Option<Discovery>,
    pub(super) token: TokenCall,
    pub(super) submit: SubmitCall,
    /// None where a submit is answered with the trace.
    #[serde(default)]
    pub(super) poll: Option<Call>,
    /// How to see whether an action is there without running it.
    #[serde(default)]
    pub(super) probe: Option<Call>,
    pub(super) trace: TraceForm,
}

/// Where hosts stand in a discovery document: a text in which `{/pointer}` stands for what is there.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Discovery {
    pub(super) base: String,
    /// The host of tokens, where it is another one.
    #[serde(default)]
    pub(super) login: Option<String>,
}

/// How a token is asked for.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenCall {
    pub(super) url: Template,
    pub(super) authentication: Authentication,
    /// Asked for, and needed, unless the settings name others.
    #[serde(default)]
    pub(super) scopes: String,
    /// An example of the host of tokens, where it is never that of the API and so must be set.
    #[serde(default)]
    pub(super) apart: Option<String>,
}

/// How a client proves who it is (RFC 6749 §2.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Authentication {
    /// By HTTP Basic.
    Basic,
    /// By `client_id` and `client_secret` in the body.
    Body,
}

/// A request about an action.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Call {
    pub(super) url: Template,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, Template>,
}

/// The submit.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SubmitCall {
    pub(super) url: Template,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, Template>,
    pub(super) body: Body,
    /// Where the answer has the session's id.
    #[serde(default)]
    pub(super) session: Option<Pointer>,
    /// The header of the answer that stands in for it where the answer is the trace.
    #[serde(default)]
    pub(super) session_header: Option<String>,
}

/// Where an answer has its parts.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TraceForm {
    pub(super) status: Pointer,
    /// The platform's words for an execution that went well.
    pub(super) completed: Vec<String>,
    /// The platform's words for one that failed.
    pub(super) failed: Vec<String>,
    #[serde(default)]
    pub(super) error: Option<Pointer>,
    /// What the execution gave back.
    #[serde(default)]
    pub(super) result: Option<Pointer>,
    pub(super) steps: Pointer,
    pub(super) step: StepForm,
}

/// Where a step has its parts; `error` is always looked for.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StepForm {
    #[serde(default)]
    pub(super) id: Option<Pointer>,
    #[serde(default)]
    pub(super) name: Option<Pointer>,
    #[serde(default)]
    pub(super) timestamp: Option<Pointer>,
    #[serde(default)]
    pub(super) input: Option<Pointer>,
    #[serde(default)]
    pub(super) output: Option<Pointer>,
    pub(super) error: Pointer,
}

impl Profile {
    /// The profile of this name: of the settings, else built in.
    ///
    /// # Errors
    /// What is wrong, with the key it is wrong at.
    pub(super) fn named(name: &str, own: &BTreeMap<String, toml::Table>) -> Result<Self, String> {
        let table = table(name, own, &mut Vec::new())?;
        let extends = own.get(name).is_none_or(|table| table.contains_key("extends"));
        let hint = if extends { "" } else { "; `extends = \"cxone\"` takes from another profile what this one does not say" };
        let profile: Self = table.try_into().map_err(|e: toml::de::Error| format!("profiles.{name}: {}{hint}", described(&e)))?;
        profile.check().map_err(|what| format!("profiles.{name}.{what}"))?;
        Ok(profile)
    }

    /// What recorded traces are written in, whatever platform they came from.
    ///
    /// # Errors
    /// None; a test holds it.
    pub(super) fn of_records() -> Result<Self, String> {
        Self::named("cxone", &BTreeMap::new())
    }

    fn check(&self) -> Result<(), String> {
        let submit = &self.submit;
        if !submit.body.has_input() {
            return Err("submit.body: has no place for the input, \"{input}\"".to_owned());
        }
        if submit.session.is_some() != self.poll.is_some() {
            return Err("submit.session: belongs to poll; a platform that answers with the trace has neither".to_owned());
        }
        let calls = [Some(submit.parts()), self.poll.as_ref().map(Call::parts), self.probe.as_ref().map(Call::parts)];
        if self.poll.as_ref().is_some_and(|poll| !poll.url.has(Place::Session)) {
            return Err("poll.url: has no {session}".to_owned());
        }
        if !(self.token.url.begins_with(Place::Base) || self.token.url.begins_with(Place::Login)) {
            return Err("token.url: must begin with {base} or {login}".to_owned());
        }
        for (i, (url, headers)) in calls.into_iter().enumerate().filter_map(|(i, call)| Some((i, call?))) {
            let call = ["submit", "poll", "probe"].get(i).copied().unwrap_or_default();
            if i != 1 && (url.has(Place::Session) || headers.values().any(|h| h.has(Place::Session))) {
                return Err(format!("{call}: there is no {{session}} yet"));
            }
            if !(url.begins_with(Place::Base) || url.begins_with(Place::Login)) {
                return Err(format!("{call}.url: must begin with {{base}} or {{login}}"));
            }
            let filled = |value: &Template| value.filled(|_| &"x");
            if let Some((name, _)) = headers.iter().find(|(_, value)| reqwest::header::HeaderValue::from_str(&filled(value)).is_err()) {
                return Err(format!("{call}.headers.{name}: has a value that is none of a header's"));
            }
            if let Some(bad) = headers.keys().find(|name| reqwest::header::HeaderName::from_bytes(name.as_bytes()).is_err()) {
                return Err(format!("{call}.headers: {bad} is not a header's name"));
            }
        }
        Ok(())
    }
}

impl Call {
    pub(super) fn parts(&self) -> (&Template, &BTreeMap<String, Template>) {
        (&self.url, &self.headers)
    }
}

impl SubmitCall {
    pub(super) fn parts(&self) -> (&Template, &BTreeMap<String, Template>) {
        (&self.url, &self.headers)
    }
}

/// The names there are.
fn known(own: &BTreeMap<String, toml::Table>) -> String {
    let built_in = BUILT_IN.iter().map(|(name, _)| *name).filter(|name| !own.contains_key(*name));
    own.keys().map(String::as_str).chain(built_in).collect::<Vec<_>>().join(", ")
}

/// The table of a profile, over that of the one it extends. A profile of the settings may extend the built-in one of its own name.
fn table(name: &str, own: &BTreeMap<String, toml::Table>, seen: &mut Vec<String>) -> Result<toml::Table, String> {
    let built_in = || BUILT_IN.iter().find(|(known, _)| *known == name).map(|(_, text)| *text);
    let mut table = match own.get(name).filter(|_| !seen.iter().any(|s| s == name)) {
        Some(table) => table.clone(),
        None => match built_in() {
            Some(text) => toml::from_str(text).map_err(|e| format!("profiles.{name}: {}", described(&e)))?,
            None if seen.iter().any(|s| s == name) => return Err(format!("profiles.{name}: extends itself")),
            None => {
                let place = seen.last().map_or("api.profile".to_owned(), |by| format!("profiles.{by}.extends"));
                return Err(format!("{place}: no profile is named {name}; there are {}", known(own)));
            }
        },
    };
    let Some(base) = table.remove("extends") else { return Ok(table) };
    let Some(base) = base.as_str() else { return Err(format!("profiles.{name}.extends: is not a text")) };
    seen.push(name.to_owned());
    let mut below = self::table(base, own, seen)?;
    lay_over(&mut below, table, &WHOLE);
    Ok(below)
}

/// A profile says only what differs. Headers and bodies are replaced whole: a key of them that is not wanted could not be taken away
/// otherwise.
const WHOLE: [&str; 2] = ["headers", "body"];

fn described(error: &toml::de::Error) -> String {
    // Of an error in a table that was read already only the message is left.
    error.to_string().trim().replace('\n', ": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(text: &str) -> BTreeMap<String, toml::Table> {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn the_built_in_ones_are_sound() {
        for (name, _) in BUILT_IN {
            Profile::named(name, &BTreeMap::new()).unwrap();
        }
        Profile::of_records().unwrap();
    }

    #[test]
    fn a_profile_says_only_what_differs_from_the_one_it_extends() {
        let own = own(
            "[mine]\nextends='cxone'\n[mine.token]\nauthentication='body'\n[mine.poll]\nheaders={x-org='{environment}'}\n[mine.trace]\ncompleted=['OK']\n[cxone]\nextends='cxone'\nrequests_per_minute=60",
        );
        let mine = Profile::named("mine", &own).unwrap();
        assert_eq!((mine.token.authentication, mine.trace.completed), (Authentication::Body, vec!["OK".to_owned()]));
        assert_eq!(mine.trace.failed, ["FAILED"]);
        assert_eq!(mine.poll.unwrap().headers.keys().collect::<Vec<_>>(), ["x-org"]);
        assert_eq!(mine.requests_per_minute.get(), 60, "it extends the team's own cxone");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = |text: &str, name: &str| Profile::named(name, &own(text)).unwrap_err();
        assert_eq!(error("[b]\n", "a"), "api.profile: no profile is named a; there are b, cxone, genesys");
        assert_eq!(error("[a]\nextends='b'\n[b]\nextends='a'", "a"), "profiles.a: extends itself");
        assert!(error("[a]\nextends='cxone'\n[a.poll]\nadress='x'", "a").contains("adress"));
        assert!(error("[a]\nextends='cxone'\n[a.submit]\nbody={}", "a").starts_with("profiles.a.submit.body: has no place"));
        assert!(error("[a]\nextends='genesys'\n[a.submit]\nsession='/id'", "a").starts_with("profiles.a.submit.session: belongs to poll"));
        assert!(
            error("[a]\nextends='cxone'\n[a.probe]\nurl='{base}/{session}'", "a").starts_with("profiles.a.probe: there is no {session}")
        );
        assert_eq!(error("[a]\nextends='cxnoe'", "a"), "profiles.a.extends: no profile is named cxnoe; there are a, cxone, genesys");
        assert!(error("[cxone]\nrequests_per_minute = 7", "cxone").ends_with("takes from another profile what this one does not say"));
        assert!(error("[a]\nextends='cxone'\n[a.poll]\nurl='{base}/x'", "a").contains("poll.url: has no {session}"));
        assert!(error("[a]\nextends='cxone'\n[a.submit]\nurl='https://a.example/{action}'", "a").contains("must begin with {base}"));
        assert!(error("[a]\nextends='cxone'\n[a.poll.headers]\nx=\"a\\u0007\"", "a").contains("poll.headers.x: has a value"));
        assert!(error("[a]\nextends='cxone'\n[a.poll]\nurl='{host}'", "a").contains("{host} is not known"));
        assert!(error("[a]\nextends='cxone'\n[a.trace]\nstatus='status'", "a").contains("begins with /"));
        assert!(error("[a]\nextends='cxone'\n[a.poll.headers]\n'a b'='c'", "a").contains("a b is not a header's name"));
    }
}
