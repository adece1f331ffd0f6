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
    assert_eq!((&answer["token_type"], answer["expires_in"].is_u64()), (&json!("Bearer"), true));
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

/// A script of one scenario, with limits and the like.
fn limited(scenario: &Value, more: &Value) -> Simulator {
    let mut script = json!({"version": 1, "scenarios": [scenario]});
    script.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Simulator::script(&script)
}

/// A session that was just submitted, and what polls it.
fn session(simulator: &Simulator) -> (String, impl Fn() -> (u16, Value)) {
    let bearer = token(simulator, "data:execute%20trace:read");
    let base = format!("{}/api/v2/data-actions/{ACTION}", simulator.url);
    let (status, answer) = ask("POST", &format!("{base}/debug"), &[JSON, WORKSPACE, ("authorization", &bearer)], BODY);
    assert_eq!(status, 202, "{answer}");
    let id = serde_json::from_str::<Value>(&answer).unwrap()["sessionId"].as_str().unwrap().to_owned();
    let url = format!("{base}/debug-sessions/{id}");
    let poll = move || {
        let (status, body) = ask("GET", &url, &[WORKSPACE, ("authorization", &bearer)], "");
        (status, serde_json::from_str(&body).unwrap())
    };
    (id, poll)
}

fn advance(simulator: &Simulator, ms: u64) {
    assert_eq!(ask("POST", &format!("{}/_simulator/clock", simulator.url), &[JSON], &json!({"advanceMs": ms}).to_string()).0, 200);
}

#[test]
fn a_session_becomes_visible_ends_and_is_purged_by_the_platforms_clock() {
    let simulator = limited(&scenario(&completed(), &json!({"runningMs": 3_600_000})), &json!({"limits": {"visibleAfterMs": 60_000}}));
    let (_, poll) = session(&simulator);
    assert_eq!(poll().0, 404);
    advance(&simulator, 60_000);
    assert_eq!(poll().1["status"], "QUEUED");
    // The token would have expired by now.
    let (_, late) = session(&simulator);
    advance(&simulator, 3_500_000);
    assert_eq!(late().1["status"], "RUNNING");
    advance(&simulator, 24 * 3_600_000);
    assert_eq!(late().0, 401);
    let bearer = token(&simulator, "trace:read");
    let gone = ask(
        "GET",
        &format!("{}/api/v2/data-actions/{ACTION}/debug-sessions/x", simulator.url),
        &[WORKSPACE, ("authorization", &bearer)],
        "",
    );
    assert_eq!(gone.0, 404);
}

#[test]
fn a_session_is_kept_for_a_day() {
    let simulator = limited(&scenario(&completed(), &json!({"runningMs": 1})), &json!({"client": {"tokenLifetimeSecs": 200_000}}));
    let (_, poll) = session(&simulator);
    advance(&simulator, 24 * 3_600_000 - 60_000);
    assert_eq!(poll().1["status"], "COMPLETED");
    advance(&simulator, 60_000);
    assert_eq!(poll().0, 404);
}

#[test]
fn a_step_over_thirty_seconds_ends_the_execution() {
    let steps = json!({"stepsMs": [10, 31_000], "answer": {"status": "COMPLETED", "trace": [{"stepId": "a"}, {"stepId": "b"}]}});
    let simulator = limited(&scenario(&completed(), &steps), &json!({}));
    let (_, poll) = session(&simulator);
    advance(&simulator, 30_000);
    assert_eq!(poll().1["status"], "RUNNING");
    advance(&simulator, 10);
    let answer = poll().1;
    assert_eq!((&answer["status"], &answer["trace"][1]["error"]["code"]), (&json!("FAILED"), &json!("STEP_TIMEOUT")));
}

#[test]
fn tokens_are_revoked_by_hand_and_after_so_many_calls() {
    let simulator = limited(&scenario(&completed(), &json!({})), &json!({"client": {"tokenCalls": 3}}));
    let (_, poll) = session(&simulator);
    assert_eq!((poll().0, poll().0, poll().0), (200, 200, 401));
    let (_, poll) = session(&simulator);
    assert_eq!(ask("POST", &format!("{}/_simulator/revoke", simulator.url), &[], "").0, 200);
    assert_eq!(poll().0, 401);
}

#[test]
fn too_many_requests_are_told_when_to_come_back() {
    for (limit, date) in [
        (json!({"fixedWindow": {"requests": 1, "windowMs": 5_000}}), false),
        (json!({"tokenBucket": {"capacity": 1, "perSecond": 0.2}, "retryAfterDate": true}), true),
    ] {
        let simulator = limited(&scenario(&completed(), &json!({})), &json!({"limits": limit}));
        token(&simulator, "data:read");
        let url = format!("{}/api/v2/oauth/token", simulator.url);
        let head = crate::driver::head("POST", &url, &[FORM, BASIC], GRANT);
        assert!(head.starts_with("HTTP/1.1 429 "), "{head}");
        let asked = head.lines().find_map(|line| line.strip_prefix("retry-after: ")).unwrap();
        assert_eq!((asked.ends_with("GMT"), asked == "5"), (date, !date), "{asked}");
        assert_eq!(simulator.journal()["throttled"], 1);
    }
}

