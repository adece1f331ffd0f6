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
use crate::model::{Abstention, Digest, Trace, Verdict, printable};
use engine::Engine;
use sandbox::Sandbox;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The default classifier, built from `plugins/regex` by its `build.sh`.
const DEFAULT: &[u8] = include_bytes!("../../plugins/regex/regex.wasm");
/// How much of a plugin's own summary is kept, in characters.
const SUMMARY_CHARS: usize = 200;
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

/// What there is to know of a plugin before it has seen a trace.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    /// Where it comes from.
    pub file: String,
    /// Its name; for one that was refused, its file's.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it says it does.
    pub summary: String,
    /// The digest of its file.
    pub digest: Option<Digest>,
    /// The size of its file, in bytes.
    pub bytes: usize,
    /// What it would like to see beside errors.
    pub reads: Vec<String>,
    /// What it is shown beside errors.
    pub granted: Vec<&'static str>,
    /// Whether its instances start from a snapshot taken after `configure`.
    pub snapshot: bool,
    /// Who wins a tie: the higher number.
    pub priority: i32,
    /// Why it was refused.
    pub refused: Option<String>,
}

/// The classifiers of a run, and what was refused.
#[derive(Default)]
pub struct Loaded {
    /// All that sit in the jury: those that were refused too, since they must be seen to abstain.
    pub classifiers: Vec<Arc<dyn Classifier>>,
    /// What there is to know of each, in the same order.
    pub profiles: Vec<Profile>,
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
    loaded.seat(default);
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
            Ok(plugin) => loaded.seat(plugin),
            Err(error) => loaded.refuse(&found, error),
        }
    }
    // A grant to nobody is a name misspelt: whoever it was meant for would stay sealed without a word.
    loaded.granted_to_nobody = settings.grants.keys().filter(|name| !names.contains_key(*name)).cloned().collect();
    Ok(loaded)
}

impl Loaded {
    fn seat(&mut self, plugin: Plugin) {
        self.profiles.push(plugin.profile.clone());
        self.classifiers.push(Arc::new(plugin));
    }

    fn refuse(&mut self, file: &std::path::Path, error: PluginError) {
        let absent = Absent::new(file, &error);
        self.profiles.push(Profile {
            file: file.display().to_string(),
            name: absent.identity.name.clone(),
            version: String::new(),
            summary: String::new(),
            digest: None,
            bytes: 0,
            reads: Vec::new(),
            granted: Vec::new(),
            snapshot: false,
            priority: 0,
            refused: Some(absent.why.to_string()),
        });
        self.classifiers.push(Arc::new(absent));
        self.refused.push(error);
    }
}

fn refused(file: &str, what: impl Into<String>, help: impl Into<String>) -> PluginError {
    PluginError::Refused { file: file.to_owned(), what: what.into(), help: help.into() }
}

/// A classifier that can run.
struct Plugin {
    identity: Identity,
    profile: Profile,
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
        let grants = settings.grants.get(&name).cloned().unwrap_or_default();
        let priority = settings.priority.get(&name).copied().unwrap_or(100);
        let profile = Profile {
            file: file.to_owned(),
            name: name.clone(),
            version: version.clone(),
            summary: printable(&described.summary.chars().take(SUMMARY_CHARS).collect::<String>()),
            digest: Some(digest),
            bytes: bytes.len(),
            reads: described.reads.iter().take(8).map(|read| printable(&read.chars().take(32).collect::<String>())).collect(),
            granted: grants.iter().map(|read| read.as_str()).collect(),
            snapshot: sandbox.starts_configured(),
            priority,
            refused: None,
        };
        sandbox.grant(grants);
        Ok(Self { identity: Identity { name, version, digest, priority }, profile, sandbox })
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
