//! `tracejury plugin push`, `save`, `keygen`, `sign`, `verify` and `trust`: what is given to others, and by whose word.

use super::admission::{Arrival, made, own_version, today};
use super::shelf::{fetched, loaded_from, most, open};
use super::{lock, settings, shelf, update};
use crate::cli::ShareCommand;
use crate::cli::share::{KeygenArgs, PushArgs, SaveArgs, SignArgs, TrustArgs, VerifyArgs};
use crate::config::{Key, Origin, Settings, Trust};
use crate::exit::{Exit, Failure};
use crate::model::{Secret, printable};
use crate::report::{self, Format, plain_table};
use crate::share::{self, Artifact, Came, Reference, ShareError, Shelf, Signatures, SigningKey, Tested, Trusted};
use serde_json::json;
use std::io::Write as _;
use std::path::{Path, PathBuf};

const PASSWORD: &str = "TRACEJURY_KEY_PASSWORD";

pub(super) async fn execute(command: ShareCommand) -> Result<Exit, Failure> {
    match command {
        ShareCommand::Push(args) => push(args).await,
        ShareCommand::Pull(args) => shelf::pull(args).await,
        ShareCommand::Keygen(args) => keygen(&args),
        ShareCommand::Sign(args) => sign(args).await,
        ShareCommand::Verify(args) => verify(args).await,
        ShareCommand::Trust(args) => trust(&args),
        ShareCommand::Lock(common) => lock::execute(common).await,
        ShareCommand::Update(args) => update::execute(args).await,
        ShareCommand::Save(args) => save(args).await,
        ShareCommand::Load(args) => shelf::load(args),
        ShareCommand::Remove(args) => shelf::remove(args).await,
    }
}

async fn push(args: PushArgs) -> Result<Exit, Failure> {
    let settings = settings(&args.common)?;
    // Asked first: what cannot be signed should not lie there unsigned.
    let key = args.make.key.as_deref().map(signing_key).transpose()?;
    let (artifact, about, tested) = made(&settings, &args.file, &args.make)?;
    own_version(&args.reference, &about.version)?;
    let registry = open(&settings, &args.reference).await?;
    match registry.digest(&args.reference).await {
        Ok(there) if there != artifact.digest && args.reference.tag() == Some(about.version.as_str()) => {
            let what = format!("{} is there already, as {there}", args.reference);
            let help = "give the plugin a new version: those who locked this one would refuse it".to_owned();
            return Err(ShareError::Refused { what, help }.into());
        }
        Ok(_) | Err(ShareError::Absent(_)) => {}
        Err(other) => return Err(other.into()),
    }
    // The signature first: at no time does it lie there unsigned.
    if let Some(key) = &key {
        let mut signatures = registry.signatures(&args.reference, artifact.digest).await?;
        signatures.add(key.sign(&args.reference.place(), artifact.digest)?);
        registry.push_signatures(&args.reference, artifact.digest, &signatures).await?;
    }
    registry.push(&args.reference, &artifact).await?;
    told(args.common.format, &args.reference, &artifact, &tested, key.is_some());
    Ok(Exit::AsExpected)
}

fn told(format: Format, reference: &Reference, artifact: &Artifact, tested: &Tested, signed: bool) {
    match format {
        Format::Json => report::to_stdout(
            &json!({"schema": 1, "reference": reference, "digest": artifact.digest, "tested": tested, "signed": signed}).to_string(),
        ),
        Format::Human => {
            report::to_stdout(&format!("{reference}@{}", artifact.digest));
            let signed = if signed { "signed" } else { "not signed: `tracejury plugin sign` does that" };
            report::to_stderr(&format!(
                "{} tests passed within {} ms and {} MiB; {} KiB; {signed}",
                tested.passed,
                tested.deadline_ms,
                tested.memory_mib,
                artifact.component.len() >> 10
            ));
        }
    }
}

