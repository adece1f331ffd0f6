//! A run that is cut off goes on: what was submitted is attached to and never submitted again, what was not is, and what may have run is
//! said to be ambiguous.

use crate::driver::{ACTION, Bench, Done, Simulator, completed, failed, scenario, signal, vector};
use serde_json::{Value, json};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// So many vectors, each with an input of its own.
pub fn vectors(count: usize) -> Value {
    (0..count)
        .map(|n| json!({"name": format!("v{n}"), "dataActionId": ACTION, "environmentId": "test", "inputParameters": {"number": format!("order-{n}")}}))
        .collect()
}

fn start(bench: &Bench, args: &[&str]) -> Child {
    bench.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits until the simulator has had so many requests of a kind; a simulator tells nobody.
fn await_requests(simulator: &Simulator, end: &str, count: usize) {
    let since = Instant::now();
    while simulator.requests(end).len() < count {
        assert!(since.elapsed() < Duration::from_secs(30), "{} requests", simulator.requests(end).len());
        std::thread::yield_now();
    }
}

/// Waits until so many sessions are written down as submitted.
fn await_sessions(bench: &Bench, count: usize) {
    let since = Instant::now();
    let submitted = || {
        // It may not be there yet, and must not be made by looking.
        let journal = rusqlite::Connection::open_with_flags(
            bench.dir.path().join(".tracejury/journal.db"),
            rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY,
        );
        let count = |c: rusqlite::Connection| c.query_row("SELECT count(*) FROM vector WHERE stage = 2", [], |row| row.get::<_, usize>(0));
        journal.and_then(count).unwrap_or_default()
    };
    while submitted() < count {
        assert!(since.elapsed() < Duration::from_secs(30), "{} sessions", submitted());
        std::thread::yield_now();
    }
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

fn resumed(bench: &Bench, more: &[&str]) -> Done {
    bench.tracejury(&[&["run", "--resume", "--format", "json"], more].concat())
}

#[test]
fn sessions_of_a_killed_run_are_attached_to_and_the_rest_is_submitted() {
    let simulator = Simulator::of(&scenario(&failed("getaddrinfo ENOTFOUND x"), &json!({"runningMs": 700})));
    let mut bench = Bench::against(&simulator);
    bench.env("AUDIT_LOG_PATH", "audit.jsonl").env("WEBHOOK_URL", &simulator.webhook);
    bench.file("vectors.json", vectors(8).to_string());
    let child = start(&bench, &["run", "vectors.json", "--concurrency", "4"]);
    await_sessions(&bench, 4);
    kill(child);
    let listed = bench.tracejury(&["runs", "list", "--format", "json"]).outcome();
    assert_eq!((&listed["state"], &listed["underWay"]), (&json!("interrupted"), &json!(4)), "{listed}");
    let done = resumed(&bench, &[]);
    let outcomes = done.outcomes();
    assert_eq!((outcomes.len(), simulator.executed()), (8, 8), "{done:?}");
    assert!(outcomes.iter().all(|o| o["reason"] == "dns"), "{done:?}");
    let attached: Vec<_> = outcomes.iter().filter(|o| o["executionDurationMs"].is_null()).collect();
    assert_eq!(attached.len(), 4, "how long they took nobody saw");
    assert_eq!((bench.entries("audit.jsonl").len(), simulator.deliveries().len()), (8, 8));
    assert_eq!(bench.tracejury(&["runs", "list", "--format", "json"]).outcome()["state"], "finished");
    let none = resumed(&bench, &[]);
    assert!(none.code == 2 && none.stderr.starts_with("error: there is no run to go on with"), "{none:?}");
    // By its id it is told again, from the journal alone.
    let run = listed["run"].as_str().unwrap();
    let again = bench.tracejury(&["run", "--resume", run, "--format", "json"]);
    assert_eq!((again.outcomes().len(), simulator.executed(), bench.entries("audit.jsonl").len()), (8, 8, 8), "{again:?}");
    let shown = bench.tracejury(&["runs", "show", run]);
    assert!(shown.stdout.contains("8 of 8 vectors done"), "{shown:?}");
    assert_eq!(bench.tracejury(&["runs", "show", run, "--format", "json"]).outcomes().len(), 8);
}

#[test]
fn a_submit_without_an_answer_is_ambiguous_and_submitted_again_on_the_users_word_only() {
    // The simulator runs the action and keeps its answer to itself for a while.
    let simulator = Simulator::of(&scenario(&completed(), &json!({"submit": [{"delayMs": 60000}]})));
    let mut bench = Bench::against(&simulator);
    bench.env("AUDIT_LOG_PATH", "audit.jsonl");
    bench.file("vectors.json", vector().to_string());
    let child = start(&bench, &["run", "vectors.json"]);
    await_requests(&simulator, "/debug", 1);
    kill(child);
    let done = resumed(&bench, &[]);
    assert_eq!(done.code, 1, "{done:?}");
    assert!(done.outcome()["problem"].as_str().unwrap().starts_with("ambiguous: the run was cut off between the submit and its answer"));
    assert_eq!(simulator.requests("/debug").len(), 1);
    let again = resumed(&bench, &["--resubmit-ambiguous"]);
    assert_eq!((again.code, &again.outcome()["status"]), (0, &json!("COMPLETED")), "{again:?}");
    assert_eq!((simulator.requests("/debug").len(), bench.entries("audit.jsonl").len()), (2, 2), "each submit has its entry");
}

#[test]
#[cfg(unix)]
fn an_interrupted_run_prints_how_to_go_on_and_that_command_does() {
    let simulator = Simulator::of(&scenario(&completed(), &json!({"runningMs": 1500})));
    let bench = Bench::against(&simulator);
    bench.file("sub/vectors.json", vectors(3).to_string());
    for name in ["INT", "TERM"] {
        let child = start(&bench, &["run", "sub/vectors.json", "--concurrency", "1"]);
        let before = simulator.requests("/debug").len();
        await_requests(&simulator, "/debug", before.max(1));
        let since = Instant::now();
        while bench.tracejury(&["runs", "list", "--format", "json"]).stdout.lines().next().is_none_or(|l| !l.contains("\"underWay\":1")) {
            assert!(since.elapsed() < Duration::from_secs(30));
        }
        signal(&child, name);
        let done = Done::of(&child.wait_with_output().unwrap());
        assert_eq!(done.code, 130, "{done:?}");
        let line = done.stdout.lines().find_map(|line| line.strip_prefix("go on with it: tracejury ")).unwrap();
        let words: Vec<_> = line.split(' ').collect();
        let resumed = bench.tracejury(&words);
        assert!(resumed.code == 0 && resumed.stdout.contains("3 vectors: all as expected"), "{resumed:?}");
    }
    assert_eq!(simulator.executed(), 6);
}

/// Two attempts are two sessions: a run that is cut off between or within them goes on where it was, and submits neither twice.
#[test]
#[cfg(unix)]
fn an_attempt_that_was_cut_off_is_attached_to_and_none_is_made_twice() {
    let simulator = Simulator::of(&scenario(&completed(), &json!({"runningMs": 1200, "first": [failed("ECONNREFUSED")]})));
    let mut bench = Bench::against(&simulator);
    bench.env("AUDIT_LOG_PATH", "audit.jsonl");
    bench.file("vectors.json", vector().to_string());
    let child = start(&bench, &["run", "vectors.json", "--retries", "1"]);
    await_requests(&simulator, "/debug", 2);
    await_sessions(&bench, 1);
    kill(child);
    let shown = bench.tracejury(&["runs", "show"]);
    assert!(shown.stdout.contains(": interrupted, 0 of 1 vectors done"), "{shown:?}");
    let other = resumed(&bench, &[]);
    assert!(other.code == 2 && other.stderr.contains("was begun with --retries 1"), "{other:?}");
    let done = resumed(&bench, &["--retries", "1"]);
    let outcome = done.outcome();
    assert_eq!((done.code, &outcome["flaky"], outcome["earlier"].as_array().unwrap().len()), (0, &json!(true), 1), "{done:?}");
    assert_eq!((simulator.executed(), bench.entries("audit.jsonl").len()), (2, 2), "each attempt ran once and has its entry");
    let shown = bench.tracejury(&["runs", "show"]).stdout;
    assert!(shown.contains("v (attempt 2)") && shown.contains(": finished, 1 of 1 vectors done"), "{shown}");
}

#[test]
fn a_resume_that_cannot_ask_closes_nothing() {
    let simulator = Simulator::of(&scenario(&completed(), &json!({"runningMs": 1500})));
    let mut bench = Bench::against(&simulator);
    bench.file("vectors.json", vector().to_string());
    let child = start(&bench, &["run", "vectors.json"]);
    await_requests(&simulator, "/debug", 1);
    await_sessions(&bench, 1);
    kill(child);
    // Elsewhere its session is not known, and the rest is not to be run there.
    bench.env("CXONE_CLIENT_ID", "another");
    let elsewhere = resumed(&bench, &[]);
    assert!(elsewhere.code == 2 && elsewhere.stderr.contains("was begun on another platform, or as another client"), "{elsewhere:?}");
    bench.env("CXONE_CLIENT_ID", "demo-client").env("CXONE_CLIENT_SECRET", "wrong");
    let refused = resumed(&bench, &[]);
    assert_eq!(refused.code, 3, "{refused:?}");
    assert!(refused.outcome()["problem"].as_str().unwrap().starts_with("credentials: "), "{refused:?}");
    bench.env("CXONE_CLIENT_SECRET", "demo-secret");
    let done = resumed(&bench, &[]);
    assert_eq!((done.code, &done.outcome()["status"], simulator.executed()), (0, &json!("COMPLETED"), 1), "{done:?}");
}

#[test]
fn a_second_submit_that_is_killed_can_be_gone_on_with() {
    let simulator = Simulator::of(&scenario(&completed(), &json!({"submit": [{"delayMs": 60000}], "runningMs": 1500})));
    let bench = Bench::against(&simulator);
    bench.file("vectors.json", vector().to_string());
    let child = start(&bench, &["run", "vectors.json"]);
    await_requests(&simulator, "/debug", 1);
    kill(child);
    assert_eq!(resumed(&bench, &[]).code, 1);
    let child = start(&bench, &["run", "--resume", "--resubmit-ambiguous"]);
    await_requests(&simulator, "/debug", 2);
    await_sessions(&bench, 1);
    kill(child);
    let listed = bench.tracejury(&["runs", "list", "--format", "json"]).outcome();
    assert_eq!((&listed["state"], &listed["underWay"]), (&json!("interrupted"), &json!(1)), "{listed}");
    let done = resumed(&bench, &[]);
    assert_eq!((done.code, &done.outcome()["status"], simulator.requests("/debug").len()), (0, &json!("COMPLETED"), 2), "{done:?}");
}

#[test]
fn what_was_changed_meanwhile_is_not_run() {
    let simulator = Simulator::of(&scenario(&completed(), &json!({"runningMs": 60000})));
    let bench = Bench::against(&simulator);
    bench.file("vectors.json", vectors(2).to_string());
    let child = start(&bench, &["run", "vectors.json"]);
    await_requests(&simulator, "/debug", 2);
    await_sessions(&bench, 2);
    // While it is live nobody else can go on with it.
    let run = bench.tracejury(&["runs", "list", "--format", "json"]).outcome()["run"].as_str().unwrap().to_owned();
    let live = bench.tracejury(&["run", "--resume", &run]);
    assert!(live.code == 3 && live.stderr.starts_with(&format!("error: another process is at run {run}")), "{live:?}");
    kill(child);
    let mut other = vectors(2);
    other[0]["inputParameters"]["number"] = json!("another");
    bench.file("vectors.json", other.to_string());
    let changed = resumed(&bench, &[]);
    assert!(changed.code == 2 && changed.stderr.contains("vector 1 (v0) is not what it was when the run was begun"), "{changed:?}");
    bench.file("vectors.json", vectors(3).to_string());
    let longer = resumed(&bench, &[]);
    assert!(longer.code == 2 && longer.stderr.contains("the files hold 3 vectors; when run"), "{longer:?}");
    assert_eq!(simulator.executed(), 2);
    let unknown = bench.tracejury(&["run", "--resume", "20200101-000000-abcd"]);
    assert!(unknown.code == 2 && unknown.stderr.contains("knows of no run 20200101-000000-abcd"), "{unknown:?}");
    let file = bench.tracejury(&["run", "--resume", "vectors.json"]);
    assert!(file.code == 2 && file.stderr.contains("is not the id of a run"), "{file:?}");
}

#[test]
fn a_journal_that_cannot_be_used_is_told_before_anything_is_submitted() {
    let simulator = Simulator::of(&scenario(&completed(), &json!({})));
    let mut bench = Bench::against(&simulator);
    assert_eq!(bench.run(&vector()).code, 0);
    let journal = bench.dir.path().join(".tracejury/journal.db");
    // What the program wrote may still stand in the file beside it: SQLite moves it when it likes, or when it is asked to.
    let raw = rusqlite::Connection::open(&journal).unwrap();
    raw.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(raw);
    let good = std::fs::read(&journal).unwrap();
    assert!(good.len() > 8192);
    // The version stands at offset 60 of the header (<https://sqlite.org/fileformat.html>).
    let mut newer = good.clone();
    newer[60..64].copy_from_slice(&[0, 0, 0, 9]);
    let mut text = good.clone();
    text[..16].copy_from_slice(b"no database here");
    let mut page = good.clone();
    page[4096..].fill(0xa5);
    let cases = [
        (newer, "was written by a newer tracejury (format 9; this one knows 3)"),
        (text, "is damaged: file is not a database"),
        (page, "is damaged: "),
    ];
    for (bytes, what) in cases {
        for name in ["journal.db-wal", "journal.db-shm"] {
            let _ = std::fs::remove_file(journal.with_file_name(name));
        }
        std::fs::write(&journal, bytes).unwrap();
        let done = bench.run(&vector());
        assert!(done.code == 3 && done.stderr.contains(what) && done.stderr.contains("\n  help: "), "{what}: {done:?}");
    }
    bench.env("TRACEJURY_JOURNAL", "/dev/null/journal.db");
    let nowhere = bench.run(&vector());
    assert!(nowhere.code == 3 && nowhere.stderr.starts_with("error: the journal cannot be opened: /dev/null/journal.db: "), "{nowhere:?}");
    assert_eq!(simulator.executed(), 1);
}

#[test]
fn old_runs_are_forgotten() {
    let simulator = Simulator::of(&scenario(&completed(), &json!({})));
    let bench = Bench::against(&simulator);
    assert_eq!(bench.run(&vector()).code, 0);
    let old = rusqlite::Connection::open(bench.dir.path().join(".tracejury/journal.db")).unwrap();
    old.execute("UPDATE run SET began = began - 40 * 86400000", []).unwrap();
    drop(old);
    assert_eq!(bench.run(&vector()).code, 0);
    assert_eq!(bench.tracejury(&["runs", "list", "--format", "json"]).outcomes().len(), 1);
}

#[test]
#[cfg(target_os = "linux")]
fn a_disk_that_fills_stops_what_cannot_be_written_down() {
    // A file system of our own, with room for the journal and not much more.
    let works = std::process::Command::new("unshare").args(["-rm", "mount", "-t", "tmpfs", "none", "/mnt"]).output();
    if !works.is_ok_and(|out| out.status.success()) {
        eprintln!("skipped: no file system of one's own can be mounted here");
        assert!(std::env::var_os("TRACEJURY_SKIP_NOTHING").is_none());
        return;
    }
    let simulator = Simulator::of(&scenario(&failed(&"getaddrinfo ENOTFOUND x ".repeat(40)), &json!({})));
    let mut bench = Bench::against(&simulator);
    bench.env("TRACEJURY_JOURNAL", "small/journal.db").env("AUDIT_LOG_PATH", "small/audit.jsonl");
    bench.file("vectors.json", vectors(400).to_string());
    std::fs::create_dir(bench.dir.path().join("small")).unwrap();
    let inside = "mount -t tmpfs -o size=900k none small && exec \"$0\" run vectors.json --format json --concurrency 8";
    let mut command = std::process::Command::new("unshare");
    command.args(["-rm", "sh", "-c", inside, env!("CARGO_BIN_EXE_tracejury")]).current_dir(bench.dir.path());
    command.env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR")).envs(bench.env.iter().map(|(k, v)| (k, v)));
    let done = Done::of(&command.output().unwrap());
    assert_eq!((done.code, done.outcomes().len()), (3, 400), "{}", done.stderr);
    let kept = done.outcomes().iter().filter(|o| o["sessionId"].is_string()).count();
    assert!(kept > 10 && kept < 400, "{kept}");
    assert!(
        done.outcomes().iter().any(|o| o["problem"].as_str().is_some_and(|p| p.starts_with("journal: not submitted"))),
        "{}",
        done.stderr
    );
    assert_eq!(simulator.executed(), kept as u64, "what cannot be written down is not submitted");
}
