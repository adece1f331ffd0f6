//! Classifiers as WebAssembly components: found, compiled, sandboxed. The only room that knows wasmtime.

mod bindings;
mod cache;
mod check;
mod engine;
mod prepare;
mod sandbox;
mod snapshot;
mod source;

use crate::config::Plugins;
use crate::jury::{Classifier, Identity};
use crate::model::{Abstention, Digest, Trace, Verdict};
use engine::Engine;
use sandbox::Sandbox;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The default classifier, built from `plugins/regex` by its `build.sh`.
const DEFAULT: &[u8] = include_bytes!("../../plugins/regex/regex.wasm");
/// Where the default classifier comes from, in place of a file's name.
const DEFAULT_FILE: &str = "the default classifier";

/// Why no classifier can run, or one is refused.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// The compiler or its sandbox cannot start on this machine.
    #[error("the sandbox cannot start: {0}")]
    Engine(String),
    /// The folder of plugins cannot be listed.
    #[error("{}: cannot be listed: {why}", dir.display())]
    Folder {
        /// The folder.
        dir: std::path::PathBuf,
        /// The system's word.
        why: std::io::Error,
    },
    /// A file that is no classifier this host can run; the others can.
    #[error("{file}: {what}")]
    Refused {
        /// The file.
        file: String,
        /// What is wrong with it.
        what: String,
        /// What to do about it.
        help: String,
    },
}

/// The classifiers of a run, and what was refused.
#[derive(Default)]
pub struct Loaded {
    /// All that sit in the jury: those that were refused too, since they must be seen to abstain.
    pub classifiers: Vec<Arc<dyn Classifier>>,
    /// What was refused, for people.
    pub refused: Vec<PluginError>,
    /// Names in the settings' grants that no plugin bears.
    pub granted_to_nobody: Vec<String>,
}

/// Loads the default classifier and every `*.wasm` of the folder.
///
/// # Errors
/// Where nothing can run: the engine does not start, the folder cannot be read, or the default classifier is broken.
pub fn load(settings: &Plugins) -> Result<Loaded, PluginError> {
    let engine = Engine::new(settings)?;
    let mut loaded = Loaded::default();
    let mut names = BTreeMap::new();
    let default = Plugin::load(&engine, settings, DEFAULT_FILE, DEFAULT)?;
    names.insert(default.identity.name.clone(), DEFAULT_FILE.to_owned());
    loaded.classifiers.push(Arc::new(default));
    for found in source::list(&settings.dir)? {
        let file = found.display().to_string();
        let plugin = source::read(&found, settings.max_file_mib).and_then(|bytes| Plugin::load(&engine, settings, &file, &bytes)).and_then(
            |plugin| {
                // Two of one name could not be told apart in an outcome, and one could pass itself off as the other.
                match names.insert(plugin.identity.name.clone(), file.clone()) {
                    None => Ok(plugin),
                    Some(other) => {
                        Err(refused(&file, format!("is named {} like {other}", plugin.identity.name), "rename one of them, or remove it"))
                    }
                }
            },
        );
        match plugin {
            Ok(plugin) => loaded.classifiers.push(Arc::new(plugin)),
            Err(error) => {
                loaded.classifiers.push(Arc::new(Absent::new(&found, &error)));
                loaded.refused.push(error);
            }
        }
    }
    // A grant to nobody is a name misspelt: whoever it was meant for would stay sealed without a word.
    loaded.granted_to_nobody = settings.grants.keys().filter(|name| !names.contains_key(*name)).cloned().collect();
    Ok(loaded)
}

fn refused(file: &str, what: impl Into<String>, help: impl Into<String>) -> PluginError {
    PluginError::Refused { file: file.to_owned(), what: what.into(), help: help.into() }
}

/// A classifier that can run.
struct Plugin {
    identity: Identity,
    sandbox: Sandbox,
}

impl Plugin {
    fn load(engine: &Engine, settings: &Plugins, file: &str, bytes: &[u8]) -> Result<Self, PluginError> {
        source::looks_like_component(bytes).map_err(|(what, help)| refused(file, what, help))?;
        let digest = Digest::of(bytes);
        let mut sandbox = prepare::sandbox(engine, settings, file, digest, bytes)?;
        let described = sandbox.describe().map_err(|why| refused(file, format!("does not describe itself: {why}"), "ask its author"))?;
        let (name, version) =
            check::description(&described).map_err(|why| refused(file, format!("describes itself wrongly: {why}"), "ask its author"))?;
        sandbox.grant(settings.grants.get(&name).cloned().unwrap_or_default());
        let priority = settings.priority.get(&name).copied().unwrap_or(100);
        Ok(Self { identity: Identity { name, version, digest, priority }, sandbox })
    }
}

impl Classifier for Plugin {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn classify(&self, trace: &Trace) -> Result<Vec<Verdict>, Abstention> {
        self.sandbox.classify(trace)
    }
}

/// A plugin that was refused: it abstains from every trace, so that no outcome is without a word of it.
struct Absent {
    identity: Identity,
    why: Abstention,
}

impl Absent {
    fn new(file: &std::path::Path, error: &PluginError) -> Self {
        let name = file.file_name().map_or_else(|| file.display().to_string(), |name| name.to_string_lossy().into_owned());
        let what = match error {
            PluginError::Refused { what, .. } => what.clone(),
            other => other.to_string(),
        };
        Self { identity: Identity { name, version: String::new(), digest: Digest::of(b""), priority: 0 }, why: Abstention::NotLoaded(what) }
    }
}

impl Classifier for Absent {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn classify(&self, _: &Trace) -> Result<Vec<Verdict>, Abstention> {
        Err(self.why.clone())
    }
}
