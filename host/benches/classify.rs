//! One trace through the default classifier: native, in a warm instance, and in a fresh instance per trace, in turn within one
//! run. What counts are the ratios; the microseconds are this machine's. Run with `cargo bench -p tracejury`.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::indexing_slicing, missing_docs)]

use std::hint::black_box;
use std::time::{Duration, Instant};
use tracejury::config::{self, Isolation, PageScan, Plugins};
use tracejury::jury::Classifier;
use tracejury::model::{Environment, Fault, Status, Step, Trace};
use tracejury::plugin::{Compiler, Loader};
use tracejury::workshop::as_engine_sees;
use tracejury_regex::view;

const ROUNDS: usize = 15;
/// How long each contender runs in each round.
const SLICE: Duration = Duration::from_millis(200);

/// A name and the work of one trace.
type Contender<'a> = (&'static str, Box<dyn FnMut() + 'a>);

fn main() {
    let trace = trace();
    let lowered = as_engine_sees(&trace);
    let rules = view::Classifier::new("").unwrap();
    let warm = default_classifier(Isolation::Warm, PageScan::Auto);
    let [fresh, unscanned] = [PageScan::Auto, PageScan::Off].map(|scan| default_classifier(Isolation::PerTrace, scan));
    let mut contenders: [Contender<'_>; 4] = [
        ("native", Box::new(|| drop(black_box(rules.verdicts(black_box(&lowered)))))),
        ("warm instance", Box::new(|| drop(black_box(warm.classify(black_box(&trace)))))),
        ("instance per trace", Box::new(|| drop(black_box(fresh.classify(black_box(&trace)))))),
        ("  without page scan", Box::new(|| drop(black_box(unscanned.classify(black_box(&trace)))))),
    ];
    if let Some(wanted) = std::env::args().skip(1).find(|arg| !arg.starts_with("--")) {
        // One contender alone, for a profiler.
        for (_, work) in contenders.iter_mut().filter(|(name, _)| name.contains(&wanted)) {
            (0..ROUNDS).for_each(|_| println!("{:.2}", micros_each(work)));
        }
        return;
    }
    let mut times = [const { Vec::new() }; 4];
    for round in 0..=ROUNDS {
        for (i, (_, work)) in contenders.iter_mut().enumerate() {
            let micros = micros_each(work);
            // The first round warms caches and is not counted.
            if round > 0 {
                times[i].push(micros);
            }
        }
    }
    println!("one failed trace of 5 steps, {ROUNDS} rounds in turn, median [min .. max]\n");
    println!("{:<20} {:>12} {:>25} {:>12}", "", "µs/trace", "", "× native");
    let native = median(&mut times[0]);
    for ((name, _), times) in contenders.iter().zip(&mut times) {
        let mid = median(times);
        println!("{name:<20} {mid:>12.2} {:>25} {:>12.2}", format!("[{:.2} .. {:.2}]", times[0], times[times.len() - 1]), mid / native);
    }
}

fn micros_each(work: &mut dyn FnMut()) -> f64 {
    let start = Instant::now();
    let mut count = 0_u32;
    while start.elapsed() < SLICE {
        work();
        count += 1;
    }
    start.elapsed().as_secs_f64() * 1e6 / f64::from(count)
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn default_classifier(isolation: Isolation, page_scan: PageScan) -> std::sync::Arc<dyn Classifier> {
    let defaults = config::load(None, |_| None).unwrap().plugins;
    let settings = Plugins { isolation, page_scan, dir: "/nowhere".into(), ..defaults };
    let loader = Loader::new(&settings, Compiler::Here, |_| ()).unwrap();
    loader.all().unwrap().classifiers().remove(0)
}

fn trace() -> Trace {
    let stack = "Error: connect ECONNREFUSED 10.20.30.40:8443\n    at TCPConnectWrap.afterConnect [as oncomplete] (node:net:1611:16)";
    let fault =
        Fault { message: "connect ECONNREFUSED 10.20.30.40:8443".into(), stack: Some(stack.into()), code: Some("ECONNREFUSED".into()) };
    let step = |i: usize| Step {
        id: format!("step-{i}"),
        name: Some(format!("Step number {i}")),
        timestamp: Some("2026-01-15T09:30:00.000Z".into()),
        input: Some(r#"{"orderId":"ORD-4711","lines":[{"sku":"A-1","count":2}]}"#.into()),
        output: Some(r#"{"status":"ok"}"#.into()),
        error: (i == 3).then(|| fault.clone()),
    };
    Trace {
        session: "5f0c7f7e-5a6e-4d5c-9a55-0e8f2b1f7c11".parse().unwrap(),
        action: "a1b2c3d4-e5f6-7890-abcd-ef1234567890".parse().unwrap(),
        environment: Environment::Test,
        status: Status("FAILED".into()),
        error: Some(Fault { message: "connect ECONNREFUSED 10.20.30.40:8443".into(), ..Fault::default() }),
        steps: (0..5).map(step).collect(),
        result: None,
    }
}
