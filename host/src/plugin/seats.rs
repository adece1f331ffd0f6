//! Who sits in the jury for which file. Names are unique: two plugins of one name could not be told apart in an outcome, and one could
//! pass itself off as the other, with its grants. It knows files, names and refusals, not components.

use super::source::Stamp;
use super::{DEFAULT_FILE, Plugin, PluginError, Profile, refused};
use crate::jury::Classifier;
use crate::model::{Abstention, Digest, Identity, Trace, Verdict};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The classifiers of a run, and what was refused. Of each file there is one entry, the default classifier's first.
#[derive(Default, Clone)]
pub struct Loaded {
    pub(super) seats: Vec<Seat>,
    /// Names in the settings' grants, priorities and tables of their own that no plugin bears.
    pub named_in_vain: Vec<String>,
    /// Names that the user does without.
    disabled: Arc<BTreeSet<String>>,
}

/// What became of one file.
#[derive(Clone)]
pub(super) struct Seat {
    pub(super) file: PathBuf,
    /// The file as it was when it was last looked at, and those it is made of.
    pub(super) stamps: Vec<Option<Stamp>>,
    pub(super) parts: Vec<PathBuf>,
    pub(super) profile: Profile,
    pub(super) refused: Option<Arc<PluginError>>,
    /// Whether it is refused for nothing but its name.
    pub(super) namesake: bool,
    classifier: Arc<dyn Classifier>,
}

/// A file that wants a seat.
pub(super) struct Candidate {
    pub(super) file: PathBuf,
    pub(super) stamps: Vec<Option<Stamp>>,
    pub(super) parts: Vec<PathBuf>,
    pub(super) plugin: Result<Plugin, PluginError>,
}

impl Candidate {
    fn name(&self) -> Option<&str> {
        self.plugin.as_ref().ok().map(|plugin| plugin.profile.name.as_str())
    }

    /// Whether the file is named like its plugin.
    fn is_eponymous(&self) -> bool {
        self.file.file_stem().and_then(|stem| stem.to_str()).is_some_and(|stem| Some(stem) == self.name())
    }
}

impl Loaded {
    /// The default classifier, which has its name whatever others say, and the files of the folder. Of several that bear one name
    /// only the file of that very name gets a seat; where there is none, none of them does.
    pub(super) fn of(default: Plugin, files: Vec<Candidate>, disabled: &BTreeSet<String>) -> Self {
        let mut loaded = Self { disabled: Arc::new(disabled.clone()), ..Self::default() };
        loaded.seat(Candidate { file: PathBuf::from(DEFAULT_FILE), stamps: Vec::new(), parts: Vec::new(), plugin: Ok(default) }, None);
        let names: Vec<_> = files.iter().map(|c| (c.name().map(str::to_owned), c.file.clone(), c.is_eponymous())).collect();
        for (i, candidate) in files.into_iter().enumerate() {
            let mut others =
                names.iter().enumerate().filter(|(j, (name, ..))| *j != i && name.as_deref() == candidate.name() && name.is_some());
            let other = others.next().filter(|_| !candidate.is_eponymous()).map(|(_, (_, file, _))| file.display().to_string());
            loaded.seat(candidate, other);
        }
        loaded
    }

    /// All that sit in the jury: those that were refused too, since they must be seen to abstain; but not whom the user does without.
    #[must_use]
    pub fn classifiers(&self) -> Vec<Arc<dyn Classifier>> {
        // One that was refused before it said its name goes by its file's.
        let stem = |seat: &Seat| seat.file.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let off = |seat: &Seat| seat.refused.is_some() && stem(seat).is_some_and(|stem| self.disabled.contains(&stem));
        let sits = |seat: &&Seat| !self.disabled.contains(&seat.profile.name) && !off(seat);
        self.seats.iter().filter(sits).map(|seat| Arc::clone(&seat.classifier)).collect()
    }

    /// What there is to know of each, in the same order.
    #[must_use]
    pub fn profiles(&self) -> Vec<&Profile> {
        self.seats.iter().map(|seat| &seat.profile).collect()
    }

    /// What was refused, for people.
    pub fn refused(&self) -> impl Iterator<Item = &PluginError> {
        self.seats.iter().filter_map(|seat| seat.refused.as_deref())
    }

    /// Whether a plugin of this name sits here, or one could that was refused before it said its name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.seats.iter().any(|seat| seat.profile.name == name || seat.file.file_stem().is_some_and(|stem| stem == name))
    }

    /// Whose seat bears this name, of another file.
    pub(super) fn bearer(&self, name: &str, file: &Path) -> Option<String> {
        let bears = |seat: &&Seat| seat.file != file && seat.refused.is_none() && seat.profile.name == name;
        self.seats.iter().find(bears).map(|seat| seat.profile.file.clone())
    }

    /// Gives a file its seat; a refused one, where its name is borne by `other` or by whoever sits here already.
    pub(super) fn seat(&mut self, candidate: Candidate, other: Option<String>) {
        let Candidate { file, stamps, parts, plugin } = candidate;
        let name = plugin.as_ref().ok().map(|plugin| plugin.profile.name.clone());
        let other = name.as_ref().and_then(|name| other.or_else(|| self.bearer(name, &file)));
        let namesake = other.is_some();
        let plugin = plugin.and_then(|plugin| match other {
            None => Ok(plugin),
            Some(other) => Err(like(&file, &plugin.profile.name, &other)),
        });
        self.seats.retain(|seat| seat.file != file);
        self.seats.push(match plugin {
            Ok(plugin) => {
                let disabled = self.disabled.contains(&plugin.profile.name);
                let profile = Profile { disabled, ..plugin.profile.clone() };
                Seat { file, stamps, parts, profile, classifier: Arc::new(plugin), refused: None, namesake }
            }
            Err(error) => {
                let absent = Absent::new(&file, &error);
                let profile = Profile::of_refused(&file, &absent.identity.name, &absent.why);
                Seat { file, stamps, parts, profile, classifier: Arc::new(absent), refused: Some(Arc::new(error)), namesake }
            }
        });
    }
}

pub(super) fn like(file: &Path, name: &str, other: &str) -> PluginError {
    let help = "keep one of them, or change the name that one gives itself";
    refused(&file.display().to_string(), format!("is named {name} like {other}"), help)
}

/// A plugin that was refused: it abstains from every trace, so that no outcome is without a word of it.
struct Absent {
    identity: Arc<Identity>,
    why: Abstention,
}

impl Absent {
    fn new(file: &Path, error: &PluginError) -> Self {
        let name = file.file_name().map_or_else(|| file.display().to_string(), |name| name.to_string_lossy().into_owned());
        let what = match error {
            PluginError::Refused { what, .. } => what.clone(),
            other => other.to_string(),
        };
        let identity = Identity { name, version: String::new(), digest: Digest::of(b""), priority: 0 };
        Self { identity: Arc::new(identity), why: Abstention::NotLoaded(what) }
    }
}

impl Classifier for Absent {
    fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    fn classify(&self, _: &Trace) -> Result<Vec<Verdict>, Abstention> {
        Err(self.why.clone())
    }
}
