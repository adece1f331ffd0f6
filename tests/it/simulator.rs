//! The simulator is as strict as the real API: each mistake of a client gets the status and the problem body it would get there.

use crate::driver::{ACTION, Simulator, ask, completed, scenario};
use serde_json::{Value, json};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const JSON: (&str, &str) = ("content-type", "application/json");
/// `demo-client:demo-secret`, and one letter off.
const BASIC: (&str, &str) = ("authorization", "Basic ZGVtby1jbGllbnQ6ZGVtby1zZWNyZXQ=");
const WRONG: (&str, &str) = ("authorization", "Basic ZGVtby1jbGllbnQ6ZGVtby1zZWNyZXR=");
const GRANT: &str = "grant_type=client_credentials";
const WORKSPACE: (&str, &str) = ("x-nice-workspace-id", "test");
const BODY: &str = r#"{"inputParameters":{},"trace":true,"versionConstraint":"strict"}"#;

/// Method, address, headers and body of a request, and the status and a word of its answer.
type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a str, u16, &'a str);

/// A token with these scopes.
fn token(simulator: &Simulator, scope: &str) -> String {
    let (status, body) = ask("POST", &format!("{}/api/v2/oauth/token", simulator.url), &[FORM, BASIC], &format!("{GRANT}&scope={scope}"));
    assert_eq!(status, 200, "{body}");
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&answer["token_type"], &answer["expires_in"]), (&json!("Bearer"), &json!(3600)));
    format!("Bearer {}", answer["access_token"].as_str().unwrap())
}

#[test]
fn token_requests_are_checked() {
    let simulator = Simulator::of(&scenario(&completed(), &json!({})));
    let url = format!("{}/api/v2/oauth/token", simulator.url);
    let in_query = format!("{url}?{GRANT}");
    let cases: [Case<'_>; 7] = [
        ("POST", &in_query, &[FORM, BASIC], "", 400, "invalid_request"),
        ("POST", &url, &[JSON, BASIC], "{}", 415, "Unsupported Media Type"),
        ("POST", &url, &[FORM], GRANT, 401, "invalid_client"),
        ("POST", &url, &[FORM, WRONG], GRANT, 401, "invalid_client"),
        ("POST", &url, &[FORM, BASIC], "grant_type=password", 400, "unsupported_grant_type"),
        ("POST", &url, &[FORM, BASIC], "grant_type=client_credentials&scope=all", 400, "invalid_scope"),
        ("GET", &url, &[], "", 405, "Method Not Allowed"),
    ];
    for (method, url, headers, body, status, title) in cases {
        let (got, answer) = ask(method, url, headers, body);
        assert!(got == status && answer.contains(title), "{title}: {got} {answer}");
    }
}

#[test]
fn calls_about_actions_are_checked() {
    let simulator = Simulator::of(&scenario(&completed(), &json!({})));
    let all = token(&simulator, "data:execute%20data:read%20trace:read");
    let read_only = token(&simulator, "data:read");
    let (all, read_only) = (("authorization", all.as_str()), ("authorization", read_only.as_str()));
    let base = format!("{}/api/v2/data-actions", simulator.url);
    let submit = format!("{base}/{ACTION}/debug");
    let poll = format!("{base}/{ACTION}/debug-sessions/nobody");
    let stranger = format!("{base}/00000000-0000-4000-8000-000000000000/debug");
    let old_path = format!("{base}/debug/nobody");
    let cases: [Case<'_>; 14] = [
        ("POST", &submit, &[JSON, WORKSPACE], BODY, 401, "a bearer token is needed"),
        ("POST", &submit, &[JSON, WORKSPACE, ("authorization", "Bearer nonsense")], BODY, 401, "invalid_token"),
        ("POST", &submit, &[JSON, WORKSPACE, read_only], BODY, 403, "insufficient_scope: data:execute"),
        ("POST", &submit, &[JSON, all], BODY, 400, "x-nice-workspace-id is missing"),
        ("POST", &submit, &[JSON, all, ("x-nice-workspace-id", "live")], BODY, 400, "is not one of"),
        ("POST", &submit, &[WORKSPACE, all], BODY, 415, "application/json"),
        ("POST", &submit, &[JSON, WORKSPACE, all], "{", 400, "not JSON"),
        ("POST", &submit, &[JSON, WORKSPACE, all], "{}", 422, "inputParameters"),
        ("POST", &submit, &[JSON, WORKSPACE, all], r#"{"inputParameters":{},"trace":false}"#, 422, "trace"),
        ("POST", &submit, &[JSON, WORKSPACE, all], r#"{"inputParameters":{},"trace":true}"#, 422, "versionConstraint"),
        ("POST", &stranger, &[JSON, WORKSPACE, all], BODY, 404, "no data action"),
        ("GET", &poll, &[WORKSPACE, read_only], "", 403, "insufficient_scope: trace:read"),
        ("GET", &poll, &[WORKSPACE, all], "", 404, "no such debug session"),
        ("GET", &old_path, &[WORKSPACE, all], "", 404, "there is nothing at"),
    ];
    for (method, url, headers, body, status, detail) in cases {
        let (got, answer) = ask(method, url, headers, body);
        assert!(got == status && answer.contains(detail), "{method} {url}: {got} {answer}");
        let problem: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(problem["status"], status);
    }
    assert_eq!(simulator.executed(), 0);
}

#[test]
fn a_session_is_queued_then_runs_then_is_done_and_belongs_to_its_workspace() {
    let simulator = Simulator::of(&scenario(&completed(), &json!({"runningMs": 300})));
    let bearer = token(&simulator, "data:execute%20trace:read");
    let auth = ("authorization", bearer.as_str());
    let base = format!("{}/api/v2/data-actions/{ACTION}", simulator.url);
    let (status, answer) = ask("POST", &format!("{base}/debug"), &[JSON, WORKSPACE, auth], BODY);
    assert_eq!(status, 202, "{answer}");
    let session: Value = serde_json::from_str(&answer).unwrap();
    let poll = format!("{base}/debug-sessions/{}", session["sessionId"].as_str().unwrap());
    let mut seen = Vec::new();
    while seen.last().is_none_or(|status| status != "COMPLETED") {
        let answer: Value = serde_json::from_str(&ask("GET", &poll, &[WORKSPACE, auth], "").1).unwrap();
        seen.push(answer["status"].as_str().unwrap().to_owned());
        seen.dedup();
    }
    assert_eq!(seen, ["QUEUED", "RUNNING", "COMPLETED"]);
    assert_eq!(ask("GET", &poll, &[("x-nice-workspace-id", "dev"), auth], "").0, 404);
}
