//! A plugin in its author's hands: loaded quickly after every change, asked for more than a verdict, and whatever lies in its file
//! readable. It knows files and answers, not how they are shown.

use super::form::{Form, Kind, Packed, RULES_SECTION, SCRIPT_SECTION};
use super::{DEFAULT_FILE, Loader, Plugin, PluginError, Profile, Sight, Use, source};
use crate::jury::Classifier as _;
use crate::model::{Abstention, Trace, Verdict};
use std::path::Path;
use std::sync::Arc;
use tracejury_regex::pack::Pack;
use tracejury_regex::settings::{Answer, Bundle};

/// A plugin that is being written.
pub struct Draft {
    plugin: Plugin,
    /// Its rules, where it is a rule pack.
    pub pack: Option<Arc<Pack>>,
    /// The cases in its file.
    pub cases: Option<String>,
    /// The rules or the script as text, each with its file's name.
    pub texts: Vec<(String, String)>,
    configure: String,
}

impl Loader {
    /// Loads a file, or the default classifier by the name of its file, to be tried and to answer this much.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn draft(&self, path: &Path, answer: Answer, sight: Sight) -> Result<Draft, PluginError> {
        if path == Path::new(DEFAULT_FILE) {
            return self.loaded(DEFAULT_FILE, &Form::of_default(), Use::Draft(answer, sight));
        }
        let bytes = source::read(path, self.settings.max_file_mib)?;
        let form = Form::of(path, &bytes, self.settings.max_file_mib)?;
        self.loaded(&path.display().to_string(), &form, Use::Draft(answer, sight))
    }
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
    /// What is packed of a file.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn packing(&self, path: &Path) -> Result<Packing, PluginError> {
        let bytes = source::read(path, self.settings.max_file_mib)?;
        let form = Form::of(path, &bytes, self.settings.max_file_mib)?;
        let plugin = self.plugin(&path.display().to_string(), &form, Use::Draft(Answer::Best, Sight::AsGranted))?;
        let section = if form.kind == Kind::Script { SCRIPT_SECTION } else { RULES_SECTION };
        let (kind, packed, text) = (form.kind, form.packed, carried(&form));
        Ok(Packing { kind, packed, profile: plugin.profile, bytes: form.engine.into_owned(), section, text })
    }

    /// The bytes of a plugin's file, as far as any is read.
    ///
    /// # Errors
    /// It is none, or too large.
    pub fn bytes(&self, path: &Path) -> Result<Vec<u8>, PluginError> {
        source::read(path, self.settings.max_file_mib)
    }

    /// A file as it hears traces in a run, or the default classifier.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn judge(&self, path: Option<&Path>) -> Result<Draft, PluginError> {
        let Some(path) = path.filter(|path| *path != Path::new(DEFAULT_FILE)) else {
            return self.loaded(DEFAULT_FILE, &Form::of_default(), Use::Run);
        };
        let bytes = source::read(path, self.settings.max_file_mib)?;
        let form = Form::of(path, &bytes, self.settings.max_file_mib)?;
        self.loaded(&path.display().to_string(), &form, Use::Run)
    }

    fn loaded(&self, file: &str, form: &Form<'_>, used: Use) -> Result<Draft, PluginError> {
        let plugin = self.plugin(file, form, used)?;
        Ok(Draft { plugin, pack: form.pack(), texts: texts(form), cases: form.cases.clone(), configure: form.configure.clone() })
    }
}

/// The text that a packed plugin carries: of a pack with the names of its files, but not with where they lay.
fn carried(form: &Form<'_>) -> String {
    match Bundle::of_settings(&form.configure) {
        Ok(mut bundle) if form.kind == Kind::Rules => {
            for part in &mut bundle.pack {
                let name = Path::new(&part.file).file_name().map(|name| name.to_string_lossy().into_owned());
                part.file = name.unwrap_or_default();
            }
            bundle.to_settings()
        }
        _ => form.configure.clone(),
    }
}

impl Draft {
    /// Its rules, to be run in this process, where it has any.
    #[must_use]
    pub fn native(&self) -> Option<tracejury_regex::view::Classifier> {
        // Of another engine's nobody has said that they are within limits.
        let rules = self.plugin.profile.kind == Some(Kind::Rules) && self.plugin.profile.packed != Packed::OtherEngine;
        rules.then(|| tracejury_regex::view::Classifier::new(&self.configure).ok()).flatten()
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
}

fn texts(form: &Form<'_>) -> Vec<(String, String)> {
    match form.kind {
        Kind::Component => Vec::new(),
        // Without the name of its file, which stands in the last line for its engine.
        Kind::Script => {
            let end = form.configure.rfind("\n//# sourceURL=").unwrap_or(form.configure.len());
            vec![("script".to_owned(), form.configure.get(..end).unwrap_or_default().to_owned())]
        }
        Kind::Rules => {
            let bundle = Bundle::of_settings(&form.configure).map(|bundle| bundle.pack).unwrap_or_default();
            bundle.into_iter().map(|part| (part.file, part.text)).collect()
        }
    }
}
