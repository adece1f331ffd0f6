//! The wasmtime engines of this process and the clock that stops what runs too long. It knows nothing of classifiers.

use super::PluginError;
use crate::config::{PageScan, Plugins};
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;
use wasmtime::component::Component;
use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

/// How often the clock strikes: the grain of every deadline.
const TICK: Duration = Duration::from_millis(5);

/// How many memories, tables or core instances may be taken by warm instances that wait for their next call. Beside them there
/// is room for a call on each processor, however many of them one component is made of. A place costs address space only, until
/// it is used.
pub(super) const WARM_PLACES: usize = 384;
/// The most places there are: more address space than this is not to be had everywhere.
const MOST_PLACES: usize = 8192;

/// How much of the memory of an instance stays with its place, in bytes: it is put back to its first state by copying, where it
/// would otherwise be given back to the kernel and fetched again, page by page. Where the kernel tells which pages were written to
/// (Linux 6.7 and later), only those count.
const MEMORY_KEPT: usize = 1 << 20;
/// The same where it does not tell: all of it is copied, which is still quicker than fetching it again.
const MEMORY_KEPT_BLINDLY: usize = 4 << 20;
const TABLE_KEPT: usize = 64 << 10;

/// The engines. Code compiled by one runs in the other.
pub(super) struct Engine {
    /// Instances live in places made ready beforehand: quick, but a component must fit into a place.
    pooled: wasmtime::Engine,
    has_pool: bool,
    /// For components that do not fit: instances get their memory when they are made. Started when first needed.
    roomy: OnceLock<Result<wasmtime::Engine, String>>,
    config: Config,
}

impl Engine {
    /// The engines for these settings.
    pub(super) fn new(settings: &Plugins) -> Result<Self, PluginError> {
        let config = config(settings);
        let mut pooled = config.clone();
        pooled.allocation_strategy(InstanceAllocationStrategy::Pooling(places(settings)));
        // Where so much address space is not to be had, everything runs with memory made on demand.
        match wasmtime::Engine::new(&pooled) {
            Ok(pooled) => {
                start_clock(&pooled)?;
                Ok(Self { pooled, has_pool: true, roomy: OnceLock::new(), config })
            }
            Err(_) => Self::without_pool(settings),
        }
    }

    /// One engine for both: for who makes few instances, and has no address space to spare.
    pub(super) fn without_pool(settings: &Plugins) -> Result<Self, PluginError> {
        let config = config(settings);
        let engine = wasmtime::Engine::new(&config).map_err(|e| PluginError::Engine(e.to_string()))?;
        start_clock(&engine)?;
        Ok(Self { pooled: engine, has_pool: false, roomy: OnceLock::new(), config })
    }

    /// Compiles a component to code that [`Engine::load`] takes.
    pub(super) fn compile(&self, bytes: &[u8]) -> wasmtime::Result<Vec<u8>> {
        self.pooled.precompile_component(bytes)
    }

    /// What code depends on beside the component: other code cannot be loaded.
    pub(super) fn compatibility(&self) -> impl std::hash::Hash {
        self.pooled.precompile_compatibility_hash()
    }

    /// Makes a component of code that this program compiled, in the engine that it fits.
    pub(super) fn load(&self, code: &[u8]) -> wasmtime::Result<Component> {
        // SAFETY: wasmtime asks that the bytes come from its own compiler. They were made by `compile`, in this process or in one
        // of the same program that handed them over a pipe.
        #[allow(unsafe_code)]
        self.fit(|engine| unsafe { Component::deserialize(engine, code) })
    }

    /// As [`Engine::load`], of a file whose beginning is such code: it is mapped, so that only what is used of it takes memory.
    ///
    /// # Safety
    /// The file holds what `compile` gave, and nobody writes to it.
    #[allow(unsafe_code)]
    pub(super) unsafe fn load_file(&self, file: &Path) -> wasmtime::Result<Component> {
        // SAFETY: as the caller promises.
        self.fit(|engine| unsafe { Component::deserialize_file(engine, file) })
    }

    /// Makes a component by `load`, in the engine that it fits.
    fn fit(&self, load: impl Fn(&wasmtime::Engine) -> wasmtime::Result<Component>) -> wasmtime::Result<Component> {
        // Asking whether it fits is loading it: the allocator looks at each module. An error that is not about room comes again.
        load(&self.pooled).or_else(|error| if self.has_pool { load(self.roomy()?) } else { Err(error) })
    }

    /// Whether a component lives in places made ready beforehand.
    pub(super) fn is_pooled(&self, component: &Component) -> bool {
        self.has_pool && wasmtime::Engine::same(component.engine(), &self.pooled)
    }

    fn roomy(&self) -> wasmtime::Result<&wasmtime::Engine> {
        let mut made = None;
        // Of two threads that get here at once one makes the engine: with two clocks every deadline would be half as long.
        let engine = self.roomy.get_or_init(|| {
            let engine = wasmtime::Engine::new(&self.config).map_err(|e| e.to_string());
            made = engine.as_ref().ok().cloned();
            engine
        });
        if let Some(engine) = made {
            start_clock(&engine).map_err(wasmtime::Error::new)?;
        }
        engine.as_ref().map_err(|why| wasmtime::Error::msg(why.clone()))
    }
}

/// What both engines have in common; code depends on it.
fn config(settings: &Plugins) -> Config {
    let mut config = Config::new();
    config.wasm_component_model(true).epoch_interruption(true).max_wasm_stack(settings.stack_kib.kib());
    // Costs half a microsecond a call, and no classifier waits for anything.
    config.concurrency_support(false);
    config.async_stack_size(settings.stack_kib.kib().saturating_add(1 << 20));
    config
}

/// The places for instances: as large as any component may be, which costs address space only.
fn places(settings: &Plugins) -> PoolingAllocationConfig {
    let limits = settings.load_limits();
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let all = limits.instances.saturating_mul(processors).saturating_add(WARM_PLACES).min(MOST_PLACES);
    let all = u32::try_from(all).unwrap_or(u32::MAX);
    let parts = u32::try_from(limits.instances).unwrap_or(u32::MAX).min(all);
    let mut places = PoolingAllocationConfig::default();
    let scan = settings.page_scan == PageScan::Auto && PoolingAllocationConfig::is_pagemap_scan_available();
    let (scan, kept) = if scan { (Enabled::Yes, MEMORY_KEPT) } else { (Enabled::No, MEMORY_KEPT_BLINDLY) };
    places
        .total_component_instances(all)
        .total_core_instances(all)
        .total_memories(all)
        .total_tables(all)
        .total_stacks(0)
        .max_unused_warm_slots(all)
        .max_core_instances_per_component(parts)
        .max_memories_per_component(parts)
        .max_tables_per_component(parts)
        .max_tables_per_module(parts)
        .max_memories_per_module(parts)
        .table_elements(limits.table_elements)
        .max_component_instance_size(2 << 20)
        .max_core_instance_size(1 << 20)
        .linear_memory_keep_resident(kept)
        .table_keep_resident(TABLE_KEPT)
        .pagemap_scan(scan);
    places
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
