//! Hostile and broken plugins, from `tests/guests`: each costs its own vote, nothing else.
//!
//! | guest | what it does | what is said |
//! |---|---|---|
//! | loop | never answers | stopped after … ms |
//! | loop-in-describe | never says who it is | not loaded: stopped after … ms |
//! | memory-hog | takes all the memory it can | wanted more than … MiB of memory |
//! | trap | traps | trapped: … unreachable … |
//! | deep | recurses without end | trapped: call stack exhausted |
//! | confidence-7 | is seven times sure | invalid answer: confidence: 7 … |
//! | many-verdicts | claims 2³¹ − 1 verdicts | trapped: … |
//! | refuses-settings | refuses `configure` | not loaded: cannot be configured: declined: no, thank |
//! | wasi | imports a WASI clock | not loaded: asks for what no classifier gets: wasi:clocks/… |
//! | wrong-world | has `classify` of another type | not loaded: is not of the world … |
//! | counter | keeps state between calls | answers 1 each time: instances share nothing |
//! | trap, again and again | traps on every trace | left alone after 2 failures in a row |
//! | echo | says what it was shown of a step | nothing but what was granted |
//! | a core module, a cut off, an empty and a random file, a folder | no component at all | not loaded: … |

use crate::driver::{Bench, Done, failed, recorded, root};
use serde_json::{Value, json};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

/// A guest of `tests/guests`, encoded as a component of its own world, or of the contract's where it has none.
pub fn component(name: &str, change: impl FnOnce(String) -> String) -> Vec<u8> {
    encoded(name, &change(std::fs::read_to_string(root().join(format!("tests/guests/{name}.wat"))).unwrap()))
}

/// A module's text as a component of the world of that name, or of the contract's where there is none of it.
pub fn encoded(name: &str, text: &str) -> Vec<u8> {
    let mut module = wat::parse_str(text).unwrap_or_else(|e| panic!("{e}"));
    let own = root().join(format!("tests/guests/{name}.wit"));
    let wit = if own.exists() { own } else { root().join("wit/classifier.wit") };
    let mut resolve = wit_parser::Resolve::default();
    let package = resolve.push_str(&wit, &std::fs::read_to_string(&wit).unwrap()).unwrap();
    let world = resolve.select_world(&[package], None).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().module(&module).unwrap().validate(true).encode().unwrap()
}

/// One trace through the default classifier and a plugin.
fn beside(file: &str, bytes: &[u8]) -> (Value, Done) {
    let mut bench = Bench::new();
    bench.settings("[plugins]\ndeadline_ms = 1500\nmemory_mib = 16\n");
    bench.file(&format!("plugins/{file}"), bytes);
    let line = recorded("s", &failed("getaddrinfo ENOTFOUND x"));
    let done = bench.piped(&["classify", "--format", "json"], &line);
    (done.outcome(), done)
}

/// What a plugin that abstains is said to have done; the default classifier's verdict and the exit code stand.
fn said_of(file: &str, bytes: &[u8]) -> (String, String) {
    let (outcome, done) = beside(file, bytes);
    assert_eq!((done.code, &outcome["reason"], &outcome["confidence"]), (0, &json!("dns"), &json!(0.95)), "{done:?}");
    let abstained = outcome["abstained"].as_array().unwrap();
    assert_eq!(abstained.len(), 1, "{outcome}");
    (abstained[0]["plugin"].as_str().unwrap().to_owned(), abstained[0]["why"].as_str().unwrap().to_owned())
}

fn hostile(name: &str) -> (String, String) {
    said_of("guest.wasm", &component(name, |text| text))
}

#[test]
fn an_endless_loop_is_stopped() {
    assert_eq!(hostile("loop"), ("loop".into(), "stopped after 1500 ms".into()));
}

#[test]
fn an_endless_description_is_stopped() {
    assert_eq!(hostile("loop-in-describe"), ("guest.wasm".into(), "not loaded: does not describe itself: stopped after 5000 ms".into()));
}

#[test]
fn memory_has_a_cap() {
    assert_eq!(hostile("memory-hog"), ("memory-hog".into(), "wanted more than 16 MiB of memory".into()));
}

