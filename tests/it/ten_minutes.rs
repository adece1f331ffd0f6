//! Ten minutes: in each language a new project is made, edited, tested, built or packed, dropped into `plugins/`, and a run shows the
//! new classification. Components built by each language's own tools run in another host too (the `wasmtime` package of Python), since
//! the contract must not depend on ours. What needs a tool that is missing is skipped with a word; `.ci/run` installs them.

use crate::driver::{Bench, Simulator, failed, recorded, root, scenario, vector};
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

/// What the template recognises, and what it is edited to.
const BEFORE: &str = "over the refund limit";
const AFTER: &str = "beyond the tariff table";
const MESSAGE: &str = "99.00 EUR is beyond the tariff table";

/// Says that something is skipped; where everything has been installed nothing may be.
pub fn skipped(why: &str) {
    assert!(std::env::var_os("TRACEJURY_SKIP_NOTHING").is_none(), "{why}");
    // Past the test runner, which keeps what a test that passes prints.
    let _ = writeln!(std::io::stderr(), "skipped: {why}; .ci/run shows how");
}

/// Runs a tool in the project; none where it is not there.
fn tool(dir: &Path, program: &str, args: &[&str]) -> Option<()> {
    let mut command = Command::new(program);
    // Kept from one test run to the next: building a standard library takes a minute.
    command.args(args).current_dir(dir).env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("templates"));
    let Ok(output) = command.output() else {
        skipped(&format!("{program} is not installed"));
        return None;
    };
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&said));
    Some(())
}

/// Replaces the template's phrase by our own, in every file that has it.
fn edit(dir: &Path) {
    let mut edited = 0;
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else if let Ok(text) = std::fs::read_to_string(&entry) {
                edited += usize::from(text.contains(BEFORE));
                std::fs::write(&entry, text.replace(BEFORE, AFTER)).unwrap();
            }
        }
    }
    assert!(edited >= 2, "the classifier and its cases");
}

/// From nothing to a run that shows the new classification. `own_tests` are what the project's README says beside our commands.
fn ten_minutes(lang: &str, file: &str, own_tests: impl FnOnce(&Path) -> Option<()>) {
    let answer = failed(MESSAGE);
    let simulator = Simulator::of(&scenario(&answer, &json!({})));
    let mut bench = Bench::against(&simulator);
    bench.settings("\n[plugins]\ndeadline_ms = 20000\nload_deadline_ms = 60000\n");
    bench.env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("templates").to_str().unwrap());
    let ok = |args: &[&str]| {
        let done = bench.tracejury(args);
        assert_eq!(done.code, 0, "{args:?}: {done:?}");
        done
    };
    ok(&["plugin", "new", "ours", "--lang", lang]);
    let dir = bench.dir.path().join("ours");
    if own_tests(&dir).is_none() {
        return;
    }
    let build = || {
        if file.ends_with(".wasm") {
            ok(&["plugin", "build", "ours"]);
        }
    };
    let path = format!("ours/{file}");
    build();
    assert!(!ok(&["plugin", "check", &path]).stdout.contains(" ! "), "it passes as it is, without a warning");
    assert_eq!(ok(&["plugin", "test", &path]).stdout.lines().last().unwrap().split(": ").last().unwrap().split(' ').nth(2), Some("0"));
    if lang == "rust" {
        // The README's example stands in for the template from here on: it is as whole as it looks.
        let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
        let example = readme.split("```rust\n").nth(1).unwrap().split("```").next().unwrap();
        std::fs::write(dir.join("src/lib.rs"), example).unwrap();
    }
    if lang == "javascript" {
        // A slip that only shows when a trace comes is told when it is built.
        let main = dir.join("classifier.js");
        let good = std::fs::read_to_string(&main).unwrap();
        std::fs::write(&main, good.replace("export function classify", "export function clasify")).unwrap();
        let said = ok(&["plugin", "build", "ours"]).stderr;
        assert!(said.contains("fails on a first trace: ") && said.contains("in classifier.js an export may be missing"), "{said}");
        std::fs::write(&main, good).unwrap();
    }
    edit(&dir);
    build();
    ok(&["plugin", "test", &path]);
    if !file.ends_with(".wasm") {
        ok(&["plugin", "pack", &path]);
    }
    std::fs::create_dir(bench.dir.path().join("plugins")).unwrap();
    std::fs::copy(dir.join("ours.wasm"), bench.dir.path().join("plugins/ours.wasm")).unwrap();
    let outcome = bench.run(&json!([vector()])).outcome();
    let verdict = &outcome["verdicts"][0];
    assert_eq!(
        (&verdict["plugin"], &outcome["classification"], &outcome["reason"]),
        (&json!("ours"), &json!("INTERNAL_LOGIC_FAULT"), &json!("business-rule")),
        "{outcome}"
    );
    assert!(verdict["evidence"][0]["text"].as_str().unwrap().ends_with(AFTER), "{outcome}");
    if lang == "rust" {
        let measured = ok(&["plugin", "bench", &path, "--native", "ours", "--format", "json"]).outcomes();
        let native = measured.last().unwrap();
        assert_eq!(native["name"], "the same crate, natively");
        assert!(native["p50Micros"].as_f64().unwrap() > 0.0, "{measured:?}");
    }
    if !matches!(lang, "rules" | "script") {
        another_host(&bench, &dir.join("ours.wasm"), verdict);
    }
}

