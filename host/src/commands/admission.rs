//! From a file to an artifact that others can take, and from an artifact to a plugin in use: what is proved on the way, on either side.
//! Nothing is changed before all of it holds.

use super::{loader, report};
use crate::cli::share::{MakeArgs, TakeArgs};
use crate::config::{Plugins, Read, Settings};
use crate::exit::{Exit, Failure};
use crate::model::{Digest, printable};
use crate::plugin::{BUILT_IN_NAME, Loader, Metadata, Profile, Sight};
use crate::report::plural;
use crate::share::{
    About, Artifact, Budget, Came, Kept, Lock, Locked, Older, Proof, Reference, ShareError, Shelf, Signatures, Tested, Trusted, alike,
    attach,
};
use crate::workshop::{self, Cases, Trial};
use chrono::{NaiveDate, Utc};
use serde_json::{Value, json};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};

/// The least budget that is measured: a busy machine must not fail a plugin that is quick.
const LEAST_MS: u128 = 50;
const LEAST_MIB: u64 = 16;

/// An artifact of a plugin's file, its tests passed, with what they came to.
pub(super) fn made(settings: &Settings, file: &Path, make: &MakeArgs) -> Result<(Artifact, About, Tested), Failure> {
    let loader = loader(&settings.plugins)?;
    let own = file.extension().is_some_and(|ending| ending == "toml" || ending == "js");
    let cases = make.cases.clone().or_else(|| workshop::beside(file));
    let mut bytes = if own {
        workshop::pack(&loader, file, cases.as_deref(), make.license.as_deref(), make.source.as_deref())?
    } else {
        let mut bytes = loader.bytes(file)?;
        let said = Metadata { licenses: make.license.clone(), source: make.source.clone(), ..Metadata::default() };
        workshop::describe(&mut bytes, &said)?;
        if let Some(cases) = &cases {
            let reads = Read::among(&loader.inspect(file)?.reads);
            workshop::carry(&mut bytes, &Cases::read(cases)?, &reads);
        }
        bytes
    };
    let written = Written::of(&bytes)?;
    let (profile, passed, slowest) = tested(&loader, &written.file)?;
    if profile.metadata.licenses.is_none() {
        let help = "say it in the plugin, or with --license, such as --license Apache-2.0";
        return Err(Failure::new(Exit::Usage, format!("{}: says under which licence nobody may use it", file.display()), help));
    }
    if passed == 0 {
        let help = "give its rules examples, or write cases: README, section Write a classifier; others run them before they trust it";
        return Err(Failure::new(Exit::Usage, format!("{}: brings no tests", file.display()), help));
    }
    let millis = |measured: u128| u32::try_from(measured.max(LEAST_MS)).unwrap_or(u32::MAX);
    let mib = profile.memory_bytes.map_or(LEAST_MIB, |bytes| (bytes * 2).div_ceil(1 << 20).max(LEAST_MIB));
    let budget = Proof::read(&bytes).budget.unwrap_or(Budget {
        deadline_ms: make.deadline_ms.unwrap_or_else(|| millis(slowest * 20)),
        memory_mib: make.memory_mib.unwrap_or_else(|| u32::try_from(mib).unwrap_or(u32::MAX)),
    });
    let about = about(&profile);
    let sbom = make
        .sbom
        .as_ref()
        .map(|path| std::fs::read(path).map_err(|e| Failure::new(Exit::Usage, format!("{}: {e}", path.display()), "check --sbom")));
    attach(&mut bytes, &about, budget, sbom.transpose()?.as_deref())?;
    // Once more within its budget, as those will run them who take it.
    let written = Written::of(&bytes)?;
    let within = super::loader(&held_to(&settings.plugins, &profile.name, budget)?)?;
    let (_, passed, _) = tested(&within, &written.file)?;
    let tested = proved(passed, budget);
    Ok((Artifact::of(bytes, &about, Utc::now()), about, tested))
}

/// An artifact as it came, of which nothing is known yet.
pub(super) struct Arrival {
    pub(super) reference: Reference,
    pub(super) artifact: Artifact,
    pub(super) signatures: Signatures,
    pub(super) came: Came,
    /// The day whose keys count: today, or the day on which it was taken first.
    pub(super) on: NaiveDate,
}

