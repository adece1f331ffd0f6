//! What those who write classifiers are told: by `plugin check`, `test`, `explain`, `bench`, `pack`, `build` and `unclassified`.

use crate::driver::{Bench, Done, failed, recorded};
use crate::guests::component;
use crate::hostile::base;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

pub const PACK: &str = "schema = 1\nname = 'team'\nversion = '1.0.0'\nsummary = 'Ours.'\nlicense = 'MIT'\nsource = 'https://example.com/team'\n
[[rule]]\nid = 'sealed'\nclassification = 'OURS'\nconfidence = 0.9\nexplain = 'sealed'\nany = ['ledger [0-9]+ is sealed']\nmatches = ['ledger 7 is sealed']\nrejects = ['ledger is open']
\n[[rule]]\nid = 'ledger'\nclassification = 'OURS'\nconfidence = 0.5\nexplain = 'some ledger'\nany = ['ledger']\nnone = ['open']\n
[[rule]]\nid = 'never'\nclassification = 'OURS'\nconfidence = 0.4\nexplain = 'never'\nall = ['ledger', 'moon']\n";

/// Waits for nobody: what is told within limits of a run.
fn beyond(limit: &str, pack: &str) -> (i32, String) {
    let bench = Bench::new();
    bench.file("tracejury.toml", limit);
    bench.file("team.toml", pack);
    let done = bench.tracejury(&["plugin", "check", "team.toml"]);
    (done.code, done.stdout)
}

#[test]
fn check_holds_the_limits_of_a_run() {
    let (code, said) = beyond("[plugins]\nmax_text_bytes = 5\n", PACK);
    assert!(code == 1 && said.contains("invalid answer: a text of 6 bytes, more than 5"), "{said}");
}

#[test]
fn check_refuses_what_answers_where_nothing_failed() {
    let bench = Bench::new();
    bench.file("wide.js", "exports.describe = () => ({ name: 'wide', version: '1.0.0', summary: 's', reads: ['outputs'], classifications: [] });\nexports.classify = () => ({ classification: 'X', confidence: 1 });");
    let (code, findings) = checked(&bench, "wide.js");
    assert_eq!(code, 1);
    has(&findings, "bad", "conformance", "an execution that went well: answers X 1.00; of what did not fail there is nothing to say");
    has(&findings, "warning", "conformance", "answers X, which `describe` does not list under classifications");
    has(&findings, "bad", "metadata", "reads: outputs cannot be granted; there are input, output, timestamp");
    bench.file("slow.js", "exports.classify = () => { for (;;); };");
    bench.file("tracejury.toml", "[plugins]\ndeadline_ms = 200\n");
    let (_, findings) = checked(&bench, "slow.js");
    assert_eq!(findings.iter().filter(|(_, _, text)| text.contains("stopped after 200 ms")).count(), 3, "then it is enough: {findings:#?}");
}

#[test]
fn a_rule_for_outputs_is_tested_with_outputs() {
    let bench = Bench::new();
    bench.file("team.toml", PACK.replace("any = ['ledger [0-9]+ is sealed']", "any = ['ledger [0-9]+ is sealed']\nin = ['output']"));
    assert_eq!(bench.tracejury(&["plugin", "test", "team.toml"]).code, 0);
}

/// A bench with the pack and cases of it.
pub fn with_cases(cases: &[(&str, Value)]) -> Bench {
    let bench = Bench::new();
    bench.file("team.toml", PACK);
    let line = |(i, (message, verdict)): (usize, &(&str, Value))| {
        let mut case: Value = serde_json::from_str(&recorded(&format!("case-{i}"), &failed(message))).unwrap();
        case["verdict"] = verdict.clone();
        case.to_string() + "\n"
    };
    bench.file("cases.ndjson", cases.iter().enumerate().map(line).collect::<String>());
    bench
}

/// Marks and texts of `plugin check`, by subject.
fn checked(bench: &Bench, file: &str) -> (i32, Vec<(String, String, String)>) {
    let done = bench.tracejury(&["plugin", "check", file, "--format", "json"]);
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    (done.code, done.outcomes().iter().map(|f| (text(f, "mark"), text(f, "subject"), text(f, "text"))).collect())
}