#[test]
fn a_trap_is_an_abstention() {
    assert_eq!(hostile("trap"), ("trap".into(), "trapped: wasm trap: wasm `unreachable` instruction executed".into()));
}

#[test]
fn the_stack_has_an_end() {
    assert_eq!(hostile("deep"), ("deep".into(), "used more than 512 KiB of stack".into()));
}

#[test]
fn a_confidence_of_seven_is_no_verdict() {
    assert_eq!(hostile("confidence-7"), ("confidence-7".into(), "invalid answer: confidence: 7 is not a number from 0 to 1".into()));
}

#[test]
fn verdicts_that_are_not_there_are_not_read() {
    let (plugin, why) = hostile("many-verdicts");
    assert!(plugin == "many-verdicts" && why.starts_with("trapped: "), "{why}");
}

#[test]
fn a_refused_configuration_refuses_the_plugin() {
    assert_eq!(hostile("refuses-settings").1, "not loaded: cannot be configured: declined: no, thank");
}

#[test]
fn a_capability_is_refused_by_name() {
    let (_, done) = beside("guest.wasm", &component("wasi", |text| text));
    assert_eq!(hostile("wasi").1, "not loaded: asks for what no classifier gets: wasi:clocks/monotonic-clock@0.2.0");
    assert!(done.stderr.contains("warning: plugins/guest.wasm: asks for what no classifier gets: wasi:clocks/monotonic-clock@0.2.0; it abstains\n  help: build it"), "{}", done.stderr);
}

#[test]
fn another_world_is_refused() {
    let why = hostile("wrong-world").1;
    assert!(why.starts_with("not loaded: is not of the world tracejury:classifier@0.1.0: "), "{why}");
}

#[test]
fn files_that_are_no_component_are_refused_by_what_they_are() {
    let good = component("team", |text| text);
    let cases: [(&[u8], &str); 5] = [
        (b"", "not loaded: is empty"),
        (b"#!/bin/sh\necho hello\n", "not loaded: is not WebAssembly"),
        (&wat::parse_str("(module)").unwrap(), "not loaded: is a core module, not a component"),
        (&good[..good.len() / 2], "not loaded: is not a valid component: "),
        (&[&good[..8], &[0xff; 64]].concat(), "not loaded: is not a valid component: "),
    ];
    for (bytes, expected) in cases {
        let (plugin, why) = said_of("x.wasm", bytes);
        assert!(plugin == "x.wasm" && why.starts_with(expected), "{why}");
    }
    let bench = Bench::new();
    bench.file("plugins/folder.wasm/file", "");
    let done = bench.piped(&["classify", "--format", "json"], "{}");
    assert!(done.stderr.contains("plugins/folder.wasm: is not a regular file; it abstains"), "{}", done.stderr);
}

#[test]
fn two_plugins_of_one_name_cannot_be_told_apart() {
    let why = said_of(
        "again.wasm",
        &component("team", |text| text.replace("\"team\"", "\"regex\"").replace("\\04\\00\\00\\00\\c0", "\\05\\00\\00\\00\\c0")),
    )
    .1;
    assert_eq!(why, "not loaded: is named regex like the default classifier");
}

/// Four recorded traces of one step each.
fn four(step: &Value) -> String {
    (0..4).map(|i| recorded(&format!("s{i}"), &json!({"status": "FAILED", "trace": [step]})) + "\n").collect()
}

