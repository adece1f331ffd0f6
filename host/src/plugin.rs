//! Classifiers as WebAssembly components: found, made ready, sandboxed. The only room that knows wasmtime.

mod bindings;
mod cache;
mod check;
mod compile;
mod draft;
mod engine;
mod form;
mod guest;
mod prepare;
mod profile;
mod reload;
mod sandbox;
mod seats;
mod snapshot;
mod source;

pub use bindings::wit::{Evidence as SaidEvidence, Verdict as SaidVerdict};
pub use check::verdicts as check_verdicts;
pub use compile::{COMPILE, Compiler, serve as serve_compiler};
use profile::Memory;
pub use profile::{Compiled, Profile};
pub use reload::{Change, Watch};
pub use seats::Loaded;
pub use source::{Stamp, stamp};

use crate::config::{Grants, Isolation, Limits, Plugins, Read};
use crate::jury::Classifier;
use crate::model::{Abstention, Identity, Trace, Verdict};
use cache::{Cache, Key};
pub use draft::{Draft, Packing};
use engine::Engine;
use form::Form;
pub use form::{CASES_SECTION, Kind, Metadata, Packed};
use prepare::Start;
use rayon::prelude::*;
use sandbox::{Places, Sandbox};
use seats::Candidate;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
pub use tracejury_regex::pack::BUILT_IN_NAME;
use tracejury_regex::settings::Answer;

/// Where the default classifier comes from, in place of a file's name.
pub const DEFAULT_FILE: &str = "the default classifier";

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
        dir: PathBuf,
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

/// How much is said of what is wrong with a file, in characters: it may quote the file, and stands in every outcome.
const REFUSAL_CHARS: usize = 300;

fn refused(file: &str, what: impl Into<String>, help: impl Into<String>) -> PluginError {
    let what = what.into();
    let cut = what.char_indices().nth(REFUSAL_CHARS).map_or(what.as_str(), |(end, _)| what.get(..end).unwrap_or_default());
    let what = if cut.len() < what.len() { format!("{cut} …") } else { what };
    PluginError::Refused { file: file.to_owned(), what, help: help.into() }
}

/// What is told while plugins are loaded.
#[derive(Debug, Clone, Copy)]
pub enum Loading<'a> {
    /// This file has to be compiled, which takes a while.
    Compiling(&'a str),
    /// It is done.
    Compiled,
}

/// What makes plugins of files: the engines, the cache, and the process that compiles.
pub struct Loader {
    engine: Engine,
    cache: Option<Cache>,
    compiler: Compiler,
    settings: Plugins,
    places: Arc<Places>,
    /// Held while a process compiles: each does so on all processors, and has its memory and its deadline to itself.
    compiling: Mutex<()>,
    tell: Box<dyn Fn(Loading<'_>) + Send + Sync>,
}

impl Loader {
    /// A loader that tells of what takes long.
    ///
    /// # Errors
    /// The engine does not start.
    pub fn new(settings: &Plugins, compiler: Compiler, tell: impl Fn(Loading<'_>) + Send + Sync + 'static) -> Result<Self, PluginError> {
        let (engine, cache) = (Engine::new(settings)?, Cache::new(settings));
        Ok(Self {
            engine,
            cache,
            compiler,
            settings: settings.clone(),
            places: Arc::default(),
            compiling: Mutex::default(),
            tell: Box::new(tell),
        })
    }

    /// Loads the default classifier and every plugin of the folder.
    ///
    /// # Errors
    /// Where nothing can run: the folder cannot be read, or the default classifier is broken.
    pub fn all(&self) -> Result<Loaded, PluginError> {
        let files = source::list(&self.settings.dir)?;
        // As many at a time as there are processors; names decide, not who is ready first.
        let (default, plugins) = rayon::join(
            || self.plugin(DEFAULT_FILE, &Form::of_default(), Use::Run),
            || files.into_par_iter().map(|file| self.candidate(file)).collect::<Vec<_>>(),
        );
        let mut loaded = Loaded::of(default?, plugins, &self.settings.disabled);
        // A grant to nobody is a name misspelt: whoever it was meant for would stay sealed without a word.
        let settings = &self.settings;
        let names = settings.grants.keys().chain(settings.own.keys()).chain(settings.priority.keys()).chain(&settings.disabled);
        loaded.named_in_vain = names.filter(|name| !loaded.has(name)).cloned().collect::<BTreeSet<_>>().into_iter().collect();
        Ok(loaded)
    }

    /// A file of the folder, and what became of it.
    fn candidate(&self, file: PathBuf) -> Candidate {
        // Before anything of it is read: what is written meanwhile is seen as a change.
        let parts = form::parts(&file, self.settings.max_file_mib);
        let stamps = source::stamps(&file, &parts);
        Candidate { plugin: self.file(&file), stamps, parts, file }
    }

    /// What there is to know of a file that need not lie in the folder.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn inspect(&self, path: &Path) -> Result<Profile, PluginError> {
        self.file(path).map(|plugin| plugin.profile)
    }