/// An artifact that may be used, as long as nothing changes until it is.
pub(super) struct Admitted {
    pub(super) reference: Reference,
    pub(super) locked: Locked,
    pub(super) profile: Profile,
    artifact: Artifact,
    signatures: Signatures,
    /// The component in a file of its own, which lives as long.
    pub(super) written: Written,
    rule: String,
    sbom: Option<Value>,
    older: Older,
}

/// Whether an artifact may be used: trusted, what it says it is, what fits beside the other plugins, and passing its own tests here.
pub(super) fn admit(settings: &Settings, arrival: Arrival, take: &TakeArgs) -> Result<Admitted, Failure> {
    let Arrival { reference, artifact, signatures, came, on } = arrival;
    let trusted = Trusted::read(&settings.trust)?;
    let vouched = trusted.vouch(&reference, artifact.digest, &signatures, came, on)?;
    let written = Written::of(&artifact.component)?;
    let loader = loader(&settings.plugins)?;
    let profile = loader.inspect(&written.file)?;
    let name = profile.name.clone();
    trusted.may_bear(&reference, &name)?;
    own_version(&reference, &profile.version)?;
    if name == BUILT_IN_NAME || alike(&name, BUILT_IN_NAME) {
        let what = format!("{reference}: is named {name:?}, as the default classifier, or looks like it");
        return Err(refused(what, "ask its author for another name"));
    }
    let grants = settings.plugins.grants.get(&name).cloned().unwrap_or_default();
    trusted.may_see(&reference, &name, &grants)?;
    let lock = Lock::read(&settings.share.lock)?;
    let mut locked = Locked {
        digest: Some(artifact.digest),
        reference: Some(reference.clone()),
        signers: vouched.signers,
        keys: vouched.keys,
        tested: None,
        ..present(&profile)
    };
    let older = if take.allow_downgrade { Older::Allowed } else { Older::Refused };
    lock.admits(&locked, older)?;
    beside_others(settings, &loader, &name, &lock)?;
    let proof = Proof::read(&artifact.component);
    if take.no_verify {
        report::warn(
            &format!("{}: its tests were NOT run here: nobody knows whether it works", printable(&name)),
            "leave --no-verify out, or look at it with `tracejury plugin check`",
        );
    } else {
        locked.tested = Some(passes(settings, &written, &name, proof.budget)?);
    }
    let rule = trusted.told(&reference)?;
    Ok(Admitted { reference, locked, profile, artifact, signatures, written, rule, sbom: proof.sbom, older })
}

impl Admitted {
    /// Takes it into use: a copy to the shelf, the component into the folder of plugins, a line into the lock.
    pub(super) fn take(&self, settings: &Settings) -> Result<PathBuf, Failure> {
        let shelf = self.shelve(settings)?;
        shelf.alone(|| {
            // Read and asked anew: another process may have written to it since.
            let mut lock = Lock::read(&settings.share.lock)?;
            lock.admits(&self.locked, self.older)?;
            lock.put(self.locked.clone());
            // Before the component is there: what is locked and absent is fetched, what is there and not locked would be held to nothing.
            lock.write(&settings.share.lock)?;
            self.put_into_folder(settings)
        })?
    }

    /// The same for what is locked already: the lock stays as it was reviewed.
    pub(super) fn take_again(&self, settings: &Settings) -> Result<PathBuf, Failure> {
        self.shelve(settings)?;
        self.put_into_folder(settings)
    }

    fn shelve(&self, settings: &Settings) -> Result<Shelf, Failure> {
        let kept = Kept::new(self.reference.clone(), self.artifact.digest, &self.locked.name, &self.locked.version, &self.locked.signers);
        let shelf = Shelf::of(&settings.share)?;
        shelf.put(&kept, &self.artifact, &self.signatures)?;
        Ok(shelf)
    }

    fn put_into_folder(&self, settings: &Settings) -> Result<PathBuf, Failure> {
        let file = file_of(settings, &self.locked.name);
        workshop::write_whole(&file, &self.artifact.component)
            .map_err(|e| Failure::new(Exit::CouldNotRun, format!("{}: {e}", file.display()), "check the folder's permissions"))?;
        Ok(file)
    }

