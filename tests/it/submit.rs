//! The submit: as the platform wants it, and at most one execution whatever happens.

use crate::driver::{ACTION, Bench, Simulator, completed, failed, scenario, vector};
use serde_json::{Value, json};

#[test]
fn it_carries_headers_and_body_as_documented() {
    let simulator = Simulator::of(&scenario(&completed(), &json!({})));
    assert_eq!(Bench::against(&simulator).run(&vector()).code, 0);
    let request = &simulator.requests("/debug")[0];
    assert_eq!(request["path"], format!("/api/v2/data-actions/{ACTION}/debug"));
    assert_eq!((&request["method"], &request["authorization"], &request["workspace"]), (&json!("POST"), &json!("Bearer"), &json!("test")));
    assert_eq!(request["body"], json!({"inputParameters": vector()["inputParameters"], "trace": true, "versionConstraint": "strict"}));
}

fn with(faults: &Value) -> (crate::driver::Done, Simulator) {
    let simulator = Simulator::of(&scenario(&completed(), &json!({"submit": faults})));
    (Bench::against(&simulator).run(&vector()), simulator)
}

#[test]
fn a_connection_cut_after_the_submit_runs_the_action_once() {
    let (done, simulator) = with(&json!([{"cut": true}]));
    assert_eq!(simulator.executed(), 1, "the submit was sent again");
    assert_eq!(done.code, 1, "{done:?}");
    let outcome = done.outcome();
    assert!(outcome["problem"].as_str().unwrap().starts_with("ambiguous: submit: "), "{outcome}");
    assert_eq!((&outcome["sessionId"], &outcome["classification"]), (&Value::Null, &Value::Null));
}

#[test]
fn a_submit_without_an_answer_in_time_runs_the_action_once() {
    let simulator = Simulator::of(&scenario(&completed(), &json!({"submit": [{"delayMs": 60_000}]})));
    let mut bench = Bench::against(&simulator);
    bench.settings("submit_timeout_ms = 300\n");
    let done = bench.run(&vector());
    assert_eq!(done.outcome()["problem"], "ambiguous: submit: no answer in time; the action may have run and is not submitted again");
}

#[test]
fn a_server_error_is_ambiguous() {
    let (done, simulator) = with(&json!([{"status": 502, "contentType": "text/html", "body": "<html>Bad Gateway</html>"}]));
    assert_eq!(simulator.requests("/debug").len(), 1);
    assert!(done.outcome()["problem"].as_str().unwrap().starts_with("ambiguous: the platform answered 502"), "{done:?}");
}

#[test]
fn throttling_is_waited_out() {
    let (done, simulator) = with(&json!([{"status": 429, "retryAfter": "0"}, {"status": 503, "retryAfter": "0"}]));
    assert_eq!((done.code, simulator.requests("/debug").len(), simulator.executed()), (0, 3, 1), "{done:?}");
}

#[test]
fn an_unknown_action_is_refused_and_the_others_go_on() {
    let simulator = Simulator::of(&scenario(&failed("getaddrinfo ENOTFOUND x"), &json!({})));
    let mut stranger = vector();
    stranger["dataActionId"] = json!("00000000-0000-4000-8000-000000000000");
    stranger["name"] = json!("stranger");
    let done = Bench::against(&simulator).run(&json!([stranger, vector()]));
    assert_eq!(done.code, 1);
    let outcomes = done.outcomes();
    let find = |name: &str| outcomes.iter().find(|o| o["vector"] == name).unwrap();
    assert_eq!(
        find("stranger")["problem"],
        "refused: the platform answered 404: there is no data action 00000000-0000-4000-8000-000000000000"
    );
    assert_eq!(find("v")["reason"], "dns");
}

