//! Where components are made ready: in a process of its own, with limits on time and memory, since compiling a hostile component
//! may take minutes and gigabytes. It knows processes and what passes between them, not what is done to a component.

use super::engine::Engine;
use super::prepare::{About, Prepared, Start, prepare};
use super::{PluginError, refused};
use crate::config::Plugins;
use serde::{Deserialize, Serialize};
use std::io::{BufRead as _, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// The word by which this program is told that it is the process that compiles.
pub const COMPILE: &str = "compile-plugin";

/// Where components are made ready.
#[derive(Debug, Clone)]
pub enum Compiler {
    /// In this process, without limits: for tests and benchmarks, which are programs of their own.
    Here,
    /// In a process of its own: this program, called with [`COMPILE`].
    Apart(PathBuf),
}

/// What the process is told before the component's bytes, in one line of JSON.
#[derive(Serialize, Deserialize)]
struct Order {
    file: String,
    start: Start,
    settings: Plugins,
}

/// What the process answers before the code's bytes, in one line of JSON.
#[derive(Serialize, Deserialize)]
enum Answer {
    Ready(Box<About>),
    Refused { what: String, help: String },
    Failed(String),
}

impl Compiler {
    /// This program as the compiler.
    ///
    /// # Errors
    /// The system does not say where this program lies.
    pub fn this_program() -> Result<Self, PluginError> {
        std::env::current_exe().map(Self::Apart).map_err(|e| PluginError::Engine(format!("this program cannot be found: {e}")))
    }

    /// Makes the classifier in `bytes` ready.
    pub(super) fn prepare(
        &self,
        engine: &Engine,
        settings: &Plugins,
        file: &str,
        start: &Start,
        bytes: &[u8],
    ) -> Result<Prepared, PluginError> {
        match self {
            Self::Here => prepare(engine, settings, file, start, bytes),
            Self::Apart(program) => apart(program, settings, file, start, bytes),
        }
    }
}

fn apart(program: &Path, settings: &Plugins, file: &str, start: &Start, bytes: &[u8]) -> Result<Prepared, PluginError> {
    let failed = |e: std::io::Error| refused(file, format!("cannot be compiled: {e}"), "free some memory, files or processes");
    // Folders are nothing to it, and their names may be no text.
    let settings = Plugins { dir: PathBuf::new(), ..settings.clone() };
    let order = Order { file: file.to_owned(), start: start.clone(), settings: settings.clone() };
    let mut order = serde_json::to_vec(&order).map_err(|e| failed(e.into()))?;
    order.push(b'\n');
    // It is there to hold what may go wrong: the secrets of the environment are no part of it.
    let mut child = Command::new(program)
        .arg(COMPILE)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let Some((mut stdin, stdout, stderr)) =
        child.stdin.take().zip(child.stdout.take()).zip(child.stderr.take()).map(|((a, b), c)| (a, b, c))
    else {
        return Err(failed(std::io::Error::other("the process that compiles has no streams")));
    };
    let (told, answered) = mpsc::channel();
    std::thread::scope(|scope| {
        // A child that has ended does not read: then its own end is what counts.
        scope.spawn(move || drop(stdin.write_all(&order).and_then(|()| stdin.write_all(bytes))));
        scope.spawn(move || drop(told.send(read_all(stdout))));
        let said = scope.spawn(move || read_all(stderr));
        let answer = answered.recv_timeout(settings.compile_deadline.duration());
        if answer.is_err() {
            let _ = child.kill();
        }
        let status = child.wait();
        let said = String::from_utf8_lossy(&said.join().unwrap_or_default()).into_owned();
        if !said.is_empty() {
            tracing::debug!("{file}: while it was compiled: {said}");
        }
        match (answer, status) {
            (Err(_), _) => {
                let seconds = settings.compile_deadline.duration().as_secs_f64();
                Err(refused(file, format!("was not compiled within {seconds} s"), "raise plugins.compile_deadline_ms if you trust it"))
            }
            (Ok(answer), Ok(status)) => parse(file, &answer).unwrap_or_else(|| Err(broken_off(file, &settings, status, &said))),
            (Ok(_), Err(e)) => Err(failed(e)),
        }
    })
}

fn read_all(mut stream: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What came before an error is cut off, and so no answer.
    let _ = stream.read_to_end(&mut bytes);
    bytes
}

/// The answer of the process, if it is a whole one.
fn parse(file: &str, answer: &[u8]) -> Option<Result<Prepared, PluginError>> {
    let end = answer.iter().position(|byte| *byte == b'\n')?;
    let (line, code) = answer.split_at_checked(end)?;
    Some(match serde_json::from_slice(line).ok()? {
        Answer::Ready(about) => Ok(Prepared { about: *about, code: code.get(1..)?.to_vec() }),
        Answer::Refused { what, help } => Err(refused(file, what, help)),
        Answer::Failed(why) => Err(refused(file, format!("cannot be compiled: {why}"), "please report this")),
    })
}

/// A process that ended without an answer. That it ran out of memory is said by Rust's runtime, in words of its own.
fn broken_off(file: &str, settings: &Plugins, status: ExitStatus, said: &str) -> PluginError {
    if said.contains("memory allocation of") {
        let most = settings.compile_memory_mib.get();
        return refused(file, format!("wanted more than {most} MiB to be compiled"), "raise plugins.compile_memory_mib if you trust it");
    }
    refused(file, format!("broke off while it was compiled ({status})"), "-vv shows what was said; do not use it unless you trust it")
}

/// The other side: reads an order and a component from `input`, writes the answer to `output`.
///
/// # Errors
/// Where the streams fail; there is nobody else to tell.
pub fn serve(input: impl Read, mut output: impl Write) -> std::io::Result<()> {
    let mut input = std::io::BufReader::new(input);
    let mut line = Vec::new();
    input.read_until(b'\n', &mut line)?;
    let order: Order = serde_json::from_slice(&line)?;
    confine(&order.settings);
    end_by(order.settings.compile_deadline.duration());
    let mut bytes = Vec::new();
    input.read_to_end(&mut bytes)?;
    let prepared = Engine::without_pool(&order.settings).and_then(|e| prepare(&e, &order.settings, &order.file, &order.start, &bytes));
    let (answer, code) = match prepared {
        Ok(Prepared { about, code }) => (Answer::Ready(Box::new(about)), code),
        Err(PluginError::Refused { what, help, .. }) => (Answer::Refused { what, help }, Vec::new()),
        Err(other) => (Answer::Failed(other.to_string()), Vec::new()),
    };
    serde_json::to_writer(&mut output, &answer)?;
    output.write_all(b"\n")?;
    output.write_all(&code)?;
    output.flush()
}

/// Ends this process after its deadline. Whoever started it does so too, but may have ended before.
fn end_by(deadline: Duration) {
    std::thread::spawn(move || {
        std::thread::sleep(deadline.saturating_add(Duration::from_secs(1)));
        std::process::abort();
    });
}

/// Limits on this process: the memory it may write to, processor time, and no core dump. Address space is left free: instances
/// reserve much of it and use little. Whoever started it watches the clock on the wall.
#[cfg(unix)]
fn confine(settings: &Plugins) {
    use rlimit::Resource;
    let memory = settings.compile_memory_mib.mib() as u64;
    let seconds = settings.compile_deadline.duration().as_secs().saturating_add(1);
    let processors = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let limits = [(Resource::DATA, memory), (Resource::CPU, seconds.saturating_mul(processors)), (Resource::CORE, 0)];
    for (resource, most) in limits {
        // A system that does not know a limit leaves it to the others.
        if let Err(e) = resource.set(most, most) {
            tracing::debug!("compiling without a limit on {resource:?}: {e}");
        }
    }
}

#[cfg(not(unix))]
fn confine(_: &Plugins) {}
