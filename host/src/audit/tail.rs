//! The end of a log: where the next entry goes and what it continues. Found by reading the last segment, and kept up with what other
//! processes append. Damage at the very end, as a crash or a power cut leaves it, is moved into quarantine and told in an entry of its own.

use super::chain::{self, Broken, Hash};
use super::entry;
use super::segments::{Line, Lines, Location, Segment, private};
use super::tree::Tree;
use super::{AuditError, verify};
use crate::store::{is_still_there, timestamp};
use base64::Engine as _;
use chrono::NaiveDate;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};

/// Where the next entry goes.
pub(super) struct Tail {
    location: Location,
    /// The segment that is written to; none where there is none yet.
    open: Option<(Segment, File)>,
    /// How much of it has been read.
    offset: u64,
    /// What all entries so far come to.
    pub(super) end: End,
    /// What was found damaged and could not be mended.
    pub(super) damage: Option<String>,
    /// What is still to be said of what was mended, in the next segment's first entries.
    mended: Vec<String>,
}

/// What the entries so far come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct End {
    /// The hash of the last entry.
    pub(super) hash: Hash,
    /// The tree of all of them; its size is the next entry's index.
    pub(super) tree: Tree,
}

impl End {
    /// Takes in the next entry.
    pub(super) fn push(&mut self, hash: Hash) {
        self.tree.push(&hash);
        self.hash = hash;
    }
}

impl Tail {
    /// Nothing is read yet: [`Tail::catch_up`] does that.
    pub(super) fn new(location: Location) -> Self {
        Self { location, open: None, offset: 0, end: End::default(), damage: None, mended: Vec::new() }
    }

    /// Appends entries, each the fields of one, and gives the file to be synced. The lock must be held.
    pub(super) fn append(&mut self, today: NaiveDate, entries: &[String]) -> Result<&File, AuditError> {
        self.catch_up()?;
        // A clock that was put back does not send entries into a segment that others follow.
        if self.offset == 0 || self.open.as_ref().is_none_or(|(segment, _)| segment.day < today) {
            self.begin(today)?;
        }
        self.write(entries)?;
        match &self.open {
            Some((_, file)) => Ok(file),
            None => Err(AuditError::io(&self.location.segment(today).path, std::io::Error::other("there is no segment to write to"))),
        }
    }

    /// Reads what was appended since, by whomever.
    pub(super) fn catch_up(&mut self) -> Result<(), AuditError> {
        // Others' clocks may be ahead of ours: their segments are looked for, not guessed at.
        let newest = self.location.segments()?.into_iter().next_back();
        let same = self.open.as_ref().is_some_and(|(segment, file)| {
            Some(segment) == newest.as_ref() && is_still_there(file, &segment.path) && file.metadata().is_ok_and(|m| m.len() >= self.offset)
        });
        if !same {
            self.find()?;
        }
        self.read_on()
    }

    /// Finds the last segment with something in it, and what it continues.
    fn find(&mut self) -> Result<(), AuditError> {
        (self.open, self.offset, self.end) = (None, 0, End::default());
        for segment in self.location.segments()?.into_iter().rev() {
            if segment.path.metadata().map_err(|e| AuditError::io(&segment.path, e))?.len() == 0 {
                continue;
            }
            if let Some(end) = verify::continued(&segment)? {
                self.end = end;
            }
            let file = private(&segment.path)?;
            self.open = Some((segment, file));
            self.read_on()?;
            // What was nothing but damage is in quarantine by now, and the segment before it is the last.
            if self.offset > 0 {
                return Ok(());
            }
            (self.open, self.end) = (None, End::default());
        }
        Ok(())
    }

