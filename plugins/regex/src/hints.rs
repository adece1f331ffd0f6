//! Which patterns may match a text: what the literals in it make possible. It knows rules by their ranks, not what they say.

use crate::finder::Finder;
use crate::literals::{FOLDS_TO_ASCII, Required};
use crate::pack::Pack;
use std::collections::{BTreeMap, BTreeSet};

/// What may match: patterns, and by rank the rules that rest on them.
#[derive(Debug, Clone, Default)]
struct Hint {
    patterns: Vec<usize>,
    ranks: Vec<usize>,
}

impl Hint {
    fn add(&mut self, pattern: usize, rank: Option<usize>) {
        self.patterns.push(pattern);
        self.ranks.extend(rank);
    }
}

/// A set of small numbers.
#[derive(Debug, Clone)]
pub struct Marks(Vec<u64>);

impl Marks {
    /// None of the numbers below `most`.
    pub fn of(most: usize) -> Self {
        Self(vec![0; most.div_ceil(64)])
    }

    fn add(&mut self, numbers: &[usize]) {
        for number in numbers {
            if let Some(word) = self.0.get_mut(number / 64) {
                *word |= 1 << (number % 64);
            }
        }
    }

    /// Whether it is among them.
    pub fn has(&self, number: usize) -> bool {
        self.0.get(number / 64).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    /// Takes in those of another set.
    pub fn join(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(word, other)| *word |= other);
    }

    /// The numbers within a range, in order.
    pub fn within(&self, range: std::ops::Range<usize>) -> impl Iterator<Item = usize> {
        let words = self.0.iter().enumerate().skip(range.start / 64).take_while({
            let end = range.end;
            move |(i, _)| i * 64 < end
        });
        words.flat_map(|(i, &word)| ones(i, word)).filter(move |number| range.contains(number))
    }

    /// The numbers, in order.
    pub fn iter(&self) -> impl Iterator<Item = usize> {
        self.0.iter().enumerate().flat_map(|(i, &word)| ones(i, word))
    }
}

/// The numbers whose bits are set in one word.
fn ones(i: usize, word: u64) -> impl Iterator<Item = usize> {
    let rest = std::iter::successors(Some(word), |word| Some(word & word.wrapping_sub(1)));
    rest.take_while(|word| *word != 0).map(move |word| i * 64 + word.trailing_zeros() as usize)
}

/// What is known beforehand of what the patterns of a pack need.
#[derive(Debug)]
pub struct Index {
    /// Finds the literals that patterns cannot match without.
    literals: Finder,
    /// What the presence of each literal makes possible.
    hints: Vec<Hint>,
    /// What no literal speaks for, and so is always possible.
    always: Hint,
    /// All patterns and rules: what is possible where literals are no help.
    everything: Hint,
    /// Of a pattern whose literal many share: the others, one of which must stand somewhere in the text.
    also: Vec<Vec<usize>>,
    /// Whether there is any such pattern.
    crowded: bool,
}

/// From how many patterns on that share a literal the others that they need are looked for too.
const CROWD: usize = 8;

/// What the literals in a text say.
#[derive(Debug)]
pub struct Hints {
    /// Patterns that may match it.
    patterns: Marks,
    /// Which literal stands where, by its start in bytes.
    places: Vec<(usize, usize)>,
    /// The literals that stand somewhere.
    literals: Marks,
    /// Whether patterns may match where no literal stands.
    pub everywhere: bool,
}

