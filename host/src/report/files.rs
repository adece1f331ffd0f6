//! Reports in files, written as outcomes come: what is in memory does not grow with their number, but for what a page shows. A file has its
//! name only once it is whole.

use super::Summary;
use super::html::Page;
use super::json::{Document, Lines};
use super::junit::Junit;
use super::markdown::Markdown;
use super::sarif::Sarif;
use super::target::{Kind, Target};
use crate::model::{Outcome, Vector};
use std::fs::File;
use std::io::{BufWriter, Seek, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// What is known of a run when its reports begin.
#[derive(Debug, Clone)]
pub struct About {
    /// Its id.
    pub run: String,
    /// When it began, RFC 3339.
    pub began: String,
    /// How many vectors it has.
    pub vectors: usize,
}

/// What is written to.
pub(super) trait Sink: Write + Seek {}

impl<T: Write + Seek> Sink for T {}

/// One format.
pub(super) trait Writer: Send {
    /// Before all outcomes.
    fn begin(&mut self, _out: &mut dyn Sink, _about: &About) -> std::io::Result<()> {
        Ok(())
    }

    /// An outcome.
    fn outcome(&mut self, out: &mut dyn Sink, outcome: &Outcome) -> std::io::Result<()>;

    /// A vector that is not run.
    fn not_run(&mut self, _out: &mut dyn Sink, _vector: &Vector) -> std::io::Result<()> {
        Ok(())
    }

    /// After all outcomes.
    fn end(&mut self, out: &mut dyn Sink, summary: &Summary, took_ms: u64) -> std::io::Result<()>;
}

/// All reports of one run.
#[derive(Default)]
pub struct Files(Vec<Open>);

struct Open {
    target: Target,
    /// The file that gets its name, behind any link.
    place: PathBuf,
    out: BufWriter<NamedTempFile>,
    writer: Box<dyn Writer>,
    /// What kept it from being written.
    failed: Option<String>,
}

impl Files {
    /// Begins reports.
    ///
    /// # Errors
    /// The file that cannot be written, and why.
    pub fn begin(targets: &[Target], about: &About) -> Result<Self, String> {
        let mut open = Vec::new();
        for target in targets {
            let failed = |e: std::io::Error| format!("{}: cannot be written: {e}", target.file.display());
            let mut writer = writer(target.kind);
            let place = place(&target.file).map_err(failed)?;
            let mut out = BufWriter::new(beside(&place).map_err(failed)?);
            writer.begin(&mut out, about).map_err(failed)?;
            open.push(Open { target: target.clone(), place, out, writer, failed: None });
        }
        Ok(Self(open))
    }

    /// Whether any of them shows steps.
    #[must_use]
    pub fn show_steps(targets: &[Target]) -> bool {
        targets.iter().any(|target| target.kind == Kind::Html)
    }

    /// Takes an outcome.
    pub fn outcome(&mut self, outcome: &Outcome) {
        self.each(|open| open.writer.outcome(&mut open.out, outcome));
    }

    /// Takes a vector that is not run.
    pub fn not_run(&mut self, vector: &Vector) {
        self.each(|open| open.writer.not_run(&mut open.out, vector));
    }

    fn each(&mut self, write: impl Fn(&mut Open) -> std::io::Result<()>) {
        for open in self.0.iter_mut().filter(|open| open.failed.is_none()) {
            open.failed = write(open).err().map(|e| e.to_string());
        }
    }

    /// Ends all, and gives each file its name; gives those that were written, and what kept others from it.
    #[must_use]
    pub fn end(self, summary: &Summary, took_ms: u64) -> (Vec<Target>, Vec<String>) {
        let (mut written, mut failed) = (Vec::new(), Vec::new());
        for mut open in self.0 {
            let ended = match open.failed.take() {
                Some(why) => Err(why),
                None => open.writer.end(&mut open.out, summary, took_ms).map_err(|e| e.to_string()),
            };
            let named = ended.and_then(|()| {
                let file = open.out.into_inner().map_err(|e| e.to_string())?;
                file.persist(&open.place).map_err(|e| e.error.to_string())
            });
            match named {
                Ok(_) => written.push(open.target),
                Err(why) => failed.push(format!("{}: {why}", open.target.file.display())),
            }
        }
        (written, failed)
    }
}

fn writer(kind: Kind) -> Box<dyn Writer> {
    match kind {
        Kind::Junit => Box::new(Junit::default()),
        Kind::Json => Box::new(Document::default()),
        Kind::Ndjson => Box::new(Lines),
        Kind::Markdown => Box::new(Markdown::default()),
        Kind::Sarif => Box::new(Sarif::default()),
        Kind::Html => Box::new(Page::default()),
    }
}

/// The file that is meant, behind any link. What is there and is none, such as a device, must not be replaced by one.
fn place(file: &Path) -> std::io::Result<PathBuf> {
    match std::fs::metadata(file) {
        Ok(there) if there.is_file() => std::fs::canonicalize(file),
        Ok(_) => Err(std::io::Error::other("it is there and is no file")),
        Err(_) => Ok(file.to_owned()),
    }
}

/// A file beside the one that is to be, which others may read as they may what the user makes.
fn beside(file: &Path) -> std::io::Result<NamedTempFile> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(".tracejury-report-");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder)
}

/// Adds a run's summary in Markdown to a file that others add to as well, such as the one that `GITHUB_STEP_SUMMARY` names.
///
/// # Errors
/// What kept it from being written.
pub fn append_markdown(file: &Path, summary: &Path) -> std::io::Result<()> {
    let mut out = File::options().append(true).create(true).open(file)?;
    std::io::copy(&mut File::open(summary)?, &mut out).map(drop)
}
