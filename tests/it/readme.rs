//! The README's commands, run as they stand there, and its examples.

use crate::driver::{Bench, Simulator, failed, recorded, root};
use crate::registry::{Registry, Team};
use serde_json::{Value, json};

fn readme() -> String {
    std::fs::read_to_string(root().join("README.md")).unwrap()
}

/// The lines of the README's shell blocks.
fn commands() -> Vec<String> {
    let text = readme();
    let blocks = text.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks.flat_map(str::lines).map(|line| line.split('#').next().unwrap().trim().to_owned()).filter(|line| !line.is_empty()).collect()
}

/// Where each command is run; one that is not here is run nowhere.
const RUN: [(&str, &str); 50] = [
    ("cargo run --release -- demo", ".ci/run"),
    ("cargo test --workspace", ".ci/run"),
    ("plugins/regex/build.sh", ".ci/run"),
    ("plugins/javascript/build.sh", ".ci/run"),
    ("tracejury plugin new refund-faults --lang rules", "the first classifier below"),
    ("tracejury plugin test refund-faults/refund-faults.toml --coverage", "the first classifier below"),
    ("tracejury plugin check refund-faults/refund-faults.toml", "the first classifier below"),
    ("tracejury plugin pack refund-faults/refund-faults.toml -o plugins/refund-faults.wasm", "the first classifier below"),
    ("cargo bench -p tracejury", ".ci/run"),
    ("tracejury simulate", "driver.rs, by every test that has a simulator"),
    ("export CXONE_BASE_URL=http://127.0.0.1:4711 CXONE_CLIENT_ID=demo-client CXONE_CLIENT_SECRET=demo-secret", "the quick start below"),
    ("tracejury plugin list", "plugins.rs"),
    ("tracejury plugin inspect regex", "plugins.rs"),
    ("RUSTC_BOOTSTRAP=1 cargo fuzz run --fuzz-dir tests/fuzz --sanitizer none loader -- -max_total_time=60 -max_len=65536", ".ci/run"),
    ("RUSTC_BOOTSTRAP=1 cargo fuzz run --fuzz-dir tests/fuzz --sanitizer none packs -- -max_total_time=60 -max_len=4096", ".ci/run"),
    ("RUSTC_BOOTSTRAP=1 cargo fuzz run --fuzz-dir tests/fuzz --sanitizer none verdicts -- -max_total_time=60", ".ci/run"),
    ("tracejury run vectors.json", "the quick start below"),
    ("tracejury webhook verify body.json --id msg_1 --timestamp 1767225600 --signature v1,...", "webhook.rs"),
    ("tracejury doctor vectors.json", "the quick start below"),
    ("tracejury runs list", "resume.rs"),
    ("tracejury run --resume", "resume.rs"),
    ("tracejury webhook list", "webhook.rs"),
    ("tracejury webhook flush", "webhook.rs"),
    ("tracejury webhook replay --dead", "webhook.rs"),
    ("tracejury webhook purge --older-than 30d", "webhook.rs"),
    ("tracejury init", "audit.rs"),
    ("tracejury audit checkpoint -o kept-elsewhere.txt", "audit.rs"),
    ("tracejury audit verify --checkpoint kept-elsewhere.txt", "audit.rs"),
    ("tracejury classify traces.ndjson --format json", "the recorded trace below"),
    ("tracejury eval tests/corpus/dev.jsonl --cross-validate", "eval.rs"),
    ("tracejury label 0f8b41de-77c2-4c51-9f0e-2f4f2b6f9a10 INTERNAL_LOGIC_FAULT --reason missing-config", "eval.rs"),
    ("tracejury calibrate", "eval.rs"),
    ("tracejury plugin backtest refund-faults.toml --against traces.ndjson --max-flips 5", "eval.rs"),
    ("tracejury plugin keygen acme-2026", "the twelve lines below"),
    ("tracejury plugin test acme-rules.toml", "the twelve lines below"),
    ("tracejury plugin push acme-rules.toml registry.example.com/acme/rules:1.0.0 --key acme-2026.key", "the twelve lines below"),
    ("tracejury plugin verify registry.example.com/acme/rules:1.0.0 --key acme-2026.pub", "the twelve lines below"),
    ("tracejury plugin trust registry.example.com/acme/rules:1.0.0", "the twelve lines below"),
    ("tracejury plugin pull registry.example.com/acme/rules:1.0.0", "the twelve lines below"),
    ("tracejury plugin backtest plugins/acme-rules.wasm --against traces.ndjson --max-flips 5", "the twelve lines below"),
    ("tracejury run vectors.json --locked", "the twelve lines below"),
    ("tracejury plugin update --max-flips 5 --against traces.ndjson", "the twelve lines below"),
    ("tracejury plugin save registry.example.com/acme/rules:1.0.0 -o acme-rules.tar", "the twelve lines below"),
    ("tracejury plugin load acme-rules.tar", "the twelve lines below"),
    ("tracejury run vectors --dry-run", "tests/fixtures/cli/readme"),
    ("tracejury run vectors --report junit=junit.xml --report html=report.html --report markdown=summary.md", "tests/fixtures/cli/readme"),
    ("tracejury run --rerun-failed", "tests/fixtures/cli/readme"),
    ("tracejury run vectors --filter 'tag(smoke) and not name(~bank)' --retries 2 --fail-fast=10", "tests/fixtures/cli/readme"),
    ("tracejury run order.yaml --data orders.csv --secret API_TOKEN", "tests/fixtures/cli/readme"),
    ("tracejury runs compare previous latest --format markdown", "tests/fixtures/cli/readme"),
];

