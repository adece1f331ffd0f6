//! The audit log: one entry a session, with everything the entry needs, and flags that say what was done.

use crate::driver::{ACTION, Bench, Simulator, completed, failed, scenario, vector};
use serde_json::{Value, json};

#[test]
fn each_session_has_one_entry() {
    let simulator = Simulator::of(&scenario(&completed(), &json!({})));
    let mut bench = Bench::against(&simulator);
    bench.settings("[audit]\nretention_days = 30\n").env("AUDIT_LOG_PATH", "audit.jsonl");
    let vectors: Value = (0..5).map(|_| vector()).collect();
    let done = bench.run(&vectors);
    assert_eq!(bench.run(&vector()).code, 0, "a second run appends");
    let entries = bench.entries("audit.jsonl");
    assert_eq!(entries.len(), 6);
    let mut sessions: Vec<_> = entries.iter().map(|e| e["sessionId"].as_str().unwrap()).collect();
    sessions.sort_unstable();
    sessions.dedup();
    assert_eq!(sessions.len(), 6);
    for outcome in done.outcomes() {
        let entry = entries.iter().find(|e| e["sessionId"] == outcome["sessionId"]).unwrap();
        for field in ["actionId", "inputHash", "status", "classification", "confidence", "executionDurationMs"] {
            assert_eq!(entry[field], outcome[field], "{field}");
        }
        assert_eq!(entry["actionId"], ACTION);
        assert!(entry["auditId"].is_string() && entry["loggedAt"].is_string());
        let flags = &entry["complianceFlags"];
        assert_eq!(
            (&flags["dataMasked"], &flags["masked"], &flags["piiExcluded"], &flags["retentionDays"]),
            (&json!(false), &json!({}), &json!(true), &json!(30))
        );
        assert!(flags["ruleSet"].as_str().unwrap().starts_with("1-"));
    }
}

#[test]
fn an_input_that_stays_in_an_id_is_admitted() {
    // The step's id must stay as it is, and it holds the customer's number: the flag says so.
    let mut answer = failed("ENOTFOUND");
    answer["trace"][1]["stepId"] = json!("step-for-CUST-998877");
    let simulator = Simulator::of(&scenario(&answer, &json!({})));
    let mut bench = Bench::against(&simulator);
    bench.env("AUDIT_LOG_PATH", "audit.jsonl");
    bench.run(&vector());
    let entry = bench.entries("audit.jsonl").remove(0);
    assert_eq!(entry["complianceFlags"]["piiExcluded"], false);
}

#[test]
fn an_ambiguous_submit_is_logged_since_the_action_may_have_run() {
    let simulator = Simulator::of(&scenario(&completed(), &json!({"submit": [{"cut": true}]})));
    let mut bench = Bench::against(&simulator);
    bench.env("AUDIT_LOG_PATH", "audit.jsonl");
    bench.run(&vector());
    let entry = bench.entries("audit.jsonl").remove(0);
    assert_eq!((&entry["sessionId"], &entry["actionId"]), (&Value::Null, &json!(ACTION)));
    assert!(entry["problem"].as_str().unwrap().starts_with("ambiguous: "));
}