async fn save(args: SaveArgs) -> Result<Exit, Failure> {
    let settings = settings(&args.common)?;
    let (reference, artifact, signatures) = match &args.reference {
        Some(reference) => {
            let key = args.make.key.as_deref().map(signing_key).transpose()?;
            let (artifact, about, _) = made(&settings, Path::new(&args.artifact), &args.make)?;
            own_version(reference, &about.version)?;
            let signed = key.map(|key| key.sign(&reference.place(), artifact.digest)).transpose()?;
            (reference.clone(), artifact, Signatures(signed.into_iter().collect()))
        }
        None if Path::new(&args.artifact).is_file() => {
            let what = format!("{}: is a file: under which reference shall it be known?", args.artifact);
            return Err(Failure::new(Exit::Usage, what, "say --as registry.example.com/team/plugin:1.0.0; nothing is asked there"));
        }
        None => {
            let reference: Reference = args.artifact.parse()?;
            match Shelf::of(&settings.share)?.get(&reference, None, most(&settings)) {
                Err(ShareError::Absent(_)) => {
                    let Arrival { reference, artifact, signatures, .. } = fetched(&settings, &reference).await?;
                    (reference, artifact, signatures)
                }
                other => other?,
            }
        }
    };
    let bytes = share::save(&reference, &artifact, &signatures)?;
    std::fs::write(&args.output, &bytes)
        .map_err(|e| Failure::new(Exit::Usage, format!("{}: {e}", args.output.display()), "choose another file with --output"))?;
    report::to_stdout(&args.output.display().to_string());
    report::to_stderr(&format!("{reference} with {}, {} KiB", report::plural(signatures.0.len(), "signature"), bytes.len() >> 10));
    Ok(Exit::AsExpected)
}

fn keygen(args: &KeygenArgs) -> Result<Exit, Failure> {
    let password = password()?;
    let (private, public) = SigningKey::generate()?.to_pem(&password)?;
    let named = |ending: &str| {
        let mut name = args.name.clone().into_os_string();
        name.push(ending);
        PathBuf::from(name)
    };
    let files = [(named(".key"), private.as_str(), 0o600), (named(".pub"), public.as_str(), 0o644)];
    if let Some((there, ..)) = files.iter().find(|(file, ..)| file.exists()) {
        let what = format!("{}: is there already, and keys are never written over", there.display());
        return Err(Failure::new(Exit::Usage, what, "choose another name, such as one with the year in it"));
    }
    for (file, text, mode) in files {
        let written = new_file(mode).open(&file).and_then(|mut opened| opened.write_all(text.as_bytes()));
        written.map_err(|e| Failure::new(Exit::Usage, format!("{}: {e}", file.display()), "check the folder and its permissions"))?;
        report::to_stdout(&file.display().to_string());
    }
    report::to_stderr("keep the .key to yourself; give the .pub to those who shall trust you");
    Ok(Exit::AsExpected)
}

/// A file that is not there yet, for those whom the mode names; where there are no modes, for those whom its folder names.
#[cfg_attr(not(unix), allow(unused_variables))]
fn new_file(mode: u32) -> std::fs::OpenOptions {
    let mut options = std::fs::File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    options
}

async fn sign(args: SignArgs) -> Result<Exit, Failure> {
    let settings = settings(&args.common)?;
    let key = signing_key(&args.key)?;
    let registry = open(&settings, &args.reference).await?;
    let digest = registry.digest(&args.reference).await?;
    if args.reference.digest().is_none() {
        report::warn(
            &format!("what is signed is {digest}: that is what the registry says that {} stands for", args.reference),
            "to sign what you know, name the digest that `plugin push` printed (REFERENCE@sha256:…), or let `push --key` sign",
        );
    }
    let mut signatures = registry.signatures(&args.reference, digest).await?;
    signatures.add(key.sign(&args.reference.place(), digest)?);
    registry.push_signatures(&args.reference, digest, &signatures).await?;
    report::to_stdout(&format!("{}@{digest}", args.reference));
    report::to_stderr(&format!("signed; it carries {} now", report::plural(signatures.0.len(), "signature")));
    Ok(Exit::AsExpected)
}

