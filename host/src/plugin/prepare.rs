//! From the bytes of a file to code that can be kept: compiled, checked against the contract, captured after `configure` where
//! that can be, and asked who it is. All that a hostile component could make expensive happens here, once, so that it can happen
//! in a process of its own.

use super::bindings::wit;
use super::check;
use super::engine::Engine;
use super::sandbox::{self, Sandbox};
use super::snapshot::{self, NoSnapshot};
use super::{PluginError, refused};
use crate::config::Plugins;
use crate::model::{Abstention, printable};
use serde::{Deserialize, Serialize};
use wasmtime::component::Component;

/// How much of a plugin's own summary is kept, in characters.
const SUMMARY_CHARS: usize = 200;
/// How many of its own lists' entries are kept, and how many characters of each.
const LISTED: usize = 32;
const LISTED_CHARS: usize = 128;

/// What was found out about a component while it was made ready; kept with its code.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct About {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) summary: String,
    pub(super) reads: Vec<String>,
    pub(super) classifications: Vec<String>,
    pub(super) imports: Vec<String>,
    pub(super) exports: Vec<String>,
    /// Why there is no snapshot, where there is none.
    pub(super) no_snapshot: Option<String>,
}

/// How instances of a component get their settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Start {
    /// They are made from what there was after `configure` with this, where that can be captured.
    Captured(String),
    /// Each is configured when it is made: nothing of the component runs while it is made ready, and one compilation serves for any
    /// settings.
    Configured,
}

/// A component made ready.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) about: About,
    pub(super) code: Vec<u8>,
}

/// Makes the classifier in `bytes` ready.
pub(super) fn prepare(engine: &Engine, settings: &Plugins, file: &str, start: &Start, bytes: &[u8]) -> Result<Prepared, PluginError> {
    let Start::Captured(configure) = start else { return compiled(engine, settings, file, bytes) };
    let link = |component: &Component, configure: Option<&str>| linked(component, configure, settings, file);
    let captured = contained(|| {
        snapshot::after_configure(bytes, |instrumented| {
            let component = engine.load(&engine.compile(instrumented)?)?;
            link(&component, Some(configure)).map_err(wasmtime::Error::new)
        })
    });
    let (bytes, no_snapshot) = match &captured {
        Ok(snapshot) if snapshot.len() <= settings.max_file_mib.mib() => (snapshot.as_slice(), None),
        Ok(snapshot) => (bytes, Some(format!("it would take {} MiB, more than max_file_mib", snapshot.len() >> 20))),
        // Whatever is wrong with the component is told by compiling it as it is.
        Err(NoSnapshot::Impossible(why)) => (bytes, Some(printable(&why.chars().take(SUMMARY_CHARS).collect::<String>()))),
        Err(NoSnapshot::Refused(why)) => return Err(refused(file, format!("cannot be configured: {why}"), "ask its author")),
    };
    let (component, code) = compile(engine, file, bytes)?;
    let sandbox = link(&component, no_snapshot.as_ref().map(|_| configure.as_str()))?;
    let described = described(&sandbox, file)?;
    let about = About { no_snapshot, ..About::of_imports(&component) }.told(&described, file)?;
    Ok(Prepared { about, code })
}

/// A component that is compiled and no more.
fn compiled(engine: &Engine, settings: &Plugins, file: &str, bytes: &[u8]) -> Result<Prepared, PluginError> {
    let (component, code) = compile(engine, file, bytes)?;
    linked(&component, None, settings, file)?;
    let no_snapshot = Some("each instance is configured with the text itself".to_owned());
    Ok(Prepared { about: About { no_snapshot, ..About::of_imports(&component) }, code })
}

fn compile(engine: &Engine, file: &str, bytes: &[u8]) -> Result<(Component, Vec<u8>), PluginError> {
    let code = engine
        .compile(bytes)
        .map_err(|e| refused(file, format!("is not a valid component: {}", one_line(&e)), "build it again; the file may be cut off"))?;
    let component = engine.load(&code).map_err(|e| PluginError::Engine(one_line(&e)))?;
    Ok((component, code))
}

/// What a classifier says about itself.
pub(super) fn described(sandbox: &Sandbox, file: &str) -> Result<wit::Description, PluginError> {
    sandbox.describe().map_err(|why| match why {
        Abstention::Declined(_) => refused(file, format!("cannot be configured: {why}"), "ask its author"),
        why => refused(file, format!("does not describe itself: {why}"), "ask its author"),
    })
}

/// A sandbox, if the component asks for nothing but the contract and is of its world.
pub(super) fn linked(component: &Component, configure: Option<&str>, settings: &Plugins, file: &str) -> Result<Sandbox, PluginError> {
    let unwanted = sandbox::unwanted_imports(component);
    if !unwanted.is_empty() {
        let what = format!("asks for what no classifier gets: {}", unwanted.join(", "));
        return Err(refused(
            file,
            what,
            "build it for wasm32-unknown-unknown, or without WASI; the one import allowed is tracejury:classifier/host",
        ));
    }
    let limits = settings.load_limits();
    if let Some(why) = sandbox::too_large(component, &limits) {
        return Err(refused(file, why.to_string(), "raise the limit for it in plugins.for, if you trust it"));
    }
    Sandbox::new(component, configure.map(str::to_owned), file, limits).map_err(|e| {
        let what = format!("is not of the world tracejury:classifier@0.1.0: {}", printable(&format!("{e:#}")));
        refused(file, what, "build it against wit/classifier.wit")
    })
}

impl About {
    /// What the component itself shows, before it has said anything.
    fn of_imports(component: &Component) -> Self {
        let ty = component.component_type();
        let engine = component.engine();
        let names = |names: Vec<&str>| names.into_iter().take(LISTED).map(|name| short(name, LISTED_CHARS)).collect();
        Self {
            imports: names(ty.imports(engine).map(|(name, _)| name).collect()),
            exports: names(ty.exports(engine).map(|(name, _)| name).collect()),
            ..Self::default()
        }
    }

    /// The same with what the classifier says about itself.
    pub(super) fn told(self, described: &wit::Description, file: &str) -> Result<Self, PluginError> {
        let list = |texts: &[String]| texts.iter().take(LISTED).map(|text| short(text, LISTED_CHARS)).collect();
        let (name, version) = check::description(described)
            .map_err(|why| refused(file, format!("describes itself wrongly: {why}"), "see `describe` in wit/classifier.wit"))?;
        Ok(Self {
            name,
            version,
            summary: short(&described.summary, SUMMARY_CHARS),
            reads: list(&described.reads),
            classifications: list(&described.classifications),
            ..self
        })
    }
}

fn short(text: &str, most: usize) -> String {
    printable(&text.chars().take(most).collect::<String>())
}

/// The rewriting of components takes some forms for granted and panics on others. That must cost a component its snapshot,
/// not the run its other classifiers; nothing is shared with the closure that a panic could leave half-changed.
fn contained(capture: impl FnOnce() -> Result<Vec<u8>, NoSnapshot>) -> Result<Vec<u8>, NoSnapshot> {
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(capture));
    caught.unwrap_or_else(|_| Err(NoSnapshot::Impossible("the component is of a form that cannot be rewritten".to_owned())))
}

fn one_line(error: &wasmtime::Error) -> String {
    printable(&error.to_string())
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
