//! The files of an audit log: one segment a day beside each other, by names that sort as they follow. It knows names, locks and syncs, not
//! what is in them.

use super::AuditError;
use chrono::NaiveDate;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

/// The longest line that is taken for one, in bytes.
const MAX_LINE: u64 = 16 << 20;

/// Where a log is: `path/audit.jsonl` stands for `path/audit-DAY.jsonl` and what lies beside them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    folder: PathBuf,
    stem: String,
    extension: String,
}

/// A segment's day and file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Segment {
    pub(super) day: NaiveDate,
    pub(super) path: PathBuf,
}

impl Location {
    /// The location that a path stands for; of a folder, `audit.jsonl` in it.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        let path = if path.is_dir() { path.join("audit.jsonl") } else { path.to_owned() };
        let text = |part: Option<&std::ffi::OsStr>, otherwise: &str| {
            part.map_or_else(|| otherwise.to_owned(), |p| p.to_string_lossy().into_owned())
        };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
        Self { folder, stem: text(path.file_stem(), "audit"), extension: text(path.extension(), "jsonl") }
    }

    /// What the segments are called, for people.
    #[must_use]
    pub fn pattern(&self) -> PathBuf {
        self.folder.join(format!("{}-DAY.{}", self.stem, self.extension))
    }

    /// The folder it is in.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The newest segment, where there is one.
    ///
    /// # Errors
    /// The system's word.
    pub fn newest(&self) -> std::io::Result<Option<PathBuf>> {
        match self.segments() {
            Ok(segments) => Ok(segments.into_iter().next_back().map(|segment| segment.path)),
            Err(AuditError::Io { why, .. }) => Err(why),
            Err(other) => Err(std::io::Error::other(other)),
        }
    }

    pub(super) fn segment(&self, day: NaiveDate) -> Segment {
        Segment { day, path: self.folder.join(format!("{}-{}.{}", self.stem, day.format("%Y-%m-%d"), self.extension)) }
    }

    /// The segments there are, the oldest first.
    pub(super) fn segments(&self) -> Result<Vec<Segment>, AuditError> {
        let failed = |e| AuditError::io(&self.folder, e);
        let files = match std::fs::read_dir(&self.folder) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            files => files.map_err(failed)?,
        };
        let mut segments = Vec::new();
        for file in files {
            let name = file.map_err(failed)?.file_name();
            let day = name.to_str().and_then(|name| {
                let rest = name.strip_prefix(&self.stem)?.strip_prefix('-')?;
                NaiveDate::parse_from_str(rest.strip_suffix(&self.extension)?.strip_suffix('.')?, "%Y-%m-%d").ok()
            });
            // A name that only looks like one, and a folder, is none.
            let segment = day.map(|day| self.segment(day)).filter(|segment| Some(segment.name().as_str()) == name.to_str());
            segments.extend(segment.filter(|segment| !segment.path.is_dir()));
        }
        segments.sort();
        Ok(segments)
    }

    /// Where what was found torn is kept.
    pub(super) fn quarantine(&self) -> PathBuf {
        self.folder.join(format!("{}.quarantine.{}", self.stem, self.extension))
    }

    /// The file whose lock keeps two processes from writing at once. It is not a segment: those come and go.
    pub(super) fn lock(&self) -> Result<File, AuditError> {
        std::fs::create_dir_all(&self.folder).map_err(|e| AuditError::io(&self.folder, e))?;
        private(&self.folder.join(format!("{}.lock", self.stem)))
    }

    /// Waits until nobody is writing; gives nothing where that cannot be known.
    pub(super) fn still(&self) -> Option<File> {
        let lock = File::open(self.folder.join(format!("{}.lock", self.stem))).ok()?;
        lock.lock_shared().ok().map(|()| lock)
    }

    /// Has the names of files that were made or removed on disk.
    pub(super) fn sync(&self) -> Result<(), AuditError> {
        #[cfg(unix)]
        File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(|e| AuditError::io(&self.folder, e))?;
        Ok(())
    }
}

impl Segment {
    /// Its name, without the folder.
    pub(super) fn name(&self) -> String {
        self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }
}

/// A file to append to and to read, made where it is missing; for its owner only.
pub(super) fn private(path: &Path) -> Result<File, AuditError> {
    let mut options = File::options();
    options.create(true).append(true).read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(|e| AuditError::io(path, e))
}

/// The lines of a segment, one after the other in the same memory.
pub(super) struct Lines {
    path: PathBuf,
    reader: BufReader<File>,
    line: Vec<u8>,
    /// Where the line begins that was read last.
    pub(super) offset: u64,
    end: u64,
}

/// What stands where a line should.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    Whole(&'a [u8]),
    /// It has no end, or none for a very long time.
    Torn,
}

impl Lines {
    /// The lines from an offset on.
    pub(super) fn open(path: &Path, offset: u64) -> Result<Self, AuditError> {
        let failed = |e| AuditError::io(path, e);
        let mut file = File::open(path).map_err(failed)?;
        file.seek(SeekFrom::Start(offset)).map_err(failed)?;
        Ok(Self { path: path.to_owned(), reader: BufReader::with_capacity(1 << 18, file), line: Vec::new(), offset, end: offset })
    }

    pub(super) fn next(&mut self) -> Result<Option<Line<'_>>, AuditError> {
        self.line.clear();
        self.offset = self.end;
        let read = (&mut self.reader).take(MAX_LINE).read_until(b'\n', &mut self.line).map_err(|e| AuditError::io(&self.path, e))?;
        self.end += read as u64;
        Ok(match self.line.split_last() {
            None => None,
            Some((b'\n', line)) => Some(Line::Whole(line)),
            Some(_) => Some(Line::Torn),
        })
    }

    /// Where the next line begins.
    pub(super) fn end(&self) -> u64 {
        self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_told_by_their_names_and_sorted() {
        let dir = tempfile::tempdir().unwrap();
        for name in [
            "audit-2026-11-25.jsonl",
            "audit-2026-02-01.jsonl",
            "audit.jsonl",
            "audit-x.jsonl",
            "audit-2026-02-30.jsonl",
            "audit-2026-1-5.jsonl",
            "other-2026-02-01.jsonl",
            "audit.lock",
        ] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let location = Location::of(&dir.path().join("audit.jsonl"));
        let names: Vec<_> = location.segments().unwrap().iter().map(Segment::name).collect();
        assert_eq!(names, ["audit-2026-02-01.jsonl", "audit-2026-11-25.jsonl"]);
        assert_eq!(Location::of(dir.path()), location, "a folder will do");
        assert_eq!(Location::of(Path::new("log")).segment(NaiveDate::MIN).path.parent(), Some(Path::new(".")));
        assert_eq!(Location::of(&dir.path().join("none/a.jsonl")).segments().unwrap(), []);
    }

    #[test]
    fn a_line_without_an_end_is_torn() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        std::fs::write(&path, "one\n\ntwo").unwrap();
        let mut lines = Lines::open(&path, 0).unwrap();
        assert_eq!(lines.next().unwrap(), Some(Line::Whole(b"one")));
        assert_eq!(lines.next().unwrap(), Some(Line::Whole(b"")));
        assert_eq!(lines.next().unwrap(), Some(Line::Torn));
        assert_eq!((lines.offset, lines.end()), (5, 8));
        assert_eq!(lines.next().unwrap(), None);
    }
}
