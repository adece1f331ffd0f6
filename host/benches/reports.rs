//! What suites and reports cost:
//! - a hundred thousand recorded results through each report and through all of them: time as a ratio to outcome lines alone, and peak
//!   memory;
//! - a million rows of CSV checked and planned by the real binary: peak memory against that of a hundred thousand.
//!
//! Memory is held to a bound here; times are printed only.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout, missing_docs)]

use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;
use tracejury::model::{
    Classification, Confidence, Digest, Environment, Evidence, Fault, Outcome, Sighting, Status, StepLine, Timeline, VerdictLine,
};
use tracejury::report::{About, Files, Summary, Target};

const ACTION: &str = "a1b2c3d4-e5f6-7890-abcd-ef1234567890";
const RESULTS: usize = 100_000;
const FORMATS: [&str; 6] = ["ndjson", "json", "junit", "markdown", "sarif", "html"];

fn main() {
    // `cargo test --benches` wants to know that it runs, not what it measures.
    if std::env::args().any(|arg| arg == "--test") || !cfg!(target_os = "linux") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let before = peak("self");
    println!("{RESULTS} results through reports");
    let lines = written(dir.path(), &["ndjson"]);
    for format in FORMATS {
        let took = if format == "ndjson" { lines } else { written(dir.path(), &[format]) };
        println!("  {format:<10} {took:>6.2} s, {:>5.2} × outcome lines alone", took / lines);
    }
    let all = written(dir.path(), &FORMATS);
    let grown = peak("self") - before;
    println!("  all six    {all:>6.2} s, {:>5.2} × outcome lines alone; {:.0} MiB of peak memory", all / lines, grown as f64 / 1_048_576.0);
    assert!(grown < 64 << 20, "reports hold {grown} bytes");
    let [few, many] = [100_000, 1_000_000].map(|rows| planned(dir.path(), rows));
    let ratio = many.0 as f64 / few.0 as f64;
    println!("1000000 rows of CSV checked twice and planned in {:.1} s", many.1);
    println!("  peak memory {:.0} MiB, {ratio:.2} × that of 100000 rows", many.0 as f64 / 1_048_576.0);
    assert!(ratio < 1.25, "memory grows with the rows: {ratio}");
}

/// Writes all results as these reports; how long that took.
fn written(dir: &Path, formats: &[&str]) -> f64 {
    let targets: Vec<Target> = formats.iter().map(|format| format!("{format}={}/{format}", dir.display()).parse().unwrap()).collect();
    let begun = Instant::now();
    let about = About { run: "20260101-000000-abcd".into(), began: "2026-01-01T00:00:00Z".into(), vectors: RESULTS };
    let mut files = Files::begin(&targets, &about).unwrap();
    let mut summary = Summary::default();
    for number in 0..RESULTS {
        let outcome = result(number);
        summary.count(&outcome);
        files.outcome(&outcome);
    }
    let (written, failed) = files.end(&summary, 60_000);
    assert_eq!((written.len(), failed.len()), (formats.len(), 0));
    begun.elapsed().as_secs_f64()
}

/// A result such as a run brings: failed executions of forty causes, a quarter of them internal, one of ten not as expected.
fn result(number: usize) -> Outcome {
    let cause = number % 40;
    let outcome = Outcome::of(format!("order {number}"), ACTION.parse().unwrap(), Environment::Test);
    let message = format!("connect ECONNREFUSED 10.0.{cause}.1:443 while paying order {number}");
    let verdict = |plugin: &str, confidence| VerdictLine {
        plugin: plugin.into(),
        version: "1.0.0".into(),
        digest: Digest::of(plugin.as_bytes()),
        classification: Classification::EXTERNAL.parse().unwrap(),
        confidence: Confidence::new(confidence).unwrap(),
        calibrated: None,
        reason: Some("connection-refused".into()),
        rule: Some("connection-refused".into()),
        explanation: "Nothing listens where the action calls.".into(),
        evidence: vec![Evidence { location: "steps[1].error.message".into(), start: 8, end: 20, text: "ECONNREFUSED".into() }],
        attributes: Default::default(),
    };
    let begun = number as u64;
    let expected = !number.is_multiple_of(10);
    Outcome {
        session_id: format!("s-{number}").parse().ok(),
        status: Some(Status("FAILED".into())),
        execution_duration_ms: Some(200 + begun % 900),
        classification: Some(if cause.is_multiple_of(4) { Classification::INTERNAL } else { Classification::EXTERNAL }.parse().unwrap()),
        confidence: Confidence::new(0.96).ok(),
        reason: Some("connection-refused".into()),
        failing_step_name: Some(format!("Pay {cause}")),
        expected: Some(expected),
        mismatch: if expected { vec![] } else { vec!["status: expected COMPLETED, got FAILED".into()] },
        mismatch_at: if expected { vec![] } else { vec![format!("orders.csv:{number}")] },
        at: Some(format!("orders.csv:{number}")),
        verdicts: vec![verdict("regex", 0.96), verdict("ours", 0.8)],
        fault: Some(Fault { message, stack: None, code: None }),
        steps: vec![StepLine { name: "Prepare".into(), timestamp: None, error: None }; 3],
        timeline: Timeline {
            begun,
            submitted: Some(begun + 20),
            polls: vec![(begun + 100, Sighting::Running("RUNNING".into())), (begun + 220, Sighting::Ended)],
            ended: begun + 220,
        },
        ..outcome
    }
}

/// Has so many rows checked and planned; the peak memory in bytes, and the time.
fn planned(dir: &Path, rows: usize) -> (usize, f64) {
    let file = dir.join("rows.csv");
    let mut out = BufWriter::new(std::fs::File::create(&file).unwrap());
    writeln!(out, "name,dataActionId,environmentId,customerId,amount\nstring,string,string,string,number").unwrap();
    (0..rows).for_each(|row| writeln!(out, "order {row},{ACTION},test,CUST-{row},{}.5", row % 1000).unwrap());
    drop(out);
    let begun = Instant::now();
    let child = Command::new(env!("CARGO_BIN_EXE_tracejury"))
        .args(["run", "rows.csv", "--dry-run", "--format", "json"])
        .envs([("CXONE_BASE_URL", "https://api.example.com"), ("CXONE_CLIENT_ID", "x"), ("CXONE_CLIENT_SECRET", "x")])
        .current_dir(dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = child.unwrap();
    let (mut lines, mut most) = (0, 0);
    for line in std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap())) {
        lines += usize::from(line.is_ok());
        if lines.is_multiple_of(10_000) {
            most = most.max(peak(&child.id().to_string()));
        }
    }
    assert!(child.wait().unwrap().success());
    assert_eq!(lines, rows);
    (most, begun.elapsed().as_secs_f64())
}

/// The peak of resident memory of a process, in bytes.
fn peak(process: &str) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0 kB");
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}
