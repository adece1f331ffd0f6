//! Drives the real binary: a simulator with a script, a run against it, and what came of both.

use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The action of the original vector.
pub const ACTION: &str = "a1b2c3d4-e5f6-7890-abcd-ef1234567890";

/// The folder of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A folder of a test's own, and the commands run in it.
pub struct Bench {
    pub dir: tempfile::TempDir,
    pub env: Vec<(String, String)>,
}

/// What a command left behind.
#[derive(Debug)]
pub struct Done {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Bench {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), env: Vec::new() }
    }

    /// Settings for a run against `simulator`, quick enough for a test.
    pub fn against(simulator: &Simulator) -> Self {
        let mut bench = Self::new();
        bench.env("CXONE_BASE_URL", &simulator.url).env("CXONE_CLIENT_ID", "demo-client").env("CXONE_CLIENT_SECRET", "demo-secret");
        bench.settings("");
        bench
    }

    /// Writes the settings file: quick polling, and `more`, which begins with further keys of `[api]`.
    pub fn settings(&mut self, more: &str) -> &mut Self {
        let deadline = if more.contains("deadline_ms") { "" } else { "deadline_ms = 20000\n" };
        // The receivers of tests are on this machine.
        let allowed = "[webhook]\nallow_private_targets = true\n";
        let more = &if more.contains("[webhook]\n") { more.replace("[webhook]\n", allowed) } else { format!("{more}\n{allowed}") };
        let rate = if more.contains("requests_per_minute") { "" } else { "requests_per_minute = 60000\n" };
        self.file("tracejury.toml", format!("[api]\npoll_first_ms = 20\npoll_max_ms = 100\nretry_first_ms = 20\n{rate}{deadline}{more}"));
        self
    }

    pub fn env(&mut self, name: &str, value: &str) -> &mut Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn file(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.dir.path().join(name)).unwrap()
    }

    /// The lines of an audit log, of all its segments.
    pub fn log(&self, name: &str) -> Vec<String> {
        let path = self.dir.path().join(name);
        let stem = format!("{}-", path.file_stem().unwrap().to_str().unwrap());
        let files = std::fs::read_dir(path.parent().unwrap()).unwrap().map(|file| file.unwrap().path());
        let mut segments: Vec<_> = files.filter(|file| file.file_name().unwrap().to_str().unwrap().starts_with(&stem)).collect();
        segments.sort();
        segments.iter().flat_map(|file| std::fs::read_to_string(file).unwrap().lines().map(str::to_owned).collect::<Vec<_>>()).collect()
    }

    /// What an audit log has on sessions.
    pub fn entries(&self, name: &str) -> Vec<Value> {
        let all = self.log(name).into_iter().map(|line| serde_json::from_str::<Value>(&line).unwrap());
        all.filter(|entry| entry["kind"] == "session").collect()
    }

    /// Compiled components are shared by all tests: compiling the default classifier takes a while.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tracejury"));
        command.args(args).current_dir(self.dir.path()).stdin(Stdio::null());
        for name in [
            "CXONE_BASE_URL",
            "CXONE_CLIENT_ID",
            "CXONE_CLIENT_SECRET",
            "WEBHOOK_URL",
            "WEBHOOK_SECRET",
            "AUDIT_LOG_PATH",
            "TRACEJURY_JOURNAL",
            "TRACEJURY_PRIVACY_KEY",
            "GITHUB_STEP_SUMMARY",
        ] {
            command.env_remove(name);
        }
        command.env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR")).envs(self.env.iter().map(|(k, v)| (k, v)));
        command
    }

    /// A script for a shell that finds `tracejury`.
    pub fn shell(&self, script: &str) -> Command {
        let own = self.command(&[]);
        let folder = Path::new(own.get_program()).parent().unwrap();
        let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default());
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).current_dir(self.dir.path()).stdin(Stdio::null());
        for (name, value) in own.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        shell.env("PATH", path);
        shell
    }

    pub fn tracejury(&self, args: &[&str]) -> Done {
        Done::of(&self.command(args).output().unwrap())
    }

    /// Runs with something on stdin.
    pub fn piped(&self, args: &[&str], input: &str) -> Done {
        let mut child = self.command(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // A child that has failed already does not read: then its own message is what counts.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        Done::of(&child.wait_with_output().unwrap())
    }

    /// Runs vectors and gives the outcome lines.
    pub fn run(&self, vectors: &Value) -> Done {
        self.file("vectors.json", vectors.to_string());
        self.tracejury(&["run", "vectors.json", "--format", "json"])
    }
}

/// Has the default classifier in the cache: to be compiled and configured it may need more than a test lets a guest have.
pub fn compile_default() {
    static DONE: std::sync::Once = std::sync::Once::new();
    DONE.call_once(|| assert_eq!(Bench::new().tracejury(&["plugin", "list"]).code, 0));
}

impl Done {
    pub fn of(output: &std::process::Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout.clone()).unwrap(),
            stderr: String::from_utf8(output.stderr.clone()).unwrap(),
        }
    }

    /// The outcome lines.
    pub fn outcomes(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}\n{}", self.stderr))).collect()
    }

    /// The one outcome line.
    pub fn outcome(&self) -> Value {
        let mut outcomes = self.outcomes();
        assert_eq!(outcomes.len(), 1, "{self:?}");
        outcomes.remove(0)
    }
}