#[test]
fn a_platform_that_is_not_there_is_no_verdict_on_the_action() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut bench = Bench::new();
    bench.env("CXONE_BASE_URL", &format!("http://{free}")).env("CXONE_CLIENT_ID", "a").env("CXONE_CLIENT_SECRET", "b");
    bench.settings("attempts = 2\n");
    let done = bench.run(&vector());
    assert_eq!(done.code, 3, "{done:?}");
    let outcome = done.outcome();
    assert!(outcome["problem"].as_str().unwrap().starts_with("unreachable: no token after 2 attempts: "), "{outcome}");
    assert_eq!((&outcome["classification"], &outcome["expected"]), (&Value::Null, &Value::Null));
}

#[test]
fn a_platform_that_is_down_is_not_asked_again_for_every_vector() {
    let busy: Vec<Value> = (0..20).map(|_| json!({"status": 503})).collect();
    let simulator = Simulator::script(&json!({"version": 1, "token": busy, "scenarios": [scenario(&completed(), &json!({}))]}));
    let mut bench = Bench::against(&simulator);
    bench.settings("attempts = 3\n");
    let vectors: Value = (0..30).map(|_| vector()).collect();
    let done = bench.run(&vectors);
    assert_eq!((done.code, done.outcomes().len(), simulator.requests("/oauth/token").len()), (3, 30, 3));
}

#[test]
fn time_spent_waiting_to_submit_is_not_the_executions() {
    // Throttled for a second, then 30 ms of work: well within what the vector allows.
    let simulator = Simulator::of(&scenario(&completed(), &json!({"submit": [{"status": 429, "retryAfter": "1"}]})));
    let mut limited = vector();
    limited["expect"] = json!({"maxDurationMs": 900});
    let done = Bench::against(&simulator).run(&limited);
    assert_eq!((done.code, simulator.executed()), (0, 1), "{done:?}");
}

#[test]
#[cfg(unix)]
fn a_stopped_run_submits_nothing_more_not_even_what_was_throttled() {
    use std::io::{BufRead as _, BufReader, Read as _};
    let simulator = Simulator::of(&scenario(&completed(), &json!({"submit": [{"status": 429, "retryAfter": "10"}]})));
    let bench = Bench::against(&simulator);
    bench.file("vectors.json", vector().to_string());
    let args = ["run", "vectors.json", "--format", "json", "-vv"];
    let mut child = bench.command(&args).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let waiting = stderr.by_ref().lines().map(Result::unwrap).any(|line| line.contains("submit: trying again"));
    assert!(waiting);
    crate::driver::signal(&child, "INT");
    let done = crate::driver::Done::of(&child.wait_with_output().unwrap());
    assert_eq!((done.code, &done.outcome()["problem"]), (130, &json!("interrupted: not submitted")));
    assert_eq!(simulator.executed(), 0);
}

#[test]
fn a_proxy_is_not_asked_for_loopback() {
    let simulator = Simulator::of(&scenario(&completed(), &json!({})));
    let mut bench = Bench::against(&simulator);
    bench.env("HTTP_PROXY", "http://127.0.0.1:1").env("http_proxy", "http://127.0.0.1:1").env("WEBHOOK_URL", &simulator.webhook);
    assert_eq!((bench.run(&vector()).code, simulator.deliveries().len()), (0, 1));
}

#[test]
fn a_connection_that_is_never_made_is_tried_again() {
    // Tokens come from one address; at the other nobody listens yet, until three of the tries are gone.
    let simulator = Simulator::of(&scenario(&completed(), &json!({})));
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut bench = Bench::against(&simulator);
    bench.env("TRACEJURY_LOGIN_URL", &simulator.url).env("CXONE_BASE_URL", &format!("http://{free}"));
    bench.settings("attempts = 20\n");
    bench.file("vectors.json", vector().to_string());
    let mut child = bench.command(&["run", "vectors.json", "-vv"]).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stderr.take().unwrap())).map(Result::unwrap);
    assert!(lines.by_ref().filter(|line| line.contains("submit: trying again")).nth(1).is_some());
    crate::driver::forward(free, &simulator.url);
    lines.for_each(drop);
    assert_eq!((child.wait().unwrap().code(), simulator.executed()), (Some(0), 1));
}
