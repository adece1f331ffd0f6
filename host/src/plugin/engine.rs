//! The wasmtime engine of this process and the clock that stops what runs too long. It knows nothing of classifiers.

use super::PluginError;
use crate::config::Plugins;
use std::path::PathBuf;
use std::time::Duration;

/// How often the clock strikes: the grain of every deadline.
const TICK: Duration = Duration::from_millis(5);

/// The most stack a guest may use. wasmtime's own default, stated since it is a limit that users meet.
const STACK_BYTES: usize = 512 << 10;

/// The engine, its clock and where its compiled code is kept.
pub(super) struct Engine {
    pub(super) wasm: wasmtime::Engine,
    pub(super) cache: Option<PathBuf>,
}

impl Engine {
    pub(super) fn new(settings: &Plugins) -> Result<Self, PluginError> {
        let mut config = wasmtime::Config::new();
        config.wasm_component_model(true).epoch_interruption(true).max_wasm_stack(STACK_BYTES);
        // Costs half a microsecond a call, and no classifier waits for anything.
        config.concurrency_support(false);
        let wasm = wasmtime::Engine::new(&config).map_err(|e| PluginError::Engine(e.to_string()))?;
        start_clock(&wasm)?;
        Ok(Self { wasm, cache: cache_dir(settings) })
    }
}

/// One thread strikes for all instances, until the engine is gone.
fn start_clock(engine: &wasmtime::Engine) -> Result<(), PluginError> {
    let engine = engine.weak();
    let strike = move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            std::thread::sleep(TICK);
        }
    };
    std::thread::Builder::new().name("epochs".to_owned()).spawn(strike).map(drop).map_err(|e| PluginError::Engine(e.to_string()))
}

/// A span in strikes of the clock, one more than fit, since the first may come at once.
pub(super) fn ticks(span: Duration) -> u64 {
    u64::try_from(span.as_millis().div_ceil(TICK.as_millis())).unwrap_or(u64::MAX).saturating_add(1)
}

fn cache_dir(settings: &Plugins) -> Option<PathBuf> {
    use etcetera::BaseStrategy as _;
    if settings.cache_dir.as_os_str().is_empty() {
        Some(etcetera::choose_base_strategy().ok()?.cache_dir().join("tracejury"))
    } else {
        Some(settings.cache_dir.clone())
    }
}
