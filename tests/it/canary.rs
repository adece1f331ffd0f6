//! Two hundred secrets and personal values go through everything that writes: none of them is found anywhere but at the platform.

use crate::driver::{Bench, Simulator, scenario};
use serde_json::{Value, json};

/// A value that must not be seen, and whether the vector's input holds it or only the platform's answer does.
struct Canary {
    text: String,
    in_input: bool,
}

/// Of each kind in turn; each is told from all others by its number.
fn canary(n: usize) -> Canary {
    let (text, in_input) = match n % 10 {
        0 => (format!("Zelda Quartz-{n:04}"), true),
        1 => (format!("zelda.q{n}@mail.example.com"), true),
        2 => (format!("+49 171 55{n:05}"), true),
        3 => (format!("98{n:03}77"), true),
        4 => (format!("hunter\"{n}\\x"), true),
        5 => (format!("Straße {n} Ü"), true),
        6 => (format!("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ{n:04}In0.c2lnbmF0dXJl{n:04}"), false),
        7 => (format!("user{n}@personal.example.org"), false),
        8 => (format!("svc{n}:pa55-{n}word"), false),
        _ => (format!("CUST-{:06}", 700_000 + n), false),
    };
    Canary { text, in_input }
}

fn action(n: usize) -> String {
    format!("a1b2c3d4-e5f6-7890-abcd-ef123456{n:04}")
}

/// The platform quotes the value wherever it can.
fn told(n: usize, text: &str) -> Value {
    // A password stands in a URL.
    let text = if n % 10 == 8 { format!("https://{text}@db.internal/x") } else { text.to_owned() };
    let message = format!("Cannot read properties of undefined (reading 'x') for {text}, {}", json!(text));
    let answer = json!({"status": "FAILED", "result": {"error": {"message": message}}, "trace": [
        {"stepId": "one", "stepName": format!("Look up {text}"), "output": {"was": text}},
        {"stepId": "two", "stepName": "Call", "input": {"of": text}, "error": {"message": message, "code": text, "stack": format!("Error: {message}\n    at f ({text}.js:1:1)")}}]});
    let faults = match n / 10 % 5 {
        0 => {
            json!({"submit": [{"status": 400, "body": format!("{{\"detail\":\"no such customer: {}\"}}", text.replace('\\', "\\\\").replace('"', "\\\""))}]})
        }
        1 => {
            json!({"submit": [{"status": 500, "body": format!("{{\"detail\":\"failed on {}\"}}", text.replace('\\', "\\\\").replace('"', "\\\""))}]})
        }
        2 => {
            json!({"poll": [{"status": 503, "body": format!("{{\"detail\":\"busy with {}\"}}", text.replace('\\', "\\\\").replace('"', "\\\""))}]})
        }
        3 => json!({"poll": [{"body": format!("<html>{text}</html>")}]}),
        _ => json!({}),
    };
    let mut scenario = scenario(&answer, &faults);
    scenario["dataActionId"] = json!(action(n));
    scenario["name"] = json!(format!("s{n}"));
    scenario
}

/// A classifier that repeats what it hears, in every field it has, and on the log.
const PARROT: &str = r#"
exports.describe = () => ({ name: "parrot", version: "1.0.0", summary: "repeats", reads: ["input", "output"] });
exports.classify = (trace) => {
  const text = trace.steps[1].error.message;
  console.log("heard", text, JSON.stringify(trace.steps[0].output), trace.steps[1].error.stack);
  if (text.length % 3 === 0) throw new Error("cannot stand " + text);
  return { classification: "PARROT", confidence: 0.99, reason: "heard", explanation: "it says " + text, attributes: { said: text },
           evidence: [{ location: "steps[1].error.message", start: 0, end: Math.min(60, text.length) }] };
};
"#;

