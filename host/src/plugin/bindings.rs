//! The generated side of the contract, and a trace on its way in: what is not granted is not copied into the guest, and what is
//! granted is copied once, from the trace straight into the guest's memory.

use crate::config::{Grants, Read};
use crate::model::{Fault, Step, Trace};

#[allow(missing_docs, unreachable_pub, unsafe_code, clippy::all, clippy::restriction)]
mod generated {
    wasmtime::component::bindgen!({ path: "../wit", world: "classifier", ownership: Borrowing { duplicate_if_necessary: false } });
}

pub(super) use generated::tracejury::classifier::host;
pub(super) use generated::tracejury::classifier::types as wit;
pub(super) use generated::{Classifier, ClassifierPre};

/// A trace as a classifier sees it that was granted so much: errors, names and ids always, the rest of a step by grant. The parts
/// that have to be written anew live here; everything else is borrowed.
pub(super) struct Lowered<'a> {
    trace: &'a Trace,
    action: String,
    steps: Vec<wit::Step<'a>>,
}

impl<'a> Lowered<'a> {
    pub(super) fn new(trace: &'a Trace, grants: &Grants) -> Self {
        let granted = [Read::Timestamp, Read::Input, Read::Output].map(|read| grants.contains(&read));
        Self { trace, action: trace.action.to_string(), steps: trace.steps.iter().map(|s| step(s, granted)).collect() }
    }

    pub(super) fn as_trace(&self) -> wit::Trace<'_> {
        wit::Trace {
            session_id: self.trace.session.as_str(),
            action_id: &self.action,
            environment: self.trace.environment.as_str(),
            status: &self.trace.status.0,
            error: self.trace.error.as_ref().map(fault),
            failing_step: self.trace.failing_step().and_then(|i| u32::try_from(i).ok()),
            steps: &self.steps,
            attributes: &[],
        }
    }
}

fn step<'a>(step: &'a Step, [timestamp, input, output]: [bool; 3]) -> wit::Step<'a> {
    let of = |granted: bool, text: &'a Option<String>| text.as_deref().filter(|_| granted);
    wit::Step {
        id: &step.id,
        name: step.name.as_deref(),
        timestamp: of(timestamp, &step.timestamp),
        input: of(input, &step.input),
        output: of(output, &step.output),
        error: step.error.as_ref().map(fault),
    }
}

fn fault(fault: &Fault) -> wit::Fault<'_> {
    wit::Fault { message: &fault.message, stack: fault.stack.as_deref(), code: fault.code.as_deref() }
}
