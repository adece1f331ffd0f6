//! Stories through the real binary, in the order of the flow. Each talks to the simulator over loopback HTTP.

// Clippy counts what stands outside a `#[test]` function as production code; here all of it is test.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod driver;
mod receiver;

mod tidy;

mod audit;
mod classify;
mod demo;
mod guests;
mod hostile;
mod hostile_files;
mod merge;
mod packing;
mod packs;
mod plugins;
mod poll;
mod readme;
mod scripts;
mod simulator;
mod submit;
mod ten_minutes;
mod token;
mod vectors;
mod webhook;
mod workshop;
