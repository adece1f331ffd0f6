//! Polling: by the action's id, patient with throttling and trouble, and never at the price of the session.

use crate::driver::{ACTION, Bench, Done, Simulator, completed, failed, scenario, vector};
use serde_json::{Value, json};

fn with(answer: &Value, faults: &Value) -> (Done, Simulator) {
    let simulator = Simulator::of(&scenario(answer, &json!({"poll": faults})));
    (Bench::against(&simulator).run(&vector()), simulator)
}

#[test]
fn it_asks_under_the_action_with_the_same_headers() {
    let (done, simulator) = with(&completed(), &json!([]));
    let outcome = done.outcome();
    let session = outcome["sessionId"].as_str().unwrap();
    let polls = simulator.requests(session);
    assert!(!polls.is_empty());
    for poll in polls {
        assert_eq!(poll["path"], format!("/api/v2/data-actions/{ACTION}/debug-sessions/{session}"));
        assert_eq!((&poll["method"], &poll["authorization"], &poll["workspace"]), (&json!("GET"), &json!("Bearer"), &json!("test")));
    }
}

#[test]
fn trouble_on_our_way_is_waited_out() {
    let html = json!({"status": 200, "contentType": "text/html", "body": "<!DOCTYPE html>"});
    let faults = json!([{"status": 429, "retryAfter": "0"}, {"status": 503}, {"cut": true}, html, {"status": 200, "body": "{\"status\":"}]);
    let (done, simulator) = with(&failed("connect ECONNREFUSED 10.0.0.1:443"), &faults);
    let outcome = done.outcome();
    assert_eq!((&outcome["reason"], &outcome["problem"]), (&json!("connection-refused"), &Value::Null), "{done:?}");
    assert_eq!(simulator.executed(), 1);
}

#[test]
fn a_session_whose_last_poll_is_throttled_is_not_lost() {
    // The wait the platform asks for ends after the deadline; by then the session is done.
    let simulator = Simulator::of(&scenario(&failed("socket hang up"), &json!({"poll": [{"status": 429, "retryAfter": "1"}]})));
    let mut bench = Bench::against(&simulator);
    bench.settings("deadline_ms = 500\n");
    assert_eq!(bench.run(&vector()).outcome()["reason"], "connection-reset");
}

#[test]
fn a_session_that_is_gone_is_said_to_be() {
    // It was seen running, and then no more.
    let (done, _) = with(&completed(), &json!([{"body": "{\"status\":\"RUNNING\"}"}, {"status": 404}]));
    assert_eq!(done.code, 1);
    let outcome = done.outcome();
    assert_eq!(outcome["problem"], "session-gone: the platform answered 404: scripted: the session has expired or was purged");
    assert!(outcome["sessionId"].is_string());
}

#[test]
fn a_session_that_never_ends_keeps_its_id_and_last_status() {
    let simulator = Simulator::of(&scenario(&Value::Null, &json!({})));
    let mut bench = Bench::against(&simulator);
    bench.settings("deadline_ms = 400\n").env("AUDIT_LOG_PATH", "audit.jsonl");
    let done = bench.run(&vector());
    assert_eq!(done.code, 1);
    let outcome = done.outcome();
    assert_eq!(outcome["problem"], "deadline: no result after 0.4 s: last status RUNNING");
    assert_eq!((&outcome["status"], &outcome["classification"]), (&json!("RUNNING"), &Value::Null));
    assert_eq!(bench.entries("audit.jsonl")[0]["sessionId"], outcome["sessionId"]);
}

#[test]
fn many_vectors_are_in_flight_at_once() {
    // Ten sessions of half a second each, all at once or one after the other: the journal tells, not a clock.
    let simulator = Simulator::of(&scenario(&completed(), &json!({"runningMs": 500})));
    let vectors: Value = (0..10).map(|_| vector()).collect();
    let bench = Bench::against(&simulator);
    bench.file("vectors.json", vectors.to_string());
    assert_eq!(bench.tracejury(&["run", "vectors.json", "--concurrency", "10"]).code, 0);
    let journal = simulator.journal();
    let ends_debug = |r: &&Value| r["path"].as_str().unwrap().ends_with("/debug");
    let before_last = journal["requests"].as_array().unwrap().iter().rposition(|r| ends_debug(&r)).unwrap();
    let polled = journal["requests"].as_array().unwrap()[..before_last].iter().filter(|r| r["body"] == "" && r["status"] == 200);
    assert!(polled.count() < 40, "the last submit came late");
}

#[test]
#[cfg(unix)]
fn an_interrupted_run_ends_with_130_and_loses_no_session() {
    use std::io::{BufRead as _, BufReader, Read as _};
    let simulator = Simulator::of(&scenario(&Value::Null, &json!({})));
    let mut bench = Bench::against(&simulator);
    bench.env("AUDIT_LOG_PATH", "audit.jsonl");
    bench.file("vectors.json", json!([vector(), vector()]).to_string());
    let args = ["run", "vectors.json", "--concurrency", "1", "--format", "json", "-vv"];
    let mut child = bench.command(&args).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    // The third answer is that of the first poll: a session is under way.
    for line in stderr.by_ref().lines().map(Result::unwrap).filter(|line| line.contains("answered")).take(3) {
        assert!(line.contains("status="), "{line}");
    }
    crate::driver::signal(&child, "TERM");
    let drained = std::thread::spawn(move || drop(stderr.read_to_string(&mut String::new())));
    let done = Done::of(&child.wait_with_output().unwrap());
    drained.join().unwrap();
    assert_eq!(done.code, 130, "{done:?}");
    let problems: Vec<_> = done.outcomes().iter().map(|o| o["problem"].as_str().unwrap().to_owned()).collect();
    assert_eq!(problems, ["interrupted: the session goes on at the platform", "interrupted: not submitted"]);
    assert_eq!((bench.entries("audit.jsonl").len(), simulator.executed()), (0, 1), "its one entry is that of its outcome");
    let reconciled = bench.tracejury(&["audit", "reconcile"]);
    assert!(reconciled.stdout.contains("1 vector submitted without an outcome: `tracejury run --resume "), "{reconciled:?}");
}
