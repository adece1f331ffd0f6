//! `tracejury init`: keys, settings that name them, a first vector and a CI workflow. What is there already is left as it is.

use crate::audit::Keys;
use crate::cli::InitArgs;
use crate::config::FILE;
use crate::exit::{Exit, Failure};
use crate::model::{Secret, to_hex};
use crate::report;
use rand_core::RngCore as _;
use std::io::{ErrorKind, Write as _};
use std::path::Path;

/// The folder of what is not to be shared, beside the settings.
const FOLDER: &str = ".tracejury";

const SETTINGS: &str = include_str!("init/tracejury.toml");
const VECTORS: &str = include_str!("init/first.yaml");
const WORKFLOW: &str = include_str!("init/workflow.yml");

pub(super) fn execute(args: &InitArgs) -> Result<Exit, Failure> {
    let folder = args.dir.join(FOLDER);
    make_folder(&folder).map_err(|e| failed(&folder, &e))?;
    let mut bytes = [0; 32];
    rand_core::OsRng.fill_bytes(&mut bytes);
    put(
        &folder.join("privacy.key"),
        &Secret::new(to_hex(&bytes)),
        "turns hashes of inputs into HMACs; keep a copy: without it they cannot be compared",
    )?;
    let key = folder.join("audit.key");
    let (text, _) = Keys::make(&args.log).map_err(|e| Failure::new(Exit::Usage, e, "give --log a name such as example.com/audit"))?;
    put(&key, &text, "signs checkpoints of the audit log")?;
    if let Ok(keys) = Keys::read(&key) {
        report::to_stdout(&format!("  its public key, to be given to whoever checks them: {}", keys.public));
    }
    put(&args.dir.join(FILE), &Secret::new(SETTINGS.to_owned()), "settings that name both")?;
    share(&args.dir.join("vectors/first.yaml"), VECTORS, "a first vector")?;
    share(&args.dir.join(".github/workflows/tracejury.yml"), WORKFLOW, "runs the vectors in CI; its head says what to set")?;
    report::to_stderr(
        "next: set CXONE_BASE_URL, CXONE_CLIENT_ID and CXONE_CLIENT_SECRET, then `tracejury doctor` and `tracejury run vectors --dry-run`",
    );
    Ok(Exit::AsExpected)
}

/// Writes a file for its owner only, unless it is there.
fn put(path: &Path, text: &Secret, what: &str) -> Result<(), Failure> {
    let mut options = std::fs::File::options();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    made(path, &mut options, text, what)
}

/// Writes a file that goes into the repository, and the folders it is in, unless it is there.
fn share(path: &Path, text: &str, what: &str) -> Result<(), Failure> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|e| failed(folder, &e))?;
    made(path, &mut std::fs::File::options(), &Secret::new(text.to_owned()), what)
}

fn made(path: &Path, options: &mut std::fs::OpenOptions, text: &Secret, what: &str) -> Result<(), Failure> {
    options.create_new(true).write(true);
    let made = options.open(path).and_then(|mut file| writeln!(file, "{}", text.expose().trim_end()).and_then(|()| file.sync_all()));
    match made {
        Ok(()) => report::to_stdout(&format!("made {}: {what}", path.display())),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => report::to_stdout(&format!("kept {} as it is", path.display())),
        Err(e) => return Err(failed(path, &e)),
    }
    Ok(())
}

fn make_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)?;
    // Keys must not get into a repository by mistake.
    let ignore = folder.join(".gitignore");
    if ignore.exists() { Ok(()) } else { std::fs::write(ignore, "*\n") }
}

fn failed(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Exit::CouldNotRun, format!("{}: {error}", path.display()), "check the folder and its permissions")
}
