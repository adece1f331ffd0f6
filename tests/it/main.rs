//! Stories through the real binary, in the order of the flow. Each talks to the simulator over loopback HTTP.

// Clippy counts what stands outside a `#[test]` function as production code; here all of it is test.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod driver;
mod patience;
mod paused;
mod receiver;
mod registry;

mod tidy;

mod audit;
mod budget;
mod canary;
mod classify;
mod demo;
mod doctor;
mod eval;
mod faults;
mod fixtures;
mod guests;
mod hostile;
mod hostile_files;
mod invariance;
mod killed;
mod manual;
mod merge;
mod packing;
mod packs;
mod platforms;
mod plugins;
mod poll;
mod reading;
mod readme;
mod reports;
mod resume;
mod schemas;
mod screen;
mod scripts;
mod share;
mod share_attacks;
mod simulator;
mod submit;
mod ten_minutes;
mod tls;
mod token;
mod vectors;
mod webhook;
mod workshop;