    /// The same of bytes that were read from `file`.
    ///
    /// # Errors
    /// Why they are refused.
    pub fn inspect_bytes(&self, file: &str, bytes: &[u8]) -> Result<Profile, PluginError> {
        let form = Form::of(Path::new(file), bytes, self.settings.max_file_mib)?;
        self.plugin(file, &form, Use::Run).map(|plugin| plugin.profile)
    }

    fn file(&self, path: &Path) -> Result<Plugin, PluginError> {
        self.understood(path, |file, form| self.plugin(file, form, Use::Run))
    }

    /// What `load` makes of a file that was read and understood.
    fn understood<T>(&self, path: &Path, load: impl FnOnce(&str, &Form<'_>) -> Result<T, PluginError>) -> Result<T, PluginError> {
        let bytes = source::read(path, self.settings.max_file_mib)?;
        let form = Form::of(path, &bytes, self.settings.max_file_mib)?;
        load(&path.display().to_string(), &form)
    }

    fn plugin(&self, file: &str, form: &Form<'_>, used: Use) -> Result<Plugin, PluginError> {
        let configure = form.asked(used.answer()).map_err(|error| refused(file, error.to_string(), "pack it again"))?;
        // A script's engine cannot be captured; a draft changes so often that capturing it would take longer than it is used.
        let start = match (form.kind, used) {
            (Kind::Script, _) | (Kind::Rules, Use::Draft(..)) => Start::Configured,
            _ => Start::Captured(configure.clone()),
        };
        let key = Key::new(&self.engine, &self.settings, form.engine_digest, &start);
        let found = self.cache.as_ref().and_then(|cache| cache.find(&self.engine, &key));
        let compiled = if found.is_some() { Compiled::Before } else { Compiled::Now };
        let placed = |error| form::at_its_place(form, file, error);
        if found.is_none() && start != Start::Configured && form.kind == Kind::Rules && !configure.is_empty() {
            // What is wrong with a pack is found out in milliseconds; capturing it takes seconds.
            self.plugin(file, form, Use::Draft(Answer::Best, Sight::AsGranted))?;
        }
        let (component, mut about) = match found {
            Some(found) => found,
            None => self.compile(file, &key, &start, &form.engine).map_err(placed)?,
        };
        if start == Start::Configured {
            let asked = prepare::linked(&component, Some(&configure), &self.settings, file)?;
            about = prepare::described(&asked, file).and_then(|described| about.told(&described, file)).map_err(placed)?;
        }
        let name = about.name.as_str();
        let limits = used.limits(form.kind, self.settings.limits(name));
        let grants = used.grants(self.settings.grants.get(name).cloned().unwrap_or_default(), &about.reads);
        let priority = self.settings.priority.get(name).copied().unwrap_or(100);
        let configure = about.no_snapshot.is_some().then_some(configure);
        let sandbox = Sandbox::new(&component, configure, name, limits)
            .map_err(|e| refused(file, format!("cannot be linked: {e}"), "remove it from the cache, or report this"))?
            .grant(grants.clone(), &self.places);
        let identity = Arc::new(Identity { name: name.to_owned(), version: about.version.clone(), digest: form.digest, priority });
        let memory = Memory { pooled: self.engine.is_pooled(&component), at_start: sandbox::memory_at_start(&component) };
        let profile = Profile::new(file, &identity, about, &sandbox, &grants, form, compiled, memory);
        Ok(Plugin { identity, profile, sandbox })
    }

    fn compile(
        &self,
        file: &str,
        key: &Key,
        start: &Start,
        bytes: &[u8],
    ) -> Result<(wasmtime::component::Component, prepare::About), PluginError> {
        // Only for a process of its own: here the compiler's threads might take up the next one while they wait, and wait for it.
        let apart = matches!(self.compiler, Compiler::Apart(_));
        let _turn = apart.then(|| self.compiling.lock().unwrap_or_else(PoisonError::into_inner));
        // Whoever had the turn before may have compiled the same: scripts share their engine.
        if let Some(found) = self.cache.as_ref().and_then(|cache| cache.find(&self.engine, key)) {
            return Ok(found);
        }
        (self.tell)(Loading::Compiling(file));
        let prepared = self.compiler.prepare(&self.engine, &self.settings, file, start, bytes);
        (self.tell)(Loading::Compiled);
        let prepared = prepared?;
        // What was kept is mapped from its file: only what is used of it takes memory.
        let kept = self.cache.as_ref().and_then(|cache| {
            cache.keep(key, &prepared);
            cache.find(&self.engine, key)
        });
        match kept {
            Some(kept) => Ok(kept),
            None => {
                let loaded = self.engine.load(&prepared.code);
                Ok((loaded.map_err(|e| refused(file, format!("cannot be loaded: {e}"), "please report this"))?, prepared.about))
            }
        }
    }
}

/// What a plugin is loaded for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    /// To hear traces.
    Run,
    /// To be tried by its author: to say this much, and to see that much.
    Draft(Answer, Sight),
}

/// What a plugin on trial sees of steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// What the settings grant it, as in a run.
    AsGranted,
    /// What it asks for: its own examples and cases are there to be seen.
    AsAsked,
}

