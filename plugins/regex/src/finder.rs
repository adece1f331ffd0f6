//! Where literals stand in a text. Every three bytes of the text are looked up in a filter of 2 kB; what passes is compared with the
//! few literals that begin so. An automaton (`aho-corasick`) finds the same in one step per byte, but takes 200 kB for the built-in
//! pack, read all over: of that a fresh instance per trace would cost more than the search itself. It knows bytes, not patterns.

/// How long the beginning is by which a literal is looked up, in bytes. No literal is shorter.
pub const KEY: usize = 3;
/// How much of a literal is looked for, in bytes: more tells hardly more, and this much is compared in one step.
pub const LONGEST: usize = 8;
/// The sizes that a filter may have, in bits, as powers of two. With more literals it is larger, so that most of it stays empty; three
/// sizes, each known when this is compiled, since a hash is made of every byte.
const FILTER_BITS: [u32; 3] = [14, 17, 20];
/// How many of a hash's lower bits its place in `starts` does not tell.
const SHARED_BITS: u32 = 5;

/// Literals made ready to be found.
#[derive(Debug)]
pub struct Finder {
    /// A bit for each hash of a beginning.
    filter: Vec<u64>,
    /// Literals by the hash of their beginning, in its order.
    entries: Vec<Entry>,
    /// Where in `entries` the hashes begin whose upper bits are the index.
    starts: Vec<usize>,
    /// How many bits a hash has.
    bits: u32,
}

/// A literal, as the number that its bytes make, and which of that number's bits count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    hash: u32,
    bytes: u64,
    mask: u64,
    index: usize,
}

impl Finder {
    /// A finder of literals in lower case, each of [`KEY`] to [`LONGEST`] bytes; shorter ones are not found, longer ones by their
    /// beginning.
    pub fn new<'a>(literals: impl Iterator<Item = &'a [u8]>) -> Self {
        let literals: Vec<_> = literals.collect();
        let wanted = literals.len().max(1).ilog2() + 5;
        let bits = FILTER_BITS.into_iter().find(|bits| *bits >= wanted).unwrap_or(FILTER_BITS[2]);
        let entry = |(index, literal): (usize, &&[u8])| {
            let mask = literal.iter().take(LONGEST).fold(0, |mask, _| mask << 8 | 0xff);
            Some(Entry { hash: hash(key(literal)?, bits), bytes: number(literal), mask, index })
        };
        let mut entries: Vec<_> = literals.iter().enumerate().filter_map(entry).collect();
        entries.sort();
        let mut filter = vec![0_u64; 1 << (bits - 6)];
        for Entry { hash, .. } in &entries {
            if let Some(word) = filter.get_mut(*hash as usize / 64) {
                *word |= 1 << (hash % 64);
            }
        }
        let start = |upper: u32| entries.partition_point(|entry| entry.hash >> SHARED_BITS < upper);
        let starts = (0..1 << (bits - SHARED_BITS)).map(start).collect();
        Self { filter, entries, starts, bits }
    }

    /// Tells of every literal in `text`, which is in lower case: its index and where it starts, from the front to the back.
    pub fn find(&self, text: &[u8], found: impl FnMut(usize, usize)) {
        match self.bits {
            14 => self.find_by::<14>(text, found),
            17 => self.find_by::<17>(text, found),
            _ => self.find_by::<20>(text, found),
        }
    }

    fn find_by<const BITS: u32>(&self, text: &[u8], mut found: impl FnMut(usize, usize)) {
        let Some(mut key) = key(text).map(|key| key << 8) else { return };
        for (at, last) in text.iter().skip(KEY - 1).enumerate() {
            key = key >> 8 | u32::from(*last) << (8 * (KEY - 1));
            let hash = hash(key, BITS);
            let passes = self.filter.get(hash as usize / 64).is_some_and(|word| word >> (hash % 64) & 1 == 1);
            if passes {
                self.compare(number(text.get(at..).unwrap_or_default()), hash, |literal| found(literal, at));
            }
        }
    }

    /// The literals with this hash that a text of this number begins with.
    fn compare(&self, text: u64, hash: u32, mut found: impl FnMut(usize)) {
        let Some(near) = self.starts.get((hash >> SHARED_BITS) as usize).and_then(|start| self.entries.get(*start..)) else { return };
        for entry in near.iter().take_while(|entry| entry.hash <= hash) {
            if entry.hash == hash && text & entry.mask == entry.bytes & entry.mask {
                found(entry.index);
            }
        }
    }
}

/// The first three bytes as a number.
fn key(text: &[u8]) -> Option<u32> {
    let [a, b, c] = text.first_chunk::<KEY>()?.map(u32::from);
    Some(a | b << 8 | c << 16)
}

/// The first eight bytes as a number; zeros where there are fewer.
fn number(text: &[u8]) -> u64 {
    if let Some(eight) = text.first_chunk() {
        return u64::from_le_bytes(*eight);
    }
    text.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Multiplicative hashing (Knuth, The Art of Computer Programming, vol. 3, 6.4): the upper bits of a product with 2³² over the golden
/// ratio.
fn hash(key: u32, bits: u32) -> u32 {
    key.wrapping_mul(0x9e37_79b1) >> (32 - bits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_finds_what_a_plain_search_finds(
            literals in proptest::collection::vec("[abcd]{3,8}", 0..8),
            text in "[abcdé ]{0,60}",
        ) {
            let mut found = Vec::new();
            Finder::new(literals.iter().map(|l| l.as_bytes())).find(text.as_bytes(), |literal, at| found.push((at, literal)));
            found.sort_unstable();
            let stands = |at: usize, literal: &String| text.as_bytes()[at..].starts_with(literal.as_bytes());
            let expected: Vec<_> =
                (0..text.len()).flat_map(|at| literals.iter().enumerate().filter(move |(_, l)| stands(at, l)).map(move |(i, _)| (at, i))).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
