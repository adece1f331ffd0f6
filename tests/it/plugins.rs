//! How plugins are run: isolation, grants, limits of their own, the cache, what `plugin list` and `inspect` say, and new versions
//! while a command goes on.

use crate::driver::{Bench, failed, recorded};
use crate::guests::component;
use crate::hostile::base;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Stdio};

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
fn a_plugin_folder_by_flag_must_exist() {
    let done = Bench::new().piped(&["classify", "--plugins", "nowhere"], "{}");
    assert!(done.code == 2 && done.stderr.starts_with("error: nowhere: is not a folder"), "{done:?}");
}

/// What a plugin says of the same trace four times in a row; `-` where it abstains.
fn four_times(settings: &str, name: &str, bytes: &[u8]) -> Vec<String> {
    let bench = Bench::new();
    bench.file("tracejury.toml", settings);
    bench.file(&format!("plugins/{name}.wasm"), bytes);
    let done = bench.piped(&["classify", "--format", "json"], &four(&json!({"stepId": "a"})));
    let said =
        |outcome: &Value| outcome["verdicts"][0]["explanation"].as_str().unwrap_or("-").trim_start_matches("this is call ").to_owned();
    done.outcomes().iter().map(said).collect()
}

#[test]
fn a_warm_instance_is_replaced_after_so_many_calls() {
    let settings = "[plugins.for.counter]\nisolation = 'warm'\nmax_calls = 3\n";
    assert_eq!(four_times(settings, "counter", &component("counter", |text| text)), ["no1", "no2", "no3", "no1"]);
    let settings = "[plugins.for.other]\nisolation = 'warm'\n";
    assert_eq!(four_times(settings, "counter", &component("counter", |text| text)), ["no1"; 4]);
}

#[test]
fn a_warm_instance_that_trapped_is_replaced() {
    // Counts in its explanation, and traps at every second call.
    let code = "(i32.store8 (i32.const 576) (i32.add (i32.load8_u (i32.const 576)) (i32.const 1)))
        (if (i32.eq (i32.load8_u (i32.const 576)) (i32.const 118)) (then (unreachable)))";
    let said = four_times("[plugins]\nisolation = 'warm'\n", "base", &base(&[("classify", code)]));
    assert_eq!(said, ["uhe team says so", "-", "uhe team says so", "-"]);
}

#[test]
fn a_plugin_can_have_limits_of_its_own() {
    let grow = "(drop (memory.grow (i32.const 300))) (if (i32.lt_u (memory.size) (i32.const 300)) (then (unreachable)))";
    let hungry = base(&[("classify", grow)]);
    let said = |settings: &str| four_times(settings, "base", &hungry).remove(0);
    assert_eq!(said("[plugins]\nmemory_mib = 8\n"), "-");
    assert_eq!(said("[plugins]\nmemory_mib = 8\n[plugins.for.base]\nmemory_mib = 32\n"), "the team says so");
}

#[test]
fn a_component_that_does_not_fit_into_the_pool_runs_beside_it() {
    let mut globals = String::new();
    (0..70_000).for_each(|_| globals.push_str("(global (mut i64) (i64.const 0))\n"));
    let bench = Bench::new();
    bench.file("plugins/wide.wasm", base(&[("parts", &globals)]));
    let outcome = bench.piped(&["classify", "--format", "json"], &recorded("s", &failed("x"))).outcome();
    assert_eq!(outcome["verdicts"][0]["explanation"], "the team says so", "{outcome}");
    let inspected = bench.tracejury(&["plugin", "inspect", "base", "--format", "json"]).outcome();
    assert_eq!(inspected["pooled"], false);
    assert_eq!(bench.tracejury(&["plugin", "inspect", "regex", "--format", "json"]).outcome()["pooled"], true);
}