#[test]
fn every_command_of_the_readme_is_run_somewhere() {
    let script = std::fs::read_to_string(root().join(".ci/run")).unwrap();
    for command in commands() {
        let (_, place) = RUN.iter().find(|(known, _)| *known == command).unwrap_or_else(|| panic!("nothing runs {command}"));
        let words = |text: &str| text.replace(" --locked", "");
        if place.starts_with("tests/") {
            let played = std::fs::read_to_string(root().join(place).join("cmd")).unwrap();
            assert!(played.contains(&command), "{place} does not run {command}");
        }
        assert!(*place != ".ci/run" || words(&script).contains(&command), ".ci/run does not run {command}");
    }
}

#[test]
fn the_suite_of_the_readme_is_the_one_that_is_run() {
    let suite = std::fs::read_to_string(root().join("tests/fixtures/cli/readme/in/vectors/refunds.yaml")).unwrap();
    assert!(readme().contains(&format!("```yaml\n{suite}```")), "{suite}");
}

#[test]
fn the_quick_start_works_with_the_example_vectors() {
    let built_in: Value = serde_json::from_str(include_str!("../../host/src/simulator/built_in.json")).unwrap();
    let simulator = Simulator::script(&built_in);
    let mut bench = Bench::new();
    // The three lines of the export, with the port of this test's simulator.
    let export = commands().into_iter().find(|c| c.starts_with("export ")).unwrap();
    for pair in export.trim_start_matches("export ").split(' ') {
        let (name, value) = pair.split_once('=').unwrap();
        bench.env(name, if name == "CXONE_BASE_URL" { &simulator.url } else { value });
    }
    bench.file("vectors.json", std::fs::read(root().join("vectors.json")).unwrap());
    let done = bench.tracejury(&["run", "vectors.json"]);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.stdout.contains(" ✓  original"), "{}", done.stdout);
    let doctor = bench.tracejury(&["doctor", "vectors.json"]);
    assert_eq!(doctor.code, 0, "{doctor:?}");
    // The lines of the example are those of the program, but for addresses.
    let shown = readme().split("```text\n").find(|text| text.starts_with("ok       settings")).unwrap().to_owned();
    for line in shown.lines().take(4) {
        let what = line.split_inclusive(": ").next().unwrap();
        assert!(doctor.stdout.contains(what), "{what}: {}", doctor.stdout);
    }
}

