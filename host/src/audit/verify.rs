//! Checking a log from its first segment to its last entry, in constant memory: each entry's hash, that each follows the one before, that
//! each segment says truly what it continues, that what is missing was pruned, and that the log still holds what a checkpoint says.

use super::chain::{self, Hash};
use super::entry::{self, Head, Pruned, Removed};
use super::segments::{Line, Lines, Location, Segment};
use super::tail::End;
use super::tree::{Proving, Tree};
use super::{AuditError, Checkpoint};
use crate::model::{from_hex, to_hex};

/// What a log that holds comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The index of the first entry that is there. Those before it were pruned.
    pub first: u64,
    /// How many entries there are, with those that were pruned.
    pub size: u64,
    /// How many segments are there.
    pub segments: usize,
    /// The hash of the last entry, as hex.
    pub last: String,
    /// The days of the first and the last segment.
    pub days: Option<(chrono::NaiveDate, chrono::NaiveDate)>,
    /// How often a torn end was moved into quarantine.
    pub recovered: usize,
    pub(super) end: End,
    pub(super) removable: Vec<(Segment, Removed)>,
}

/// One entry of a log while it is walked through.
pub(super) struct Seen<'a> {
    pub(super) index: u64,
    pub(super) hash: Hash,
    pub(super) line: &'a [u8],
    pub(super) fields: &'a [u8],
}

/// Checks a log; with a checkpoint, that it holds that too.
///
/// # Errors
/// [`AuditError::Broken`], with file and line; or [`AuditError::Io`].
pub fn verify(location: &Location, checkpoint: Option<&Checkpoint>) -> Result<Verified, AuditError> {
    let mut root = None;
    let wanted = checkpoint.map(|c| c.size);
    let verified = walk(location, |before, _| {
        if Some(before.size()) == wanted {
            root = Some(before.root());
        }
    })?;
    let Some(checkpoint) = checkpoint else { return Ok(verified) };
    if verified.size == checkpoint.size {
        root = Some(verified.end.tree.root());
    }
    let broken = |what: String| AuditError::Broken { place: location.pattern().display().to_string(), what };
    match root {
        Some(root) if root == checkpoint.root => Ok(verified),
        Some(_) => Err(broken(format!("its first {} entries are not those of the checkpoint", checkpoint.size))),
        None if checkpoint.size > verified.size => {
            Err(broken(format!("holds {} entries, but the checkpoint was made of {}: the end is missing", verified.size, checkpoint.size)))
        }
        None => Err(AuditError::TooOld { size: checkpoint.size, first: verified.first }),
    }
}

/// What proves that an entry is in a log.
pub(super) struct Proof {
    /// From the entry to the root.
    pub(super) path: Vec<Hash>,
    /// Of the whole log.
    pub(super) tree: Tree,
    /// The entry.
    pub(super) line: Vec<u8>,
}

/// The path of one entry to the root of the whole log, and its line.
pub(super) fn prove(location: &Location, index: u64) -> Result<Option<Proof>, AuditError> {
    let mut proving: Option<Proving> = None;
    let mut found = None;
    walk(location, |before, seen| {
        if seen.index == index {
            found = Some(seen.line.to_vec());
            proving = Some(Proving::new(before.clone(), index));
        }
        if let Some(proving) = &mut proving {
            proving.push(&seen.hash);
        }
    })?;
    Ok(proving.and_then(Proving::path).zip(found).map(|((path, tree), line)| Proof { path, tree, line }))
}

