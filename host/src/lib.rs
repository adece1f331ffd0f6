//! tracejury: runs test vectors against a platform's debug API and lets sandboxed classifiers decide why an execution failed.
//! The modules stand in reading order; the README has the map of the house.

// Leaves: they import nothing else of the crate.
pub mod config;
pub mod http;
pub mod log;
pub mod model;
// Rooms, in the order a vector passes them: they import leaves only.
pub mod audit;
pub mod debug_api;
pub mod jury;
pub mod merge;
pub mod outbox;
pub mod plugin;
pub mod redact;
pub mod report;
pub mod store;
pub mod vectors;
// The flow, and the half of it that needs no network.
pub mod classify;
pub mod run;
// Faces and side rooms.
pub mod cli;
pub mod commands;
/// Whether everything is there that a run needs.
pub mod doctor;
/// How right classifiers are.
pub mod eval;
pub mod exit;
pub mod share;
pub mod simulator;
/// Where classifiers are written: made, built, tried, checked, measured, packed.
pub mod workshop;
