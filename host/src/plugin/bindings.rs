//! The generated side of the contract, and a trace on its way in: what is not granted is not copied into the guest.

use crate::config::{Grants, Read};
use crate::model::{Fault, Step, Trace};

#[allow(missing_docs, unreachable_pub, unsafe_code, clippy::all, clippy::restriction)]
mod generated {
    wasmtime::component::bindgen!({ path: "../wit", world: "classifier" });
}

pub(super) use generated::tracejury::classifier::host;
pub(super) use generated::tracejury::classifier::types as wit;
pub(super) use generated::{Classifier, ClassifierPre};

/// The trace as a classifier sees it that was granted this much: errors, names and ids always, the rest of a step by grant.
pub(super) fn lower(trace: &Trace, grants: &Grants) -> wit::Trace {
    wit::Trace {
        session_id: trace.session.to_string(),
        action_id: trace.action.to_string(),
        environment: trace.environment.to_string(),
        status: trace.status.to_string(),
        error: trace.error.as_ref().map(fault),
        failing_step: trace.failing_step().and_then(|i| u32::try_from(i).ok()),
        steps: trace.steps.iter().map(|s| step(s, grants)).collect(),
        attributes: Vec::new(),
    }
}

fn step(step: &Step, grants: &Grants) -> wit::Step {
    let granted = |read: Read, text: &Option<String>| text.as_ref().filter(|_| grants.contains(&read)).cloned();
    wit::Step {
        id: step.id.clone(),
        name: step.name.clone(),
        timestamp: granted(Read::Timestamp, &step.timestamp),
        input: granted(Read::Input, &step.input),
        output: granted(Read::Output, &step.output),
        error: step.error.as_ref().map(fault),
    }
}

fn fault(fault: &Fault) -> wit::Fault {
    wit::Fault { message: fault.message.clone(), stack: fault.stack.clone(), code: fault.code.clone() }
}
