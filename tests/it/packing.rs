//! Packed plugins: one file that needs no other, with its rules readable and its cases inside, but nothing that should stay behind.

use crate::driver::{Bench, failed, recorded, root};
use crate::workshop::{PACK, fails, with_cases};
use serde_json::{Value, json};

#[test]
fn nothing_is_written_over_the_plugin_itself() {
    let bench = with_cases(&[]);
    for args in [&["plugin", "pack", "team.toml", "-o", "team.toml"][..], &["plugin", "test", "team.toml", "--junit", "./team.toml"]] {
        fails(&bench.tracejury(args), 2, "team.toml: is the plugin itself; nothing was written");
    }
    assert_eq!(bench.read("team.toml"), PACK);
    assert_eq!(bench.tracejury(&["plugin", "pack", "team.toml", "-o", "new/folder/team.wasm"]).code, 0);
}

#[test]
fn cases_travel_without_inputs() {
    let bench = with_cases(&[]);
    let mut case: Value = serde_json::from_str(&recorded("s", &failed("ledger 9 is sealed for CUST-998877"))).unwrap();
    case["inputParameters"] = json!({"customer": "CUST-998877"});
    case["verdict"] = json!({"rule": "sealed"});
    case["trace"][0]["output"] = json!("4111-SECRET");
    bench.file("cases.ndjson", case.to_string());
    assert_eq!(bench.tracejury(&["plugin", "pack", "team.toml"]).code, 0);
    let packed = std::fs::read(bench.dir.path().join("team.wasm")).unwrap();
    let holds = |text: &str| packed.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds("ledger 9 is sealed for [masked]") && !holds("998877") && !holds("4111-SECRET"));
    std::fs::remove_file(bench.dir.path().join("cases.ndjson")).unwrap();
    assert_eq!(bench.tracejury(&["plugin", "test", "team.wasm"]).stdout.trim(), "team 1.0.0: 3 passed, 0 failed");
}

#[test]
fn a_packed_plugin_needs_no_other_file() {
    let bench = with_cases(&[("ledger 9 is sealed", json!({"rule": "sealed"}))]);
    bench.file(
        "base/team.toml",
        format!("{}extends = 'more'\n{}", &PACK[..PACK.find("\n\n").unwrap() + 1], &PACK[PACK.find("\n\n").unwrap()..]),
    );
    bench.file("base/more.toml", "schema = 1\nname = 'more'\nversion = '1.0.0'\nsummary = 's'\n[[rule]]\nid = 'more'\nclassification = 'MORE'\nconfidence = 0.9\nexplain = 'e'\nany = ['more']\n");
    bench.file("hello.js", "exports.classify = (trace) => trace.find('ledger') && { classification: 'OURS', confidence: 0.7 };");
    let packed = |file: &str, more: &[&str]| {
        let done = bench.tracejury(&[&["plugin", "pack", file, "-o", "alone/out.wasm"], more].concat());
        assert_eq!(done.code, 0, "{done:?}");
        let alone = Bench::new();
        let name = file.rsplit('/').next().unwrap().split('.').next().unwrap();
        alone.file(&format!("plugins/{name}.wasm"), std::fs::read(bench.dir.path().join("alone/out.wasm")).unwrap());
        alone
    };
    bench.file("alone/x", "");
    let classify = |alone: &Bench, message: &str| {
        let outcome = alone.piped(&["classify", "--format", "json"], &recorded("s", &failed(message))).outcome();
        outcome["verdicts"][0]["classification"].clone()
    };
    let alone = packed("team.toml", &[]);
    assert_eq!(classify(&alone, "ledger 9 is sealed"), "OURS");
    assert_eq!(alone.tracejury(&["plugin", "inspect", "team", "--rules"]).stdout.trim(), PACK.trim(), "the rules stay readable");
    let tested = alone.tracejury(&["plugin", "test", "plugins/team.wasm"]);
    assert_eq!((tested.code, tested.stdout.trim()), (0, "team 1.0.0: 3 passed, 0 failed"), "{tested:?}");
    let shown = alone.tracejury(&["plugin", "inspect", "team", "--format", "json"]).outcome();
    assert_eq!((&shown["kind"], &shown["packed"], &shown["metadata"]["licenses"]), (&json!("rules"), &json!("our-engine"), &json!("MIT")));
    assert_eq!((&shown["metadata"]["source"], &shown["metadata"]["version"]), (&json!("https://example.com/team"), &json!("1.0.0")));
    let bytes = std::fs::read(alone.dir.path().join("plugins/team.wasm")).unwrap();
    let read = wasm_metadata::Payload::from_binary(&bytes).unwrap();
    let read = read.metadata();
    let text = |value: Option<String>| value.unwrap_or_default();
    let found =
        [read.name.clone(), read.version.as_ref().map(ToString::to_string), read.licenses.as_ref().map(ToString::to_string)].map(text);
    assert_eq!(found, ["team", "1.0.0", "MIT"], "other tools find it where they look for it");
    let alone = packed("base/team.toml", &[]);
    assert_eq!(classify(&alone, "more"), "MORE", "what it extends goes along");
    let alone = packed("hello.js", &["--license", "MIT OR Apache-2.0", "--cases", "cases.ndjson"]);
    assert_eq!(classify(&alone, "ledger"), "OURS");
    assert_eq!(
        alone.tracejury(&["plugin", "test", "plugins/hello.wasm"]).stdout.lines().last().unwrap(),
        "hello 0.0.0: 0 passed, 1 failed",
        "its case names a rule"
    );
    let again = bench.tracejury(&["plugin", "pack", "alone/out.wasm"]);
    assert!(again.code == 2 && again.stderr.contains("alone/out.wasm: is one file already"), "{again:?}");
    let wrong = bench.tracejury(&["plugin", "pack", "team.toml", "--license", "My own"]);
    assert!(wrong.code == 2 && wrong.stderr.contains("licence: \"My own\" is malformed"), "{wrong:?}");
}

#[test]
fn a_packed_plugin_of_another_engine_runs_on_its_own() {
    // As a later or an earlier tracejury would have packed it: the engine's bytes are not those at hand.
    let bench = with_cases(&[]);
    assert_eq!(bench.tracejury(&["plugin", "pack", "team.toml"]).code, 0);
    let packed = std::fs::read(bench.dir.path().join("team.wasm")).unwrap();
    let engine = std::fs::read(root().join("plugins/regex/regex.wasm")).unwrap();
    let mut other = engine[..8].to_vec();
    // An empty custom section of the name `x` in front of everything else.
    other.extend([0, 2, 1, b'x']);
    other.extend(&packed[8..]);
    bench.file("plugins/team.wasm", other);
    let outcome = bench.piped(&["classify", "--format", "json"], &recorded("s", &failed("ledger 9 is sealed"))).outcome();
    assert_eq!(outcome["verdicts"][0]["rule"], "sealed", "{outcome}");
    assert_eq!(bench.tracejury(&["plugin", "inspect", "team", "--format", "json"]).outcome()["packed"], "other-engine");
}