fn has(findings: &[(String, String, String)], mark: &str, subject: &str, part: &str) {
    let found = findings.iter().any(|(m, s, text)| m == mark && s == subject && text.contains(part));
    assert!(found, "no {mark} {subject} with {part:?}: {findings:#?}");
}

#[test]
fn check_looks_at_a_good_pack_from_all_sides() {
    let bench = with_cases(&[("ledger 9 is sealed", json!({"rule": "sealed"}))]);
    let (code, findings) = checked(&bench, "team.toml");
    assert_eq!(code, 0, "{findings:#?}");
    for subject in ["loads", "world", "metadata", "limits", "tests", "conformance", "determinism", "consumer"] {
        has(&findings, "good", subject, "");
    }
    has(&findings, "good", "tests", "3 examples and cases hold");
    has(&findings, "warning", "rules", "never: has no example that it matches");
    has(&findings, "good", "consumer", "answers OURS; sealed: it sees error texts only");
    let human = bench.tracejury(&["plugin", "check", "team.toml"]);
    assert!(human.stdout.starts_with(" ✓  loads ") && human.stderr.contains("fit to be given to others, 2 warnings"), "{human:?}");
}

#[test]
fn check_tells_what_a_plugin_does_wrong() {
    let bench = Bench::new();
    let of = |name: &str, bytes: &[u8]| {
        bench.file(&format!("{name}.wasm"), bytes);
        let (code, findings) = checked(&bench, &format!("{name}.wasm"));
        (code, findings)
    };
    let (code, findings) = of("wasi", &component("wasi", |text| text));
    assert_eq!(code, 1);
    has(
        &findings,
        "bad",
        "loads",
        "asks for what no classifier gets: wasi:clocks/monotonic-clock@0.2.0; build it for wasm32-unknown-unknown, or without WASI",
    );
    has(
        &findings,
        "bad",
        "world",
        "wasi:clocks/monotonic-clock@0.2.0: is imported; a classifier gets nothing but tracejury:classifier/host",
    );
    let (_, findings) = of("wrong-world", &component("wrong-world", |text| text));
    has(&findings, "bad", "loads", "is not of the world tracejury:classifier@0.1.0");
    has(&findings, "bad", "world", "classify(trace): is ");
    let (_, findings) = of("trap", &component("trap", |text| text));
    has(&findings, "bad", "conformance", "an empty trace: trapped: wasm trap: wasm `unreachable` instruction executed");
    has(&findings, "warning", "metadata", "no licence is given");
    has(&findings, "warning", "tests", "there are neither examples nor cases");
    // Counts its calls, which shows where an instance is kept for the next trace.
    let counts = "(i32.store8 (i32.const 576) (i32.add (i32.load8_u (i32.const 576)) (i32.const 1)))";
    bench.file("tracejury.toml", "[plugins]\nisolation = 'warm'\n");
    let (_, findings) = of("base", &base(&[("classify", counts)]));
    has(&findings, "bad", "determinism", "a second time the answer is another");
    let (code, findings) = of("broken", b"no component");
    assert_eq!(code, 1);
    has(&findings, "bad", "loads", "broken.wasm: is not WebAssembly");
}

