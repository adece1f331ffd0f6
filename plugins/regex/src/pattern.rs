//! One pattern made ready, and how it is searched for: around the places where a literal stands that it must hold, or in the whole
//! text. It knows no rule.

use crate::literals::Required;
use regex_automata::meta;
use regex_automata::nfa::thompson::backtrack::{self, BoundedBacktracker};
use regex_automata::nfa::thompson::pikevm::PikeVM;
use regex_automata::nfa::thompson::{self, NFA, WhichCaptures};
use regex_automata::util::primitives::PatternID;
use regex_automata::{Anchored, Input};
use regex_syntax::hir::Hir;
use std::error::Error;

/// The most memory one compiled pattern may take, in bytes.
const SIZE_LIMIT: usize = 16 << 20;
/// How many times longer a byte takes in a search of the whole text than in a try at one place: most tries end at once.
const WHOLE: usize = 8;
/// So many bytes can be tried in any text, however short, before it is searched as a whole.
const SMALL: usize = 4096;

/// A pattern made ready.
#[derive(Debug)]
pub struct Pattern {
    kind: Kind,
    /// Finds its groups, where their names are wanted: asked only where the pattern is known to match.
    groups: Option<Box<PikeVM>>,
}

#[derive(Debug)]
enum Kind {
    /// Must hold a literal, and so is tried in few places. It needs no automaton: that would gain a tenth of a microsecond, while
    /// its memory, of which each trace gets a fresh copy, would cost several. Both engines share one NFA.
    Near { quick: BoundedBacktracker, long: PikeVM, before: (usize, usize), longest: Option<usize> },
    /// May match anywhere: worth all that the library has.
    Anywhere(Box<meta::Regex>),
}

/// What searches write to: one for all patterns, so that few pages of memory are touched.
#[derive(Debug, Default)]
pub struct Memory(Option<backtrack::Cache>);

/// Where something matched, in bytes.
type Range = (usize, usize);

impl Pattern {
    /// Makes a pattern ready.
    ///
    /// # Errors
    /// It takes too much memory.
    pub fn new(hir: &Hir, required: Option<&Required>, wanted: &[&str]) -> Result<Self, Box<dyn Error>> {
        Ok(Self { kind: Kind::new(hir, required)?, groups: groups(hir, wanted)? })
    }

    /// The first match within `range`.
    pub fn find(&self, text: &str, range: Range, memory: &mut Memory) -> Option<Range> {
        let input = Input::new(text).range(range.0..range.1);
        match &self.kind {
            Kind::Anywhere(regex) => regex.find(input).map(|found| (found.start(), found.end())),
            Kind::Near { quick, long, .. } => search(quick, long, &input, memory),
        }
    }

    /// The first match within `range`, where the literals that it must hold stand at `places` and nowhere else. It is tried at each place where
    /// it could begin, so that what is found is what a search of the whole text would find.
    pub fn find_near(&self, text: &str, range: Range, places: impl Iterator<Item = usize> + Clone, memory: &mut Memory) -> Option<Range> {
        let Kind::Near { quick, long, before, longest } = &self.kind else { return self.find(text, range, memory) };
        let places = places.filter(|place| (range.0..range.1).contains(place));
        // What trying would cost at the most, against one search of the text as a whole.
        let tries = places.clone().count().saturating_mul(before.1 - before.0 + 1);
        if tries.saturating_mul(longest.unwrap_or(range.1 - range.0)) > WHOLE.saturating_mul(range.1 - range.0).saturating_add(SMALL) {
            return self.find(text, range, memory);
        }
        let mut first: Option<Range> = None;
        for place in places {
            for start in place.saturating_sub(before.1).max(range.0)..(place + 1).saturating_sub(before.0) {
                if first.is_some_and(|(earlier, _)| earlier <= start) {
                    break;
                }
                if text.is_char_boundary(start) {
                    let end = longest.map_or(range.1, |longest| start.saturating_add(longest).min(range.1));
                    let input = Input::new(text).range(start..end).anchored(Anchored::Yes);
                    first = search(quick, long, &input, memory).or(first);
                }
            }
        }
        first
    }

    /// What its groups capture in a match of this range, by name.
    pub fn captured(&self, text: &str, (start, end): Range) -> Vec<(String, String)> {
        let Some(groups) = &self.groups else { return Vec::new() };
        let mut captures = groups.create_captures();
        groups.captures(&mut groups.create_cache(), Input::new(text).range(start..end).anchored(Anchored::Yes), &mut captures);
        let names = captures.group_info().pattern_names(PatternID::ZERO);
        let named = names.enumerate().filter_map(|(i, name)| Some((name?, captures.get_group(i)?)));
        named.filter_map(|(name, span)| Some((name.to_owned(), text.get(span.range())?.to_owned()))).collect()
    }
}

impl Kind {
    fn new(hir: &Hir, required: Option<&Required>) -> Result<Self, Box<dyn Error>> {
        let Some(required) = required else {
            let config = meta::Config::new().nfa_size_limit(Some(SIZE_LIMIT));
            let regex = meta::Regex::builder().configure(config).build_from_hir(hir)?;
            return Ok(Self::Anywhere(Box::new(regex)));
        };
        let config = thompson::Config::new().nfa_size_limit(Some(SIZE_LIMIT)).which_captures(WhichCaptures::Implicit);
        let nfa = NFA::compiler().configure(config).build_from_hir(hir)?;
        let quick = BoundedBacktracker::new_from_nfa(nfa.clone())?;
        let (before, longest) = (required.before, hir.properties().maximum_len());
        Ok(Self::Near { quick, long: PikeVM::new_from_nfa(nfa)?, before, longest })
    }
}

/// A pattern with its groups, where one that is wanted is among them.
fn groups(hir: &Hir, wanted: &[&str]) -> Result<Option<Box<PikeVM>>, Box<dyn Error>> {
    if wanted.is_empty() || hir.properties().explicit_captures_len() == 0 {
        return Ok(None);
    }
    let config = thompson::Config::new().nfa_size_limit(Some(SIZE_LIMIT));
    Ok(Some(Box::new(PikeVM::new_from_nfa(NFA::compiler().configure(config).build_from_hir(hir)?)?)))
}

/// A search by the engine that is quick, or where the text is too long for it by the one that is not.
fn search(quick: &BoundedBacktracker, long: &PikeVM, input: &Input<'_>, memory: &mut Memory) -> Option<Range> {
    let cache = memory.0.get_or_insert_with(|| quick.create_cache());
    cache.reset(quick);
    let mut slots = [None, None];
    let found =
        quick.try_search_slots(cache, input, &mut slots).unwrap_or_else(|_| long.search_slots(&mut long.create_cache(), input, &mut slots));
    let [start, end] = slots;
    found.and_then(|_| Some((start?.get(), end?.get())))
}