impl Use {
    fn answer(self) -> Answer {
        match self {
            Self::Run => Answer::Best,
            Self::Draft(answer, _) => answer,
        }
    }

    /// What may be used up. An author waits for many answers on purpose, and what is told of every rule is longer than one verdict.
    fn limits(self, kind: Kind, limits: Limits) -> Limits {
        let Self::Draft(answer, _) = self else { return limits };
        let limits = Limits { isolation: Isolation::Warm, without_snapshot: Isolation::Warm, ..limits };
        if kind != Kind::Rules || answer == Answer::Best {
            return limits;
        }
        Limits {
            verdicts: usize::MAX,
            text_bytes: limits.text_bytes.max(EVERY_RULE_BYTES >> 10),
            answer_bytes: limits.answer_bytes.max(EVERY_RULE_BYTES),
            deadline: limits.deadline.saturating_mul(10),
            ..limits
        }
    }

    fn grants(self, granted: Grants, asked: &[String]) -> Grants {
        match self {
            Self::Draft(_, Sight::AsAsked) => Read::among(asked),
            _ => granted,
        }
    }
}

/// How long an answer about every rule may be, in bytes.
const EVERY_RULE_BYTES: usize = 64 << 20;

/// A classifier that can run.
struct Plugin {
    identity: Arc<Identity>,
    profile: Profile,
    sandbox: Sandbox,
}

impl Classifier for Plugin {
    fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    fn classify(&self, trace: &Trace) -> Result<Vec<Verdict>, Abstention> {
        self.sandbox.classify(trace)
    }
}