    /// What there is to know before it is used, by name.
    pub(super) fn told(&self) -> Vec<(&'static str, String)> {
        let locked = &self.locked;
        let or_nothing = |words: String| if words.is_empty() { "nothing".to_owned() } else { words };
        let granted = locked.grants.iter().map(|read| read.as_str()).collect::<Vec<_>>().join(" ");
        let tests = match &locked.tested {
            None => "NOT run here".to_owned(),
            Some(tested) => {
                format!("{} passed here, within {} ms and {} MiB", plural(tested.passed, "test"), tested.deadline_ms, tested.memory_mib)
            }
        };
        let sbom = self.sbom.as_ref().map_or("no SBOM".to_owned(), |sbom| {
            let parts = sbom["components"].as_array().or(sbom["packages"].as_array()).map_or(0, Vec::len);
            let form = if sbom["spdxVersion"].is_string() { "SPDX" } else { "CycloneDX" };
            format!("SBOM in {form} with {}", plural(parts, "further part"))
        });
        let all = vec![
            ("plugin", format!("{} {}", locked.name, locked.version)),
            ("summary", self.profile.summary.clone()),
            ("kind", super::plugins::kind(&self.profile)),
            ("from", self.reference.to_string()),
            ("digest", self.artifact.digest.to_string()),
            ("signed by", or_nothing(locked.signers.join(" "))),
            ("trusted by", self.rule.clone()),
            ("asks for", or_nothing(self.profile.reads.join(" "))),
            ("granted", or_nothing(granted)),
            ("tests", tests),
            ("licence", self.profile.metadata.licenses.clone().unwrap_or_else(|| "not said".to_owned())),
            ("made of", sbom),
        ];
        all.into_iter().map(|(name, value)| (name, printable(&value))).collect()
    }

    /// The same for programs.
    pub(super) fn line(&self, file: &Path) -> Value {
        json!({"schema": 1, "plugin": self.locked, "from": self.reference, "trustedBy": self.rule, "asksFor": self.profile.reads,
            "licence": self.profile.metadata.licenses, "sbom": self.sbom, "file": file})
    }
}

/// A component in a folder of its own, which goes when this does.
pub(super) struct Written {
    _dir: tempfile::TempDir,
    pub(super) file: PathBuf,
}

impl Written {
    fn of(bytes: &[u8]) -> Result<Self, Failure> {
        let failed =
            |e: std::io::Error| Failure::new(Exit::CouldNotRun, format!("a temporary file cannot be written: {e}"), "check TMPDIR");
        let dir = tempfile::tempdir().map_err(failed)?;
        let file = dir.path().join("plugin.wasm");
        std::fs::write(&file, bytes).map_err(failed)?;
        Ok(Self { _dir: dir, file })
    }
}

/// The file of a plugin that was taken from others.
pub(super) fn file_of(settings: &Settings, name: &str) -> PathBuf {
    settings.plugins.dir.join(format!("{name}.wasm"))
}

/// What a plugin is now, as a lock has it, whoever it comes from.
pub(super) fn present(profile: &Profile) -> Locked {
    let granted: Vec<String> = profile.granted.iter().map(|read| (*read).to_owned()).collect();
    let settings = json!([profile.limits, profile.isolation, profile.priority, profile.disabled]);
    Locked {
        name: profile.name.clone(),
        version: profile.version.clone(),
        reference: None,
        digest: None,
        file: profile.digest.unwrap_or_else(|| Digest::of(b"")),
        signers: Vec::new(),
        keys: Vec::new(),
        grants: Read::among(&granted),
        settings: Digest::of(settings.to_string().as_bytes()),
        tested: None,
    }
}

/// Whether a tag that is a version is that of the plugin: else an old one could go by the name of a new one.
pub(super) fn own_version(reference: &Reference, version: &str) -> Result<(), Failure> {
    match reference.tag().filter(|tag| semver::Version::parse(tag).is_ok() && *tag != version) {
        None => Ok(()),
        Some(tag) => {
            let what = format!("{reference}: the plugin says that it is {}, and its tag says {tag}", printable(version));
            Err(refused(what, "a tag that is a version is the plugin's own; others, such as `stable`, are free"))
        }
    }
}

pub(super) fn today() -> NaiveDate {
    Utc::now().date_naive()
}

fn about(profile: &Profile) -> About {
    About {
        name: profile.name.clone(),
        version: profile.version.clone(),
        summary: profile.summary.clone(),
        licenses: profile.metadata.licenses.clone(),
        source: profile.metadata.source.clone(),
        reads: profile.reads.clone(),
        imports: profile.imports.clone(),
        exports: profile.exports.clone(),
    }
}