/// Acme's lines in a folder of its own, and those of the one who takes its rules in another, with a registry of the test's in the place of
/// the one that is named.
#[test]
fn the_twelve_lines_of_sharing_work_as_they_stand() {
    let Some(registry) = Registry::start() else { return };
    let here = |text: &str| text.replace("registry.example.com", &registry.host);
    let (acme, mut you) = (Team::new(), Team::new());
    let pack = acme.pack("acme-rules", "1.0.0", "ACME", "");
    acme.bench.file("acme-rules.toml", acme.bench.read(&pack));
    let simulator = Simulator::script(&serde_json::from_str(include_str!("../../host/src/simulator/built_in.json")).unwrap());
    you.bench.env.extend(Bench::against(&simulator).env);
    let text = readme();
    let rule = text.split("```toml\n").find(|block| block.starts_with("[[trust.from]]")).unwrap().split("```").next().unwrap();
    you.bench.file("tracejury.toml", here(rule));
    you.bench.file("vectors.json", std::fs::read(root().join("vectors.json")).unwrap());
    you.bench.file("traces.ndjson", recorded("s", &failed("ACME-503")));
    let lines: Vec<_> = commands()
        .into_iter()
        .filter(|line| line.contains("acme") || line.ends_with("--locked") || line.contains("plugin update"))
        .collect();
    assert_eq!(lines.len(), 11, "the twelfth is the rule of trust");
    for line in lines {
        let whose =
            if ["keygen", "test", "push", "verify"].iter().any(|word| line.contains(&format!("plugin {word}"))) { &acme } else { &you };
        if line.contains("plugin trust") {
            you.bench.file("acme-2026.pub", acme.bench.read("acme-2026.pub"));
        }
        let line = here(&line);
        let done = whose.bench.tracejury(&line.split(' ').skip(1).collect::<Vec<_>>());
        assert_eq!(done.code, 0, "{line}: {done:?}");
        if line.contains("plugin pull") {
            // What the page shows of it is what is printed, but for the registry's name.
            let shown =
                text.split("```text\n").find(|block| block.starts_with(" plugin      acme-rules")).unwrap().split("```").next().unwrap();
            for row in here(shown).lines() {
                // The time that is allowed follows from how long the tests took where it was packed.
                let row = row.split(", within ").next().unwrap();
                assert!(done.stdout.contains(row), "{row}: {}", done.stdout);
            }
        }
    }
}

#[test]
fn the_profile_and_the_script_of_the_readme_belong_together() {
    let text = readme();
    let block = |language: &str, with: &str| {
        let fence = format!("```{language}\n");
        let mut blocks = text.split(&fence).skip(1).map(|b| b.split("```").next().unwrap());
        blocks.find(|block| block.contains(with)).unwrap().to_owned()
    };
    let bench = Bench::new();
    let script = block("yaml", "seed: 7").replace("client: {", "client: {authentication: body, ");
    let simulator = Simulator::file("script.yaml", &script);
    let bench = Bench { env: Bench::against(&simulator).env, ..bench };
    bench.file("tracejury.toml", block("toml", "[profiles.ours]"));
    let done = bench.run(&crate::driver::vector());
    assert_eq!((done.code, &done.outcome()["reason"]), (1, &json!("dns")), "{done:?}");
    assert_eq!(simulator.requests("/debug").len(), 2, "the first submit is throttled");
}

/// What a plugin says of a refund over the limit.
fn of_a_refund(bench: &Bench) -> Value {
    let line = recorded("s", &failed("150.00 EUR is over the refund limit"));
    bench.piped(&["classify", "--format", "json"], &line).outcome()["verdicts"][0].clone()
}

