//! What keeping records costs: appends to the audit log in each durability, its verification, deliveries out of the journal, and what the
//! journal adds to a vector. Each figure is printed beside what it is compared with, measured in the same run.

// A benchmark that cannot go on has nothing to tell.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::indexing_slicing, clippy::panic)]

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracejury::audit::{AuditLog, Location, verify};
use tracejury::config::{Audit, Durability, Webhook};
use tracejury::http::Trust;
use tracejury::model::{Environment, InputHasher, Outcome, RunId, Vector};
use tracejury::outbox::{Courier, Outbox};
use tracejury::simulator::{self, Script};
use tracejury::store::{Pick, RunRow, Store, Told};

const ENTRIES: usize = 1_000_000;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    // `cargo test --benches` wants to know that it runs, not what it measures.
    if args.iter().any(|arg| arg == "--test") {
        return;
    }
    if let Some(at) = args.iter().position(|arg| arg == "--verify") {
        return verify_here(Path::new(&args[at + 1]));
    }
    appends();
    verification();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(deliveries());
    runtime.block_on(journal());
}

fn outcome(n: usize) -> Outcome {
    let action = "a1b2c3d4-e5f6-7890-abcd-ef1234567890".parse().unwrap();
    let mut outcome = Outcome::of(format!("v{n}"), action, Environment::Test);
    outcome.session_id = Some(format!("5d1c3a70-0000-4000-8000-{n:012}").parse().unwrap());
    outcome.input_hash = Some(InputHasher::default().hash(&serde_json::Map::new()));
    outcome.classification = Some("EXTERNAL_DEPENDENCY_OUTAGE".parse().unwrap());
    outcome
}

fn log(dir: &Path, durability: Durability) -> AuditLog {
    let path = dir.join("audit.jsonl");
    AuditLog::open(&Audit { path, retention_days: 90, durability, ..Audit::default() }).unwrap()
}

/// Entries a second, one at a time and many together, as vectors in flight have them.
fn appends() {
    let mut alone_always = 0.0;
    for (name, durability) in [("always", Durability::Always), ("group", Durability::Group), ("os", Durability::Os)] {
        let rate = |together: usize, total: usize| {
            let dir = tempfile::tempdir().unwrap();
            let log = log(dir.path(), durability);
            let bodies: Vec<_> = (0..total).map(|n| log.entry(&outcome(n), "r").unwrap().body).collect();
            let began = Instant::now();
            bodies.chunks(together).for_each(|chunk| log.append(chunk).unwrap());
            total as f64 / began.elapsed().as_secs_f64()
        };
        let (alone, together) = (rate(1, 2_000), rate(64, 64_000));
        if durability == Durability::Always {
            alone_always = alone;
        }
        println!(
            "audit, {name}: {alone:.0} entries a second one by one ({:.1} x always), {together:.0} by 64 together ({:.1} x one by one)",
            alone / alone_always,
            together / alone
        );
    }
}

/// A million entries, checked in a process of its own, so that its memory is its own.
fn verification() {
    let dir = tempfile::tempdir().unwrap();
    let log = log(dir.path(), Durability::Os);
    let bodies: Vec<_> = (0..1_000).map(|n| log.entry(&outcome(n), "r").unwrap().body).collect();
    (0..ENTRIES / bodies.len()).for_each(|_| log.append(&bodies).unwrap());
    let done = std::process::Command::new(std::env::current_exe().unwrap()).arg("--verify").arg(dir.path()).output().unwrap();
    print!("{}", String::from_utf8(done.stdout).unwrap());
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

fn verify_here(dir: &Path) {
    let location = Location::of(dir);
    let bytes = std::fs::metadata(location.newest().unwrap().unwrap()).unwrap().len();
    // Beside it the least there is to do: to read it and to hash it.
    let (read, began) = (std::fs::File::open(location.newest().unwrap().unwrap()).unwrap(), Instant::now());
    let hashed = hash_all(read);
    let floor = began.elapsed();
    let began = Instant::now();
    let verified = verify(&location, None).unwrap();
    let took = began.elapsed();
    let each = |took: Duration| took.as_secs_f64() * 1e6 / verified.size as f64;
    println!(
        "audit verify: {} entries, {} MiB, {:.2} s, {:.2} µs each; reading and hashing them alone {:.2} µs ({:.2} x, {hashed:02x}); peak {:.1} MiB",
        verified.size,
        bytes >> 20,
        took.as_secs_f64(),
        each(took),
        each(floor),
        took.as_secs_f64() / floor.as_secs_f64(),
        peak()
    );
}

fn hash_all(mut file: std::fs::File) -> u8 {
    use sha2::{Digest as _, Sha256};
    use std::io::Read as _;
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 18]);
    loop {
        match file.read(&mut buffer).unwrap() {
            0 => return hash.finalize()[0],
            read => hash.update(&buffer[..read]),
        }
    }
}

