//! How rule packs grow: what loading, a snapshot and a trace cost with 10 to 10,000 rules, beside the same rules run natively and
//! beside the `regex` crate's `RegexSet` of all their patterns, all in one run. Run with `cargo bench -p tracejury --bench rules`.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::indexing_slicing, missing_docs)]

use regex::RegexSetBuilder;
use std::fmt::Write as _;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};
use tracejury::config::{self, Isolation, Plugins};
use tracejury::model::{Fault, Step, Trace};
use tracejury::plugin::{Compiler, Loader};
use tracejury::workshop::as_engine_sees;

const RULES: [usize; 4] = [10, 100, 1000, 10_000];
const TRIES: usize = 400;
/// Words that no two rules combine alike.
const THINGS: [&str; 20] = [
    "ledger",
    "invoice",
    "tariff",
    "mandate",
    "voucher",
    "shipment",
    "customer",
    "contract",
    "coupon",
    "warehouse",
    "payout",
    "dispute",
    "refund",
    "balance",
    "session",
    "tenant",
    "gateway",
    "queue",
    "booking",
    "account",
];
const STATES: [&str; 25] = [
    "sealed",
    "frozen",
    "missing",
    "expired",
    "rejected",
    "locked",
    "duplicated",
    "overdrawn",
    "unreachable",
    "stale",
    "suspended",
    "malformed",
    "orphaned",
    "archived",
    "blocked",
    "unsigned",
    "truncated",
    "throttled",
    "unbalanced",
    "pending",
    "revoked",
    "split",
    "corrupt",
    "disabled",
    "ambiguous",
];

fn main() {
    let home = tempfile::tempdir().unwrap();
    println!("a trace of 5 steps whose error has a stack of 8 frames and is matched by one rule; medians of {TRIES}\n");
    println!(
        "{:>7} {:>11} {:>11} {:>12} {:>13} {:>11} {:>11} {:>12} {:>14}",
        "rules", "made, ms", "start, ms", "kept, MB", "per trace, µs", "warm, µs", "native, µs", "RegexSet, µs", "warm/RegexSet"
    );
    for count in RULES {
        let text = pack(count);
        let path = home.path().join(format!("p{count}.toml"));
        std::fs::write(&path, &text).unwrap();
        let trace = trace(count);
        let [fresh, warm] = [Isolation::PerTrace, Isolation::Warm].map(|isolation| plugins(home.path(), isolation));
        let fresh = Loader::new(&fresh, Compiler::Here, |_| ()).unwrap();
        let (made, _) = timed(|| fresh.judge(&path).unwrap());
        let (start, fresh) = timed(|| fresh.judge(&path).unwrap());
        let kept: u64 =
            std::fs::read_dir(home.path().join("cache")).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).max().unwrap();
        let warm = Loader::new(&warm, Compiler::Here, |_| ()).unwrap().judge(&path).unwrap();
        let native = fresh.native().unwrap();
        let lowered = as_engine_sees(&trace);
        let rules = fresh.pack.as_ref().unwrap();
        let set = RegexSetBuilder::new(rules.rules.iter().flat_map(|rule| rule.patterns().map(|pattern| pattern.it.as_str())));
        let set = { set }.size_limit(4 << 30).dfa_size_limit(64 << 20).build();
        let texts: Vec<_> = trace
            .steps
            .iter()
            .filter_map(|step| step.error.as_ref())
            .flat_map(|f| [Some(f.message.as_str()), f.stack.as_deref()])
            .flatten()
            .collect();
        // All say the same before any of them is measured.
        let verdict = fresh.classify(&trace).unwrap();
        assert_eq!(verdict[0].rule, warm.classify(&trace).unwrap()[0].rule);
        assert_eq!(verdict[0].rule, native.verdicts(&lowered)[0].rule);
        let mut times: [Vec<Duration>; 4] = Default::default();
        for _ in 0..TRIES {
            times[0].push(timed(|| black_box(fresh.classify(black_box(&trace)))).0);
            times[1].push(timed(|| black_box(warm.classify(black_box(&trace)))).0);
            times[2].push(timed(|| black_box(native.verdicts(black_box(&lowered)))).0);
            if let Ok(set) = &set {
                times[3].push(timed(|| texts.iter().map(|text| black_box(set.matches(black_box(text))).len()).sum::<usize>()).0);
            }
        }
        let [fresh, warm, native, set] = times.map(median);
        let (set, ratio) =
            if set == 0.0 { ("too large".to_owned(), "–".to_owned()) } else { (format!("{set:.1}"), format!("{:.3} ×", warm / set)) };
        println!(
            "{count:>7} {:>11.0} {:>11.1} {:>12.1} {fresh:>13.1} {warm:>11.1} {native:>11.1} {set:>12} {ratio:>14}",
            made.as_secs_f64() * 1e3,
            start.as_secs_f64() * 1e3,
            kept as f64 / 1e6
        );
        std::fs::remove_dir_all(home.path().join("cache")).unwrap();
    }
}