/// The same component in a host that is not ours says the same of the same trace.
pub fn another_host(bench: &Bench, component: &Path, ours: &Value) {
    let known = Command::new("python3").args(["-c", "import wasmtime.component"]).output();
    if !known.is_ok_and(|output| output.status.success()) {
        skipped("Python's package wasmtime is not installed");
        return;
    }
    let trace = bench.file("trace.json", recorded("s", &failed(MESSAGE)));
    let script = root().join("tests/guests/another_host.py");
    let output = Command::new("python3").arg(script).arg(component).arg(trace).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let theirs: Value = serde_json::from_slice(&output.stdout).unwrap();
    for field in ["classification", "confidence", "reason", "explanation"] {
        assert_eq!(theirs[0][field], ours[field], "{theirs}");
    }
    let evidence = |verdict: &Value| ["location", "start", "end"].map(|field| verdict["evidence"][0][field].clone());
    assert_eq!(evidence(&theirs[0]), evidence(ours));
}

#[test]
fn with_rules() {
    ten_minutes("rules", "ours.toml", |_| Some(()));
}

#[test]
fn with_a_script() {
    ten_minutes("script", "ours.js", |_| Some(()));
}

#[test]
fn in_rust() {
    ten_minutes("rust", "ours.wasm", |dir| {
        let target = Command::new("rustc").args(["--print", "sysroot"]).output().ok()?;
        let sysroot = String::from_utf8(target.stdout).unwrap();
        let has_target = Path::new(sysroot.trim()).join("lib/rustlib/wasm32-unknown-unknown").is_dir();
        let debian = ["/usr/bin/cargo", "/usr/bin/rustc"].iter().all(|tool| Path::new(tool).is_file());
        if !(has_target || debian) {
            skipped("there is no Rust toolchain for wasm32-unknown-unknown");
            return None;
        }
        tool(dir, "cargo", &["test", "--quiet"])
    });
}

#[test]
fn in_javascript() {
    ten_minutes("javascript", "ours.wasm", |dir| {
        tool(dir, "componentize-qjs", &["--help"])?;
        tool(dir, "node", &["--test"])
    });
}

#[test]
fn in_python() {
    ten_minutes("python", "ours.wasm", |dir| {
        tool(dir, "componentize-py", &["--version"])?;
        tool(dir, "python3", &["-m", "unittest"])
    });
}

#[test]
fn in_c() {
    ten_minutes("c", "ours.wasm", |dir| {
        tool(dir, "clang", &["--version"])?;
        tool(dir, "wasm-ld", &["--version"]).or_else(|| tool(dir, "wasm-ld-14", &["--version"]))
    });
}
