//! From a trace to an outcome: the failing step, the reason, what UNKNOWN is for, and recorded traces.

use crate::driver::{Bench, Simulator, failed, recorded, scenario, vector};
use serde_json::{Value, json};

fn classified(answer: &Value) -> Value {
    Bench::new().piped(&["classify", "--format", "json"], &recorded("s-1", answer)).outcome()
}

#[test]
fn a_verdict_says_rule_text_step_and_why() {
    let outcome = classified(&failed("connect ECONNREFUSED 10.0.0.1:443"));
    assert_eq!((&outcome["failingStepId"], &outcome["failingStepName"]), (&json!("two"), &json!("Call out")));
    let verdict = &outcome["verdicts"][0];
    assert_eq!((&verdict["plugin"], &verdict["rule"]), (&json!("regex"), &json!("connection-refused")));
    assert_eq!(verdict["explanation"], "Nothing accepted connections at the address the action calls.");
    assert_eq!(verdict["evidence"], json!([{"location": "steps[1].error.message", "start": 8, "end": 20, "text": "ECONNREFUSED"}]));
    let built = std::fs::read(crate::driver::root().join("plugins/regex/regex.wasm")).unwrap();
    assert_eq!(verdict["digest"], tracejury::model::Digest::of(&built).to_string());
}

#[test]
fn undefined_properties_are_the_logics_fault() {
    let outcome = classified(&failed("Cannot read properties of undefined (reading 'x')"));
    assert_eq!((&outcome["classification"], &outcome["reason"]), (&json!("INTERNAL_LOGIC_FAULT"), &json!("type-error")));
}

#[test]
fn the_cause_inside_a_wrapper_decides() {
    let mut answer = failed("fetch failed");
    answer["trace"][1]["error"]["stack"] =
        json!("TypeError: fetch failed\n    at x\n  [cause]: Error: getaddrinfo ENOTFOUND api.example.com");
    let outcome = classified(&answer);
    assert_eq!((&outcome["classification"], &outcome["reason"]), (&json!("EXTERNAL_DEPENDENCY_OUTAGE"), &json!("dns")));
}

#[test]
fn what_nothing_matches_is_unknown_without_confidence() {
    let outcome = classified(&failed("Something went wrong"));
    assert_eq!((&outcome["classification"], &outcome["confidence"], &outcome["reason"]), (&json!("UNKNOWN"), &json!(0.0), &Value::Null));
    assert_eq!(outcome["abstained"], json!([{"plugin": "regex", "why": "no opinion"}]));
}

#[test]
fn a_failed_session_without_a_trace_is_unknown() {
    for answer in
        [json!({"status": "FAILED"}), json!({"status": "FAILED", "trace": null, "result": null}), json!({"status": "FAILED", "trace": []})]
    {
        let outcome = classified(&answer);
        assert_eq!((&outcome["classification"], &outcome["confidence"]), (&json!("UNKNOWN"), &json!(0.0)), "{answer}");
        assert_eq!(outcome["abstained"], json!([{"plugin": "regex", "why": "no trace to look at"}]));
    }
    let simulator = Simulator::of(&scenario(&json!({"status": "FAILED"}), &json!({})));
    assert_eq!(Bench::against(&simulator).run(&vector()).outcome()["classification"], "UNKNOWN");
}

#[test]
fn a_completed_session_is_not_classified() {
    let outcome = classified(&json!({"status": "COMPLETED", "trace": [{"stepId": "a", "output": "ECONNREFUSED"}]}));
    assert_eq!((&outcome["status"], &outcome["classification"], &outcome["confidence"]), (&json!("COMPLETED"), &Value::Null, &Value::Null));
}

#[test]
fn bad_lines_are_named_and_the_good_ones_go_on() {
    let bench = Bench::new();
    let lines = format!("{}\n{{\"sessionId\":\n\n{}\n", recorded("s-1", &failed("ENOTFOUND")), recorded("../s", &failed("x")));
    bench.file("traces.ndjson", lines);
    let done = bench.tracejury(&["classify", "traces.ndjson", "--format", "json"]);
    assert_eq!(done.code, 2);
    assert_eq!(done.outcome()["reason"], "dns");
    assert!(done.stderr.contains("warning: traces.ndjson:2: column 13: EOF"), "{}", done.stderr);
    assert!(done.stderr.contains("warning: traces.ndjson:4: sessionId: is not a session id"), "{}", done.stderr);
    assert_eq!(bench.piped(&["classify"], "").code, 2);
}

#[test]
fn recorded_expectations_set_the_exit_code() {
    let mut answer = failed("ENOTFOUND");
    answer["expect"] = json!({"reason": "tls"});
    let done = Bench::new().piped(&["classify", "--format", "json"], &recorded("s", &answer));
    assert_eq!((done.code, &done.outcome()["mismatch"]), (1, &json!(["reason: expected tls, got dns"])));
}

#[test]
fn the_tables_rows_follow_the_vectors_and_say_what_differs() {
    let simulator = Simulator::of(&scenario(&failed("ENOTFOUND"), &json!({})));
    let bench = Bench::against(&simulator);
    let vectors: Value = (0..12)
        .map(|i| {
            let mut v = vector();
            v["name"] = json!(format!("v{i:02}"));
            v
        })
        .collect();
    bench.file("vectors.json", vectors.to_string());
    let done = bench.tracejury(&["run", "vectors.json"]);
    assert_eq!(done.code, 1);
    let rows: Vec<_> =
        done.stdout.lines().filter(|l| l.starts_with(" ✗")).map(|l| l.split_whitespace().nth(1).unwrap().to_owned()).collect();
    assert_eq!(rows, (0..12).map(|i| format!("v{i:02}")).collect::<Vec<_>>());
    assert!(done.stdout.contains("\n✗ 12 vectors, one cause: v"), "{}", done.stdout);
    assert!(done.stdout.contains("    vectors.json:1: status: expected COMPLETED, got FAILED\n"), "{}", done.stdout);
    assert!(!done.stdout.contains('\u{1b}') && !done.stderr.contains('\u{1b}'), "colour where no terminal is");
}

#[test]
fn what_was_judged_is_not_lost_with_a_file_that_cannot_be_read() {
    let bench = Bench::new();
    bench.file("there.ndjson", recorded("s-1", &failed("connect ECONNREFUSED 10.0.0.1:443")));
    for format in ["human", "json"] {
        let done = bench.tracejury(&["classify", "there.ndjson", "nowhere.ndjson", "--format", format]);
        assert!(done.code == 2 && done.stdout.contains("s-1") && done.stderr.contains("error: nowhere.ndjson: cannot be read"), "{done:?}");
    }
    let nothing = bench.tracejury(&["classify", "nowhere.ndjson"]);
    assert!(nothing.code == 2 && nothing.stdout.is_empty(), "{nothing:?}");
}
