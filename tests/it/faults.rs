//! Every fault at every call, once and without end: each vector ends with the documented outcome, no action is executed twice, and
//! nothing goes on for ever.

use crate::paused::{Came, run, script, vectors};
use serde_json::{Value, json};
use std::time::Duration;

/// What becomes of the vectors: `well`, or the kind of problem.
type Outcomes = [&'static str; 3];

struct Row {
    fault: Value,
    /// At the first request for a token, the first submit, the first poll of each session.
    once: Outcomes,
    /// At each of them.
    always: Outcomes,
}

const CALLS: [&str; 3] = ["token", "submit", "poll"];

fn row(fault: Value, once: Outcomes, always: Outcomes) -> Row {
    Row { fault, once, always }
}

/// Trouble of which nobody knows how far the request had come.
const AMBIGUOUS: (Outcomes, Outcomes) = (["well", "ambiguous", "well"], ["unreachable", "ambiguous", "deadline"]);

fn rows() -> Vec<Row> {
    let html = "<html><body>Sign in</body></html>";
    let ambiguous = |fault| row(fault, AMBIGUOUS.0, AMBIGUOUS.1);
    let throttled = |fault| row(fault, ["well", "well", "well"], ["unreachable", "unreachable", "deadline"]);
    let unreadable = |fault| row(fault, ["well", "ambiguous", "well"], ["unreachable", "ambiguous", "unreadable"]);
    vec![
        throttled(json!({"status": 429})),
        throttled(json!({"status": 429, "retryAfter": "2"})),
        throttled(json!({"status": 429, "retryAfter": "Sun, 06 Nov 1994 08:49:37 GMT"})),
        throttled(json!({"status": 503, "retryAfter": "2"})),
        ambiguous(json!({"status": 500})),
        ambiguous(json!({"status": 502, "contentType": "text/html", "body": html})),
        ambiguous(json!({"status": 502, "contentType": "text/html", "body": html, "done": true})),
        ambiguous(json!({"status": 502, "body": html, "slowMs": 600_000})),
        ambiguous(json!({"status": 502, "body": html, "endless": true})),
        ambiguous(json!({"status": 503})),
        ambiguous(json!({"status": 504, "done": true})),
        ambiguous(json!({"status": 408})),
        row(json!({"status": 401}), ["credentials", "credentials", "well"], ["credentials", "credentials", "credentials"]),
        row(json!({"status": 403}), ["credentials"; 3], ["credentials"; 3]),
        row(json!({"status": 400}), ["settings", "refused", "refused"], ["settings", "refused", "refused"]),
        row(json!({"status": 404}), ["settings", "refused", "well"], ["settings", "refused", "session-gone"]),
        row(json!({"status": 410}), ["settings", "refused", "session-gone"], ["settings", "refused", "session-gone"]),
        row(json!({"status": 302}), ["settings", "refused", "refused"], ["settings", "refused", "refused"]),
        ambiguous(json!({"cut": true})),
        ambiguous(json!({"cut": true, "done": false})),
        ambiguous(json!({"reset": true})),
        ambiguous(json!({"delayMs": 600_000})),
        ambiguous(json!({"slowMs": 600_000})),
        ambiguous(json!({"truncate": 5})),
        row(json!({"endless": true}), ["well", "ambiguous", "unreadable"], ["unreachable", "ambiguous", "unreadable"]),
        unreadable(json!({"body": html, "contentType": "text/html"})),
        unreadable(json!({"body": "{\"status\":\"COMPL", "contentType": "application/json"})),
        unreadable(json!({"body": ""})),
        unreadable(json!({"body": "[]", "contentType": "application/json"})),
        unreadable(json!({"bodyBase64": "//79/A=="})),
        // In the body's own bytes one is wrong, and the rest is right: that costs a character, where it does not lie in what is needed.
        row(
            json!({"bodyBase64": "eyJzdGF0dXMiOiJDT01QTEVURUQiLCJ4Ijoi/yJ9"}),
            ["well", "ambiguous", "well"],
            ["unreachable", "ambiguous", "well"],
        ),
        row(json!({"gzip": true}), ["well"; 3], ["well"; 3]),
        row(json!({"delayMs": 3_000}), ["well"; 3], ["well"; 3]),
    ]
}

/// The script with a fault at the first of these calls.
fn once(call: &str, fault: &Value) -> Value {
    let mut script = script(200, &json!({}));
    match call {
        "token" => script["token"] = json!([fault]),
        other => script["scenarios"][0][other] = json!([fault]),
    }
    script
}

fn always(call: &str, fault: &Value) -> Value {
    script(200, &json!({"chances": [{"call": call, "chance": 1.0, "fault": fault}]}))
}

/// What does not hold that must, whatever happens; `expected` befell a vector or, where a fault happens once, one of them.
fn wrong(came: &Came, expected: &str, vectors: usize) -> Option<String> {
    let problems: Vec<_> = came.outcomes.iter().filter_map(|o| o.problem.as_ref()).collect();
    let (kinds, well) = came.problems();
    let as_expected = if expected == "well" { well == vectors } else { kinds == [expected] };
    let checks = [
        (came.outcomes.len() == vectors, "a vector is lost"),
        (came.executed() <= vectors as u64 && came.duplicates() == 0, "an action is executed twice"),
        (came.traffic.requests <= 150 && came.took <= Duration::from_secs(600), "there is hardly an end to it"),
        (came.outcomes.iter().all(|o| o.classification.is_none()), "trouble of the platform's is held against the action"),
        (as_expected, "it ends otherwise"),
    ];
    let (_, what) = checks.iter().find(|(holds, _)| !holds)?;
    Some(format!("{what}: {well} went well; {:?} in {:?}; {problems:?}", came.traffic, came.took))
}

#[tokio::test(start_paused = true)]
async fn every_fault_at_every_call_ends_as_documented() {
    let mut all = Vec::new();
    for row in rows() {
        // Of several sessions whose polls are answered with 401 one may have waited for the token that another had fetched.
        let count = if row.fault["status"] == 401 { 1 } else { 3 };
        for (i, call) in CALLS.iter().enumerate() {
            for (how, script, expected) in
                [("once", once(call, &row.fault), row.once[i]), ("always", always(call, &row.fault), row.always[i])]
            {
                let came = run(&script, "max_answer_mib = 1\n", vectors(count)).await;
                all.extend(
                    wrong(&came, expected, count).map(|what| format!("{} at {call}, {how}, should be {expected}: {what}", row.fault)),
                );
            }
        }
    }
    assert!(all.is_empty(), "{}", all.join("\n"));
}

#[tokio::test(start_paused = true)]
async fn chance_is_survived() {
    // A bad day: a sixth of all that is asked for goes wrong in one way or another.
    let chances: Vec<_> = CALLS
        .iter()
        .flat_map(|call| {
            [json!({"status": 502}), json!({"status": 429, "retryAfter": "1"}), json!({"cut": true}), json!({"truncate": 3})]
                .map(|fault| json!({"call": call, "chance": 0.04, "fault": fault}))
        })
        .collect();
    for seed in 1..6 {
        let came = run(&script(2_000, &json!({"seed": seed, "chances": chances})), "", vectors(200)).await;
        assert_eq!((came.outcomes.len(), came.duplicates()), (200, 0));
        let (kinds, well) = came.problems();
        assert!(kinds.iter().all(|kind| *kind == "ambiguous") && well > 150, "{kinds:?}, {well} went well");
        let undone = 200 - usize::try_from(came.executed()).unwrap();
        assert!(undone + well <= 200 && undone <= came.outcomes.iter().filter(|o| o.problem.is_some()).count());
    }
}

#[tokio::test(start_paused = true)]
async fn hosts_that_cannot_be_discovered_are_asked_for_again() {
    for (fault, expected) in [
        (json!({"status": 502}), "unreachable"),
        (json!({"body": "<html>"}), "unreachable"),
        (json!({"status": 404}), "settings"),
        (json!({"cut": true}), "unreachable"),
    ] {
        for chance in [1.0, 0.5] {
            let script = script(200, &json!({"seed": 4, "chances": [{"call": "discovery", "chance": chance, "fault": fault}]}));
            let simulator = crate::paused::start(&script).await;
            let discovery = format!("discovery_url = '{}/.well-known/cxone-configuration?tenantId=1'\nattempts = 9\n", simulator.url);
            let came = crate::paused::run_against(simulator, &discovery, |settings| settings.api.base_url.clear(), vectors(3)).await;
            let (kinds, well) = came.problems();
            // By this seed every second time is well before the attempts are used up.
            let good = chance < 1.0 && expected == "unreachable";
            assert!(if good { well == 3 } else { kinds == [expected] }, "{fault} {chance}: {kinds:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_revoked_while_many_wait_loses_nobody_and_overdraws_nothing() {
    // After ten seconds, when two hundred submits wait for their turns; and the next token takes a while to come.
    let simulator = crate::paused::start(&script(1_000, &json!({"token": [{}, {"delayMs": 9_000}]}))).await;
    let revoked = simulator.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(10)).await;
        revoked.revoke();
    });
    let came = crate::paused::run_against(simulator, "", |_| (), vectors(200)).await;
    assert!(came.requests("").iter().any(|r| r["status"] == 401));
    assert_eq!((came.problems(), came.executed(), came.duplicates()), ((vec![], 200), 200, 0));
    let mut times: Vec<_> = came.requests("").iter().map(|r| r["atMs"].as_u64().unwrap()).collect();
    times.sort_unstable();
    let busiest = times.iter().map(|start| times.iter().filter(|t| (*start..start + 60_000).contains(t)).count()).max().unwrap();
    assert!(busiest <= 300, "{busiest} requests in a minute");
}

#[tokio::test(start_paused = true)]
async fn a_platform_that_comes_back_finds_most_of_a_suite_still_to_be_run() {
    // It is gone for some twenty seconds, in which a thousand vectors must not be used up.
    let gone = vec![json!({"status": 503}); 10];
    let came =
        run(&script(100, &json!({"token": gone})), "concurrency = 8\nrequests_per_minute = 6000\nretry_first_ms = 1000\n", vectors(1_000))
            .await;
    let (kinds, well) = came.problems();
    assert!(kinds == ["unreachable"] && well >= 980, "{kinds:?}, {well} went well");
}

#[tokio::test(start_paused = true)]
async fn what_the_platform_says_is_shown_without_tokens_and_secrets() {
    let simulator = crate::paused::start(&script(
        100,
        &json!({"token": [{"status": 400, "body": "{\"error\":\"invalid_request\",\"error_description\":\"demo-secret is wrong\"}"}]}),
    ))
    .await;
    let came = crate::paused::run_against(simulator, "", |_| (), vectors(1)).await;
    let problem = came.outcomes[0].problem.as_ref().unwrap().to_string();
    assert!(problem.ends_with("the platform answered 400: *** is wrong"), "{problem}");
}

#[tokio::test(start_paused = true)]
async fn an_outage_in_the_midst_of_a_run_loses_nobody() {
    // Tokens live a minute, and for half a minute none can be had.
    let gone: Vec<_> = std::iter::once(json!({})).chain(vec![json!({"status": 503}); 14]).collect();
    let outage = json!({"client": {"tokenLifetimeSecs": 60}, "token": gone});
    let came = run(&script(1_000, &outage), "retry_first_ms = 1000\n", vectors(400)).await;
    assert_eq!((came.problems(), came.duplicates()), ((vec![], 400), 0));
}

#[tokio::test(start_paused = true)]
async fn a_token_that_lives_no_longer_than_a_turn_takes_is_no_endless_loop() {
    let short = json!({"client": {"tokenLifetimeSecs": 2}});
    let came = run(&script(100, &short), "requests_per_minute = 10\n", vectors(2)).await;
    assert_eq!(came.outcomes.len(), 2);
    assert!(came.traffic.requests < 60 && came.took < Duration::from_secs(600), "{:?} {:?}", came.traffic, came.took);
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_is_escaped_or_encoded_is_concealed_too() {
    let secret = "se/cr+et \"quoted\"";
    let detail = "c2U=: se\\/cr\\u002Bet \\\"quoted\\\" and se%2Fcr%2Bet+%22quoted%22";
    let body = format!("{{\"error\":\"invalid_request\",\"error_description\":\"{detail}\"}}");
    let simulator = crate::paused::start(&script(100, &json!({"token": [{"status": 400, "body": body}]}))).await;
    let change = |settings: &mut tracejury::config::Settings| settings.api.client_secret = tracejury::model::Secret::new(secret.to_owned());
    let came = crate::paused::run_against(simulator, "", change, vectors(1)).await;
    let problem = came.outcomes[0].problem.as_ref().unwrap().to_string();
    assert!(problem.ends_with("c2U=: *** and ***"), "{problem}");
}
