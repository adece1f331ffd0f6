//! What a plugin's file is: a component as it stands, a rule pack, a script, or one of these two packed with its engine. Each comes
//! to a component and what it is configured with. It knows files and formats, not how a component runs.

use super::{PluginError, source};
use crate::config::Count;
use crate::model::{Digest, printable, utf8};
use serde::Serialize;
use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, OnceLock};
use tracejury_regex::pack::{self, BUILT_IN, BUILT_IN_NAME, Pack, PackError};
use tracejury_regex::settings::{Answer, Bundle, MOST, Part};
use wasmparser::{Chunk, ComponentName, CustomSectionReader, KnownCustom, Parser, Payload};

/// The default classifier and engine of rule packs, built from `plugins/regex` by its `build.sh`.
pub(super) const RULES_ENGINE: &[u8] = include_bytes!("../../../plugins/regex/regex.wasm");
/// The engine of scripts, built from `plugins/javascript` by its `build.sh`.
pub(super) const SCRIPT_ENGINE: &[u8] = include_bytes!("../../../plugins/javascript/javascript.wasm");
/// Their digests: hashing a megabyte takes a millisecond, and each may run many plugins.
static RULES_DIGEST: LazyLock<Digest> = LazyLock::new(|| Digest::of(RULES_ENGINE));
static SCRIPT_DIGEST: LazyLock<Digest> = LazyLock::new(|| Digest::of(SCRIPT_ENGINE));
/// The custom sections that a packed plugin carries (component model, binary format: section 0): the settings for its engine, by
/// kind, and its cases.
pub(super) const RULES_SECTION: &str = "tracejury:rules@1";
pub(super) const SCRIPT_SECTION: &str = "tracejury:script@1";
/// Where cases stand in a packed plugin: the lines of their file.
pub const CASES_SECTION: &str = "tracejury:cases@1";
/// How much of each part of the metadata is shown, in characters.
const METADATA_CHARS: usize = 200;
/// The largest rule pack or script, in bytes.
const TEXT_BYTES: usize = 4 << 20;

/// What kind of plugin a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A component of its own.
    Component,
    /// A rule pack.
    Rules,
    /// A script.
    Script,
}

/// Whether a rule pack or a script is packed with an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Packed {
    /// It is a text, or a component of its own.
    No,
    /// With the engine that is at hand.
    OurEngine,
    /// With another one, of which nobody here can say that it does what the text says.
    OtherEngine,
}

/// A plugin's file, understood.
#[derive(Debug, Clone)]
pub(super) struct Form<'a> {
    pub(super) kind: Kind,
    /// Whether it brings its engine along, and which.
    pub(super) packed: Packed,
    /// The component that runs, and its digest.
    pub(super) engine: Cow<'a, [u8]>,
    pub(super) engine_digest: Digest,
    /// What it is configured with.
    pub(super) configure: String,
    /// Of the file; of a pack that extends others, of all their texts.
    pub(super) digest: Digest,
    /// Cases that travel with it, as text.
    pub(super) cases: Option<String>,
    /// The size of the file, in bytes.
    pub(super) bytes: usize,
    /// What it says about itself for people.
    pub(super) metadata: Metadata,
    /// Its rules, with those it takes over, once somebody has asked.
    pack: OnceLock<Option<Arc<Pack>>>,
}

/// What a plugin's file says about it, beside what the classifier itself says: of a component by the sections that tools for
/// WebAssembly know (<https://github.com/WebAssembly/tool-conventions>, and the annotations of OCI images), of a rule pack by its keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Metadata {
    /// Its name.
    pub name: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// What it does.
    pub description: Option<String>,
    /// Under which licence, as an SPDX expression.
    pub licenses: Option<String>,
    /// Where it is developed.
    pub source: Option<String>,
}

