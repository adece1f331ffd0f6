//! A component's state after `configure`, written back into a component: its instances start configured, which takes
//! microseconds where configuring takes milliseconds. Wizer (<https://github.com/bytecodealliance/wasmtime/tree/main/crates/wizer>)
//! makes the state readable and rewrites the bytes; running the guest in between is ours, with its deadline and caps.

use super::guest::Guest;
use super::sandbox::Sandbox;
use crate::model::Abstention;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use wasmtime::Store;
use wasmtime::component::{Instance, Lift, WasmList};
use wasmtime_wizer::{ComponentInstanceState, Wizer};

/// Why there is no snapshot.
pub(super) enum NoSnapshot {
    /// The component is of a form that cannot be captured; it can still run, configured per instance.
    Impossible(String),
    /// The classifier did not let itself be configured: it cannot be used.
    Refused(Abstention),
}

/// The bytes of `wasm` as it is after `configure`. `sandbox` makes a sandbox of the instrumented component.
pub(super) fn after_configure(wasm: &[u8], sandbox: impl FnOnce(&[u8]) -> wasmtime::Result<Sandbox>) -> Result<Vec<u8>, NoSnapshot> {
    let impossible = |e: wasmtime::Error| NoSnapshot::Impossible(e.to_string());
    let mut wizer = Wizer::new();
    wizer.keep_init_func(true);
    let (context, instrumented) = wizer.instrument_component(wasm).map_err(impossible)?;
    let (store, instance) = sandbox(&instrumented).map_err(impossible)?.to_capture().map_err(NoSnapshot::Refused)?;
    let mut state = State { store, instance, failed: None };
    let snapshot = finished(wizer.snapshot_component(&context, &mut state)).map_err(impossible)?;
    // What could not be read was read as nothing: such a snapshot would be another program.
    state.failed.map_or(Ok(snapshot), |e| Err(impossible(e)))
}

/// A configured instance whose memory and globals Wizer reads through the exports it has added.
struct State {
    store: Store<Guest>,
    instance: Instance,
    failed: Option<wasmtime::Error>,
}

impl State {
    fn read<R: Lift + 'static>(&mut self, interface: &str, function: &str, keep: impl FnOnce(&Store<Guest>, R)) {
        if let Err(error) = self.try_read(interface, function, keep) {
            self.failed.get_or_insert(error);
        }
    }

    fn try_read<R: Lift + 'static>(
        &mut self,
        interface: &str,
        function: &str,
        keep: impl FnOnce(&Store<Guest>, R),
    ) -> wasmtime::Result<()> {
        let missing = || wasmtime::Error::msg("an export that was added is missing");
        let interface = self.instance.get_export_index(&mut self.store, None, interface).ok_or_else(missing)?;
        let function = self.instance.get_export_index(&mut self.store, Some(&interface), function).ok_or_else(missing)?;
        let function = self.instance.get_typed_func::<(), (R,)>(&mut self.store, function)?;
        let (read,) = function.call(&mut self.store, ())?;
        keep(&self.store, read);
        Ok(())
    }

    fn number<R: Lift + Default + 'static>(&mut self, interface: &str, function: &str) -> R {
        let mut number = R::default();
        self.read(interface, function, |_, read: R| number = read);
        number
    }
}

impl ComponentInstanceState for State {
    async fn call_func_ret_list_u8(&mut self, interface: &str, function: &str, contents: impl FnOnce(&[u8]) + Send) {
        self.read(interface, function, |store, list: WasmList<u8>| contents(list.as_le_slice(store)));
    }

    async fn call_func_ret_s32(&mut self, interface: &str, function: &str) -> i32 {
        self.number(interface, function)
    }

    async fn call_func_ret_s64(&mut self, interface: &str, function: &str) -> i64 {
        self.number(interface, function)
    }

    async fn call_func_ret_f32(&mut self, interface: &str, function: &str) -> u32 {
        self.number::<f32>(interface, function).to_bits()
    }

    async fn call_func_ret_f64(&mut self, interface: &str, function: &str) -> u64 {
        self.number::<f64>(interface, function).to_bits()
    }
}

/// The result of a future that never waits: Wizer's are asynchronous only for hosts whose guests are.
fn finished<T>(future: impl Future<Output = wasmtime::Result<T>>) -> wasmtime::Result<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => Err(wasmtime::Error::msg("the snapshot waits for something")),
    }
}
