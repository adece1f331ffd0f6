//! What a run needs from outside, looked at piece by piece: hosts, clocks, token, actions, endpoint. Each finding says what to do
//! next. It runs nothing, and knows nothing of how findings are shown.

use crate::audit::Location;
use crate::config::{Endpoint, Webhook};
use crate::debug_api::{ApiError, DebugApi, Visible};
use crate::http::{Found, Http, Stage, Trust};
use crate::model::{ActionId, Environment};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// How far a clock may be off before it is worth a word, and before signatures stop being accepted (Standard Webhooks: five minutes),
/// in seconds.
const SKEW: i64 = 30;
const SKEW_FAILS: i64 = 300;
/// How the name of a check of a clock ends.
const CLOCK: &str = " clock";

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Went {
    /// As it should be.
    Ok,
    /// A run would go on, but perhaps not as one thinks.
    Warning,
    /// A run would not go well.
    Failure,
}

/// One finding. Its JSON is what `doctor --format json` prints; the version of that format is 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The version of this format; 1.
    pub schema: u32,
    /// What was looked at.
    pub check: String,
    /// How it went.
    pub result: Went,
    /// What was found.
    pub found: String,
    /// What to do next; none where it is as it should be.
    pub next: Option<String>,
}

impl Check {
    /// All is well.
    pub fn ok(check: impl Into<String>, found: impl Into<String>) -> Self {
        Self { schema: 1, check: check.into(), result: Went::Ok, found: found.into(), next: None }
    }

    /// Worth a look.
    pub fn warning(check: impl Into<String>, found: impl Into<String>, next: &str) -> Self {
        Self { result: Went::Warning, next: Some(next.to_owned()), ..Self::ok(check, found) }
    }

    /// Something is wrong.
    pub fn failure(check: impl Into<String>, found: impl Into<String>, next: &str) -> Self {
        Self { result: Went::Failure, ..Self::warning(check, found, next) }
    }
}

/// Where actions should be found: in these environments, or, where none is named, in any.
pub type Wanted = BTreeMap<ActionId, BTreeSet<Environment>>;

/// Looks at the platform: its hosts, the clocks, the token, and the actions that are wanted. Findings are told as they come, which with
/// many actions takes its time.
pub async fn platform(api: &DebugApi, wanted: &Wanted, tell: &mut (impl FnMut(Check) + Send)) {
    let before = api.addresses();
    let mut reached = true;
    for (name, address) in &before {
        for check in host(api, name, address).await {
            // A clock that is wrong keeps nobody from being reached.
            reached &= check.result != Went::Failure || check.check.ends_with(CLOCK);
            tell(check);
        }
    }
    if !reached {
        return;
    }
    let granted = api.sign_in().await;
    for (name, address) in api.addresses().iter().filter(|address| !before.contains(address)) {
        host(api, name, address).await.into_iter().for_each(&mut *tell);
    }
    match granted {
        Ok(scopes) if scopes.is_empty() => tell(Check::ok("token", "granted")),
        Ok(scopes) => tell(Check::ok("token", format!("granted, with the scopes {scopes}"))),
        Err(error) => return tell(refused("token", &error)),
    }
    for (action, environments) in wanted {
        visible(api, *action, environments).await.into_iter().for_each(&mut *tell);
    }
}

/// Looks at the endpoints of webhooks. Nothing is delivered to them.
pub async fn webhooks(settings: &Webhook, trust: &Trust) -> Vec<Check> {
    let mut checks = Vec::new();
    for (name, endpoint) in settings.all() {
        let name = if name == Webhook::MAIN { "webhook".to_owned() } else { format!("webhook {name}") };
        checks.extend(webhook(&name, &endpoint, settings, trust).await);
    }
    if checks.is_empty() {
        checks.push(Check::ok("webhook", "not set: outcomes are not delivered anywhere"));
    }
    checks
}