impl<'a> Form<'a> {
    /// The default classifier.
    pub(super) fn of_default() -> Form<'static> {
        Form {
            kind: Kind::Rules,
            packed: Packed::No,
            engine: Cow::Borrowed(RULES_ENGINE),
            engine_digest: *RULES_DIGEST,
            configure: String::new(),
            digest: *RULES_DIGEST,
            cases: None,
            bytes: RULES_ENGINE.len(),
            metadata: Metadata::default(),
            pack: OnceLock::new(),
        }
    }

    /// A file by its name's ending and its bytes.
    pub(super) fn of(path: &Path, bytes: &'a [u8], limit: Count) -> Result<Self, PluginError> {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("toml") => rules(path, text(path, bytes)?, limit),
            Some("js") => script(path, text(path, bytes)?),
            _ => component(path, bytes),
        }
    }

    /// What configures it to answer this much; where it has no rules, as ever.
    pub(super) fn asked(&self, answer: Answer) -> Result<String, PackError> {
        match self.kind {
            Kind::Rules if answer != Answer::Best => Ok(Bundle { answer, ..Bundle::of_settings(&self.configure)? }.to_settings()),
            _ => Ok(self.configure.clone()),
        }
    }

    /// How many rules it has, where somebody has counted already: of the default classifier that would take as long as all the rest of
    /// its start.
    pub(super) fn rules(&self) -> Option<usize> {
        self.pack.get()?.as_ref().map(|pack| pack.rules.len())
    }

    /// Its rules, with those it takes over.
    pub(super) fn pack(&self) -> Option<Arc<Pack>> {
        let read = || Bundle::of_settings(&self.configure).and_then(|bundle| bundle.merged()).ok().map(Arc::new);
        self.pack.get_or_init(|| if self.kind == Kind::Rules { read() } else { None }).clone()
    }
}

fn text<'a>(path: &Path, bytes: &'a [u8]) -> Result<&'a str, PluginError> {
    let file = path.display().to_string();
    if bytes.len() > TEXT_BYTES {
        return Err(super::refused(&file, format!("is larger than {} MiB", TEXT_BYTES >> 20), "split it"));
    }
    utf8(bytes).map_err(|line| super::refused(&format!("{file}:{line}"), "is not UTF-8", "save it as UTF-8"))
}

/// A rule pack, with those it extends.
fn rules<'a>(path: &Path, text: &str, limit: Count) -> Result<Form<'a>, PluginError> {
    let bundle = bundle(path, text, limit)?;
    let pack = bundle.merged().map_err(|error| wrong(path, &error))?;
    let metadata = Metadata {
        name: Some(pack.name.clone()),
        version: Some(pack.version.clone()),
        description: Some(pack.summary.clone()),
        licenses: pack.license.clone(),
        source: pack.source.clone(),
    };
    let configure = bundle.to_settings();
    let digest = Digest::of(configure.as_bytes());
    Ok(Form {
        kind: Kind::Rules,
        packed: Packed::No,
        engine: Cow::Borrowed(RULES_ENGINE),
        engine_digest: *RULES_DIGEST,
        configure,
        digest,
        cases: None,
        bytes: text.len(),
        metadata,
        pack: OnceLock::from(Some(Arc::new(pack))),
    })
}

/// The further files that a rule pack stands on, as far as they can be read: by their changes it changes too.
pub(super) fn parts(path: &Path, limit: Count) -> Vec<PathBuf> {
    let mut parts = Vec::new();
    let mut next = path.extension().is_some_and(|ending| ending == "toml").then(|| path.to_owned());
    while let Some(file) = next.take().filter(|_| parts.len() < MOST) {
        let text = source::read(&file, limit).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let extends = text.and_then(|text| pack::extends_of(&text)).filter(|name| name != BUILT_IN_NAME);
        next = extends.map(|name| path.with_file_name(format!("{name}.toml")));
        parts.extend(next.clone());
    }
    parts
}

