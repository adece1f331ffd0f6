//! What a run costs, by the real binary against the simulator in a process of its own:
//! - ten thousand sessions in flight: memory and CPU time for each, and the wall time against the least that the budget of requests allows;
//! - a hundred thousand vectors streamed: memory after the first tenth and at the end.
//!
//! Memory is held to a bound here; times are printed only.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout, missing_docs)]

use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const ACTION: &str = "a1b2c3d4-e5f6-7890-abcd-ef1234567890";

fn main() {
    // `cargo test --benches` wants to know that it runs, not what it measures.
    if std::env::args().any(|arg| arg == "--test") || !cfg!(target_os = "linux") {
        return;
    }
    in_flight(10_000, 120_000);
    streamed(100_000);
}

/// So many sessions, all of them submitted before the first has ended.
fn in_flight(sessions: usize, per_minute: usize) {
    let dir = tempfile::tempdir().unwrap();
    let per_second = per_minute / 60;
    // Submitting takes as long, less the second's worth that may have been saved up.
    let takes = 1_000 * (sessions - per_second) / per_second + 200;
    let simulator = Simulator::start(dir.path(), takes);
    let concurrency = sessions.to_string();
    let settings = format!("concurrency = {concurrency}\nrequests_per_minute = {per_minute}\npoll_max_ms = {}\n", 2 * takes);
    let few = measure(dir.path(), &simulator, &settings, 10, |_| ());
    let before = simulator.counts();
    let many = measure(dir.path(), &simulator, &settings, sessions, |_| ());
    let after = simulator.counts();
    let requests = after["requests"].as_u64().unwrap() - before["requests"].as_u64().unwrap();
    // A token, a submit and a poll for each; a second's worth may have been saved up.
    let least = (2 * sessions + 1 - per_second) as f64 / per_second as f64;
    let wall = many.wall.as_secs_f64();
    println!("{sessions} sessions of {takes} ms at {per_minute} requests a minute");
    println!("  in flight at once, at most     {:>8}", after["inFlightMost"]);
    println!("  executed twice, throttled      {:>8} {}", after["duplicates"], after["throttled"]);
    println!("  requests, for each session     {requests:>8} {:.3}", requests as f64 / sessions as f64);
    println!(
        "  resident memory, for each      {:>8} MiB {:.1} KiB",
        many.peak >> 20,
        (many.peak - few.peak) as f64 / 1024.0 / sessions as f64
    );
    println!("  CPU time, for each             {:>8.2} s {:.0} µs", many.cpu.as_secs_f64(), many.cpu.as_secs_f64() * 1e6 / sessions as f64);
    println!("  wall time                      {wall:>8.2} s");
    println!("  least that the budget allows   {least:>8.2} s");
    println!("  ratio                          {:>8.3}", wall / least);
}

/// So many vectors, read from NDJSON as they are run.
fn streamed(vectors: usize) {
    let dir = tempfile::tempdir().unwrap();
    let simulator = Simulator::start(dir.path(), 0);
    let settings = "concurrency = 64\nrequests_per_minute = 60000000\npoll_first_ms = 1\n";
    let mut resident = Vec::new();
    let whole = measure(dir.path(), &simulator, settings, vectors, |(done, process)| {
        if done == vectors / 10 || done == vectors {
            resident.push(memory(process, "VmRSS"));
        }
    });
    let ratio = resident[1] as f64 / resident[0] as f64;
    println!("{vectors} vectors streamed, {:.0} a second", vectors as f64 / whole.wall.as_secs_f64());
    println!("  resident after a tenth         {:>8.1} MiB", resident[0] as f64 / 1_048_576.0);
    println!("  resident at the end            {:>8.1} MiB", resident[1] as f64 / 1_048_576.0);
    println!("  ratio                          {ratio:>8.3}");
    assert!(ratio < 1.1, "memory grows with the number of vectors");
}

struct Measured {
    wall: Duration,
    /// The most memory that was resident, in bytes.
    peak: usize,
    cpu: Duration,
}

/// Runs so many vectors and tells `seen` of each line that came out: its number, and the process.
fn measure(dir: &Path, simulator: &Simulator, settings: &str, vectors: usize, mut seen: impl FnMut((usize, u32))) -> Measured {
    std::fs::write(dir.join("tracejury.toml"), format!("[api]\n{settings}")).unwrap();
    let mut file = std::io::BufWriter::new(std::fs::File::create(dir.join("vectors.ndjson")).unwrap());
    for n in 0..vectors {
        let line =
            json!({"name": format!("v{n}"), "dataActionId": ACTION, "environmentId": "test", "inputParameters": {"n": n, "of": vectors}});
        writeln!(file, "{line}").unwrap();
    }
    drop(file);
    let began = Instant::now();
    let mut child = command(dir)
        .args(["run", "vectors.ndjson", "--format", "json"])
        .envs([("CXONE_BASE_URL", simulator.url.as_str()), ("CXONE_CLIENT_ID", "demo-client"), ("CXONE_CLIENT_SECRET", "demo-secret")])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (process, mut peak, mut lines) = (child.id(), 0, 0);
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        assert!(line.contains("\"status\":\"COMPLETED\""), "{line}");
        lines += 1;
        if lines % 100 == 0 || lines == vectors {
            peak = peak.max(memory(process, "VmHWM"));
        }
        seen((lines, process));
    }
    let cpu = cpu_of_the_ended(process);
    let wall = began.elapsed();
    let mut told = String::new();
    child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert!(child.wait().unwrap().success() && lines == vectors, "{told}");
    Measured { wall, peak, cpu }
}

/// A line of a process's status, in bytes.
fn memory(process: u32, line: &str) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let value = status.lines().find_map(|l| l.strip_prefix(line)?.strip_prefix(':'));
    value.map_or(0, |value| value.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10)
}

/// The CPU time of a process that is about to end: waited for until it has, and read before it is forgotten.
fn cpu_of_the_ended(process: u32) -> Duration {
    loop {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
        let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        if fields[0] == "Z" {
            // Fields 14 and 15 of proc(5), in ticks of a hundredth of a second.
            let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
            return Duration::from_millis(10 * ticks);
        }
        std::thread::yield_now();
    }
}

fn command(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tracejury"));
    command.current_dir(dir).stdin(Stdio::null()).env("TRACEJURY_CACHE_DIR", concat!(env!("CARGO_TARGET_TMPDIR"), "/sessions"));
    command
}

struct Simulator {
    url: String,
    child: Child,
}

impl Simulator {
    /// A platform whose one action takes so long, and a bucket of requests that is never empty.
    fn start(dir: &Path, takes_ms: usize) -> Self {
        let script = json!({"version": 1, "scenarios": [{
            "name": "s", "dataActionId": ACTION, "runningMs": takes_ms, "answer": {"status": "COMPLETED", "result": {}, "trace": [{"stepId": "one", "output": "ok"}]},
        }]});
        std::fs::write(dir.join("script.json"), script.to_string()).unwrap();
        let mut command = command(dir);
        let mut child =
            command.args(["simulate", "--scenario", "script.json"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let hello: Value = serde_json::from_str(&line).unwrap();
        Self { url: hello["url"].as_str().unwrap().to_owned(), child }
    }

    fn counts(&self) -> Value {
        let host = self.url.trim_start_matches("http://");
        let mut stream = std::net::TcpStream::connect(host).unwrap();
        write!(stream, "GET /_simulator/counts HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap()
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
