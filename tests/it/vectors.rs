//! Vectors: a file with a problem is named in full and submits nothing.

use crate::driver::{ACTION, Bench, Simulator, completed, scenario, vector};
use serde_json::json;

#[test]
fn an_invalid_file_names_every_problem_and_submits_nothing() {
    let simulator = Simulator::of(&scenario(&completed(), &json!({})));
    let bench = Bench::against(&simulator);
    bench.file("good.json", vector().to_string());
    bench.file(
        "bad.json",
        format!("[\n{{\"name\":\"a\",\"dataActionId\":\"{ACTION}\",\"inputParameters\":[],\"environmentId\":\"live\"}}\n]"),
    );
    bench.file("worse.ndjson", format!("{}\n{{]", vector()));
    let done = bench.tracejury(&["run", "good.json", "bad.json", "worse.ndjson"]);
    assert_eq!(done.code, 2);
    assert_eq!(
        done.stderr,
        "error: 3 problems in vector files; nothing was submitted\n\
         \x20 bad.json:2:85: vector 1 (a): inputParameters: is not an object\n\
         \x20 bad.json:2:104: vector 1 (a): environmentId: is not one of dev, test, prod\n\
         \x20 worse.ndjson:2:2: is not JSON: key must be a string\n\
         \x20 help: README, section Vectors, has the format\n"
    );
    assert_eq!(simulator.journal()["requests"], json!([]));
}

#[test]
fn production_needs_a_word() {
    let simulator = Simulator::of(&scenario(&completed(), &json!({})));
    let bench = Bench::against(&simulator);
    let mut prod = vector();
    prod["environmentId"] = json!("prod");
    let done = bench.run(&prod);
    assert_eq!(done.code, 2);
    assert!(done.stderr.contains("would run in production: v; nothing was submitted\n  help: add --allow-prod"), "{}", done.stderr);
    assert_eq!(simulator.journal()["requests"], json!([]));
    let allowed = bench.tracejury(&["run", "vectors.json", "--allow-prod", "--format", "json"]);
    assert_eq!((allowed.code, &allowed.outcome()["environmentId"]), (0, &json!("prod")));
    assert_eq!(simulator.requests("/debug")[0]["workspace"], "prod");
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let bench = Bench::new();
    let done = bench.tracejury(&["run", "nowhere.json"]);
    assert_eq!(done.code, 2);
    assert!(done.stderr.contains("  nowhere.json: cannot be read: No such file"), "{}", done.stderr);
    bench.file("latin.json", b"{\n\"name\": \"caf\xe9\"}");
    let done = bench.tracejury(&["run", "latin.json"]);
    assert_eq!((done.code, done.stderr.lines().nth(1)), (2, Some("  latin.json:2: is not UTF-8; save the file as UTF-8")));
    assert_eq!(bench.tracejury(&["run"]).code, 2);
}

#[test]
fn stdin_is_a_file_too() {
    let simulator = Simulator::of(&scenario(&completed(), &json!({})));
    let lines = format!("{}\n{}\n", vector(), vector());
    let done = Bench::against(&simulator).piped(&["run", "-", "--format", "json"], &lines);
    assert_eq!((done.code, done.outcomes().len(), simulator.executed()), (0, 2, 2), "{done:?}");
}

#[test]
fn bad_settings_are_named_and_submit_nothing() {
    let simulator = Simulator::of(&scenario(&completed(), &json!({})));
    let mut bench = Bench::against(&simulator);
    bench.settings("attemps = 3");
    let done = bench.run(&vector());
    assert_eq!(done.code, 2);
    assert!(done.stderr.starts_with("error: tracejury.toml:7: attemps: unknown field"), "{}", done.stderr);
    bench.settings("[webhook]\nurl = 'dashboard'");
    let done = bench.run(&vector());
    assert!(done.code == 2 && done.stderr.starts_with("error: webhook.url is not a URL"), "{done:?}");
    bench.settings("").env("CXONE_CLIENT_SECRET", "");
    let done = bench.run(&vector());
    assert!(
        done.code == 2 && done.stderr.contains("api.client_secret is not set (CXONE_CLIENT_SECRET or TRACEJURY_CLIENT_SECRET)"),
        "{done:?}"
    );
    bench.settings("").env("AUDIT_LOG_PATH", "/dev/null/audit.jsonl").env("CXONE_CLIENT_SECRET", "demo-secret");
    let done = bench.run(&vector());
    assert!(done.code == 3 && done.stderr.contains("nothing was submitted"), "{done:?}");
    assert_eq!(simulator.journal()["requests"], json!([]));
}
