//! Glue between the WIT world and the rules. It knows no rule and no regex. The macro writes the component's raw exports,
//! which cannot be had without unsafe code.
#![allow(unsafe_code, missing_docs, unreachable_pub)]

use crate::arena::Arena;
use crate::rules::Rules;
use crate::{Description, Trace, Verdict, bindings, pack, view};
use std::cell::OnceCell;

thread_local!(static RULES: OnceCell<Rules> = const { OnceCell::new() });

#[global_allocator]
static MEMORY: Arena = Arena::new();

struct Regex;

impl bindings::Guest for Regex {
    fn describe() -> Description {
        view::description(pack::built_in())
    }

    fn configure(settings: String) -> Result<(), String> {
        let rules = Rules::from_settings(&settings)?;
        rules.warm();
        RULES.with(|cell| cell.set(rules)).map_err(|_| "configured twice".to_owned())?;
        MEMORY.open();
        Ok(())
    }

    fn classify(trace: Trace) -> Result<Vec<Verdict>, String> {
        RULES.with(|cell| view::verdicts(cell.get().ok_or("not configured")?, &trace))
    }
}

bindings::export!(Regex with_types_in bindings);