/// A vector for the action of the original.
pub fn vector() -> Value {
    json!({"name": "v", "dataActionId": ACTION, "environmentId": "test",
           "inputParameters": {"customerId": "CUST-998877", "orderAmount": 150.75, "currency": "USD"}})
}

/// A trace whose second of three steps failed.
pub fn failed(message: &str) -> Value {
    json!({"status": "FAILED", "result": {"error": {"message": message}}, "trace": [
        {"stepId": "one", "stepName": "Prepare", "output": "ok"},
        {"stepId": "two", "stepName": "Call out", "timestamp": "2026-01-01T00:00:00Z", "error": {"message": message, "stack": format!("Error: {message}\n    at x.js:1:1")}},
        {"stepId": "three", "stepName": "Clean up", "output": "ok"}]})
}

/// A recorded trace of the original's action, as `classify` reads it.
pub fn recorded(session: &str, answer: &Value) -> String {
    let mut line = json!({"sessionId": session, "actionId": ACTION, "environmentId": "test"});
    line.as_object_mut().unwrap().extend(answer.as_object().unwrap().clone());
    line.to_string()
}

pub fn completed() -> Value {
    json!({"status": "COMPLETED", "result": {}, "trace": [{"stepId": "one"}]})
}

/// A scenario of the original's action that answers `answer`, with `more` fields.
pub fn scenario(answer: &Value, more: &Value) -> Value {
    let mut scenario = json!({"name": "s", "dataActionId": ACTION, "runningMs": 30, "answer": answer});
    scenario.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    scenario
}

/// `tracejury simulate` as a child of the test.
pub struct Simulator {
    pub url: String,
    pub webhook: String,
    child: Child,
    bench: Bench,
}

impl Simulator {
    /// A simulator with one scenario.
    pub fn of(scenario: &Value) -> Self {
        Self::script(&json!({"version": 1, "scenarios": [scenario]}))
    }

    pub fn script(script: &Value) -> Self {
        Self::file("script.json", &script.to_string())
    }

    /// A simulator with a script as it stands in a file.
    pub fn file(name: &str, script: &str) -> Self {
        let bench = Bench::new();
        bench.file(name, script);
        let mut child = bench
            .command(&["simulate", "--scenario", name, "--deliveries", "deliveries.jsonl"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let hello: Value = serde_json::from_str(&line).unwrap();
        let text = |name: &str| hello[name].as_str().unwrap().to_owned();
        Self { url: text("url"), webhook: text("webhook"), child, bench }
    }

    /// What was asked of it: `requests` in order, and `executed`, how often each action ran.
    pub fn journal(&self) -> Value {
        serde_json::from_str(&get(&format!("{}/_simulator/journal", self.url))).unwrap()
    }

    /// The requests whose path ends in `end`.
    pub fn requests(&self, end: &str) -> Vec<Value> {
        let journal = self.journal();
        let all = journal["requests"].as_array().unwrap();
        all.iter().filter(|r| r["path"].as_str().unwrap().ends_with(end)).cloned().collect()
    }

    /// How often the original's action ran.
    pub fn executed(&self) -> u64 {
        self.journal()["executed"][ACTION].as_u64().unwrap_or_default()
    }

    /// The webhooks it received.
    pub fn deliveries(&self) -> Vec<Value> {
        self.bench.read("deliveries.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to a child, by the tool every Unix has.
#[cfg(unix)]
pub fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap().success());
}

/// A GET without a client library: the body.
pub fn get(url: &str) -> String {
    ask("GET", url, &[], "").1
}

/// A request without a client library, which would not send what it holds for wrong: the status and the body.
pub fn ask(method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
    let answer = answer(method, url, headers, body);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// The same: the head of the answer, its names in small letters.
pub fn head(method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> String {
    answer(method, url, headers, body).split_once("\r\n\r\n").unwrap().0.to_owned()
}

fn answer(method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> String {
    let (host, path) = url.trim_start_matches("http://").split_once('/').unwrap();
    let mut stream = std::net::TcpStream::connect(host).unwrap();
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    write!(stream, "{method} /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Listens at an address and passes all connections on to a simulator, until the test ends.
pub fn forward(from: std::net::SocketAddr, url: &str) {
    let listener = std::net::TcpListener::bind(from).unwrap();
    let to = url.trim_start_matches("http://").to_owned();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (there, here) = (std::net::TcpStream::connect(&to).unwrap(), stream.unwrap());
            let (mut there_again, mut here_again) = (there.try_clone().unwrap(), here.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut &here, &mut there_again));
            std::thread::spawn(move || std::io::copy(&mut &there, &mut here_again));
        }
    });
}

/// The most memory a process has had resident so far, in bytes.
#[cfg(target_os = "linux")]
pub fn peak_memory(process: u32) -> Option<usize> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<usize>().ok()? << 10)
}

/// Not known here.
#[cfg(not(target_os = "linux"))]
pub fn peak_memory(_process: u32) -> Option<usize> {
    None
}
