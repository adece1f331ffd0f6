//! The budget of requests: used to the full while work waits, never overdrawn, and everybody's pause after a 429.

use crate::paused::{run, script, vectors};
use serde_json::json;
use std::time::Duration;

/// What the platform allows, as strictly as it may: so many in each window, and hardly more at once than a second's worth.
fn strict(requests: u64) -> serde_json::Value {
    json!({"limits": {"fixedWindow": {"requests": requests, "windowMs": 60_000}}})
}

#[tokio::test(start_paused = true)]
async fn a_thousand_vectors_use_the_budget_and_provoke_no_429() {
    let came = run(&script(3_000, &strict(300)), "", vectors(1_000)).await;
    assert_eq!(came.problems(), (vec![], 1_000));
    assert_eq!((came.executed(), came.duplicates(), came.traffic.throttled), (1_000, 0, 0));
    let used = came.traffic.requests as f64 / (came.took.as_secs_f64() / 60.0 * 300.0);
    assert!(used >= 0.95, "{used:.3} of the budget: {} requests in {:?}", came.traffic.requests, came.took);
    // A token, a submit and a poll for each, and some scouts.
    assert!(came.traffic.requests <= 2_100, "{:?}", came.traffic);
}

#[tokio::test(start_paused = true)]
async fn a_bucket_without_reserves_is_not_overdrawn_either() {
    let bucket = json!({"limits": {"tokenBucket": {"capacity": 6, "perSecond": 5}}});
    let came = run(&script(1_000, &bucket), "", vectors(200)).await;
    assert_eq!((came.problems(), came.traffic.throttled), ((vec![], 200), 0));
}

#[tokio::test(start_paused = true)]
async fn a_429_pauses_everybody_for_as_long_as_was_asked() {
    // Twice as many as the platform takes: each time it says so nothing is sent before its window is over.
    let came = run(&script(100, &strict(100)), "requests_per_minute = 200\n", vectors(150)).await;
    assert_eq!((came.problems(), came.executed(), came.duplicates()), ((vec![], 150), 150, 0));
    // What was on its way when the first 429 came back may be answered so too, and no more.
    assert!(came.traffic.throttled >= 2 && came.traffic.throttled <= 8, "{:?}", came.traffic);
}

#[tokio::test(start_paused = true)]
async fn a_wait_may_be_written_as_a_date() {
    let limits = json!({"limits": {"fixedWindow": {"requests": 3, "windowMs": 20_000}, "retryAfterDate": true}});
    let came = run(&script(100, &limits), "", vectors(3)).await;
    assert_eq!((came.problems(), came.executed()), ((vec![], 3), 3));
    assert!(came.took >= Duration::from_secs(20) && came.took < Duration::from_secs(70), "{:?}", came.took);
}

#[tokio::test(start_paused = true)]
async fn a_wait_without_end_is_bounded() {
    let faults = json!({"token": [{"status": 429, "retryAfter": "86400"}]});
    let came = run(&script(100, &faults), "", vectors(1)).await;
    assert_eq!(came.problems(), (vec![], 1));
    assert!(came.took >= Duration::from_secs(60) && came.took < Duration::from_secs(64), "{:?}", came.took);
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_not_amplified() {
    let chances = json!({"chances": [{"call": "poll", "chance": 1.0, "fault": {"status": 502}}]});
    let came = run(&script(100, &chances), "deadline_ms = 60000\nrequests_per_minute = 6000\n", vectors(100)).await;
    assert_eq!(came.problems(), (vec!["deadline"], 0));
    // Each session's polls at their usual times, a dozen in a minute, and the retries that the budget has.
    let polls = came.traffic.requests - 101;
    assert!(came.traffic.retried <= 20 + 30, "{:?}", came.traffic);
    assert!(polls <= 100 * 14, "{polls} polls for 100 sessions");
}

#[tokio::test(start_paused = true)]
async fn sessions_that_take_long_do_not_keep_others_from_being_submitted() {
    // Every vector has an action of its own, of which nothing is known, and each takes a minute.
    let id = |n: usize| format!("a1b2c3d4-e5f6-7890-abcd-{n:012x}");
    let scenarios: Vec<_> =
        (0..300).map(|n| json!({"name": "s", "dataActionId": id(n), "runningMs": 60_000, "answer": {"status": "COMPLETED"}})).collect();
    let mut wanted = vectors(300);
    wanted.iter_mut().enumerate().for_each(|(n, vector)| vector.action = id(n).parse().unwrap());
    let came = run(&json!({"version": 1, "scenarios": scenarios}), "", wanted).await;
    assert_eq!(came.problems(), (vec![], 300));
    // Half of the budget is theirs: two minutes for the submits, one for the last session, and some for its polls.
    assert!(came.took < Duration::from_secs(300), "{:?}, {:?}", came.took, came.traffic);
}
