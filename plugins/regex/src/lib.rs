//! The default classifier. As a component it is glued to the WIT world by `component`; natively it is this plain library.

#[cfg(any(target_arch = "wasm32", test))]
mod arena;
#[cfg(target_arch = "wasm32")]
mod component;
mod finder;
mod hints;
mod literals;
pub mod normal;
pub mod pack;
mod pattern;
mod quoted;
mod reading;
pub mod rules;
pub mod settings;
mod sight;
pub mod template;
mod tried;
pub mod view;
mod written;

#[allow(unsafe_code, missing_docs, unreachable_pub, clippy::all, clippy::restriction)]
mod bindings {
    wit_bindgen::generate!({ path: "../../wit", world: "classifier", pub_export_macro: true });
}
pub use bindings::tracejury::classifier::types::{Description, Evidence, Fault, Step, Trace, Verdict};
