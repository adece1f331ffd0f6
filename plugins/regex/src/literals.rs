//! What a pattern cannot match without: literals, of which every match holds at least one. They let one pass over a text rule out
//! nearly all patterns. The idea is that of RE2's FilteredRE2 (<https://github.com/google/re2/blob/main/re2/filtered_re2.h>); a
//! library for it (`regex-filtered`) keeps whole patterns in step with each other, where here a rule asks for some of its patterns
//! only, and stops at the first rule that holds. It knows patterns, not rules.

use crate::finder::{KEY, LONGEST};
use regex_syntax::hir::{Class, Hir, HirKind};

/// The most literals that stand for one part of a pattern: with more, the part is taken for anything.
const MOST: usize = 48;
/// The shortest literal worth looking for, in bytes: shorter ones stand in every text.
const SHORTEST: usize = KEY;
/// How many bytes of a match may stand before its literal: each of them is a place to try.
const FARTHEST: usize = 24;
/// What ASCII letters fold to outside ASCII (Unicode's simple case folding): the Kelvin sign and the long s. A text that holds one
/// can match without holding the literal.
pub const FOLDS_TO_ASCII: [&str; 2] = ["\u{212a}", "\u{17f}"];

type Set = Vec<Vec<u8>>;

/// Literals of which every match of a pattern holds at least one, and how far behind the match's start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Required {
    /// The literals, in lower case; in a text they may stand in any case.
    pub literals: Set,
    /// The fewest and the most bytes of a match before its literal.
    pub before: (usize, usize),
    /// Further literals of which every match holds at least one, wherever in it; none where there are no others.
    pub also: Set,
}

/// What `hir` cannot match without; none where that would be no help.
#[must_use]
pub fn required(hir: &Hir) -> Option<Required> {
    let starts = |set: Set| tidied(set.into_iter().map(|literal| literal.into_iter().take(LONGEST).collect()).collect());
    let whole = whole(hir)?;
    let literals = starts(whole.literals);
    let also = others(hir).into_iter().map(starts).filter(|set| *set != literals && shortest(set) >= SHORTEST && set.len() <= MOST);
    let also = also.max_by_key(|set| (shortest(set), usize::MAX - set.len())).unwrap_or_default();
    Some(Required { literals, before: whole.before, also })
}

/// All sets of literals that a pattern cannot match without, in no order that matters.
fn others(hir: &Hir) -> Vec<Set> {
    match hir.kind() {
        HirKind::Concat(parts) => candidates(parts).into_iter().map(|(_, set)| set).collect(),
        HirKind::Capture(group) => others(&group.sub),
        _ => Vec::new(),
    }
}

fn whole(hir: &Hir) -> Option<Required> {
    let best = match hir.kind() {
        HirKind::Concat(parts) => of_sequence(parts),
        HirKind::Capture(group) => whole(&group.sub),
        HirKind::Alternation(branches) => of_branches(branches),
        _ => exact(hir).map(at_the_start),
    };
    best.filter(|found| found.literals.len() <= MOST && shortest(&found.literals) >= SHORTEST && found.before.1 <= FARTHEST)
}

fn at_the_start(literals: Set) -> Required {
    Required { literals, before: (0, 0), also: Set::new() }
}

fn of_branches(branches: &[Hir]) -> Option<Required> {
    let found = branches.iter().map(whole).collect::<Option<Vec<_>>>()?;
    let (fewest, most) = (found.iter().map(|f| f.before.0).min()?, found.iter().map(|f| f.before.1).max()?);
    Some(Required { literals: tidied(found.into_iter().flat_map(|f| f.literals).collect()), before: (fewest, most), also: Set::new() })
}

/// The best set of a sequence: that of one part, or of neighbours that are literal and so form longer literals.
fn of_sequence(parts: &[Hir]) -> Option<Required> {
    let known =
        candidates(parts).into_iter().filter_map(|(before, literals)| Some(Required { literals, before: before?, also: Set::new() }));
    known
        .filter(|found| found.before.1 <= FARTHEST)
        .max_by_key(|found| (shortest(&found.literals).min(LONGEST), usize::MAX - found.literals.len()))
}

/// The sets of a sequence, each with how long what stands before it may be, as far as that is known: what has no end has no place
/// behind it.
fn candidates(parts: &[Hir]) -> Vec<(Option<(usize, usize)>, Set)> {
    let mut candidates = Vec::new();
    let mut before = Some((0_usize, 0_usize));
    let mut run = (before, vec![Vec::new()]);
    for part in parts {
        let alone = exact(part);
        match alone.as_ref().and_then(|next| product(&run.1, next)) {
            Some(longer) => run.1 = longer,
            None => {
                let next = (before, alone.unwrap_or_else(|| vec![Vec::new()]));
                candidates.push(std::mem::replace(&mut run, next));
                let place = |f: &Required| before.map(|(min, max)| (min + f.before.0, max + f.before.1));
                candidates.extend(whole(part).map(|found| (place(&found), found.literals)));
            }
        }
        let length = part.properties().minimum_len().zip(part.properties().maximum_len());
        before = before.zip(length).map(|((min, max), (shortest, longest))| (min + shortest, max.saturating_add(longest)));
        if run.1 == [Vec::new()] {
            run.0 = before;
        }
    }
    candidates.push(run);
    candidates
}