#[test]
fn the_first_classifier_is_made_and_has_a_vote() {
    let bench = Bench::new();
    bench.file("traces.ndjson", recorded("s", &failed("150.00 EUR is over the refund limit")));
    // Where it is tried on an archive it lies in the folder of its project.
    let refund = |word: &str| word.replace("backtest refund-faults.toml", "backtest refund-faults/refund-faults.toml");
    for command in commands().iter().filter(|command| command.contains("refund-faults")).map(|command| refund(command)) {
        let words: Vec<_> = command.split(' ').skip(1).collect();
        let done = bench.tracejury(&words);
        assert_eq!(done.code, 0, "{command}: {done:?}");
    }
    assert_eq!((&of_a_refund(&bench)["plugin"], &of_a_refund(&bench)["rule"]), (&json!("refund-faults"), &json!("refund-limit")));
}

#[test]
fn the_examples_of_a_rule_pack_and_a_script_work_as_they_stand() {
    for (fence, start, file) in
        [("```toml\n", "schema = 1", "plugins/refund-faults.toml"), ("```js\n", "exports.classify", "plugins/refund-faults.js")]
    {
        let text = readme();
        let example = text.split(fence).skip(1).find(|block| block.starts_with(start)).unwrap().split("```").next().unwrap();
        let bench = Bench::new();
        bench.file(file, example);
        let verdict = of_a_refund(&bench);
        assert_eq!(
            (&verdict["plugin"], &verdict["explanation"]),
            (&json!("refund-faults"), &json!("The refund of 150.00 EUR is over our own limit.")),
            "{file}"
        );
    }
}

#[test]
fn the_examples_of_components_are_those_of_the_templates() {
    // That of Rust is built by `ten_minutes::in_rust`.
    for (language, file) in [("python", "python/classifier.py"), ("javascript", "javascript/classifier.js"), ("c", "c/src/classifier.c")] {
        let template = std::fs::read_to_string(root().join("plugins/templates").join(file)).unwrap();
        let text = readme();
        let fence = format!("```{language}\n");
        let mut blocks = text.split(&fence).skip(1).map(|block| block.split("```").next().unwrap());
        // That which checks the audit log is no classifier.
        let example = blocks.find(|block| !block.contains("hashlib")).unwrap();
        assert!(template.contains(example), "{file} has not:\n{example}");
    }
}

#[test]
fn the_first_example_is_the_vector_of_the_original() {
    let vectors: Value = serde_json::from_str(&std::fs::read_to_string(root().join("vectors.json")).unwrap()).unwrap();
    assert_eq!(vectors[0]["dataActionId"], "a1b2c3d4-e5f6-7890-abcd-ef1234567890");
    assert_eq!(vectors[0]["inputParameters"].to_string(), r#"{"customerId":"CUST-998877","orderAmount":150.75,"currency":"USD"}"#);
    assert_eq!(vectors[0]["environmentId"], "test");
}

#[test]
fn the_recorded_trace_of_the_readme_is_classified() {
    let text = readme();
    let line = text.lines().find(|l| l.starts_with("{\"sessionId\"")).unwrap();
    let bench = Bench::new();
    bench.file("traces.ndjson", line);
    let done = bench.tracejury(&["classify", "traces.ndjson", "--format", "json"]);
    assert_eq!((done.code, done.outcome()["reason"].as_str()), (0, Some("dns")), "{done:?}");
}

#[test]
fn the_readmes_table_is_what_the_demo_prints() {
    let done = Bench::new().tracejury(&["demo"]);
    let shown: Vec<String> = readme().lines().filter(|l| l.starts_with(" ✓  ")).map(str::to_owned).collect();
    assert!(shown.len() > 5);
    for row in shown {
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(done.stdout.lines().any(|line| words(line) == words(&row)), "not printed: {row}\n{}", done.stdout);
    }
}

#[test]
fn the_readme_has_every_setting_and_exit_code() {
    let text = readme();
    for table in tracejury::config::DEFAULTS.lines().filter(|l| l.starts_with('[')) {
        assert!(text.contains(&format!("`{table}`")), "{table}");
    }
    let help = Bench::new().tracejury(&["run", "--help"]).stdout;
    for code in ["0", "1", "2", "3", "130"] {
        assert!(text.contains(&format!("| {code} |")) && help.contains(&format!("\n  {code} ")), "{code}");
    }
}