fn bundle(path: &Path, text: &str, limit: Count) -> Result<Bundle, PluginError> {
    let mut bundle = Bundle::of(&file_name(path), text);
    let mut file = path.to_owned();
    let mut extends = pack::extends_of(text);
    while let Some(name) = extends.take() {
        if bundle.pack.len() == MOST {
            let what = format!("extends: more than {MOST} packs stand on one another");
            return Err(super::refused(&path.display().to_string(), what, "look for one that extends itself by way of others"));
        }
        if name == BUILT_IN_NAME {
            bundle.pack.push(Part { file: BUILT_IN_NAME.to_owned(), text: BUILT_IN.to_owned() });
            break;
        }
        let next = path.with_file_name(format!("{name}.toml"));
        let bytes = source::read(&next, limit).map_err(|error| missing(&file, &name, error))?;
        let text = self::text(&next, &bytes)?;
        extends = pack::extends_of(text);
        // Its name alone: where it lies is nothing to the digest, nor to the sandbox.
        bundle.pack.push(Part { file: file_name(&next), text: text.to_owned() });
        file = next;
    }
    Ok(bundle)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn missing(file: &Path, name: &str, error: PluginError) -> PluginError {
    let what = match error {
        PluginError::Refused { file, what, .. } => format!("{file} {what}"),
        other => other.to_string(),
    };
    super::refused(&file.display().to_string(), format!("extends: {what}"), format!("put {name}.toml beside it, or extend regex"))
}

/// An error of a pack, at its place.
fn wrong(path: &Path, error: &PackError) -> PluginError {
    let file = error.file.as_ref().map_or_else(|| path.to_owned(), |part| path.with_file_name(part)).display().to_string();
    let place = error.line.map_or(file.clone(), |line| format!("{file}:{line}"));
    let rule = error.rule.as_ref().map(|rule| format!("rule {rule}: ")).unwrap_or_default();
    super::refused(&place, format!("{rule}{}", error.what), help(Kind::Rules))
}

/// What an engine says of the text it was configured with, at its place in that text: of rules `line 3: …`, or `FILE: line 3: …` where
/// the pack extends that file; of scripts `NAME.js:3: …`.
pub(super) fn at_its_place(form: &Form<'_>, file: &str, error: PluginError) -> PluginError {
    let PluginError::Refused { what, .. } = &error else { return error };
    let Some(said) = what.strip_prefix("cannot be configured: declined: ") else { return error };
    if form.kind == Kind::Component {
        return error;
    }
    // What a packed text calls its parts is no file here.
    let part = |name: &str| Path::new(file).with_file_name(name).display().to_string();
    let numbered = match (form.kind, form.packed) {
        (_, packed) if packed != Packed::No => None,
        (Kind::Script, _) => said.split_once(".js:").map(|(_, rest)| (file.to_owned(), rest)),
        _ => match said.split_once(": line ") {
            Some((name, rest)) if !said.starts_with("line ") => Some((part(name), rest)),
            _ => said.strip_prefix("line ").map(|rest| (file.to_owned(), rest)),
        },
    };
    let placed = numbered.and_then(|(file, rest)| Some((file, rest.split_once(": ")?)));
    match placed.filter(|(_, (line, _))| line.bytes().all(|byte| byte.is_ascii_digit())) {
        Some((file, (line, said))) => super::refused(&format!("{file}:{line}"), said, help(form.kind)),
        None => super::refused(file, said.split_once(".js: ").map_or(said, |(_, said)| said), help(form.kind)),
    }
}

/// Where to read on about texts of this kind.
fn help(kind: Kind) -> &'static str {
    match kind {
        Kind::Rules => "README, section Rule packs, has the format; an editor that knows pack.schema.json completes it",
        Kind::Script => "README, section Scripts, says what a script sees and returns",
        Kind::Component => "ask its author",
    }
}

/// A script, with its name for errors in the place where tools look for it.
fn script<'a>(path: &Path, text: &str) -> Result<Form<'a>, PluginError> {
    if text.trim().is_empty() {
        return Err(super::refused(&path.display().to_string(), "is empty", "write exports.classify = (trace) => null"));
    }
    let name = path.file_name().map_or_else(|| "script.js".into(), |name| name.to_string_lossy());
    Ok(Form {
        kind: Kind::Script,
        packed: Packed::No,
        engine: Cow::Borrowed(SCRIPT_ENGINE),
        engine_digest: *SCRIPT_DIGEST,
        configure: format!("{text}\n//# sourceURL={name}"),
        digest: Digest::of(text.as_bytes()),
        cases: None,
        bytes: text.len(),
        metadata: Metadata::default(),
        pack: OnceLock::new(),
    })
}

/// A component, with what it carries.
fn component<'a>(path: &Path, bytes: &'a [u8]) -> Result<Form<'a>, PluginError> {
    let file = path.display().to_string();
    source::looks_like_component(bytes).map_err(|(what, help)| super::refused(&file, what, help))?;
    let sections = Sections::of(bytes);
    let (rules, script) = (sections.text(RULES_SECTION), sections.text(SCRIPT_SECTION));
    let (kind, configure) = match (&rules, &script) {
        (Some(rules), None) => (Kind::Rules, rules.clone()),
        (None, Some(script)) => (Kind::Script, script.clone()),
        (None, None) => (Kind::Component, String::new()),
        (Some(_), Some(_)) => return Err(super::refused(&file, "carries both rules and a script", "pack it again")),
    };
    if configure.len() > TEXT_BYTES {
        return Err(super::refused(&file, format!("carries more than {} MiB of text", TEXT_BYTES >> 20), "ask its author"));
    }
    // What is packed with the very engine that is at hand runs on what is compiled of it already.
    let ours = [(Kind::Rules, RULES_ENGINE, &RULES_DIGEST), (Kind::Script, SCRIPT_ENGINE, &SCRIPT_DIGEST)];
    let engine = ours.into_iter().find(|(of, engine, _)| *of == kind && bytes.starts_with(engine));
    let digest = Digest::of(bytes);
    Ok(Form {
        kind,
        packed: match (kind, engine) {
            (Kind::Component, _) => Packed::No,
            (_, Some(_)) => Packed::OurEngine,
            (_, None) => Packed::OtherEngine,
        },
        engine: Cow::Borrowed(engine.map_or(bytes, |(_, engine, _)| engine)),
        engine_digest: engine.map_or(digest, |(.., digest)| **digest),
        configure,
        digest,
        cases: sections.text(CASES_SECTION),
        bytes: bytes.len(),
        metadata: sections.metadata(),
        pack: OnceLock::new(),
    })
}

