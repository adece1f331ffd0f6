//! Where literals stand in a text. Every three bytes of the text are looked up in a filter of 2 kB; what passes is compared with the
//! few literals that begin so. An automaton (`aho-corasick`) finds the same in one step per byte, but takes 200 kB for the built-in
//! pack, read all over: of that a fresh instance per trace would cost more than the search itself. It knows bytes, not patterns.

/// How long the beginning is by which a literal is looked up, in bytes. No literal is shorter.
pub const KEY: usize = 3;
/// The size of the filter, in bits, as a power of two.
const FILTER_BITS: u32 = 14;
/// How many of a hash's lower bits its place in `starts` does not tell.
const SHARED_BITS: u32 = 5;

/// Literals made ready to be found.
#[derive(Debug)]
pub struct Finder {
    /// A bit for each hash of a beginning.
    filter: Vec<u64>,
    /// Literals by the hash of their beginning, in its order.
    entries: Vec<(u32, Vec<u8>, usize)>,
    /// Where in `entries` the hashes begin whose upper bits are the index.
    starts: Vec<usize>,
}

impl Finder {
    /// A finder of literals in lower case, each of at least [`KEY`] bytes; shorter ones are not found.
    pub fn new<'a>(literals: impl Iterator<Item = &'a [u8]>) -> Self {
        let keyed = |(index, literal): (usize, &[u8])| Some((hash(literal.first_chunk()?), literal.to_vec(), index));
        let mut entries: Vec<_> = literals.enumerate().filter_map(keyed).collect();
        entries.sort();
        let mut filter = vec![0_u64; 1 << (FILTER_BITS - 6)];
        for (hash, ..) in &entries {
            if let Some(word) = filter.get_mut(*hash as usize / 64) {
                *word |= 1 << (hash % 64);
            }
        }
        let start = |upper: u32| entries.partition_point(|(hash, ..)| hash >> SHARED_BITS < upper);
        let starts = (0..1 << (FILTER_BITS - SHARED_BITS)).map(start).collect();
        Self { filter, entries, starts }
    }

    /// Tells of every literal in `text`, which is in lower case: its index and where it starts, from the front to the back.
    pub fn find(&self, text: &[u8], mut found: impl FnMut(usize, usize)) {
        for (at, key) in text.windows(KEY).enumerate() {
            let Some(hash) = key.first_chunk().map(hash) else { return };
            let passes = self.filter.get(hash as usize / 64).is_some_and(|word| word >> (hash % 64) & 1 == 1);
            if passes {
                self.compare(text.get(at..).unwrap_or_default(), hash, |literal| found(literal, at));
            }
        }
    }

    /// The literals with this hash that `rest` begins with.
    fn compare(&self, rest: &[u8], hash: u32, mut found: impl FnMut(usize)) {
        let Some(near) = self.starts.get((hash >> SHARED_BITS) as usize).and_then(|start| self.entries.get(*start..)) else { return };
        for (other, literal, index) in near.iter().take_while(|(other, ..)| *other <= hash) {
            if *other == hash && rest.starts_with(literal) {
                found(*index);
            }
        }
    }
}

/// Multiplicative hashing (Knuth, The Art of Computer Programming, vol. 3, 6.4): the upper bits of a product with 2³² over the golden
/// ratio.
fn hash(key: &[u8; KEY]) -> u32 {
    let [a, b, c] = key.map(u32::from);
    (a | b << 8 | c << 16).wrapping_mul(0x9e37_79b1) >> (32 - FILTER_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_finds_what_a_plain_search_finds(
            literals in proptest::collection::vec("[abcé]{3,5}", 0..8),
            text in "[abcé ]{0,60}",
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
