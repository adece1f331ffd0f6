//! A plugin in its author's hands: loaded quickly after every change, asked for more than a verdict, and whatever lies in its file
//! readable. It knows files and answers, not how they are shown.

use super::form::Form;
use super::{Loader, Plugin, PluginError, Profile, Use, source};
use crate::jury::Classifier as _;
use crate::model::{Abstention, Trace, Verdict};
use std::path::Path;
use tracejury_regex::pack::Pack;
use tracejury_regex::settings::{Answer, Bundle};

/// A plugin that is being written.
pub struct Draft {
    plugin: Plugin,
    /// Its rules, where it is a rule pack.
    pub pack: Option<Pack>,
    /// The cases in its file.
    pub cases: Option<String>,
    /// The rules or the script as text, each with its file's name.
    pub texts: Vec<(String, String)>,
}

impl Loader {
    /// Loads a file to be tried, to answer this much.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn draft(&self, path: &Path, answer: Answer) -> Result<Draft, PluginError> {
        let bytes = source::read(path, self.settings.max_file_mib)?;
        let form = Form::of(path, &bytes, self.settings.max_file_mib)?;
        let plugin = self.plugin(&path.display().to_string(), &form, Use::Draft(answer))?;
        Ok(Draft { plugin, pack: form.pack(), texts: texts(&form), cases: form.cases })
    }
}

impl Draft {
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
    use super::form::Kind;
    match form.kind {
        Kind::Component => Vec::new(),
        Kind::Script => vec![("script".to_owned(), form.configure.clone())],
        Kind::Rules => {
            let bundle = Bundle::of_settings(&form.configure).map(|bundle| bundle.pack).unwrap_or_default();
            bundle.into_iter().map(|part| (part.file, part.text)).collect()
        }
    }
}