async fn verify(args: VerifyArgs) -> Result<Exit, Failure> {
    let settings = settings(&args.common)?;
    let trusted = Trusted::read(&if args.key.is_empty() { settings.trust.clone() } else { these(&args.key) })?;
    let Arrival { reference, artifact, signatures, came, on } = gotten(&settings, &args.artifact).await?;
    let vouched = trusted.vouch(&reference, artifact.digest, &signatures, came, on)?;
    match args.common.format {
        Format::Json => report::to_stdout(
            &json!({"schema": 1, "reference": reference, "digest": artifact.digest, "signers": vouched.signers}).to_string(),
        ),
        Format::Human => {
            report::to_stdout(&format!("{reference}@{}", artifact.digest));
            let by = if vouched.signers.is_empty() { "nobody, which is allowed".to_owned() } else { vouched.signers.join(", ") };
            report::to_stderr(&format!("signed by {by}"));
        }
    }
    Ok(Exit::AsExpected)
}

/// The artifact of a file or a registry. Nothing of it is run or kept, so that it need not be trusted yet.
async fn gotten(settings: &Settings, artifact: &str) -> Result<Arrival, Failure> {
    if Path::new(artifact).is_file() {
        return loaded_from(settings, Path::new(artifact));
    }
    let reference: Reference = artifact.parse()?;
    let (artifact, signatures) = open(settings, &reference).await?.pull(&reference).await?;
    Ok(Arrival { reference, artifact, signatures, came: Came::FromRegistry, on: today() })
}

/// Trust in nothing but these keys, for any place.
fn these(files: &[PathBuf]) -> Trust {
    let named = |file: &PathBuf| (file.display().to_string(), Key { file: file.clone(), expires: None, revoked: None });
    let keys: std::collections::BTreeMap<_, _> = files.iter().map(named).collect();
    let needed = std::num::NonZeroUsize::new(keys.len()).map(Into::into);
    let from = Origin { references: vec!["**".to_owned()], keys: keys.keys().cloned().collect(), signatures: needed, ..Origin::default() };
    Trust { keys, from: vec![from] }
}

fn trust(args: &TrustArgs) -> Result<Exit, Failure> {
    let trusted = Trusted::read(&settings(&args.common)?.trust)?;
    let (keys, rules) = (trusted.keys(today()), trusted.rules());
    match (&args.reference, args.common.format) {
        (Some(reference), _) => report::to_stdout(&printable(&trusted.told(reference)?)),
        (None, Format::Json) => report::to_stdout(&json!({"schema": 1, "keys": keys, "rules": rules}).to_string()),
        (None, Format::Human) => {
            let cells = |row: &[String; 3]| row.iter().map(|cell| printable(cell)).collect::<Vec<_>>();
            report::to_stdout(&plain_table(&["KEY", "SHA-256 OF IT", "STATE"], keys.iter().map(cells)));
            report::to_stdout(&format!("\n{}", plain_table(&["RULE", "REFERENCES", "WHAT IT ALLOWS"], rules.iter().map(cells))));
            report::to_stderr("the first rule that fits decides; what none fits is refused");
        }
    }
    Ok(Exit::AsExpected)
}

fn signing_key(file: &Path) -> Result<SigningKey, Failure> {
    Ok(SigningKey::read(file, &password()?)?)
}

/// The password of a key. It may be empty, but somebody must have said so.
fn password() -> Result<Secret, Failure> {
    let said = std::env::var(PASSWORD).or_else(|_| std::env::var("COSIGN_PASSWORD"));
    let help = "set it (or COSIGN_PASSWORD) to the password that the private key is encrypted with; empty for none";
    said.map(Secret::new).map_err(|_| Failure::new(Exit::Usage, format!("{PASSWORD} is not set"), help))
}