#[test]
fn two_hundred_secrets_go_through_everything_and_none_is_found() {
    let canaries: Vec<Canary> = (0..200).map(canary).collect();
    let scenarios: Value = canaries.iter().enumerate().map(|(n, canary)| told(n, &canary.text)).collect();
    let simulator = Simulator::script(&json!({"version": 1, "scenarios": scenarios}));
    let mut bench = Bench::against(&simulator);
    bench.settings(
        "[webhook]\ngrace_ms = 2000\n[plugins.grants]\nparrot = ['input', 'output']\n[privacy.rules]\ncustomer = 'CUST-\\d{6}'\n",
    );
    bench.env("AUDIT_LOG_PATH", "audit/audit.jsonl").env("WEBHOOK_URL", &simulator.webhook);
    bench.env("TRACEJURY_PRIVACY_KEY", "an-input-key-of-more-than-32-characters");
    bench.file("plugins/parrot.js", PARROT);
    let vectors: Value = canaries
        .iter()
        .enumerate()
        .map(|(n, canary)| {
            let input = if canary.in_input { json!({"who": {"deep": [canary.text]}}) } else { json!({"order": format!("o-{n}-x")}) };
            json!({"name": format!("v{n}"), "dataActionId": action(n), "environmentId": "test", "inputParameters": input})
        })
        .collect();
    bench.file("vectors.json", vectors.to_string());
    let traces: String = canaries
        .iter()
        .enumerate()
        .filter(|(_, canary)| canary.in_input)
        .map(|(n, canary)| {
            let mut line = told(n, &canary.text)["answer"].clone();
            let own = json!({"sessionId": format!("s{n}"), "actionId": action(n), "environmentId": "test", "inputParameters": {"w": canary.text}});
            line.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
            format!("{line}\n")
        })
        .collect();
    bench.file("recorded/traces.ndjson", &traces);

    let mut written: Vec<(String, Vec<u8>)> = Vec::new();
    for args in [
        &["run", "vectors.json", "--format", "json", "-vvvv"][..],
        &["run", "vectors.json", "-vv"],
        &["classify", "recorded/traces.ndjson", "--format", "json", "-vv"],
        &["runs", "list"],
        &["webhook", "list", "--all", "--format", "json"],
        &["audit", "export"],
    ] {
        let done = bench.tracejury(args);
        assert!(done.code <= 1 || args[0] == "run", "{done:?}");
        assert!(args[0] != "classify" || done.stderr.contains("parrot: info: heard"), "what plugins log is shown: {}", done.stderr);
        written.push((format!("stdout of {args:?}"), done.stdout.into_bytes()));
        written.push((format!("stderr of {args:?}"), done.stderr.into_bytes()));
    }
    let run = bench.tracejury(&["runs", "list", "--format", "json"]).outcomes()[0]["run"].as_str().unwrap().to_owned();
    written.push(("runs show".into(), bench.tracejury(&["runs", "show", &run]).stdout.into_bytes()));
    for folder in [".tracejury", "audit"] {
        for file in std::fs::read_dir(bench.dir.path().join(folder)).unwrap().map(|file| file.unwrap().path()) {
            written.push((file.display().to_string(), std::fs::read(&file).unwrap()));
        }
    }
    let deliveries: String = simulator.deliveries().iter().map(|delivery| format!("{delivery}\n")).collect();
    assert!(deliveries.lines().count() > 200, "there is something to be looked at");
    written.push(("webhooks".into(), deliveries.into_bytes()));

    let escaped = |canary: &Canary| json!(canary.text).to_string().trim_matches('"').to_owned();
    let wanted: Vec<String> = canaries.iter().flat_map(|canary| [canary.text.clone(), escaped(canary)]).collect();
    let finder = aho_corasick::AhoCorasick::new(&wanted).unwrap();
    let hits = written.iter().flat_map(|(place, bytes)| finder.find_iter(bytes).map(move |hit| (place, hit.pattern())));
    let found: Vec<_> = hits.map(|(place, n)| format!("{:?} in {place}", wanted[n])).collect();
    let masked = |bytes: &[u8]| bytes.windows(8).filter(|window| window == b"[masked]").count();
    assert!(written.iter().map(|(_, bytes)| masked(bytes)).sum::<usize>() > 2_000, "there was something to be found");
    assert!(found.is_empty(), "{} found: {:#?}", found.len(), &found[..found.len().min(12)]);
    let flags = &bench.entries("audit/audit.jsonl")[0]["complianceFlags"];
    assert_eq!(flags["dataMasked"], true, "{flags}");
}