#[test]
fn a_test_that_fails_says_where_and_what() {
    let bench = with_cases(&[
        ("ledger 9 is sealed", json!({"classification": "OURS", "rule": "ledger"})),
        ("the ledger is open", json!({"classification": "OURS"})),
        ("ledger", Value::Null),
        ("nothing", Value::Null),
    ]);
    bench.file("team.toml", PACK.replace("'ledger is open'", "'ledger 8 is sealed'").replace("'ledger 7 is sealed'", "'a moon'"));
    let done = bench.tracejury(&["plugin", "test", "team.toml", "--junit", "report.xml"]);
    let wanted = [
        "✗ team.toml:9: rule sealed: matches \"a moon\"",
        "    does not speak: needs `ledger [0-9]+ is sealed` in message, code, stack",
        "✗ team.toml:9: rule sealed: rejects \"ledger 8 is sealed\"",
        "    matches all the same",
        "✗ cases.ndjson:1: case case-0",
        "    rule: expected \"ledger\", got \"sealed\"",
        "✗ cases.ndjson:2: case case-1",
        "    expected OURS, got no verdict",
        "✗ cases.ndjson:3: case case-2",
        "    expected no verdict, got OURS 0.50 by rule ledger",
        "team 1.0.0: 1 passed, 5 failed",
    ];
    assert_eq!((done.code, done.stdout.lines().collect::<Vec<_>>()), (1, wanted.to_vec()), "{}", done.stderr);
    let report = bench.read("report.xml");
    assert!(
        report.contains("tests=\"6\" skipped=\"0\" failures=\"5\"") && report.contains("<testcase name=\"case case-3\" classname=\"team\""),
        "{report}"
    );
    assert!(report.contains("<failure message=\"expected OURS, got no verdict\""), "{report}");
}

#[test]
fn update_writes_what_is_said_now() {
    let bench = with_cases(&[("ledger 9 is sealed", json!({"rule": "ledger"})), ("nothing", json!({"rule": "sealed"}))]);
    assert_eq!(bench.tracejury(&["plugin", "test", "team.toml"]).code, 1);
    let done = bench.tracejury(&["plugin", "test", "team.toml", "--update"]);
    assert_eq!((done.code, done.stdout.trim()), (0, "2 cases written; `tracejury plugin test` says what still fails"), "{done:?}");
    let lines: Vec<Value> = bench.read("cases.ndjson").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["verdict"], json!({"rule": "sealed"}), "as much as the case asked for");
    assert_eq!(lines[1]["verdict"], Value::Null);
    assert_eq!(bench.tracejury(&["plugin", "test", "team.toml"]).code, 0);
}

#[test]
fn update_blesses_no_success_that_is_matched() {
    let bench = with_cases(&[]);
    let success = json!({"status": "COMPLETED", "result": {}, "trace": [{"stepId": "a", "error": {"message": "a ledger, mended"}}]});
    let before = recorded("fine", &success);
    bench.file("cases.ndjson", &before);
    fails(&bench.tracejury(&["plugin", "test", "team.toml", "--update"]), 2, "cases.ndjson:1: matches a success: OURS 0.50 by rule ledger");
    assert_eq!(bench.read("cases.ndjson"), before);
}