fn plugins(home: &Path, isolation: Isolation) -> Plugins {
    let settings = "[plugins]\nmemory_mib = 2048\nmax_file_mib = 1024\nload_deadline_ms = 120000\ncache_max_mib = 8192\n";
    let file = home.join("bench.toml");
    std::fs::write(&file, settings).unwrap();
    let cache = home.join("cache");
    Plugins { isolation, without_snapshot: isolation, cache_dir: cache, ..config::load(Some(&file), |_| None).unwrap().plugins }
}

/// A pack of so many rules, of the kinds that people write: words in any case, numbers and names between, alternatives.
fn pack(count: usize) -> String {
    let mut text = "schema = 1\nname = 'grown'\nversion = '1.0.0'\nsummary = 's'\n".to_owned();
    for i in 0..count {
        let (thing, state, code) = (THINGS[i % 20], STATES[i / 20 % 25], i / 500);
        let pattern = match i % 4 {
            0 => format!(r"(?i){thing} [0-9]+ is {state} \(e{code}\)"),
            1 => format!(r"\bE{code:03}_{}_{}\b", thing.to_uppercase(), state.to_uppercase()),
            2 => format!(r"{thing} (?:of|for) [^\n]{{1,40}} (?:is|was) {state}: code {code}\b"),
            _ => format!(r#"(?i)"{thing}":\s*"{state}-{code}""#),
        };
        let _ = write!(
            text,
            "[[rule]]\nid = 'r{i}'\nclassification = 'X'\nconfidence = 0.{:02}\nexplain = 'e'\nany = ['{pattern}']\n",
            10 + i % 80
        );
    }
    text
}

/// A failed execution that one rule of the pack matches, in the middle of the error's message.
fn trace(count: usize) -> Trace {
    let i = (count / 2) / 4 * 4;
    let (thing, state, code) = (THINGS[i % 20], STATES[i / 20 % 25], i / 500);
    let message = format!("while the order was saved: {thing} 4711 is {state} (e{code}), see the log for what went before it");
    let frames: String = (0..8).map(|i| format!("\n    at save (/srv/action/lib/orders{i}.js:{}:{})", 100 + i, 7 + i)).collect();
    let step = |i: usize| Step { id: format!("step-{i}"), name: Some(format!("Step {i}")), ..Step::default() };
    let mut steps: Vec<_> = (0..5).map(step).collect();
    steps[3].error =
        Some(Fault { message: message.clone(), stack: Some(format!("Error: {message}{frames}")), code: Some("E_SAVE".into()) });
    Trace::made_up(steps)
}

fn timed<T>(what: impl FnOnce() -> T) -> (Duration, T) {
    let started = Instant::now();
    let done = what();
    (started.elapsed(), done)
}

/// In microseconds; 0 of nothing.
fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times.get(times.len() / 2).map_or(0.0, |time| time.as_secs_f64() * 1e6)
}