#[test]
fn executions_are_told_apart_by_their_input() {
    let simulator = limited(&scenario(&completed(), &json!({})), &json!({}));
    let _ = session(&simulator);
    assert_eq!((simulator.executed(), &simulator.journal()["duplicates"]), (1, &json!(0)));
    let _ = session(&simulator);
    assert_eq!((simulator.executed(), &simulator.journal()["duplicates"]), (2, &json!(1)));
    assert_eq!(crate::driver::get(&format!("{}/_simulator/counts", simulator.url)).matches("\"requests\":4").count(), 1);
}

#[test]
fn a_connection_may_be_reset_and_a_clock_be_wrong() {
    use std::io::{Read as _, Write as _};
    let simulator = limited(
        &scenario(&completed(), &json!({})),
        &json!({"limits": {"clockSkewSecs": 86_400}, "token": [{"reset": true, "done": false}]}),
    );
    let mut stream = std::net::TcpStream::connect(simulator.url.trim_start_matches("http://")).unwrap();
    write!(stream, "POST /api/v2/oauth/token HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n").unwrap();
    assert_eq!(stream.read(&mut [0; 16]).unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    let head = crate::driver::head("POST", &format!("{}/api/v2/oauth/token", simulator.url), &[FORM, BASIC], GRANT);
    let date = head.lines().find_map(|line| line.strip_prefix("date: ")).unwrap();
    let ahead = httpdate::parse_http_date(date).unwrap().duration_since(std::time::SystemTime::now()).unwrap();
    assert!(ahead.as_secs() > 86_300, "{date}");
}

#[test]
fn a_script_may_be_yaml_and_a_port_be_asked_for() {
    use std::io::{BufRead as _, BufReader};
    let bench = crate::driver::Bench::new();
    let yaml = format!(
        "version: 1\nprofile: genesys\nscenarios:\n  - name: a\n    dataActionId: {ACTION}\n    answer: {{status: COMPLETED, trace: []}}\n"
    );
    bench.file("script.yaml", &yaml);
    let mut command = bench.command(&["simulate", "--port", "0", "--scenario", "script.yaml"]);
    let mut child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let hello: Value = serde_json::from_str(&BufReader::new(child.stdout.take().unwrap()).lines().next().unwrap().unwrap()).unwrap();
    let (status, body) = ask("POST", &format!("{}/oauth/token", hello["url"].as_str().unwrap()), &[FORM, BASIC], GRANT);
    assert_eq!(status, 200, "{body}");
    let told = BufReader::new(child.stderr.take().unwrap()).lines().take(2).map(Result::unwrap).collect::<String>();
    assert!(told.contains("profile = \"genesys\"") && told.contains("TRACEJURY_LOGIN_URL=http://127.0.0.1:"), "{told}");
    child.kill().unwrap();
    child.wait().unwrap();
    bench.file("bad.yaml", yaml.replace("name", "nmae"));
    let done = bench.tracejury(&["simulate", "--scenario", "bad.yaml"]);
    assert!(done.code == 2 && done.stderr.starts_with("error: bad.yaml:4:5: ") && done.stderr.contains("nmae"), "{}", done.stderr);
    assert_eq!(bench.tracejury(&["simulate", "--port", "1", "--listen", "127.0.0.1:1"]).code, 2);
}

#[test]
fn the_other_platform_is_strict_too() {
    let simulator = limited(&scenario(&completed(), &json!({})), &json!({"profile": "genesys"}));
    let (status, answer) = ask("POST", &format!("{}/oauth/token", simulator.url), &[FORM, BASIC], GRANT);
    assert_eq!(status, 200, "{answer}");
    let bearer = format!("Bearer {}", serde_json::from_str::<Value>(&answer).unwrap()["access_token"].as_str().unwrap());
    let auth = ("authorization", bearer.as_str());
    let test = format!("{}/api/v2/integrations/actions/{ACTION}/test", simulator.url);
    let stranger = test.replace("a1b2", "a1b3");
    let cases: [Case<'_>; 6] = [
        ("POST", &test, &[JSON], "{}", 401, "bearer token"),
        ("POST", &test, &[auth], "{}", 415, "application/json"),
        ("POST", &test, &[JSON, auth], "[]", 422, "not an object"),
        ("GET", &test, &[auth], "", 405, "not allowed"),
        ("POST", &stranger, &[JSON, auth], "{}", 404, "not.found"),
        ("POST", &format!("{}/api/v2/oauth/token", simulator.url), &[FORM, BASIC], GRANT, 404, "nothing at"),
    ];
    for (method, url, headers, body, status, detail) in cases {
        let (got, answer) = ask(method, url, headers, body);
        assert!(got == status && answer.contains(detail), "{method} {url}: {got} {answer}");
        assert_eq!(serde_json::from_str::<Value>(&answer).unwrap()["status"], status);
    }
    assert_eq!(simulator.executed(), 0);
}