fn counts(isolation: &str) -> Vec<String> {
    let bench = Bench::new();
    bench.file("tracejury.toml", format!("[plugins]\nisolation = '{isolation}'"));
    bench.file("plugins/counter.wasm", component("counter", |text| text));
    let lines = four(&json!({"stepId": "a"}));
    let done = bench.piped(&["classify", "--format", "json"], &lines);
    done.outcomes().iter().map(|o| o["verdicts"][0]["explanation"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn instances_share_nothing_unless_they_are_asked_to() {
    assert_eq!(counts("per-trace"), ["this is call no1"; 4]);
    assert_eq!(counts("warm"), ["this is call no1", "this is call no2", "this is call no3", "this is call no4"]);
}

#[test]
fn a_plugin_that_keeps_failing_is_left_alone() {
    let bench = Bench::new();
    bench.file("tracejury.toml", "[plugins]\nbreaker_failures = 2\n");
    bench.file("plugins/trap.wasm", component("trap", |text| text));
    let lines = four(&json!({"error": "ENOTFOUND"}));
    let done = bench.piped(&["classify", "--format", "json"], &lines);
    let why: Vec<_> =
        done.outcomes().iter().map(|o| o["abstained"][0]["why"].as_str().unwrap().chars().take(10).collect::<String>()).collect();
    assert_eq!(why, ["trapped: w", "trapped: w", "left alone", "left alone"]);
    assert!(done.outcomes().iter().all(|o| o["reason"] == "dns"));
    assert!(done.stderr.contains("abstained: trap from 2 vectors: left alone after 2 failures in a row"), "{}", done.stderr);
}

#[test]
fn plugins_are_listed_with_what_they_are_and_may_see() {
    let bench = Bench::new();
    bench.file("tracejury.toml", "[plugins.grants]\nteam = ['output']\n");
    let team = component("team", |text| text);
    bench.file("plugins/team.wasm", &team);
    bench.file("plugins/wasi.wasm", component("wasi", |text| text));
    let done = bench.tracejury(&["plugin", "list", "--format", "json"]);
    let listed = done.outcomes();
    assert_eq!((done.code, listed.len()), (0, 3), "{done:?}");
    assert_eq!((&listed[0]["name"], &listed[0]["snapshot"]), (&json!("regex"), &json!(true)));
    assert_eq!(listed[1]["digest"], tracejury::model::Digest::of(&team).to_string());
    assert_eq!((&listed[1]["granted"], &listed[1]["file"]), (&json!(["output"]), &json!("plugins/team.wasm")));
    assert_eq!(listed[2]["refused"], "not loaded: asks for what no classifier gets: wasi:clocks/monotonic-clock@0.2.0");
    let table = bench.tracejury(&["plugin", "list"]).stdout;
    assert!(table.lines().next().unwrap().split_whitespace().take(3).eq(["NAME", "VERSION", "SHA-256"]), "{table}");
}

/// What the echo sees under these grants, and what is said on stderr.
fn seen(grants: &str) -> (String, String) {
    let bench = Bench::new();
    bench.file("tracejury.toml", format!("[plugins.grants]\n{grants}"));
    bench.file("plugins/echo.wasm", component("echo", |text| text));
    let step = json!({"stepId": "a", "timestamp": "2026-01-01T00:00:00Z", "input": {"card": "4111"}, "output": "ok", "error": "boom"});
    let line = recorded("s", &json!({"status": "FAILED", "trace": [step]}));
    let done = bench.piped(&["classify", "--format", "json"], &line);
    (done.outcome()["verdicts"][0]["explanation"].as_str().unwrap().trim().to_owned(), done.stderr)
}

#[test]
fn what_is_not_granted_is_not_shown() {
    assert_eq!(seen("").0, "sees t0 i0 o0");
    assert_eq!(seen("echo = ['output']").0, "sees t0 i0 o1");
    assert_eq!(seen("echo = ['input', 'output', 'timestamp']").0, "sees t1 i1 o1");
    let (said, stderr) = seen("ecko = ['input']");
    assert_eq!(said, "sees t0 i0 o0");
    assert!(stderr.contains("warning: plugins.grants, plugins.for: no plugin is named ecko"), "{stderr}");
}

#[test]
fn a_classifier_is_kept_as_it_is_after_configure() {
    let team = component("team", |text| text);
    beside("team.wasm", &team);
    let kept = std::fs::read_dir(std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("tracejury")).unwrap();
    let start = format!("{}-", tracejury::model::Digest::of(&team).hex());
    assert!(kept.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with(&start)));
}

#[test]
fn a_plugin_folder_by_flag_must_exist() {
    let done = Bench::new().piped(&["classify", "--plugins", "nowhere"], "{}");
    assert!(done.code == 2 && done.stderr.starts_with("error: nowhere: is not a folder"), "{done:?}");
}