/// All texts that `hir` matches, in lower case, where they are few.
fn exact(hir: &Hir) -> Option<Set> {
    let set = match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => vec![Vec::new()],
        HirKind::Literal(literal) => vec![literal.0.to_ascii_lowercase()],
        HirKind::Class(class) => letters(class)?,
        HirKind::Capture(group) => exact(&group.sub)?,
        HirKind::Repetition(repeated) if repeated.max == Some(1) => {
            let mut set = exact(&repeated.sub)?;
            if repeated.min == 0 {
                set.push(Vec::new());
            }
            set
        }
        HirKind::Concat(parts) => parts.iter().try_fold(vec![Vec::new()], |run, part| product(&run, &exact(part)?))?,
        HirKind::Alternation(branches) => branches.iter().map(exact).collect::<Option<Vec<_>>>()?.concat(),
        HirKind::Repetition(_) => return None,
    };
    Some(tidied(set)).filter(|set| set.len() <= MOST)
}

/// The ASCII characters of a small class, in lower case. What letters fold to outside ASCII is left to [`FOLDS_TO_ASCII`].
fn letters(class: &Class) -> Option<Set> {
    let chars: Vec<char> = match class {
        Class::Unicode(class) => class.iter().flat_map(|range| range.start()..=range.end()).take(MOST).collect(),
        Class::Bytes(class) => class.iter().flat_map(|range| range.start()..=range.end()).take(MOST).map(char::from).collect(),
    };
    let folded = |c: &char| FOLDS_TO_ASCII.iter().any(|fold| fold.starts_with(*c));
    let few = chars.len() < MOST && chars.iter().all(|c| c.is_ascii() || folded(c));
    few.then(|| chars.iter().filter(|c| c.is_ascii()).map(|c| vec![c.to_ascii_lowercase() as u8]).collect())
}

fn product(left: &Set, right: &Set) -> Option<Set> {
    let set = left.iter().flat_map(|l| right.iter().map(move |r| [l.as_slice(), r].concat())).take(MOST + 1).collect();
    Some(tidied(set)).filter(|set| set.len() <= MOST)
}

fn tidied(mut set: Set) -> Set {
    set.sort_unstable();
    set.dedup();
    set
}

fn shortest(set: &Set) -> usize {
    set.iter().map(Vec::len).min().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pattern: &str) -> Option<(Vec<String>, (usize, usize))> {
        let found = required(&regex_syntax::parse(pattern).unwrap())?;
        Some((found.literals.into_iter().map(|literal| String::from_utf8(literal).unwrap()).collect(), found.before))
    }

    fn some(literals: &[&str], before: (usize, usize)) -> Option<(Vec<String>, (usize, usize))> {
        Some((literals.iter().map(ToString::to_string).collect(), before))
    }

    #[test]
    fn what_a_pattern_cannot_match_without() {
        assert_eq!(of("ECONNREFUSED"), some(&["econnref"], (0, 0)));
        assert_eq!(of(r"\b(?:EPIPE|ECONNRESET)\b"), some(&["econnres", "epipe"], (0, 0)));
        assert_eq!(of("(?i)socket hang up"), some(&["socket h"], (0, 0)));
        assert_eq!(of("[a-z]{2,4}: timeout"), some(&[": timeou"], (2, 4)));
        assert_eq!(of(r"status(?: code)? 50[23]"), some(&["status 5", "status c"], (0, 0)));
        assert_eq!(of(r"\s+dial tcp"), None, "what may be far behind its start cannot be found from its literal");
    }

    #[test]
    fn further_literals_are_found_behind_what_has_no_end() {
        let also = |pattern: &str| {
            let found = required(&regex_syntax::parse(pattern).unwrap()).map(|found| found.also).unwrap_or_default();
            found.into_iter().map(|literal| String::from_utf8(literal).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(also("ledger [0-9]+ is (?:sealed|shut)"), [" is seal", " is shut"]);
        assert_eq!(also("ledger"), [""; 0]);
        assert_eq!(also("ledger (?: is sealed)?"), [""; 0], "what may be absent is required of nobody");
        assert_eq!(also("ledger .*(?:sealed|[0-9])"), [""; 0]);
    }

    #[test]
    fn what_could_be_anything_requires_nothing() {
        for pattern in [r"\w+", "(?:abc)?", "abc|.*", "ab", "", r"[^\n]*", r"[\p{Greek}]{4}"] {
            assert_eq!(of(pattern), None, "{pattern}");
        }
    }
}
