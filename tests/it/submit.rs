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
    assert_eq!(done.code, 3, "{done:?}");
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