/// Runs a plugin's tests; gives how many passed, and how long the slowest took, in milliseconds.
fn tested(loader: &Loader, file: &Path) -> Result<(Profile, usize, u128), Failure> {
    let trial = Trial::of(loader, file, Sight::AsAsked)?;
    let cases = trial.cases().map(|text| Cases::parse("the cases inside it", text)).transpose()?;
    let tests = workshop::test(&trial, cases.as_slice());
    let name = printable(&trial.profile().name);
    if let Some(first) = tests.failed().next() {
        let what = format!(
            "{name}: {} of {} failed; the first: {}: {}",
            tests.failed().count(),
            plural(tests.tests.len(), "test"),
            first.name,
            first.wrong.join("; ")
        );
        return Err(refused(what, "`tracejury plugin test` shows all of them; it is for its author to mend"));
    }
    let slowest = tests.tests.iter().map(|test| test.took.as_micros()).max().unwrap_or_default();
    Ok((trial.profile().clone(), tests.tests.len(), slowest.div_ceil(1000)))
}

/// Runs the tests of what was taken, within the budget it brings and the limits of the settings.
fn passes(settings: &Settings, written: &Written, name: &str, budget: Option<Budget>) -> Result<Tested, Failure> {
    let limits = settings.plugins.limits(name);
    let mib = u32::try_from(limits.memory >> 20).unwrap_or(u32::MAX);
    let own = Budget { deadline_ms: u32::try_from(limits.deadline.as_millis()).unwrap_or(u32::MAX), memory_mib: mib };
    let budget = budget.unwrap_or(own);
    if budget.memory_mib > own.memory_mib || budget.deadline_ms > own.deadline_ms {
        let what = format!(
            "{}: needs {} ms and {} MiB, and the settings give it {} ms and {} MiB",
            printable(name),
            budget.deadline_ms,
            budget.memory_mib,
            own.deadline_ms,
            own.memory_mib
        );
        return Err(refused(what, &format!("raise deadline_ms or memory_mib in [plugins.for.{name}], if it is worth that")));
    }
    let loader = loader(&held_to(&settings.plugins, name, budget)?)?;
    let (_, passed, _) = tested(&loader, &written.file)?;
    if passed == 0 {
        let what = format!("{}: brings no tests, so nobody can tell whether it works here", printable(name));
        return Err(refused(what, "ask its author to push it with cases; --no-verify takes it all the same"));
    }
    Ok(proved(passed, budget))
}

fn proved(passed: usize, budget: Budget) -> Tested {
    let (deadline_ms, memory_mib) = (budget.deadline_ms.into(), budget.memory_mib.into());
    Tested { passed, deadline_ms, memory_mib, tracejury: env!("CARGO_PKG_VERSION").to_owned(), on: today() }
}

/// The settings, with this plugin held to its budget.
fn held_to(plugins: &Plugins, name: &str, budget: Budget) -> Result<Plugins, Failure> {
    let nothing = || refused(format!("{}: its budget is nothing", printable(name)), "ask its author for another");
    let mut plugins = plugins.clone();
    let own = plugins.own.entry(name.to_owned()).or_default();
    own.deadline = Some(NonZeroU32::new(budget.deadline_ms).ok_or_else(nothing)?.into());
    own.memory_mib = Some(NonZeroUsize::new(budget.memory_mib as usize).ok_or_else(nothing)?.into());
    Ok(plugins)
}

/// Whether it fits beside the files of the folder: a name that is taken there would be refused at the next run.
fn beside_others(settings: &Settings, loader: &Loader, name: &str, lock: &Lock) -> Result<(), Failure> {
    let loaded = loader.all()?;
    let target = file_of(settings, name);
    for profile in loaded.profiles() {
        let own = Path::new(&profile.file) == target;
        if alike(&profile.name, name) || (profile.name == name && !own) {
            let what = format!("{} is named {}, which {} looks like", profile.file, printable(&profile.name), printable(name));
            return Err(refused(what, "remove the one that is not wanted"));
        }
        if own && lock.find(name).is_none() {
            let what = format!("{} is there, and not in the lock: it would be written over", profile.file);
            return Err(refused(what, "remove it, or take it into the lock with `tracejury plugin lock`"));
        }
    }
    Ok(())
}

fn refused(what: String, help: &str) -> Failure {
    ShareError::Refused { what, help: help.to_owned() }.into()
}
