//! Scripts in the plugins folder: what they see and say, and that they are as sealed and as limited as any plugin.

use crate::driver::{Bench, failed, recorded};
use serde_json::{Value, json};

/// The outcome of one trace, and what was said on stderr, beside this script.
fn beside(script: &str, settings: &str) -> (Value, String) {
    let bench = Bench::new();
    bench.file("tracejury.toml", settings);
    bench.file("plugins/team.js", script);
    let done = bench.piped(&["classify", "--format", "json", "-vv"], &recorded("s", &failed("größer boom ENOTFOUND")));
    (done.outcome(), done.stderr)
}

/// Why a script abstains; the default classifier's verdict stands.
fn why(script: &str) -> String {
    let (outcome, stderr) = beside(script, "");
    assert_eq!(outcome["reason"], "dns", "{stderr}");
    let abstained = outcome["abstained"].as_array().unwrap();
    assert_eq!(abstained.len(), 1, "{outcome}");
    abstained[0]["why"].as_str().unwrap().to_owned()
}

#[test]
fn a_script_sees_the_trace_and_has_a_vote() {
    let script = "
exports.describe = () => ({ name: 'own-name', version: '2.0.0', summary: 's', classifications: ['OURS'] });
exports.classify = (trace) => {
  console.log('failing', trace.failing.id, trace.steps.length, { deep: [1, 'two', null] });
  const seen = trace.find(/boom (?<code>[A-Z]+)/);
  return { classification: 'OURS', confidence: 0.99, rule: 'r', explanation: `code ${seen.groups.code}`, evidence: seen, attributes: { code: seen.groups.code, n: 1 } };
};";
    let (outcome, stderr) = beside(script, "");
    let verdict = &outcome["verdicts"][0];
    assert_eq!((&verdict["plugin"], &verdict["version"], &verdict["rule"]), (&json!("own-name"), &json!("2.0.0"), &json!("r")));
    assert_eq!((&verdict["explanation"], &verdict["attributes"]), (&json!("code ENOTFOUND"), &json!({"code": "ENOTFOUND", "n": "1"})));
    // Offsets are bytes, though a script counts in other units.
    assert_eq!((&verdict["evidence"][0]["text"], &verdict["evidence"][0]["start"]), (&json!("boom ENOTFOUND"), &json!(9)));
    assert!(stderr.contains("own-name: info: failing two 3 {deep: [1, \"two\", null]}"), "{stderr}");
}

#[test]
fn without_describe_a_script_is_named_after_its_file() {
    let (outcome, _) = beside("exports.classify = () => [{ classification: 'OURS', confidence: 0.99 }];", "");
    assert_eq!((&outcome["verdicts"][0]["plugin"], &outcome["verdicts"][0]["version"]), (&json!("team"), &json!("0.0.0")));
}

#[test]
fn an_error_carries_the_scripts_file_and_line() {
    let bench = Bench::new();
    let said = |script: &str| {
        bench.file("plugins/team.js", script);
        bench.tracejury(&["plugin", "list"]).stderr
    };
    let syntax = said("// one\nexports.classify = (trace) => {\n  let x = ;\n};\n");
    assert!(syntax.contains("warning: plugins/team.js:3: SyntaxError: unexpected token in expression: ';'; it abstains"), "{syntax}");
    let load = said("const f = () => {\n  throw new TypeError('boo');\n};\nf();\n");
    assert!(load.contains("warning: plugins/team.js:2: TypeError: boo; it abstains"), "{load}");
    let nothing = said("const x = 1;\n");
    assert!(
        nothing
            .contains("warning: plugins/team.js: Error: exports.classify is not a function; it abstains\n  help: README, section Scripts"),
        "{nothing}"
    );
    let module = said("export function classify(trace) {}\n");
    assert!(
        module.contains(
            "plugins/team.js:1: SyntaxError: unsupported keyword: export; a script is no module: write exports.classify = (trace) => …"
        ),
        "{module}"
    );
    assert!(said("").contains("plugins/team.js: is empty"));
    assert!(said("exports.describe = () => ({ name: 7 });\nexports.classify = () => null;").contains("describe.name: is 7, not a string"));
    assert_eq!(
        why("exports.classify = (trace) => {\n  return trace.nothing.at.all;\n};"),
        "declined: team.js:2: TypeError: cannot read property 'at' of undefined"
    );
    assert_eq!(why("exports.classify = () => { throw 'no, thank you'; };"), "declined: team.js: threw no, thank you");
}

#[test]
fn an_answer_that_is_no_verdict_is_told_field_by_field() {
    assert_eq!(why("exports.classify = () => null;"), "no opinion");
    assert_eq!(why("exports.classify = () => [];"), "no opinion");
    assert_eq!(why("exports.classify = () => 7;"), "declined: team.js: TypeError: classify returned 7, not a verdict");
    assert_eq!(
        why("exports.classify = () => ({ classification: 'X' });"),
        "declined: team.js: TypeError: verdict.confidence: is undefined, not a number"
    );
    assert!(
        why("exports.classify = () => ({ classification: 'X', confidence: 1, explination: '' });")
            .starts_with("declined: team.js: TypeError: verdict.explination: is no field of a verdict")
    );
    assert_eq!(
        why("exports.classify = () => ({ classification: 'X', confidence: 7 });"),
        "invalid answer: confidence: 7 is not a number from 0 to 1"
    );
    assert_eq!(why("exports.classify = async () => null;"), "declined: team.js: classify is async; nothing can be waited for here");
}

