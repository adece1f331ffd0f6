//! A run and a simulator in one process, over real loopback HTTP, on tokio's paused clock: minutes pass in no time, and what is
//! measured of them is exact.

use crate::driver::{ACTION, completed, scenario};
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tracejury::classify::Terms;
use tracejury::config::{self, Settings};
use tracejury::debug_api::{DebugApi, Traffic};
use tracejury::http::Trust;
use tracejury::jury::Jury;
use tracejury::model::{Outcome, RunId, Secret, Vector};
use tracejury::outbox::Outbox;

use tracejury::run::{Event, Patience, Resume, Run};
use tracejury::simulator::{self, Running, Script};
use tracejury::store::{RunRow, Store};
use tracejury::vectors::Suite;

/// What came of a run.
pub struct Came {
    pub simulator: Running,
    pub outcomes: Vec<Outcome>,
    pub traffic: Traffic,
    /// By the paused clock.
    pub took: Duration,
}

impl Came {
    /// The kinds of problem, each once, and how many vectors had none.
    pub fn problems(&self) -> (Vec<&'static str>, usize) {
        let mut kinds: Vec<_> = self.outcomes.iter().filter_map(|o| Some(o.problem.as_ref()?.kind.as_str())).collect();
        kinds.sort_unstable();
        kinds.dedup();
        (kinds, self.outcomes.iter().filter(|o| o.problem.is_none()).count())
    }

    /// The requests that the simulator got and whose path ends in `end`.
    pub fn requests(&self, end: &str) -> Vec<Value> {
        let journal = self.simulator.journal();
        journal["requests"].as_array().unwrap().iter().filter(|r| r["path"].as_str().unwrap().ends_with(end)).cloned().collect()
    }

    pub fn executed(&self) -> u64 {
        self.simulator.journal()["executed"][ACTION].as_u64().unwrap_or_default()
    }

    pub fn duplicates(&self) -> u64 {
        self.simulator.journal()["duplicates"].as_u64().unwrap()
    }
}

/// So many vectors of the original's action, each with an input of its own.
pub fn vectors(count: usize) -> Vec<Vector> {
    let line = |n: usize| json!({"name": format!("v{n}"), "dataActionId": ACTION, "environmentId": "test", "inputParameters": {"n": n}});
    let lines: Value = (0..count).map(line).collect();
    Suite::of_text("v", &lines.to_string()).unwrap().vectors().map(Result::unwrap).collect()
}

/// A script of one scenario that completes, with `more` of the script.
pub fn script(running_ms: u64, more: &Value) -> Value {
    let mut script = json!({"version": 1, "scenarios": [scenario(&completed(), &json!({"runningMs": running_ms}))]});
    script.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    script
}

pub async fn start(script: &Value) -> Running {
    let script = Script::parse(&script.to_string()).unwrap();
    simulator::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), script, None).await.unwrap()
}

/// The defaults, with `more` of `[api]`, for a simulator.
pub fn settings(simulator: &Running, more: &str) -> Settings {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tracejury.toml");
    std::fs::write(&file, format!("[api]\n{more}")).unwrap();
    let mut settings = config::load(Some(&file), |_| None).unwrap();
    settings.api.base_url.clone_from(&simulator.url);
    settings.api.login_url.clone_from(&simulator.url);
    settings.api.client_id = "demo-client".to_owned();
    settings.api.client_secret = Secret::new("demo-secret".to_owned());
    settings
}

/// Runs vectors against a simulator that plays `script`, with `more` of `[api]`.
pub async fn run(script: &Value, more: &str, vectors: Vec<Vector>) -> Came {
    run_against(start(script).await, more, |_| (), vectors).await
}

/// Runs vectors against a simulator, with `more` of `[api]`, changed as `change` has it.
pub async fn run_against(simulator: Running, more: &str, change: impl Fn(&mut Settings), vectors: Vec<Vector>) -> Came {
    let mut settings = settings(&simulator, more);
    change(&mut settings);
    let run = Arc::new(Run {
        api: DebugApi::new(&settings, &Trust::default()).unwrap(),
        jury: Arc::new(Jury::new(Vec::new(), &settings.plugins, 1)),
        outbox: Outbox::new(&settings.webhook, &Trust::default()).unwrap(),
        audit: None,
        audit_group: Duration::ZERO,
        id: RunId::new(),
        store: Store::open(Path::new("")).unwrap(),
        resume: Resume::No,
        terms: Arc::new(Terms::default()),
        concurrency: settings.api.concurrency.get(),
        patience: Patience::default(),
    });
    run.store.begin(&RunRow::new(run.id.clone(), vectors.len())).await.unwrap();
    let (events, mut happened) = mpsc::channel(64);
    let (_stop, stopped) = watch::channel(false);
    let began = Instant::now();
    let running = tokio::spawn(Arc::clone(&run).all(vectors.into_iter().map(Ok), events, stopped));
    let mut outcomes = Vec::new();
    while let Some(event) = happened.recv().await {
        if let Event::Outcome(_, outcome) = event {
            outcomes.push(*outcome);
        }
    }
    running.await.unwrap();
    Came { simulator, outcomes, traffic: run.api.traffic(), took: began.elapsed() }
}
