//! A run that is killed over and over, at whatever instruction it is at, and resumed each time: nothing is lost, nothing is done twice.

use crate::driver::{Bench, Done, Simulator, failed, get, scenario};
use crate::resume::vectors;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// How many vectors the run has.
const VECTORS: usize = 200;
/// How often it is killed here; `TRACEJURY_KILLS` says otherwise.
const KILLS: usize = 20;

#[test]
fn a_run_killed_over_and_over_loses_nothing_and_does_nothing_twice() {
    let kills = std::env::var("TRACEJURY_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    // Submits that are answered late are under way for long enough to be cut off.
    let submit: Value = (0..VECTORS).map(|n| json!({"delayMs": (1 + n % 3)})).collect();
    let simulator = Simulator::of(&scenario(&failed("getaddrinfo ENOTFOUND x"), &json!({"runningMs": 120, "submit": submit})));
    let mut bench = Bench::against(&simulator);
    bench.settings("[webhook]\ngrace_ms = 2000\nschedule_ms = [50, 50, 50, 50, 50, 50]\n");
    bench.env("AUDIT_LOG_PATH", "audit.jsonl").env("WEBHOOK_URL", &simulator.webhook);
    bench.file("vectors.json", vectors(VECTORS).to_string());
    let asked =
        || serde_json::from_str::<Value>(&get(&format!("{}/_simulator/counts", simulator.url))).unwrap()["requests"].as_u64().unwrap();
    let mut chance = fastrand::Rng::with_seed(kills as u64);
    // Two requests and a delivery for each vector, and a token for each start: so they are spread over the run.
    let share = (3 * VECTORS) as u64 / (kills as u64 + 1) / 2;
    let (mut killed, mut ended_before) = (0, 0);
    for n in 0..kills {
        let args: &[&str] =
            if n == 0 { &["run", "vectors.json", "--concurrency", "2"] } else { &["run", "--resume", "--concurrency", "2"] };
        let mut child = bench.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let until = asked() + 1 + chance.u64(..=share);
        let since = Instant::now();
        while asked() < until && child.try_wait().unwrap().is_none() {
            assert!(since.elapsed() < Duration::from_secs(60), "it stands still");
        }
        // Not right at a request, which is mostly a submit that has no answer yet: between two of them there is much to be interrupted.
        let spin = Duration::from_micros(chance.u64(..(30_000 / (1 + kills as u64 / 100))));
        let from = Instant::now();
        while from.elapsed() < spin {
            std::hint::spin_loop();
        }
        let over = child.try_wait().unwrap().is_some();
        let _ = child.kill();
        child.wait().unwrap();
        (killed, ended_before) = if over { (killed, ended_before + 1) } else { (killed + 1, ended_before) };
    }
    let run = bench.tracejury(&["runs", "list", "--format", "json"]).outcome()["run"].as_str().unwrap().to_owned();
    let done = bench.tracejury(&["run", "--resume", &run, "--format", "json"]);
    let counts = checked(&bench, &simulator, &done);
    println!("{killed} kills, {ended_before} ends before one; {counts}");
    assert!(killed * 2 > kills, "{killed} of {kills}");
}

/// Checks every promise, and gives the counts.
fn checked(bench: &Bench, simulator: &Simulator, done: &Done) -> Value {
    let outcomes = done.outcomes();
    let names: BTreeSet<_> = outcomes.iter().map(|o| o["vector"].as_str().unwrap()).collect();
    assert_eq!((outcomes.len(), names.len()), (VECTORS, VECTORS), "an outcome is lost: {}", done.stderr);
    let ambiguous = outcomes.iter().filter(|o| o["problem"].as_str().is_some_and(|p| p.starts_with("ambiguous: "))).count();
    let problems: Vec<_> = outcomes.iter().filter_map(|o| o["problem"].as_str()).filter(|p| !p.starts_with("ambiguous: ")).collect();
    assert!(problems.is_empty(), "{problems:?}");
    let journal = simulator.journal();
    assert_eq!(journal["duplicates"], 0, "an action ran twice");
    let executed = simulator.executed();
    assert!(executed as usize >= VECTORS - ambiguous && executed as usize <= VECTORS, "{executed}");

    let mut entries: BTreeMap<String, usize> = BTreeMap::new();
    for entry in bench.entries("audit.jsonl") {
        *entries.entry(entry["inputHash"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    assert_eq!((entries.len(), entries.values().max()), (VECTORS, Some(&1)), "each outcome is audited once");
    let verified = bench.tracejury(&["audit", "verify"]);
    assert!(verified.code == 0 && verified.stdout.starts_with("holds: "), "{verified:?}");
    let reconciled = bench.tracejury(&["audit", "reconcile", "--format", "json"]);
    assert_eq!((reconciled.code, &reconciled.outcome()["both"]), (0, &json!(VECTORS)), "{reconciled:?}");

    let mut delivered: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let all = simulator.deliveries();
    for delivery in &all {
        let session = delivery["body"]["sessionId"].as_str().unwrap().to_owned();
        delivered.entry(session).or_default().insert(delivery["webhook-id"].as_str().unwrap().to_owned());
    }
    let with_session = outcomes.iter().filter(|o| o["sessionId"].is_string()).count();
    assert_eq!(delivered.len(), with_session, "a delivery is lost: {}", done.stderr);
    assert!(delivered.values().all(|ids| ids.len() == 1), "each under one id");
    json!({
        "outcomes": outcomes.len(), "ambiguous": ambiguous, "executed": executed, "executedTwice": journal["duplicates"],
        "entries": entries.len(), "deliveries": all.len(), "delivered": delivered.len(),
    })
}