impl Index {
    /// The literals to look for, what each hints at, what no literal speaks for, and everything. `ranks` holds each rule's index and
    /// that of its first pattern; `required` what each pattern needs.
    #[must_use]
    pub fn new(pack: &Pack, ranks: &[(usize, usize)], required: &[Option<Required>]) -> Self {
        let mut by_literal: BTreeMap<Vec<u8>, Hint> = BTreeMap::new();
        let (mut always, mut everything) = (Hint::default(), Hint::default());
        for (rank, &(rule, first)) in ranks.iter().enumerate() {
            let Some(rule) = pack.rules.get(rule) else { continue };
            // Without one of `any` a rule cannot hold; where it has none, without the first of `all`.
            let keys = first..first + rule.any.len().max(1);
            for pattern in first..first + rule.patterns().count() {
                let rank = keys.contains(&pattern).then_some(rank);
                everything.add(pattern, rank);
                match required.get(pattern).and_then(Option::as_ref) {
                    Some(found) => {
                        found.literals.iter().for_each(|literal| by_literal.entry(literal.clone()).or_default().add(pattern, rank));
                    }
                    None => always.add(pattern, rank),
                }
            }
        }
        // Patterns of a crowd need a second literal. Where it is nobody's first, it hints at nothing.
        let crowded: BTreeSet<usize> =
            by_literal.values().filter(|hint| hint.patterns.len() >= CROWD).flat_map(|hint| hint.patterns.iter().copied()).collect();
        let needs = |pattern: usize| required.get(pattern).and_then(Option::as_ref).filter(|_| crowded.contains(&pattern));
        for literal in (0..required.len()).filter_map(needs).flat_map(|found| &found.also) {
            by_literal.entry(literal.clone()).or_default();
        }
        let places: BTreeMap<Vec<u8>, usize> = by_literal.keys().cloned().zip(0..).collect();
        let of = |pattern: usize| needs(pattern).into_iter().flat_map(|found| &found.also).filter_map(|l| places.get(l).copied()).collect();
        let also = (0..required.len()).map(of).collect();
        let (literals, hints): (Vec<_>, _) = by_literal.into_iter().unzip();
        let crowded = !crowded.is_empty();
        Self { literals: Finder::new(literals.iter().map(Vec::as_slice)), hints, always, everything, also, crowded }
    }

    /// The rules that may hold whatever a text says, by rank.
    pub fn start(&self, ranks: &mut Marks) {
        ranks.add(&self.always.ranks);
    }

    /// What may match `text`; the rules that it makes possible are added to `ranks`.
    #[must_use]
    pub fn look(&self, text: &str, ranks: &mut Marks) -> Hints {
        // Only where somebody asks for them: every set is an allocation.
        let (patterns, literals) = (Marks::of(self.also.len()), Marks::of(if self.crowded { self.hints.len() } else { 0 }));
        let mut hints = Hints { patterns, places: Vec::new(), literals, everywhere: false };
        hints.patterns.add(&self.always.patterns);
        if !text.is_ascii() && FOLDS_TO_ASCII.iter().any(|fold| text.contains(fold)) {
            hints.patterns.add(&self.everything.patterns);
            ranks.add(&self.everything.ranks);
            hints.everywhere = true;
            return hints;
        }
        self.literals.find(text.to_ascii_lowercase().as_bytes(), |literal, at| {
            if let Some(hint) = self.hints.get(literal) {
                // Once is enough: what a literal hints at is the same wherever it stands.
                if !hints.literals.has(literal) {
                    hints.literals.add(&[literal]);
                    hints.patterns.add(&hint.patterns);
                    ranks.add(&hint.ranks);
                }
                if !hint.patterns.is_empty() {
                    hints.places.push((literal, at));
                }
            }
        });
        hints
    }

    /// Adds the patterns that may match the text that `hints` are of.
    pub fn add_possible(hints: &Hints, to: &mut Marks) {
        to.join(&hints.patterns);
    }

    /// A set of patterns, with none in it.
    #[must_use]
    pub fn no_patterns(&self) -> Marks {
        Marks::of(self.also.len())
    }

    /// Whether a pattern may match the text that `hints` are of.
    #[must_use]
    pub fn may_match(&self, hints: &Hints, pattern: usize) -> bool {
        if !hints.patterns.has(pattern) || !self.crowded || hints.everywhere {
            return hints.patterns.has(pattern);
        }
        let also = self.also.get(pattern).map(Vec::as_slice).unwrap_or_default();
        also.is_empty() || also.iter().any(|literal| hints.literals.has(*literal))
    }

    /// Where the literals of a pattern stand.
    pub fn places<'a>(&'a self, hints: &'a Hints, pattern: usize) -> impl Iterator<Item = usize> + Clone + 'a {
        let near = move |(literal, _): &&(usize, usize)| self.hints.get(*literal).is_some_and(|hint| hint.patterns.contains(&pattern));
        hints.places.iter().filter(near).map(|(_, at)| *at)
    }
}
