//! Glue between the WIT world and the rules. It knows no rule and no regex. The macro writes the component's raw exports,
//! which cannot be had without unsafe code.
#![allow(unsafe_code, missing_docs, unreachable_pub)]

use crate::arena::Arena;
use crate::view::Classifier;
use crate::{Description, Trace, Verdict, bindings, view};
use std::cell::OnceCell;

thread_local!(static CLASSIFIER: OnceCell<Classifier> = const { OnceCell::new() });

#[global_allocator]
static MEMORY: Arena = Arena::new();

struct Regex;

impl bindings::Guest for Regex {
    fn describe() -> Description {
        CLASSIFIER.with(|cell| cell.get().map_or_else(view::unconfigured, Classifier::description))
    }

    fn configure(settings: String) -> Result<(), String> {
        let classifier = Classifier::new(&settings)?;
        CLASSIFIER.with(|cell| cell.set(classifier)).map_err(|_| "configured twice".to_owned())?;
        MEMORY.open();
        Ok(())
    }

    fn classify(trace: Trace) -> Result<Vec<Verdict>, String> {
        CLASSIFIER.with(|cell| cell.get().map(|classifier| classifier.verdicts(&trace)).ok_or_else(|| "not configured".to_owned()))
    }
}

bindings::export!(Regex with_types_in bindings);
