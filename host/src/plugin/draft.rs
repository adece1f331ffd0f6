//! A plugin in its author's hands: loaded quickly after every change, asked for more than a verdict, and whatever lies in its file
//! readable. It knows files and answers, not how they are shown.

use super::form::{Form, Kind, Packed, RULES_SECTION, SCRIPT_SECTION};
use super::{DEFAULT_FILE, Loader, Plugin, PluginError, Profile, Sight, Use, source};
use crate::jury::Classifier;
use crate::model::{Abstention, Trace, Verdict};
use std::path::Path;
use std::sync::Arc;
use tracejury_regex::pack::Pack;
use tracejury_regex::settings::{Answer, Bundle};

/// A plugin that is being written.
pub struct Draft {
    plugin: Plugin,
    /// The same, asked about every rule; where it is on trial and has rules.
    every: Option<Plugin>,
    /// Its rules, where it is a rule pack.
    pub pack: Option<Arc<Pack>>,
    /// The cases in its file.
    pub cases: Option<String>,
    configure: String,
}

/// A rule pack or a script, and what goes into one file with it.
pub struct Packing {
    /// What it is.
    pub kind: Kind,
    /// Whether it is packed already.
    pub packed: Packed,
    /// What there is to know of it.
    pub profile: Profile,
    /// The engine.
    pub bytes: Vec<u8>,
    /// The custom section that the text goes into.
    pub section: &'static str,
    /// The text.
    pub text: String,
}

impl Loader {
    /// Loads a file, or the default classifier by the name of its file, to be tried.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn draft(&self, path: &Path, sight: Sight) -> Result<Draft, PluginError> {
        self.drafted(path, |file, form| {
            let plugin = self.plugin(file, form, Use::Draft(Answer::Best, sight))?;
            let every = form.pack().map(|_| self.plugin(file, form, Use::Draft(Answer::EveryRule, sight))).transpose()?;
            Ok(Draft::new(plugin, every, form))
        })
    }

    /// The same as it hears traces in a run.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn judge(&self, path: &Path) -> Result<Draft, PluginError> {
        self.drafted(path, |file, form| Ok(Draft::new(self.plugin(file, form, Use::Run)?, None, form)))
    }

    fn drafted(&self, path: &Path, load: impl FnOnce(&str, &Form<'_>) -> Result<Draft, PluginError>) -> Result<Draft, PluginError> {
        match path == Path::new(DEFAULT_FILE) {
            true => load(DEFAULT_FILE, &Form::of_default()),
            false => self.understood(path, load),
        }
    }

    /// What is packed of a file.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn packing(&self, path: &Path) -> Result<Packing, PluginError> {
        self.understood(path, |file, form| {
            let profile = self.plugin(file, form, Use::Draft(Answer::Best, Sight::AsGranted))?.profile;
            let section = if form.kind == Kind::Script { SCRIPT_SECTION } else { RULES_SECTION };
            let (bytes, text) = (form.engine.to_vec(), form.configure.clone());
            Ok(Packing { kind: form.kind, packed: form.packed, profile, bytes, section, text })
        })
    }

    /// The bytes of a plugin's file, as far as any is read.
    ///
    /// # Errors
    /// It is none, or too large.
    pub fn bytes(&self, path: &Path) -> Result<Vec<u8>, PluginError> {
        source::read(path, self.settings.max_file_mib)
    }
}

impl Draft {
    fn new(plugin: Plugin, every: Option<Plugin>, form: &Form<'_>) -> Self {
        Self { plugin, every, pack: form.pack(), cases: form.cases.clone(), configure: form.configure.clone() }
    }

    /// Its rules, to be run in this process, where it has any.
    #[must_use]
    pub fn native(&self) -> Option<tracejury_regex::view::Classifier> {
        // Of another engine's nobody has said that they are within limits.
        let rules = self.profile().kind == Some(Kind::Rules) && self.profile().packed != Packed::OtherEngine;
        rules.then(|| tracejury_regex::view::Classifier::new(&self.configure).ok()).flatten()
    }

    /// A member of a jury.
    #[must_use]
    pub fn into_classifier(self) -> Arc<dyn Classifier> {
        Arc::new(self.plugin)
    }

    /// What there is to know of it.
    #[must_use]
    pub fn profile(&self) -> &Profile {
        &self.plugin.profile
    }

    /// Its opinions on a trace.
    ///
    /// # Errors
    /// Why it abstains.
    pub fn classify(&self, trace: &Trace) -> Result<Vec<Verdict>, Abstention> {
        self.plugin.classify(trace)
    }

    /// What it says of each of its rules; nothing where it has none, is not on trial, or fails.
    #[must_use]
    pub fn every_rule(&self, trace: &Trace) -> Vec<Verdict> {
        self.every.as_ref().and_then(|every| every.classify(trace).ok()).unwrap_or_default()
    }

    /// Its rules or its script as text, each with its file's name.
    #[must_use]
    pub fn texts(&self) -> Vec<(String, String)> {
        match self.profile().kind {
            // Without the name of its file, which stands in the last line for its engine.
            Some(Kind::Script) => {
                let end = self.configure.rfind("\n//# sourceURL=").unwrap_or(self.configure.len());
                vec![("script".to_owned(), self.configure.get(..end).unwrap_or_default().to_owned())]
            }
            Some(Kind::Rules) => {
                let bundle = Bundle::of_settings(&self.configure).map(|bundle| bundle.pack).unwrap_or_default();
                bundle.into_iter().map(|part| (part.file, part.text)).collect()
            }
            Some(Kind::Component) | None => Vec::new(),
        }
    }
}
