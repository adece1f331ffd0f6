//! A classifier's crate run natively, in a process of its own that is made of it: the other side of the SDK's `native` module, which
//! says what passes between them.

use super::WorkshopError;
use std::io::{BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;
use tracejury_regex::{Fault, Trace};

/// The process.
pub(super) struct Native {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Native {
    /// Builds and starts the example `native` of the crate in `dir`, and hands it the traces.
    pub(super) fn start(dir: &Path, traces: &[Trace]) -> Result<Self, WorkshopError> {
        let help = "a crate made by `tracejury plugin new --lang rust` has examples/native.rs";
        let failed = |e: std::io::Error| WorkshopError::new(format!("{}: natively: {e}", dir.display()), help);
        let run = ["run", "--release", "--quiet", "--example", "native", "--manifest-path"];
        let child = Command::new("cargo").args(run).arg(dir.join("Cargo.toml")).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.map_err(failed)?;
        let Some((mut input, output)) = child.stdin.take().zip(child.stdout.take()) else {
            return Err(WorkshopError::new("the process has no streams", "please report this"));
        };
        let mut bytes = Vec::new();
        put_number(&mut bytes, traces.len());
        traces.iter().for_each(|trace| put_trace(&mut bytes, trace));
        input.write_all(&bytes).map_err(failed)?;
        Ok(Self { child, input, output: BufReader::new(output) })
    }

    /// How long the trace of this number took.
    pub(super) fn hear(&mut self, trace: usize) -> Result<Duration, WorkshopError> {
        let mut number = Vec::new();
        put_number(&mut number, trace);
        let mut took = [0; 8];
        let asked = self.input.write_all(&number).and_then(|()| self.input.flush()).and_then(|()| self.output.read_exact(&mut took));
        asked.map_err(|e| WorkshopError::new(format!("natively it broke off: {e}"), "what it printed above says why"))?;
        Ok(Duration::from_nanos(u64::from_le_bytes(took)))
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn put_number(to: &mut Vec<u8>, number: usize) {
    to.extend(u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
}

fn put_text(to: &mut Vec<u8>, text: &String) {
    put_number(to, text.len());
    to.extend(text.as_bytes());
}

fn put_maybe<T>(to: &mut Vec<u8>, value: Option<&T>, put: impl FnOnce(&mut Vec<u8>, &T)) {
    to.push(u8::from(value.is_some()));
    if let Some(value) = value {
        put(to, value);
    }
}

fn put_fault(to: &mut Vec<u8>, fault: &Fault) {
    put_text(to, &fault.message);
    put_maybe(to, fault.stack.as_ref(), put_text);
    put_maybe(to, fault.code.as_ref(), put_text);
}

fn put_trace(to: &mut Vec<u8>, trace: &Trace) {
    for text in [&trace.session_id, &trace.action_id, &trace.environment, &trace.status] {
        put_text(to, text);
    }
    put_maybe(to, trace.error.as_ref(), put_fault);
    put_maybe(to, trace.failing_step.as_ref(), |to, step| to.extend(step.to_le_bytes()));
    put_number(to, trace.steps.len());
    for step in &trace.steps {
        put_text(to, &step.id);
        put_maybe(to, step.name.as_ref(), put_text);
        put_maybe(to, step.error.as_ref(), put_fault);
    }
}