    fn read_on(&mut self) -> Result<(), AuditError> {
        let Some((segment, _)) = &self.open else { return Ok(()) };
        let mut lines = Lines::open(&segment.path, self.offset)?;
        // Where what is no entry begins, as long as nothing follows that is one, or was.
        let mut bad: Option<u64> = None;
        loop {
            let read = match lines.next()? {
                None => break,
                Some(Line::Torn) => Err(Broken::NotAnEntry),
                Some(Line::Whole(line)) => chain::read(line).map(|entry| (entry.index, entry.previous, entry.hash)),
            };
            if let Err(Broken::NotAnEntry) = read {
                bad.get_or_insert(lines.offset);
                continue;
            }
            if bad.take().is_some() {
                self.damage.get_or_insert_with(|| format!("{}: is damaged in its midst", segment.name()));
            }
            self.offset = lines.end();
            match read {
                Ok((index, previous, hash)) => {
                    if (index, previous) != (self.end.tree.size(), self.end.hash) {
                        self.damage.get_or_insert_with(|| format!("{}: entry {index} does not follow the one before it", segment.name()));
                    }
                    self.end.push(hash);
                }
                // A whole line with another hash was changed, not torn: it stays where it is, for everybody to see.
                Err(_) => {
                    self.damage.get_or_insert_with(|| format!("{}: a line was changed", segment.name()));
                }
            }
        }
        bad.map_or(Ok(()), |at| self.mend(at))
    }

    /// Moves what stands from an offset on out of the way: into the quarantine first, so that it is never nowhere.
    fn mend(&mut self, at: u64) -> Result<(), AuditError> {
        let Some((segment, file)) = &mut self.open else { return Ok(()) };
        let failed = |e| AuditError::io(&segment.path, e);
        let mut torn = Vec::new();
        file.seek(SeekFrom::Start(at)).and_then(|_| file.read_to_end(&mut torn)).map_err(failed)?;
        let kept = self.location.quarantine();
        let line = serde_json::json!({
            "version": 1, "at": timestamp(), "segment": segment.name(), "offset": at,
            "bytes": base64::engine::general_purpose::STANDARD.encode(&torn),
        });
        // On a line of its own, whatever a crash has left there.
        let mut quarantine = private(&kept)?;
        let record = format!("\n{line}\n");
        quarantine.write_all(record.as_bytes()).and_then(|()| quarantine.sync_data()).map_err(|e| AuditError::io(&kept, e))?;
        self.location.sync()?;
        file.set_len(at).and_then(|()| file.sync_data()).map_err(failed)?;
        self.offset = at;
        let name = segment.name();
        tracing::warn!("audit log: {name}: the last {} bytes were torn by a crash; they are kept in {}", torn.len(), kept.display());
        let digest: Hash = Sha256::digest(&torn).into();
        let said = entry::recovered(&name, at, torn.len(), &digest);
        // A segment in which nothing is left gets its first entry first.
        if at == 0 {
            self.mended.push(said);
            return Ok(());
        }
        self.write(&[said])
    }

    /// Begins the segment of a day by saying what it continues.
    fn begin(&mut self, day: NaiveDate) -> Result<(), AuditError> {
        let segment = self.location.segment(day);
        let before = self.open.as_ref().filter(|_| self.offset > 0).map(|(segment, _)| segment.name());
        let file = private(&segment.path)?;
        self.location.sync()?;
        if let Some((_, last)) = &self.open {
            last.sync_data().map_err(|e| AuditError::io(&segment.path, e))?;
        }
        let mut entries = vec![entry::segment(&segment.name(), before.as_deref(), &self.end.tree)];
        entries.extend(self.mended.iter().cloned());
        let (last, offset) = (self.open.replace((segment, file)), std::mem::take(&mut self.offset));
        let begun = self.write(&entries);
        match &begun {
            Ok(()) => self.mended.clear(),
            // Without its first entry there is no segment.
            Err(_) => (self.open, self.offset) = (last, offset),
        }
        begun
    }

    fn write(&mut self, entries: &[String]) -> Result<(), AuditError> {
        let Some((segment, file)) = &mut self.open else { return Ok(()) };
        let mut end = self.end.clone();
        let mut text = String::new();
        for fields in entries {
            let (line, hash) = chain::seal(end.tree.size(), &end.hash, fields);
            text.push_str(&line);
            text.push('\n');
            end.push(hash);
        }
        let failed = |e| AuditError::io(&segment.path, e);
        if let Err(e) = file.write_all(text.as_bytes()) {
            // What was written of it must not stand in the way of the next; where even that fails it will be found torn.
            let _ = file.set_len(self.offset);
            return Err(failed(e));
        }
        self.offset += text.len() as u64;
        self.end = end;
        Ok(())
    }

    /// The file that is written to, to be synced.
    pub(super) fn file(&self) -> Option<&File> {
        self.open.as_ref().map(|(_, file)| file)
    }
}