fn peak() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok()).unwrap_or_default() / 1024.0
}

/// Deliveries out of a journal on disk to an endpoint on the same two cores.
async fn deliveries() {
    const DELIVERIES: usize = 5_000;
    let script = Script::parse(r#"{"version":1,"scenarios":[]}"#).or_else(|_| Script::built_in()).unwrap();
    let sink = simulator::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), script, None).await.unwrap();
    let settings: Webhook = toml::from_str(&format!("url = '{}'\nallow_private_targets = true\ntimeout_ms = 5000", sink.webhook)).unwrap();
    let outbox = Outbox::new(&settings, &Trust::default()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("journal.db")).unwrap();
    let run = RunId::new();
    store.begin(&RunRow::new(run.clone(), DELIVERIES)).await.unwrap();
    let mut all = tokio::task::JoinSet::new();
    for n in 0..DELIVERIES {
        let (store, run, outcome) = (store.clone(), run.clone(), outcome(n));
        let parcels = outbox.parcels(&outcome);
        all.spawn(async move { store.done(&run, n, &outcome, Told::Last, None, parcels).await.unwrap() });
    }
    while all.join_next().await.is_some() {}
    let began = Instant::now();
    let counts = Courier::start(&outbox, &store, &run, None).finish(Duration::from_secs(60), std::future::pending()).await;
    let took = began.elapsed().as_secs_f64();
    let left = store.deliveries(&Pick { states: vec![tracejury::store::DeliveryState::Waiting], ..Pick::default() }).await.unwrap().len();
    assert_eq!((counts.delivered, left), (DELIVERIES, 0));
    println!("outbox: {DELIVERIES} deliveries in {took:.2} s, {:.0} a second", DELIVERIES as f64 / took);
}

/// What is written down of a vector from before its submit to its outcome, with 256 in flight.
async fn journal() {
    const VECTORS: usize = 10_000;
    let each = async |path: &Path| {
        let store = Arc::new(Store::open(path).unwrap());
        let run = RunId::new();
        store.begin(&RunRow::new(run.clone(), VECTORS)).await.unwrap();
        let places = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let began = Instant::now();
        let mut all = tokio::task::JoinSet::new();
        for _ in 0..256 {
            let (store, run, places) = (Arc::clone(&store), run.clone(), Arc::clone(&places));
            all.spawn(async move {
                loop {
                    let n = places.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    if n >= VECTORS {
                        return;
                    }
                    let outcome = outcome(n);
                    let (name, action, environment) = (outcome.vector.clone(), outcome.action_id, outcome.environment_id);
                    let vector = Vector {
                        name,
                        action,
                        environment,
                        input: serde_json::Map::new(),
                        tags: vec![],
                        expect: None,
                        repetition: None,
                        source: None,
                    };
                    store.sending(&run, n, &vector, outcome.input_hash.as_ref().unwrap()).await.unwrap();
                    store.submitted(&run, n, outcome.session_id.as_ref().unwrap()).await.unwrap();
                    store.done(&run, n, &outcome, Told::Last, None, vec![]).await.unwrap();
                }
            });
        }
        while all.join_next().await.is_some() {}
        began.elapsed().as_secs_f64() * 1e6 / VECTORS as f64
    };
    let dir = tempfile::tempdir().unwrap();
    let (disk, memory) = (each(&dir.path().join("journal.db")).await, each(Path::new("")).await);
    println!("journal: {disk:.0} µs a vector (three transactions, synced), {memory:.0} in memory: {:.2} x", disk / memory);
}
