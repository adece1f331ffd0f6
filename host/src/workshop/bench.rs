//! What a plugin costs: per trace, at the start, and in memory; beside the default classifier, and beside the same rules run natively.
//! All of it is measured in turns within one run, so that what the machine does meanwhile befalls all alike.

use super::WorkshopError;
use super::cases::Cases;
use super::check::conformance_set;
use super::native::Native;
use crate::model::{Fault, Trace};
use crate::plugin::{DEFAULT_FILE, Loader};
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};
use tracejury_regex as engine;

/// What was measured of one contender.
#[derive(Debug, Clone)]
pub struct Figures {
    /// Who it is.
    pub name: String,
    /// The median and the 99th percentile of the time for one trace.
    pub p50: Duration,
    /// See [`Figures::p50`].
    pub p99: Duration,
    /// How long loading took, with all that was compiled before; none where nothing is loaded.
    pub start: Option<Duration>,
    /// The memory of an instance when it starts, in bytes, where it can be told.
    pub memory: Option<u64>,
}

/// How often every trace is heard by every contender.
const ROUNDS: usize = 300;
/// How many of these rounds are not counted.
const WARMING: usize = 20;

struct Contender<'a> {
    name: String,
    start: Option<Duration>,
    memory: Option<u64>,
    /// Hears one of the traces; how long that took.
    hear: Box<dyn FnMut(usize) -> Result<Duration, WorkshopError> + 'a>,
    times: Vec<Duration>,
}

/// Measures the plugin, then those it is compared with; with the folder of its crate, that too, run natively. Without cases it hears
/// short traces of every kind.
///
/// # Errors
/// The plugin is refused.
pub fn bench(loader: &Loader, file: &Path, cases: Option<&Cases>, crate_dir: Option<&Path>) -> Result<Vec<Figures>, WorkshopError> {
    let made_up =
        || conformance_set().into_iter().map(|(_, trace)| trace).filter(|trace| trace.steps.len() < 10 && message_bytes(trace) < 10_000);
    let traces: Vec<_> = match cases {
        Some(cases) if !cases.cases.is_empty() => cases.cases.iter().map(|case| case.trace.clone()).collect(),
        _ => made_up().collect(),
    };
    // Compiled now, so that what is measured as its start is a start like every other.
    let native = loader.judge(file)?.native();
    let mut contenders = Vec::new();
    let default = Path::new(DEFAULT_FILE);
    for (file, is) in [(file, ""), (default, " (the default classifier)")] {
        let started = Instant::now();
        let judge = loader.judge(file)?;
        let start = Some(started.elapsed());
        let profile = judge.profile();
        let name = format!("{}{is}", profile.name);
        let memory = profile.memory_bytes;
        let traces = &traces;
        let hear = Box::new(move |i: usize| Ok(timed(|| traces.get(i).map(|trace| judge.classify(black_box(trace))))));
        contenders.push(Contender { name, start, memory, hear, times: Vec::new() });
    }
    if let Some(rules) = native {
        let traces: Vec<_> = traces.iter().map(as_engine_sees).collect();
        let hear = Box::new(move |i: usize| Ok(timed(|| traces.get(i).map(|trace| rules.verdicts(black_box(trace))))));
        let name = "the same rules, natively".to_owned();
        contenders.push(Contender { name, start: None, memory: None, hear, times: Vec::new() });
    }
    if let Some(dir) = crate_dir {
        let lowered: Vec<_> = traces.iter().map(as_engine_sees).collect();
        let mut native = Native::start(dir, &lowered)?;
        let hear = Box::new(move |i: usize| native.hear(i));
        contenders.push(Contender { name: "the same crate, natively".to_owned(), start: None, memory: None, hear, times: Vec::new() });
    }
    for round in 0..ROUNDS {
        for contender in &mut contenders {
            for i in 0..traces.len() {
                let took = (contender.hear)(i)?;
                if round >= WARMING {
                    contender.times.push(took);
                }
            }
        }
    }
    Ok(contenders.into_iter().map(Contender::figures).collect())
}

fn timed<T>(what: impl FnOnce() -> T) -> Duration {
    let started = Instant::now();
    black_box(what());
    started.elapsed()
}

impl Contender<'_> {
    fn figures(mut self) -> Figures {
        self.times.sort();
        let at = |percent: usize| self.times.get(self.times.len() * percent / 100).copied().unwrap_or_default();
        Figures { p50: at(50), p99: at(99), name: self.name, start: self.start, memory: self.memory }
    }
}

fn message_bytes(trace: &Trace) -> usize {
    trace.steps.iter().filter_map(|step| step.error.as_ref()).map(|fault| fault.message.len()).sum()
}

/// A trace as the engine of rules sees it that was granted nothing.
#[must_use]
pub fn as_engine_sees(trace: &Trace) -> engine::Trace {
    let fault = |fault: &Fault| engine::Fault { message: fault.message.clone(), stack: fault.stack.clone(), code: fault.code.clone() };
    let steps = trace.steps.iter().map(|step| engine::Step {
        id: step.id.clone(),
        name: step.name.clone(),
        timestamp: None,
        input: None,
        output: None,
        error: step.error.as_ref().map(fault),
    });
    engine::Trace {
        session_id: trace.session.to_string(),
        action_id: trace.action.to_string(),
        environment: trace.environment.to_string(),
        status: trace.status.0.clone(),
        error: trace.error.as_ref().map(fault),
        failing_step: trace.failing_step().and_then(|i| u32::try_from(i).ok()),
        steps: steps.collect(),
        attributes: Vec::new(),
    }
}