async fn webhook(name: &str, endpoint: &Endpoint, settings: &Webhook, trust: &Trust) -> Vec<Check> {
    let Some(url) = reqwest::Url::parse(&endpoint.url).ok().filter(|url| url.host_str().is_some()) else {
        return vec![Check::failure(name, "its url is not a URL", "set WEBHOOK_URL to one such as https://dashboard.example.com/hook")];
    };
    // What a delivery may not reach has been told of already; the others are looked at.
    let mut checks = match Http::new(settings.timeout.duration(), 1 << 16, &trust.anonymous()) {
        Ok(http) => stages(name, http.probe(&url, settings.timeout.duration()).await, "check webhook.url, and that the endpoint runs"),
        Err(e) => vec![Check::failure(name, e.to_string(), "check [tls] in tracejury.toml")],
    };
    if endpoint.secret.expose().is_empty() {
        let next = "set WEBHOOK_SECRET, so that the receiver can tell our deliveries from others";
        checks.push(Check::warning(format!("{name} signature"), "its secret is not set: deliveries are not signed", next));
    }
    if url.scheme() == "http" && !crate::http::is_loopback(&url) {
        let next = "use https: error texts and ids would be readable on the way";
        checks.push(Check::warning(format!("{name} address"), "is plain http", next));
    }
    checks
}

/// Looks at where the audit log is to be written. Nothing is written.
#[must_use]
pub fn audit(path: &Path) -> Check {
    if path.as_os_str().is_empty() {
        return Check::ok("audit log", "not set: none is written");
    }
    let location = Location::of(path);
    let shown = location.pattern().display().to_string();
    let opened = match location.newest() {
        Err(e) => Err(e),
        Ok(Some(segment)) => std::fs::OpenOptions::new().append(true).open(segment).map(|_| (true, "can be written")),
        Ok(None) => {
            // Folders that are missing are made with it.
            let folder = location.folder().ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("."));
            std::fs::metadata(folder).map(|folder| (folder.is_dir() && !folder.permissions().readonly(), "will be made"))
        }
    };
    let next = "check AUDIT_LOG_PATH and the folder's permissions";
    match opened {
        Ok((true, how)) => Check::ok("audit log", format!("{shown}: {how}")),
        Ok((false, _)) => Check::failure("audit log", format!("{shown}: the folder cannot be written"), next),
        Err(e) => Check::failure("audit log", format!("{shown}: {e}"), next),
    }
}

async fn host(api: &DebugApi, name: &str, address: &str) -> Vec<Check> {
    match reqwest::Url::parse(address) {
        Ok(url) => stages(name, api.reach(&url).await, &format!("check {name}, and that the platform can be reached from here")),
        Err(_) => vec![Check::failure(name, format!("{address} is not a URL"), "README, section Settings, has every name and default")],
    }
}

fn stages(name: &str, found: Found, otherwise: &str) -> Vec<Check> {
    let mut checks: Vec<Check> = found.proxy.iter().map(|proxy| Check::ok(format!("{name} proxy"), format!("by way of {proxy}"))).collect();
    let proxied = found.proxy.is_some();
    let next = |stage| match stage {
        Stage::Dns if proxied => "check the proxy's name in HTTPS_PROXY",
        Stage::Tcp if proxied => "check the proxy in HTTPS_PROXY, or name the host in NO_PROXY",
        Stage::Tcp => "check the port, and that no firewall is in between; a proxy is set by HTTPS_PROXY",
        Stage::Dns | Stage::Tls | Stage::Http => otherwise,
    };
    checks.extend(found.stages.into_iter().map(|(stage, went)| {
        let check = format!("{name} {}", stage.as_str());
        match went {
            Ok(found) => Check::ok(check, found),
            Err(found) if stage == Stage::Tls => Check::failure(check, &found, tls_next(&found)),
            Err(found) => Check::failure(check, found, next(stage)),
        }
    }));
    checks.extend(found.ahead.map(|ahead| clock(name, ahead)));
    checks
}

/// What to do about a TLS connection that did not come about, by what rustls says of it.
fn tls_next(said: &str) -> &'static str {
    if said.contains("InvalidContentType") {
        "what answers there speaks no TLS: check the address and its port"
    } else if said.contains("not valid for name") || said.contains("NotValidForName") {
        "the certificate is another host's: check the address, and what is in between"
    } else if said.to_lowercase().contains("expired") || said.contains("not valid yet") || said.contains("NotValidYet") {
        "check the clock of this machine; else the certificate has to be renewed"
    } else if said.contains("certificate") {
        "where an authority of your own has signed it, name its file in tls.ca_file"
    } else {
        "check the address, [tls], and what is in between"
    }
}

