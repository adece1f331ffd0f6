//! From the bytes of a file to a sandbox: compiled, checked against the contract, and captured after `configure` where that can
//! be; or taken from the cache, where all that was done before.

use super::cache::{self, Kind};
use super::engine::Engine;
use super::sandbox::{self, Sandbox};
use super::snapshot::{self, NoSnapshot, Prepared};
use super::{PluginError, refused};
use crate::config::Plugins;
use crate::model::Digest;
use wasmtime::component::Component;

/// A sandbox for the classifier in `bytes`.
pub(super) fn sandbox(engine: &Engine, settings: &Plugins, file: &str, digest: Digest, bytes: &[u8]) -> Result<Sandbox, PluginError> {
    let kept = cache::find(engine, digest).map(|(component, kind)| Prepared { component, configured: kind == Kind::Snapshot });
    let prepared = match kept {
        Some(prepared) => prepared,
        None => fresh(engine, settings, file, digest, bytes)?,
    };
    linked(engine, &prepared, settings, file)
}

fn fresh(engine: &Engine, settings: &Plugins, file: &str, digest: Digest, bytes: &[u8]) -> Result<Prepared, PluginError> {
    let captured = contained(|| {
        snapshot::after_configure(bytes, |instrumented| {
            let component = Component::from_binary(&engine.wasm, instrumented)?;
            linked(engine, &Prepared { component, configured: false }, settings, file).map_err(wasmtime::Error::new)
        })
    });
    let (bytes, kind) = match &captured {
        Ok(snapshot) if snapshot.len() <= settings.max_file_mib.mib() => (snapshot.as_slice(), Kind::Snapshot),
        Ok(_) => (bytes, Kind::Plain),
        // Whatever is wrong with the component is told by compiling it as it is.
        Err(NoSnapshot::Impossible(why)) => {
            tracing::debug!("{file}: configured for each instance, since there is no snapshot: {why}");
            (bytes, Kind::Plain)
        }
        Err(NoSnapshot::Refused(why)) => return Err(refused(file, format!("cannot be configured: {why}"), "ask its author")),
    };
    let component = Component::from_binary(&engine.wasm, bytes)
        .map_err(|e| refused(file, format!("is not a valid component: {e}"), "build it again; the file may be cut off"))?;
    let prepared = Prepared { component, configured: kind == Kind::Snapshot };
    linked(engine, &prepared, settings, file)?;
    cache::keep(engine, digest, kind, &prepared.component);
    Ok(prepared)
}

/// The rewriting of components takes some forms for granted and panics on others. That must cost a component its snapshot,
/// not the run its other classifiers; nothing is shared with the closure that a panic could leave half-changed.
fn contained(capture: impl FnOnce() -> Result<Vec<u8>, NoSnapshot>) -> Result<Vec<u8>, NoSnapshot> {
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(capture));
    caught.unwrap_or_else(|_| Err(NoSnapshot::Impossible("the component is of a form that cannot be rewritten".to_owned())))
}

/// A sandbox, if the component asks for nothing but the contract and is of its world.
fn linked(engine: &Engine, prepared: &Prepared, settings: &Plugins, file: &str) -> Result<Sandbox, PluginError> {
    let unwanted = sandbox::unwanted_imports(engine, &prepared.component);
    if !unwanted.is_empty() {
        let what = format!("asks for what no classifier gets: {}", unwanted.join(", "));
        return Err(refused(
            file,
            what,
            "build it for wasm32-unknown-unknown, or without WASI; the one import allowed is tracejury:classifier/host",
        ));
    }
    Sandbox::new(engine, prepared, settings, file)
        .map_err(|e| refused(file, format!("is not of the world tracejury:classifier@0.1.0: {e}"), "build it against wit/classifier.wit"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_costs_the_snapshot_and_nothing_else() {
        let captured = contained(|| std::panic::panic_any(()));
        assert!(matches!(captured, Err(NoSnapshot::Impossible(why)) if why.contains("cannot be rewritten")));
    }
}