/// The custom sections of a component itself, not of those within it, as far as it can be read.
struct Sections<'a>(Vec<CustomSectionReader<'a>>);

impl<'a> Sections<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        let (mut sections, mut parser, mut rest) = (Vec::new(), Parser::new(0), bytes);
        while let Ok(Chunk::Parsed { consumed, payload }) = parser.parse(rest, true) {
            // What is nested is stepped over: nearly all of a component is.
            let nested = match payload {
                Payload::ModuleSection { unchecked_range, .. } | Payload::ComponentSection { unchecked_range, .. } => unchecked_range.len(),
                Payload::End(_) => break,
                Payload::CustomSection(found) => {
                    sections.push(found);
                    0
                }
                _ => 0,
            };
            rest = rest.get(consumed.saturating_add(nested)..).unwrap_or_default();
        }
        Self(sections)
    }

    /// The text of the first section of this name.
    fn text(&self, name: &str) -> Option<String> {
        let found = self.0.iter().find(|section| section.name() == name)?;
        String::from_utf8(found.data().to_vec()).ok()
    }

    /// The component's name; of several the last one counts, since a packed plugin's stands behind its engine's.
    fn name(&self) -> Option<String> {
        let named = |section: &CustomSectionReader<'_>| match section.as_known() {
            KnownCustom::ComponentName(parts) => parts.into_iter().flatten().find_map(|part| match part {
                ComponentName::Component { name, .. } => Some(name.to_owned()),
                _ => None,
            }),
            _ => None,
        };
        self.0.iter().rev().find_map(named)
    }

    /// What they say about the component, fit to be shown.
    fn metadata(&self) -> Metadata {
        let fit = |text: String| printable(&text.chars().take(METADATA_CHARS).collect::<String>());
        let text = |name: &str| self.text(name).map(fit);
        Metadata {
            name: self.name().map(fit),
            version: text("version"),
            description: text("description"),
            licenses: text("licenses"),
            source: text("source"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_encoder::{ComponentSection as _, CustomSection};

    fn carrying(name: &str, data: &str) -> Vec<u8> {
        let mut bytes = RULES_ENGINE.to_vec();
        CustomSection { name: name.into(), data: data.as_bytes().into() }.append_to_component(&mut bytes);
        bytes
    }

    #[test]
    fn what_a_component_carries_is_its_own_not_that_of_one_within() {
        let packed = carrying(RULES_SECTION, "rules");
        let form = component(Path::new("x.wasm"), &packed).unwrap();
        assert_eq!(
            (form.kind, form.packed, form.configure.as_str(), form.engine.len()),
            (Kind::Rules, Packed::OurEngine, "rules", RULES_ENGINE.len())
        );
        let mut outer = wat::parse_str("(component)").unwrap();
        wasm_encoder::NestedComponentSection(&{
            let mut inner = wasm_encoder::Component::new();
            inner.section(&CustomSection { name: RULES_SECTION.into(), data: b"rules".as_slice().into() });
            inner
        })
        .append_to_component(&mut outer);
        assert_eq!(component(Path::new("x.wasm"), &outer).unwrap().kind, Kind::Component);
    }

    #[test]
    fn a_circle_of_packs_has_an_end() {
        let dir = tempfile::tempdir().unwrap();
        let pack = |name: &str, extends: &str| {
            let path = dir.path().join(format!("{name}.toml"));
            std::fs::write(&path, format!("schema = 1\nname = '{name}'\nversion = '1.0.0'\nsummary = 's'\nextends = '{extends}'\n"))
                .unwrap();
            path
        };
        let a = pack("a", "b");
        pack("b", "a");
        let read = |path: &Path| {
            let bytes = std::fs::read(path).unwrap();
            Form::of(path, &bytes, std::num::NonZeroUsize::MIN.into()).map(drop).map_err(|e| e.to_string())
        };
        assert!(read(&a).unwrap_err().contains("more than 8 packs stand on one another"));
        let c = pack("c", "nowhere");
        assert!(read(&c).unwrap_err().contains("extends: "), "{:?}", read(&c));
        assert!(read(&pack("d", "regex")).is_ok());
    }
}