fn clock(name: &str, ahead: i64) -> Check {
    let check = format!("{name}{CLOCK}");
    let (seconds, how) = (ahead.abs(), if ahead < 0 { "behind" } else { "ahead of" });
    let found = format!("{seconds} s {how} ours");
    let next = "set this machine's clock by NTP; receivers refuse signatures that are off by five minutes";
    match seconds {
        0..SKEW => Check::ok(check, found),
        SKEW..SKEW_FAILS => Check::warning(check, found, next),
        _ => Check::failure(check, found, next),
    }
}

async fn visible(api: &DebugApi, action: ActionId, wanted: &BTreeSet<Environment>) -> Vec<Check> {
    let apart = api.tells_environments_apart();
    // Where vectors say where they want it, nobody need be asked elsewhere.
    let asked = |environment: &Environment| {
        if apart { wanted.is_empty() || wanted.contains(environment) } else { *environment == Environment::Test }
    };
    let (mut checks, mut found) = (Vec::new(), false);
    for environment in Environment::ALL.iter().filter(|environment| asked(environment)) {
        let check = if apart { format!("action {action} in {environment}") } else { format!("action {action}") };
        let needed = wanted.contains(environment) || (!apart && !wanted.is_empty());
        checks.push(match api.visible(action, *environment).await {
            Ok(Visible::Yes) => {
                found = true;
                Check::ok(check, "is there")
            }
            Ok(Visible::Unknown) => {
                found = true;
                Check::ok(check, "cannot be seen without running it")
            }
            Ok(Visible::No(said)) if needed => {
                Check::failure(check, said, "check dataActionId and environmentId, and that the action is published")
            }
            Ok(Visible::No(_)) => Check::ok(check, "is not there"),
            Ok(Visible::Forbidden(said)) if needed => {
                Check::failure(check, said, "check the client's scopes, and that it may use this environment")
            }
            Ok(Visible::Forbidden(_)) => {
                Check::warning(check, "the client may not look there", "it matters only to vectors for this environment")
            }
            Err(error) => refused(&check, &error),
        });
    }
    if !found && wanted.is_empty() && checks.iter().all(|check| check.result == Went::Ok) {
        checks.push(Check::failure(format!("action {action}"), "is in no environment", "check the action's id"));
    }
    checks
}

fn refused(check: &str, error: &ApiError) -> Check {
    let next = match error {
        ApiError::Credentials(_) => "check the client's id, secret and scopes where it is registered",
        ApiError::Settings(_) | ApiError::Refused(_) => "check api.base_url, api.login_url, api.discovery_url and api.profile",
        _ => "wait, and try again; the platform is in trouble or does not let us through",
    };
    Check::failure(check, error.to_string(), next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_judged_by_how_far_it_is_off() {
        let result = |ahead| clock("x", ahead).result;
        assert_eq!(
            (result(0), result(-29), result(30), result(-299), result(300)),
            (Went::Ok, Went::Ok, Went::Warning, Went::Warning, Went::Failure)
        );
        assert_eq!(clock("x", -40).found, "40 s behind ours");
    }

    #[test]
    fn an_audit_log_can_be_made_written_or_neither() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.jsonl");
        assert!(audit(&path).found.ends_with("will be made"));
        assert!(!path.exists(), "looking makes nothing");
        std::fs::write(dir.path().join("audit-2026-01-01.jsonl"), "").unwrap();
        assert!(audit(&path).found.ends_with("audit-DAY.jsonl: can be written"));
        assert_eq!(audit(&dir.path().join("no/audit.jsonl")).result, Went::Ok, "as `run` has it, the folder is made");
        std::fs::write(dir.path().join("file"), "").unwrap();
        assert_eq!(audit(&dir.path().join("file/audit.jsonl")).result, Went::Failure);
        assert!(audit(dir.path()).found.ends_with("can be written"), "a folder stands for audit.jsonl in it");
        assert_eq!(audit(Path::new("")).result, Went::Ok);
    }
}