/// Goes through all entries; `see` gets the tree of those before it, and the entry.
pub(super) fn walk(location: &Location, mut see: impl FnMut(&Tree, &Seen<'_>)) -> Result<Verified, AuditError> {
    let segments = location.segments()?;
    let mut end = End::default();
    let mut first = None;
    let mut gone: Vec<Removed> = Vec::new();
    let mut removable = Vec::new();
    let mut missing_hash = None;
    let mut recovered = 0;
    for segment in &segments {
        let mut lines = Lines::open(&segment.path, 0)?;
        let (mut number, mut looked_again) = (0, false);
        let (began, mut any) = (end.tree.size(), false);
        let mut began_at = began;
        while let Some(line) = lines.next()? {
            number += 1;
            let broken = |what: String| AuditError::Broken { place: format!("{}:{number}", segment.path.display()), what };
            let Line::Whole(line) = line else {
                // Somebody may just be writing it: once nobody is, it is looked at again.
                if !std::mem::replace(&mut looked_again, true) && location.still().is_some() {
                    let offset = lines.offset;
                    lines = Lines::open(&segment.path, offset)?;
                    number -= 1;
                    continue;
                }
                return Err(broken("is torn; the next run moves it into quarantine".to_owned()));
            };
            let entry = chain::read(line).map_err(|e| broken(e.to_string()))?;
            if number == 1 {
                let head: Head = entry::read("segment", entry.fields).ok_or_else(|| broken("does not say what it continues".to_owned()))?;
                let tree = head_tree(&head, entry.index).ok_or_else(|| broken("does not say truly what it continues".to_owned()))?;
                if head.segment != segment.name() {
                    return Err(broken(format!("is the start of {}: the file was renamed", head.segment)));
                }
                match first {
                    None => {
                        first = Some(entry.index);
                        missing_hash = (entry.index > 0).then_some(entry.previous);
                        end = End { hash: entry.previous, tree };
                        began_at = entry.index;
                    }
                    Some(_) if tree != end.tree => {
                        return Err(broken(format!("continues entry {} where entry {} is missing", entry.index, end.tree.size())));
                    }
                    Some(_) => {}
                }
                let before = removable.last().map(|(_, removed): &(Segment, Removed)| &removed.segment);
                if before.is_some_and(|before| head.continues.as_ref() != Some(before)) {
                    return Err(broken("continues another segment than the one before it".to_owned()));
                }
            }
            if entry.index != end.tree.size() {
                return Err(broken(format!("is entry {} where {} should be", entry.index, end.tree.size())));
            }
            if entry.previous != end.hash {
                return Err(broken("does not follow the entry before it".to_owned()));
            }
            if let Some(pruned) = entry::read::<Pruned>("pruned", entry.fields) {
                gone.extend(pruned.accounted());
            }
            recovered += usize::from(entry.fields.starts_with(b"\"kind\":\"recovered\""));
            see(&end.tree, &Seen { index: entry.index, hash: entry.hash, line, fields: entry.fields });
            end.push(entry.hash);
            any = true;
        }
        if any {
            let removed = Removed { segment: segment.name(), first: began_at, last: end.tree.size() - 1, hash: to_hex(&end.hash) };
            removable.push((segment.clone(), removed));
        }
    }
    let first = first.unwrap_or_default();
    if let Some(hash) = missing_hash
        && !accounts_for(&gone, first, &to_hex(&hash))
    {
        let what = format!("its first {first} entries are missing, and no entry says that they were pruned");
        return Err(AuditError::Broken { place: location.pattern().display().to_string(), what });
    }
    let days = removable.first().zip(removable.last()).map(|((first, _), (last, _))| (first.day, last.day));
    let (size, last) = (end.tree.size(), to_hex(&end.hash));
    Ok(Verified { first, size, segments: removable.len(), last, days, recovered, end, removable })
}

/// Whether what was pruned is all that is missing: segments that join from the very first entry to where the log begins.
fn accounts_for(gone: &[Removed], first: u64, hash: &str) -> bool {
    let last = gone.iter().find(|removed| removed.last + 1 == first && removed.hash == hash);
    let mut next = last.map(|removed| removed.first);
    while let Some(before) = next.filter(|first| *first > 0) {
        next = gone.iter().find(|removed| removed.last + 1 == before && removed.first < before).map(|removed| removed.first);
    }
    next == Some(0)
}

/// What a segment continues, by its first entry; none where that cannot be read.
pub(super) fn continued(segment: &Segment) -> Result<Option<End>, AuditError> {
    let mut lines = Lines::open(&segment.path, 0)?;
    let Some(Line::Whole(line)) = lines.next()? else { return Ok(None) };
    let Ok(entry) = chain::read(line) else { return Ok(None) };
    let tree = entry::read::<Head>("segment", entry.fields).and_then(|head| head_tree(&head, entry.index));
    Ok(tree.map(|tree| End { hash: entry.previous, tree }))
}

fn head_tree(head: &Head, index: u64) -> Option<Tree> {
    Tree::of(index, head.tree.iter().map(|root| from_hex(root)).collect::<Option<_>>()?)
}