#[test]
fn coverage_names_rules_that_nothing_matches_and_those_that_overlap() {
    let bench = with_cases(&[("ledger 9 is sealed", json!({"rule": "sealed"}))]);
    let done = bench.tracejury(&["plugin", "test", "team.toml", "--coverage"]);
    let line = |rule: &str| {
        done.stdout.lines().find(|line| line.trim().starts_with(rule)).unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(line("sealed"), "sealed 2 2 ledger (2)", "{}", done.stdout);
    assert_eq!(line("ledger"), "ledger 2 0 sealed (2)");
    assert!(done.stdout.contains("never matched: never"), "{}", done.stdout);
}

#[test]
fn a_rule_that_matches_a_success_is_reported() {
    let bench = with_cases(&[]);
    let success =
        json!({"status": "COMPLETED", "result": {}, "trace": [{"stepId": "a", "error": {"message": "a ledger, caught and mended"}}]});
    bench.file("successes.ndjson", recorded("fine", &success));
    let done = bench.tracejury(&["plugin", "test", "team.toml", "successes.ndjson"]);
    assert!(
        done.code == 1 && done.stdout.contains("✗ successes.ndjson:1: case fine\n    matches a success: OURS 0.50 by rule ledger"),
        "{done:?}"
    );
}

#[test]
fn tests_run_again_when_a_file_is_saved() {
    let bench = with_cases(&[("ledger 9 is sealed", json!({"rule": "sealed"}))]);
    let mut child =
        bench.command(&["plugin", "test", "team.toml", "--watch"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap());
    let mut until = |wanted: &str| {
        let mut line = String::new();
        while !line.contains(wanted) {
            line.clear();
            assert_ne!(said.read_line(&mut line).unwrap(), 0, "it ended without saying {wanted}");
        }
    };
    until("team 1.0.0: 3 passed, 0 failed");
    bench.file("team.toml", PACK.replace("'sealed'\nclass", "'closed'\nclass").replace("1.0.0", "1.1.0"));
    until("team 1.1.0: 2 passed, 1 failed");
    // A file that is broken for a moment ends nothing.
    bench.file("team.toml", "schema =");
    bench.file("team.toml", PACK);
    until("team 1.0.0: 3 passed, 0 failed");
    bench.file("cases.ndjson", recorded("s", &failed("ledger 1 is sealed")));
    until("2 passed, 0 failed, 1 cases say nothing (--update writes them)");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn explain_shows_rules_matches_and_what_each_would_need() {
    let bench = with_cases(&[]);
    let done = bench.piped(&["plugin", "explain", "team.toml"], &recorded("s-1", &failed("ledger 9 is sealed")));
    let lines: Vec<_> = done.stdout.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(lines[0], "s-1: OURS 0.90 by rule sealed: sealed");
    assert_eq!(lines[2], "sealed speaks 0.90 OURS steps[1].error.message[0..18] “ledger 9 is sealed”");
    assert!(
        lines[3].starts_with("ledger beaten 0.50 OURS steps[1].error.message[0..6] “ledger”")
            && lines[3].ends_with("a confidence above 0.9, which sealed has"),
        "{lines:?}"
    );
    assert!(lines[4].starts_with("never silent 0.40 OURS") && lines[4].ends_with("`moon` too"), "{lines:?}");
    let by_name = bench.piped(&["plugin", "explain", "regex", "--format", "json"], &recorded("s", &failed("getaddrinfo ENOTFOUND x")));
    assert_eq!(by_name.outcome()["rules"][0]["rule"], "dns", "{by_name:?}");
    let every = bench.piped(&["plugin", "explain", "team.toml", "--every-rule"], &recorded("s", &failed("odd")));
    assert_eq!(every.stdout.lines().filter(|line| line.contains(" silent ")).count(), 3, "{}", every.stdout);
}

#[test]
fn bench_measures_beside_the_default_classifier_and_natively() {
    let bench = with_cases(&[("ledger 9 is sealed", json!({"rule": "sealed"}))]);
    let done = bench.tracejury(&["plugin", "bench", "team.toml", "--format", "json"]);
    let names: Vec<_> = done.outcomes().iter().map(|line| line["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, ["team", "regex (the default classifier)", "the same rules, natively"], "{done:?}");
    for line in done.outcomes() {
        let micros = |key: &str| line[key].as_f64().unwrap();
        assert!(micros("p50Micros") > 0.0 && micros("p50Micros") <= micros("p99Micros"), "{line}");
    }
    let table = bench.tracejury(&["plugin", "bench", "team.toml"]).stdout;
    assert!(table.contains("P50") && table.contains("START") && table.contains("MEMORY"), "{table}");
}

#[test]
fn sessions_nobody_could_classify_are_collected_grouped_and_get_rules_proposed() {
    let bench = Bench::new();
    bench.file("tracejury.toml", "[plugins]\nunclassified = 'unclassified.ndjson'\n");
    let line = |i: usize, message: &str| {
        let mut line: Value = serde_json::from_str(&recorded(&format!("s{i}"), &failed(message))).unwrap();
        line["inputParameters"] = json!({"customer": "CUST-998877"});
        line.to_string() + "\n"
    };
    let lines = line(1, "ledger 17 of CUST-998877 is sealed")
        + &line(2, "ledger 18 of CUST-998877 is sealed")
        + &line(3, "getaddrinfo ENOTFOUND x");
    assert_eq!(bench.piped(&["classify", "--format", "json"], &lines).outcomes().len(), 3);
    let kept = bench.read("unclassified.ndjson");
    assert_eq!(kept.lines().count(), 2, "{kept}");
    assert!(kept.contains("ledger 17 of [masked] is sealed") && !kept.contains("998877"), "{kept}");
    // Reading the file that is collected into adds nothing to it.
    assert_eq!(bench.tracejury(&["classify", "unclassified.ndjson", "--format", "json"]).outcomes().len(), 2);
    assert_eq!(bench.read("unclassified.ndjson"), kept);
    let unclassified = |more: &[&str]| bench.tracejury(&[&["plugin", "unclassified"], more].concat());
    let done = unclassified(&[]);
    assert!(done.stdout.contains("# 2 of ledger ⟨number⟩ of ⟨masked⟩ is sealed\n[[rule]]\nid = \"ledger-sealed\""), "{done:?}");
    assert!(done.stderr.contains("2 of 2 failed sessions nobody could classify, in 1 groups"), "{done:?}");
    let success = json!({"status": "COMPLETED", "result": {}, "trace": [{"stepId": "a", "output": "ledger 1 of x is sealed"}]});
    bench.file("successes.ndjson", recorded("fine", &success));
    let wide = unclassified(&["unclassified.ndjson", "successes.ndjson"]);
    assert!(wide.stdout.starts_with("# matches 1 executions that went well: too wide as it is\n"), "{wide:?}");
    // The proposal, put into a pack with what only a person can say, is a rule that classifies them.
    let rule = done.stdout.replace("\"UNKNOWN\"", "\"OURS\"");
    bench.file("plugins/learnt.toml", format!("schema = 1\nname = 'learnt'\nversion = '0.1.0'\nsummary = 's'\n{rule}"));
    let rest = unclassified(&[]);
    assert!(rest.stdout.is_empty() && rest.stderr.contains("2 failed sessions, all of them classified"), "{rest:?}");
    let tested = bench.tracejury(&["plugin", "test", "plugins/learnt.toml"]);
    assert_eq!(tested.stdout.trim(), "learnt 0.1.0: 2 passed, 0 failed");
}

pub fn fails(done: &Done, code: i32, said: &str) {
    assert!(done.code == code && done.stderr.contains(said) && done.stderr.contains("\n  help: "), "wanted {said:?}: {done:?}");
}

#[test]
fn what_is_missing_or_wrong_is_said_with_the_next_step() {
    let bench = with_cases(&[]);
    fails(&bench.tracejury(&["plugin", "test", "gone.toml"]), 2, "gone.toml: cannot be read");
    fails(&bench.tracejury(&["plugin", "test", "team.toml", "gone.ndjson"]), 2, "gone.ndjson: ");
    bench.file("bad.ndjson", "{}");
    fails(&bench.tracejury(&["plugin", "test", "team.toml", "bad.ndjson"]), 2, "bad.ndjson:1: ");
    fails(&bench.tracejury(&["plugin", "explain", "nobody"]), 2, "nobody: no plugin has this name, and no file");
    fails(&bench.tracejury(&["plugin", "new", "Bad_Name"]), 2, "Bad_Name: is no name for a classifier");
    fails(&bench.tracejury(&["plugin", "new", "good", "--dir", "."]), 2, ".: something is there already");
    fails(&bench.tracejury(&["plugin", "new", "regex"]), 2, "regex: is the name of the default classifier");
    fails(&bench.tracejury(&["plugin", "test", "nobody"]), 2, "nobody: no plugin has this name, and no file");
    fails(&bench.tracejury(&["plugin", "build", "gone"]), 2, "gone: ");
    fails(&bench.tracejury(&["plugin", "unclassified"]), 2, "there is nothing to look at");
    fails(&bench.tracejury(&["plugin", "inspect", "--rules", "gone"]), 3, "gone: cannot be read");
    let mut without_tools = Bench::new();
    without_tools.env("PATH", "/nowhere");
    for (lang, said) in [
        ("c", "clang is not installed"),
        ("javascript", "componentize-qjs is not installed"),
        ("python", "componentize-py is not installed"),
    ] {
        assert_eq!(without_tools.tracejury(&["plugin", "new", "ours", "--lang", lang, "--dir", lang]).code, 0);
        fails(&without_tools.tracejury(&["plugin", "build", lang]), 2, said);
    }
}