#[test]
fn a_plugin_is_inspected_by_name_or_file() {
    let mut bench = Bench::new();
    bench.env("TRACEJURY_CACHE_DIR", "cache");
    bench.file("tracejury.toml", "[plugins.for.team]\ndeadline_ms = 77\nisolation = 'warm'\n[plugins.grants]\nteam = ['output']\n");
    let team = component("team", |text| text);
    bench.file("plugins/ours.wasm", &team);
    let outside = bench.file("elsewhere.wasm", component("team", |text| text.replace("1.0.0", "9.0.0")));
    let inspect = |what: &str| bench.tracejury(&["plugin", "inspect", what, "--format", "json"]);
    let first = inspect("team").outcome();
    assert_eq!((&first["compiled"], &first["snapshot"], &first["isolation"]), (&json!("now"), &json!(true), &json!("warm")));
    for by in ["team", "ours.wasm", "plugins/ours.wasm"] {
        let shown = inspect(by).outcome();
        assert_eq!((&shown["compiled"], &shown["granted"]), (&json!("before"), &json!(["output"])), "nothing of it runs again");
        assert_eq!((&shown["limits"]["deadline_ms"], &shown["limits"]["memory_mib"]), (&json!(77), &json!(64)));
        assert_eq!((&shown["bytes"], &shown["exports"]), (&json!(team.len()), &json!(["describe", "configure", "classify"])));
    }
    assert_eq!(inspect(outside.to_str().unwrap()).outcome()["version"], "9.0.0");
    let human = bench.tracejury(&["plugin", "inspect", "team"]).stdout;
    for part in ["world ", "tracejury:classifier/classifier@0.1.0", "warm instances, made from a snapshot", "deadline_ms "] {
        assert!(human.contains(part), "{human}");
    }
    let nobody = inspect("nobody");
    assert!(nobody.code == 2 && nobody.stderr.contains("nobody: no plugin has this name, and no file"), "{nobody:?}");
    bench.file("plugins/bad.wasm", "no component");
    let bad = inspect("bad.wasm");
    assert!(bad.code == 3 && bad.outcome()["refused"] == "not loaded: is not WebAssembly", "{bad:?}");
}

