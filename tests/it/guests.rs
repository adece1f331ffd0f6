//! Hostile and broken plugins with a file of their own in `tests/guests`: each costs its own vote, nothing else. `hostile.rs` has many
//! more.
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
fn two_plugins_of_one_name_cannot_be_told_apart() {
    let why = said_of(
        "again.wasm",
        &component("team", |text| text.replace("\"team\"", "\"regex\"").replace("\\04\\00\\00\\00\\c0", "\\05\\00\\00\\00\\c0")),
    )
    .1;
    assert_eq!(why, "not loaded: is named regex like the default classifier");
}
