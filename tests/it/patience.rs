//! How long a run goes on with what is not as expected: what waits for its turn in the budget has not begun.

use crate::driver::{Bench, Simulator, completed, failed, scenario, vector};
use serde_json::{Value, json};

fn vectors(count: usize) -> Value {
    (0..count)
        .map(|i| {
            let mut v = vector();
            v["name"] = json!(format!("v{i}"));
            v["inputParameters"]["n"] = json!(i);
            v
        })
        .collect()
}

#[test]
fn after_the_first_that_is_wrong_no_vector_in_the_queue_is_submitted() {
    let simulator = Simulator::of(&scenario(&failed("ECONNREFUSED"), &json!({"runningMs": 10})));
    let bench = Bench::against(&simulator);
    bench.file("vectors.json", vectors(120).to_string());
    // Ten requests a second, and a second's worth at once: without a look at the queue all would be sent.
    let done = bench.tracejury(&["run", "vectors.json", "--rate", "600", "--fail-fast", "--report", "json=r.json"]);
    let report: Value = serde_json::from_str(&bench.read("r.json")).unwrap();
    let (ran, not_run) = (report["outcomes"].as_array().unwrap().len(), report["summary"]["notRun"].as_u64().unwrap());
    assert_eq!((done.code, ran as u64 + not_run, simulator.executed()), (1, 120, ran as u64), "{done:?}");
    assert!(ran < 40, "{ran} were run");
    // Gone on with, what was wrong does not end it again, and what was begun is not told as not run.
    let id = report["run"].as_str().unwrap();
    let on = bench.tracejury(&["run", "--resume", id, "--fail-fast", "--rate", "600", "--format", "json"]);
    assert!(on.outcomes().len() > ran, "{on:?}");
    assert!(!on.stderr.contains(" 120 not run"), "{on:?}");
}

#[test]
fn when_its_time_is_over_no_vector_in_the_queue_is_submitted() {
    let simulator = Simulator::of(&scenario(&completed(), &json!({"runningMs": 10})));
    let bench = Bench::against(&simulator);
    bench.file("vectors.json", vectors(300).to_string());
    let done = bench.tracejury(&["run", "vectors.json", "--rate", "600", "--max-duration", "4s", "--format", "json"]);
    let ran = done.outcomes().len() as u64;
    assert_eq!((done.code, simulator.executed()), (1, ran), "{done:?}");
    assert!((1..150).contains(&ran) && done.stderr.contains(&format!("{} not run", 300 - ran)), "{ran}: {}", done.stderr);
}