#[test]
fn an_attribute_has_a_name_and_an_input_is_none() {
    let odd = why("exports.classify = () => ({ classification: 'X', confidence: 1, attributes: { 'a b': 1 } });");
    assert_eq!(odd, "invalid answer: attributes: \"a b\" is no name of 1 to 64 letters, digits, _ . : -");
    let bench = Bench::new();
    bench.file(
        "plugins/team.js",
        "exports.classify = (trace) => ({ classification: 'X', confidence: 1, attributes: { [trace.find(/CUST-\\d+/).text]: 1 } });",
    );
    let mut line: Value = serde_json::from_str(&recorded("s", &failed("no CUST-998877"))).unwrap();
    line["inputParameters"] = json!({"customerId": "CUST-998877"});
    let done = bench.piped(&["classify", "--format", "json"], &line.to_string());
    assert!(done.outcome()["verdicts"][0]["attributes"]["[masked]"] == "1" && !done.stdout.contains("998877"), "{done:?}");
}

#[test]
fn half_a_character_is_no_place_where_evidence_ends() {
    let bench = Bench::new();
    bench.file(
        "plugins/team.js",
        "exports.classify = (trace) => ({ classification: 'X', confidence: 1, evidence: trace.find(/[^a-z ]/) });",
    );
    let outcome = bench.piped(&["classify", "--format", "json"], &recorded("s", &failed("boom \u{1f600} happened"))).outcome();
    assert_eq!(outcome["verdicts"][0]["evidence"][0]["text"], "\u{1f600}", "{outcome}");
}

#[test]
fn there_is_no_clock_no_chance_and_no_network() {
    for (code, what) in [
        ("Date.now()", "Error: the time is not available: a classifier has no clock"),
        ("new Date()", "Error: the time is not available: a classifier has no clock"),
        ("new Date(0).constructor.now()", "Error: the time is not available: a classifier has no clock"),
        ("Math.random()", "Error: Math.random is not available: a classifier has no randomness"),
        ("fetch('http://127.0.0.1')", "Error: fetch is not available: a classifier has no network and nothing to wait for"),
        ("require('fs')", "Error: require is not available: a script is one file"),
        ("performance.now()", "ReferenceError: performance is not defined"),
        ("process.env", "ReferenceError: process is not defined"),
    ] {
        assert_eq!(why(&format!("exports.classify = () => {{ {code}; }};")), format!("declined: team.js:1: {what}"), "{code}");
    }
    let (outcome, _) =
        beside("exports.classify = () => ({ classification: 'X', confidence: 1, explanation: new Date('2026-01-02').toISOString() });", "");
    assert_eq!(outcome["verdicts"][0]["explanation"], "2026-01-02T00:00:00.000Z", "what needs no clock works");
}

#[test]
fn a_script_is_limited_like_any_plugin() {
    let stopped = |script: &str| {
        let (outcome, stderr) = beside(script, "[plugins]\ndeadline_ms = 1500\nmemory_mib = 16\n");
        assert_eq!(outcome["reason"], "dns", "{stderr}");
        outcome["abstained"][0]["why"].as_str().unwrap().to_owned()
    };
    assert_eq!(stopped("exports.classify = () => { for (;;); };"), "stopped after 1500 ms");
    assert_eq!(stopped("exports.classify = () => /^(a+)+$/.test('a'.repeat(40) + '!');"), "stopped after 1500 ms");
    let hungry = stopped("exports.classify = () => { const all = []; for (;;) all.push(new Uint8Array(1 << 20)); };");
    assert!(hungry.contains("memory") || hungry.contains("InternalError"), "{hungry}");
    let deep = stopped("const f = (n) => f(n + 1) + 1;\nexports.classify = () => f(0);");
    assert!(deep.contains("stack"), "{deep}");
}

#[test]
fn a_script_keeps_nothing_from_trace_to_trace_unless_it_is_asked_to() {
    let counts = |settings: &str| {
        let bench = Bench::new();
        bench.file("tracejury.toml", settings);
        bench.file(
            "plugins/team.js",
            "let n = 0;\nexports.classify = () => ({ classification: 'X', confidence: 1, explanation: `call ${++n}` });",
        );
        let lines: String = (0..3).map(|i| recorded(&format!("s{i}"), &failed("x")) + "\n").collect();
        let outcomes = bench.piped(&["classify", "--format", "json"], &lines).outcomes();
        outcomes.iter().map(|o| o["verdicts"][0]["explanation"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(counts(""), ["call 1"; 3]);
    assert_eq!(counts("[plugins.for.team]\nisolation = 'warm'\n"), ["call 1", "call 2", "call 3"]);
}
