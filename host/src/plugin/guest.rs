//! What the host keeps about one instance while it lives: what it may still take, what stopped it, and what it logs. It knows the
//! limits, not who calls.

use super::bindings::{host, wit};
use crate::config::Limits;
use crate::model::{Abstention, printable};
use std::sync::Arc;
use wasmtime::{PoolConcurrencyLimitError, ResourceLimiter, Trap};

/// The host's side of one instance.
pub(super) struct Guest {
    name: Arc<str>,
    limits: Arc<Limits>,
    memory_left: usize,
    table_elements_left: usize,
    log_lines_left: usize,
    /// What it asked for and did not get.
    refused: Option<Abstention>,
}

impl Guest {
    pub(super) fn new(name: &Arc<str>, limits: &Arc<Limits>) -> Self {
        Self {
            name: Arc::clone(name),
            limits: Arc::clone(limits),
            memory_left: limits.memory,
            table_elements_left: limits.table_elements,
            log_lines_left: limits.log_lines,
            refused: None,
        }
    }

    /// Ready for a further call: what is counted by call starts anew, what the instance holds does not.
    pub(super) fn renew(&mut self) {
        self.log_lines_left = self.limits.log_lines;
        self.refused = None;
    }

    /// Why a call failed, told by what stopped it, never by what the guest could have written itself.
    pub(super) fn why(&self, error: &wasmtime::Error) -> Abstention {
        let trap = error.downcast_ref::<Trap>();
        if error.is::<PoolConcurrencyLimitError>() {
            return Abstention::NoRoom;
        }
        match (trap, &self.refused) {
            (Some(Trap::Interrupt), _) => Abstention::Deadline(u64::try_from(self.limits.deadline.as_millis()).unwrap_or(u64::MAX)),
            (Some(Trap::StackOverflow), _) => Abstention::Stack(self.limits.stack),
            (_, Some(refused)) => refused.clone(),
            (Some(trap), None) => Abstention::Trapped(trap.to_string()),
            (None, None) => untyped(error, &self.limits),
        }
    }
}

/// An error of wasmtime that has no type of its own. Two of its limits cannot be told but by their texts, which are wasmtime's own:
/// a guest's texts do not get into errors. Tests with guests that pass these limits hold the texts.
fn untyped(error: &wasmtime::Error, limits: &Limits) -> Abstention {
    let text = error.root_cause().to_string();
    if text.contains("fuel allocated for hostcalls has been exhausted") {
        Abstention::Answer(limits.answer_bytes)
    } else if text.starts_with("resource limit exceeded") {
        Abstention::Parts(limits.instances)
    } else {
        Abstention::Trapped(printable(&text.chars().take(200).collect::<String>()))
    }
}

/// What is left when `more` is taken of it; nothing, where it is not enough. What is over a maximum of its own is refused behind this,
/// and so takes nothing.
fn taken(left: usize, current: usize, desired: usize, maximum: Option<usize>) -> Option<usize> {
    let after = left.checked_sub(desired.saturating_sub(current))?;
    Some(if maximum.is_some_and(|maximum| desired > maximum) { left } else { after })
}

impl ResourceLimiter for Guest {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        // The cap is on all memories of the instance together: what this one adds is taken from what is left.
        let left = taken(self.memory_left, current, desired, maximum);
        self.memory_left = left.unwrap_or(self.memory_left);
        if left.is_none() {
            self.refused.get_or_insert(Abstention::Memory(self.limits.memory));
        }
        Ok(left.is_some())
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let left = taken(self.table_elements_left, current, desired, maximum);
        self.table_elements_left = left.unwrap_or(self.table_elements_left);
        if left.is_none() {
            self.refused.get_or_insert(Abstention::TableElements(self.limits.table_elements));
        }
        Ok(left.is_some())
    }

    fn instances(&self) -> usize {
        self.limits.instances
    }

    fn tables(&self) -> usize {
        self.limits.instances
    }

    fn memories(&self) -> usize {
        self.limits.instances
    }
}

fn word(level: host::Level) -> &'static str {
    match level {
        host::Level::Trace => "trace",
        host::Level::Debug => "debug",
        host::Level::Info => "info",
        host::Level::Warn => "warn",
        host::Level::Error => "error",
    }
}

impl wit::Host for Guest {}

impl host::Host for Guest {
    fn log(&mut self, level: host::Level, message: String) {
        let name = &self.name;
        match self.log_lines_left.checked_sub(1) {
            Some(left) if tracing::enabled!(tracing::Level::DEBUG) => self.log_lines_left = left,
            _ => return,
        }
        let end = message.floor_char_boundary(self.limits.text_bytes);
        let text = printable(message.get(..end).unwrap_or_default());
        // Whatever level the guest gives it: its lines may quote the trace, and with it the input, so that they are shown only
        // to someone who asks for details.
        tracing::debug!("{name}: {}: {text}", word(level));
        if self.log_lines_left == 0 {
            tracing::debug!("{name}: nothing more is shown of this trace after {} lines", self.limits.log_lines);
        }
    }
}