#[test]
fn two_processes_fill_one_cache() {
    let mut bench = Bench::new();
    bench.env("TRACEJURY_CACHE_DIR", "cache");
    bench.file("plugins/team.wasm", component("team", |text| text));
    let start = || bench.command(&["plugin", "list", "--format", "json"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let both = [start(), start()];
    for child in both {
        let done = crate::driver::Done::of(&child.wait_with_output().unwrap());
        assert_eq!((done.code, done.outcomes().len()), (0, 2), "{done:?}");
    }
    let names: Vec<_> = std::fs::read_dir(bench.dir.path().join("cache")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

/// A `classify` that is fed line by line.
pub struct Fed {
    child: Child,
    lines: Option<ChildStdin>,
    outcomes: BufReader<ChildStdout>,
    said: BufReader<ChildStderr>,
}

impl Fed {
    pub fn start(bench: &Bench) -> Self {
        let mut child = bench.command(&["classify", "--format", "json"]);
        let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (lines, outcomes) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        let said = BufReader::new(child.stderr.take().unwrap());
        Self { child, lines, outcomes, said }
    }

    /// Who has a verdict on one more trace, with its version: it is answered though the input goes on.
    pub fn verdicts(&mut self) -> Vec<String> {
        writeln!(self.lines.as_mut().unwrap(), "{}", recorded("s", &failed("x"))).unwrap();
        let mut line = String::new();
        self.outcomes.read_line(&mut line).unwrap();
        let outcome: Value = serde_json::from_str(&line).unwrap();
        let verdicts = outcome["verdicts"].as_array().unwrap();
        verdicts.iter().map(|v| format!("{} {}", v["plugin"].as_str().unwrap(), v["version"].as_str().unwrap())).collect()
    }

    /// Waits until something with `text` is said.
    pub fn until(&mut self, text: &str) {
        let mut line = String::new();
        while !line.contains(text) {
            line.clear();
            assert_ne!(self.said.read_line(&mut line).unwrap(), 0, "it ended without saying {text}");
        }
    }
}

impl Drop for Fed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_changed_plugin_takes_its_seat_while_a_command_goes_on() {
    let bench = Bench::new();
    let version = |version: &str| component("team", |text| text.replace("1.0.0", version));
    let path = bench.file("plugins/team.wasm", version("1.0.0"));
    let mut fed = Fed::start(&bench);
    assert_eq!(fed.verdicts(), ["team 1.0.0"]);
    bench.file("plugins/team.wasm", version("2.0.0"));
    fed.until("plugins: team 2.0.0 of plugins/team.wasm is used from now on");
    assert_eq!(fed.verdicts(), ["team 2.0.0"]);
    bench.file("plugins/team.wasm", "broken");
    fed.until("plugins/team.wasm: is not WebAssembly; the version loaded before goes on");
    assert_eq!(fed.verdicts(), ["team 2.0.0"]);
    bench.file("plugins/team.wasm", version("3.0.0"));
    fed.until("team 3.0.0");
    assert_eq!(fed.verdicts(), ["team 3.0.0"]);
    bench.file("plugins/second.wasm", version("3.1.0"));
    fed.until("plugins/second.wasm: is named team like plugins/team.wasm; it abstains");
    assert_eq!(fed.verdicts(), ["team 3.0.0"]);
    std::fs::remove_file(path).unwrap();
    fed.until("plugins: plugins/team.wasm is gone, and used no more");
    fed.until("plugins: team 3.1.0 of plugins/second.wasm is used from now on");
    assert_eq!(fed.verdicts(), ["team 3.1.0"]);
    let renamed = |from: &str, to: &str| std::fs::rename(bench.dir.path().join(from), bench.dir.path().join(to)).unwrap();
    renamed("plugins/second.wasm", "plugins/a.wasm");
    fed.until("plugins: team 3.1.0 of plugins/a.wasm is used from now on");
    assert_eq!(fed.verdicts(), ["team 3.1.0"]);
    std::fs::remove_file(bench.dir.path().join("plugins/a.wasm")).unwrap();
    fed.until("plugins: plugins/a.wasm is gone, and used no more");
    assert_eq!(fed.verdicts(), [""; 0]);
    fed.lines = None;
    assert!(fed.child.wait().unwrap().success());
}

#[cfg(unix)]
#[test]
fn a_link_that_leads_elsewhere_is_a_change() {
    let bench = Bench::new();
    let version = |version: &str| component("team", |text| text.replace("1.0.0", version));
    bench.file("plugins/v1/team", version("1.0.0"));
    bench.file("plugins/v2/team", version("2.0.0"));
    let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, bench.dir.path().join("plugins").join(name)).unwrap();
    // As volumes of configuration are laid out: what is swapped is a folder that the file's link leads through.
    link("v1", "..data");
    link("..data/team", "team.wasm");
    let mut fed = Fed::start(&bench);
    assert_eq!(fed.verdicts(), ["team 1.0.0"]);
    link("v2", "..next");
    std::fs::rename(bench.dir.path().join("plugins/..next"), bench.dir.path().join("plugins/..data")).unwrap();
    fed.until("plugins: team 2.0.0 of plugins/team.wasm is used from now on");
    assert_eq!(fed.verdicts(), ["team 2.0.0"]);
}

/// Who has a verdict and who abstains, where these files all hold a plugin that calls itself `team`.
fn calling_themselves_team(files: &[&str]) -> (Vec<String>, Vec<String>) {
    let bench = Bench::new();
    files
        .iter()
        .enumerate()
        .for_each(|(i, file)| _ = bench.file(file, component("team", |text| text.replace("1.0.0", &format!("{i}.0.0")))));
    let outcome = bench.piped(&["classify", "--format", "json"], &recorded("s", &failed("x"))).outcome();
    let of = |list: &str, fields: [&str; 2]| {
        let list = outcome[list].as_array().unwrap().iter().filter(|o| o["plugin"] != "regex");
        list.map(|o| fields.map(|field| o[field].as_str().unwrap()).join(" ")).collect()
    };
    (of("verdicts", ["plugin", "version"]), of("abstained", ["plugin", "why"]))
}

#[test]
fn nobody_gets_the_seat_of_another_by_its_name() {
    let (verdicts, abstained) = calling_themselves_team(&["plugins/aaa.wasm", "plugins/team.wasm"]);
    assert_eq!(verdicts, ["team 1.0.0"], "who bears its file's name has it");
    assert_eq!(abstained, ["aaa.wasm not loaded: is named team like plugins/team.wasm"]);
    let (verdicts, abstained) = calling_themselves_team(&["plugins/aaa.wasm", "plugins/bbb.wasm"]);
    assert_eq!((verdicts.len(), abstained.len()), (0, 2), "none of two can be told to be the one that was meant");
}

#[test]
fn a_file_of_a_project_does_not_say_where_compiled_code_lies() {
    let bench = Bench::new();
    bench.file("tracejury.toml", "[plugins]\ncache_dir = 'cache'\n");
    let done = bench.tracejury(&["plugin", "list"]);
    assert!(done.code == 2 && done.stderr.contains("tracejury.toml:2: cache_dir: unknown field `cache_dir`"), "{done:?}");
}

/// Runs a tool that makes components, if it is there.
fn built(tool: &str, args: &[&str]) -> bool {
    let folder = crate::driver::root().join("tests/guests/large");
    match std::process::Command::new(tool).args(args).current_dir(folder).output() {
        Ok(output) => {
            assert!(output.status.success(), "{tool}: {}", String::from_utf8_lossy(&output.stderr));
            true
        }
        Err(_) => {
            // Past the test runner, which keeps what a test that passes prints.
            let _ = writeln!(std::io::stderr(), "skipped: {tool} is not installed; .ci/run shows how");
            false
        }
    }
}

#[test]
fn large_components_of_other_languages_run_like_any_other() {
    let bench = Bench::new();
    bench.file("tracejury.toml", "[plugins]\ndeadline_ms = 20000\nload_deadline_ms = 20000\n");
    let wit = crate::driver::root().join("wit/classifier.wit");
    let wit = wit.to_str().unwrap();
    let out = |name: &str| bench.file(&format!("{name}.wasm"), "").to_str().unwrap().to_owned();
    let (py, qjs, js) = (out("py"), out("qjs"), out("js"));
    let tools: [(&str, &str, Vec<&str>); 3] = [
        ("py", "componentize-py", vec!["-d", wit, "-w", "classifier", "componentize", "-s", "app", "-o", &py]),
        ("qjs", "componentize-qjs", vec!["--wit", wit, "--js", "large.js", "-n", "classifier", "--sync", "--stub-wasi", "-o", &qjs]),
        (
            "js",
            "componentize-js",
            vec![
                "large.js",
                "-w",
                wit,
                "-n",
                "classifier",
                "-d",
                "stdio",
                "-d",
                "random",
                "-d",
                "clocks",
                "-d",
                "http",
                "-d",
                "fetch-event",
                "-o",
                &js,
            ],
        ),
    ];
    for (name, tool, args) in tools {
        if !built(tool, &args) {
            continue;
        }
        std::fs::create_dir_all(bench.dir.path().join("plugins")).unwrap();
        let plugin = bench.dir.path().join("plugins/large.wasm");
        std::fs::rename(bench.dir.path().join(format!("{name}.wasm")), &plugin).unwrap();
        let lines: String = (0..3).map(|i| recorded(&format!("s{i}"), &failed("x")) + "\n").collect();
        let done = bench.piped(&["classify", "--format", "json"], &lines);
        assert_eq!(done.outcomes().len(), 3);
        assert!(done.outcomes().iter().all(|o| o["verdicts"][0]["explanation"] == "saw 3 steps"), "{tool}: {done:?}");
        let inspected = bench.tracejury(&["plugin", "inspect", "large", "--format", "json"]).outcome();
        // QuickJS is a component around nested ones, which cannot be captured: that is said, and run all the same.
        assert_eq!(inspected["snapshot"], name != "qjs", "{inspected}");
        assert_eq!(inspected["noSnapshot"].is_null(), name != "qjs");
    }
}
