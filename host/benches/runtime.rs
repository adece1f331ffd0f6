//! The plugin runtime as its user meets it, through the real binary: how long a start takes, how much memory plugins take, how
//! many traces a second are classified; and how each grows with plugins and steps. Run with `cargo bench -p tracejury --bench runtime`.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::indexing_slicing, missing_docs)]

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;
use tracejury::config::{self, Isolation, Plugins};
use tracejury::model::{Environment, Fault, Status, Step, Trace};
use tracejury::plugin::{Compiler, Loader};

const PLUGINS: [usize; 4] = [1, 10, 25, 50];
const STEPS: [usize; 5] = [1, 10, 100, 1000, 10_000];
const STARTS: usize = 11;
const TRACES: usize = 30_000;

fn main() {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-runtime");
    let setting = |isolation: &str| format!("[plugins]\nisolation = '{isolation}'\n");
    let dirs = PLUGINS.map(|count| (count, folder(&home, count)));
    for isolation in ["per-trace", "warm"] {
        std::fs::write(home.join(format!("{isolation}.toml")), setting(isolation)).unwrap();
    }
    println!("plugins are copies of the default classifier under other names, beside itself; what is compiled is in the cache\n");
    println!("{:>8} {:>22} {:>14} {:>18} {:>14}", "plugins", "start, ms [min..max]", "resident, MB", "of it private, MB", "traces/s");
    for (count, dir) in &dirs {
        // The first start fills the cache and is not counted.
        let mut starts: Vec<_> = (0..=STARTS).map(|_| start(&home, dir).0).skip(1).collect();
        let (_, mut running) = start(&home, dir);
        let [resident, private] = ["VmRSS", "RssAnon"].map(|field| megabytes(&running, field));
        running.kill().unwrap();
        running.wait().unwrap();
        starts.sort_by(f64::total_cmp);
        let rate = rate(&home, dir, "per-trace", TRACES / count);
        let range = format!("{:.1} [{:.1}..{:.1}]", starts[STARTS / 2], starts[0], starts[STARTS - 1]);
        println!("{count:>8} {range:>22} {resident:>14.1} {private:>18.1} {rate:>14.0}");
    }
    println!("\ntraces of 1.5 kB a second, default classifier alone, {} processors", std::thread::available_parallelism().unwrap());
    for isolation in ["per-trace", "warm"] {
        println!("{isolation:>12} {:>10.0}", rate(&home, &dirs[0].1, isolation, TRACES * 5));
    }
    println!("\n{:>8} {:>18} {:>14}", "steps", "per trace, µs", "warm, µs");
    for steps in STEPS {
        let [fresh, warm] = [Isolation::PerTrace, Isolation::Warm].map(|isolation| micros(isolation, steps));
        println!("{steps:>8} {fresh:>18.1} {warm:>14.1}");
    }
}

/// A folder with so many plugins, the default classifier counted: its copies with other names.
fn folder(home: &Path, count: usize) -> PathBuf {
    let dir = home.join(format!("plugins-{count}"));
    std::fs::create_dir_all(&dir).unwrap();
    let default = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/regex/regex.wasm")).unwrap();
    let name = b"name = \"regex\"";
    let at = default.windows(name.len()).position(|window| window == name).unwrap();
    for i in 1..count {
        let mut copy = default.clone();
        copy[at..at + name.len()].copy_from_slice(format!("name = \"c-{i:03}\"").as_bytes());
        std::fs::write(dir.join(format!("c-{i:03}.wasm")), copy).unwrap();
    }
    dir
}

fn classify(home: &Path, dir: &Path, isolation: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tracejury"));
    command.env("TRACEJURY_CACHE_DIR", home.join("cache"));
    command.args(["classify", "--format", "json", "--plugins"]).arg(dir).arg("--config").arg(home.join(format!("{isolation}.toml")));
    command
}

