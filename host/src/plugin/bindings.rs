//! The generated side of the contract, and a trace on its way in: what is not granted is not copied into the guest.

use crate::model::{Fault, Step, Trace};

#[allow(missing_docs, unreachable_pub, unsafe_code, clippy::all, clippy::restriction)]
mod generated {
    wasmtime::component::bindgen!({ path: "../wit", world: "classifier" });
}

pub(super) use generated::tracejury::classifier::host;
pub(super) use generated::tracejury::classifier::types as wit;
pub(super) use generated::{Classifier, ClassifierPre};

/// The trace as a classifier sees it that was granted nothing: errors, names and ids, no input, output or time.
pub(super) fn lower(trace: &Trace) -> wit::Trace {
    wit::Trace {
        session_id: trace.session.to_string(),
        action_id: trace.action.to_string(),
        environment: trace.environment.to_string(),
        status: trace.status.to_string(),
        error: trace.error.as_ref().map(fault),
        failing_step: trace.failing_step().and_then(|i| u32::try_from(i).ok()),
        steps: trace.steps.iter().map(step).collect(),
        attributes: Vec::new(),
    }
}

fn step(step: &Step) -> wit::Step {
    wit::Step {
        id: step.id.clone(),
        name: step.name.clone(),
        timestamp: None,
        input: None,
        output: None,
        error: step.error.as_ref().map(fault),
    }
}

fn fault(fault: &Fault) -> wit::Fault {
    wit::Fault { message: fault.message.clone(), stack: fault.stack.clone(), code: fault.code.clone() }
}