/// From the start of the process to its first outcome, in milliseconds; and the process, which waits for more.
fn start(home: &Path, dir: &Path) -> (f64, Child) {
    let begun = Instant::now();
    let mut child = classify(home, dir, "per-trace").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    writeln!(child.stdin.as_mut().unwrap(), "{}", recorded(0)).unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("\"verdicts\":[{"), "{line}");
    (begun.elapsed().as_secs_f64() * 1e3, child)
}

/// A field of the process's memory, in MB; nothing where the system does not tell.
fn megabytes(child: &Child, field: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(f64::NAN) * 1024.0 / 1e6
}

fn rate(home: &Path, dir: &Path, isolation: &str, traces: usize) -> f64 {
    let file = home.join("traces.ndjson");
    std::fs::write(&file, (0..traces).fold(String::new(), |text, i| text + &recorded(i) + "\n")).unwrap();
    let begun = Instant::now();
    let output = classify(home, dir, isolation).arg(&file).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    assert!(output.success());
    traces as f64 / begun.elapsed().as_secs_f64()
}

const MESSAGES: [&str; 6] = [
    "connect ECONNREFUSED 10.20.30.40:8443",
    "getaddrinfo ENOTFOUND api.example.com",
    "Request failed with status code 503",
    "Cannot read properties of undefined (reading 'id')",
    "timeout of 5000ms exceeded",
    "Something went wrong",
];

/// A recorded trace of 5 steps and about 1.5 kB.
fn recorded(i: usize) -> String {
    let message = MESSAGES[i % MESSAGES.len()];
    let stack =
        (0..6).fold(format!("Error: {message}"), |stack, j| stack + &format!("\\n    at step{j} (/srv/action/lib/orders.js:1{j}:{j})"));
    let mut steps = String::new();
    for j in 0..5 {
        let end = match j == 3 {
            true => format!(r#""error":{{"message":"{message}","stack":"{stack}","code":"E"}}"#),
            false => r#""output":{"status":"ok"}"#.to_owned(),
        };
        let comma = if j == 0 { "" } else { "," };
        let _ = write!(
            steps,
            r#"{comma}{{"stepId":"step-{j}","stepName":"Step number {j}","timestamp":"2026-01-15T09:30:00.000Z","input":{{"orderId":"ORD-{i}","lines":[{{"sku":"A-1","count":2}}]}},{end}}}"#
        );
    }
    format!(
        r#"{{"sessionId":"s-{i}","actionId":"a1b2c3d4-e5f6-7890-abcd-ef1234567890","environmentId":"test","status":"FAILED","result":{{"error":{{"message":"{message}"}}}},"trace":[{steps}]}}"#
    )
}

/// One trace of so many steps through the default classifier, in microseconds.
fn micros(isolation: Isolation, steps: usize) -> f64 {
    let defaults = config::load(None, |_| None).unwrap().plugins;
    let settings = Plugins { isolation, dir: "/nowhere".into(), ..defaults };
    let classifier = Loader::new(&settings, Compiler::Here, |_| ()).unwrap().all().unwrap().classifiers().remove(0);
    let fault = Fault { message: MESSAGES[0].into(), ..Fault::default() };
    let step = |i: usize| Step {
        id: format!("step-{i}"),
        name: Some(format!("Step number {i}")),
        error: (i == steps / 2).then(|| fault.clone()),
        ..Step::default()
    };
    let trace = Trace {
        session: "s".parse().unwrap(),
        action: "a1b2c3d4-e5f6-7890-abcd-ef1234567890".parse().unwrap(),
        environment: Environment::Test,
        status: Status("FAILED".into()),
        error: None,
        steps: (0..steps).map(step).collect(),
        result: None,
    };
    let times = (100_000 / steps).clamp(20, 20_000);
    let mut rounds: Vec<_> = (0..5)
        .map(|_| {
            let begun = Instant::now();
            (0..times).for_each(|_| assert_eq!(classifier.classify(&trace).unwrap().len(), 1));
            begun.elapsed().as_secs_f64() * 1e6 / times as f64
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[2]
}
