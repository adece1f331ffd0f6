//! The Merkle tree over the log's entries (RFC 6962 §2.1; the leaves are the entries' hashes), kept as the roots of its whole subtrees:
//! a handful of hashes however many entries there are. Pure: no files.

use super::chain::Hash;
use sha2::{Digest as _, Sha256};

/// The tree of the first `size` entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tree {
    size: u64,
    /// Roots of whole subtrees, the largest first: one for each bit of `size`.
    roots: Vec<Hash>,
}

impl Tree {
    /// A tree as its roots were written down; none where there are not as many as a tree of this size has.
    pub(super) fn of(size: u64, roots: Vec<Hash>) -> Option<Self> {
        (roots.len() == size.count_ones() as usize).then_some(Self { size, roots })
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn roots(&self) -> &[Hash] {
        &self.roots
    }

    /// Adds the hash of the next entry.
    pub(super) fn push(&mut self, entry: &Hash) {
        let mut node = leaf(entry);
        let mut size = self.size;
        while size & 1 == 1 {
            node = self.roots.pop().map_or(node, |left| parent(&left, &node));
            size >>= 1;
        }
        self.roots.push(node);
        self.size += 1;
    }

    /// The root of the whole tree.
    pub(super) fn root(&self) -> Hash {
        let whole = self.roots.iter().rev().copied().reduce(|right, left| parent(&left, &right));
        whole.unwrap_or_else(|| Sha256::digest([]).into())
    }
}

/// A tree that remembers what is needed to prove that one entry is in it.
pub(super) struct Proving {
    tree: Tree,
    index: u64,
    /// Which of the roots holds the entry, once it is there.
    at: Option<usize>,
    path: Vec<Hash>,
}

impl Proving {
    /// For the entry of this index, which is not in the tree yet.
    pub(super) fn new(tree: Tree, index: u64) -> Self {
        Self { tree, index, at: None, path: Vec::new() }
    }

    /// Adds the hash of the next entry.
    pub(super) fn push(&mut self, entry: &Hash) {
        let mut node = leaf(entry);
        let mut holds = self.tree.size == self.index;
        let mut size = self.tree.size;
        while size & 1 == 1 {
            let Some(left) = self.tree.roots.pop() else { break };
            if holds {
                self.path.push(left);
            } else if self.at == Some(self.tree.roots.len()) {
                self.path.push(node);
                holds = true;
            }
            node = parent(&left, &node);
            size >>= 1;
        }
        if holds {
            self.at = Some(self.tree.roots.len());
        }
        self.tree.roots.push(node);
        self.tree.size += 1;
    }

    /// The path from the entry to the root (RFC 6962 §2.1.1), the lowest first, and the tree; none where the entry never came.
    pub(super) fn path(mut self) -> Option<(Vec<Hash>, Tree)> {
        let at = self.at?;
        let mut right: Option<Hash> = None;
        for (n, root) in self.tree.roots.iter().enumerate().rev() {
            match (n.cmp(&at), right) {
                (std::cmp::Ordering::Less, _) => self.path.push(*root),
                (std::cmp::Ordering::Equal, Some(right)) => self.path.push(right),
                (std::cmp::Ordering::Equal, None) => {}
                (std::cmp::Ordering::Greater, _) => right = Some(right.map_or(*root, |right| parent(root, &right))),
            }
        }
        Some((self.path, self.tree))
    }
}

/// The root that a path leads to from an entry (RFC 9162 §2.1.3.2); none where the path does not fit.
pub(super) fn root_by(entry: &Hash, index: u64, size: u64, path: &[Hash]) -> Option<Hash> {
    if index >= size {
        return None;
    }
    let (mut node, mut place, mut last) = (leaf(entry), index, size - 1);
    for beside in path {
        if last == 0 {
            return None;
        }
        if place & 1 == 1 || place == last {
            node = parent(beside, &node);
            while place & 1 == 0 && place != 0 {
                place >>= 1;
                last >>= 1;
            }
        } else {
            node = parent(&node, beside);
        }
        place >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(node)
}

fn leaf(entry: &Hash) -> Hash {
    let mut hash = Sha256::new_with_prefix([0]);
    hash.update(entry);
    hash.finalize().into()
}

fn parent(left: &Hash, right: &Hash) -> Hash {
    let mut hash = Sha256::new_with_prefix([1]);
    hash.update(left);
    hash.update(right);
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entries(count: u64) -> Vec<Hash> {
        (0..count).map(|n| Sha256::digest(n.to_be_bytes()).into()).collect()
    }

    fn tree(entries: &[Hash]) -> Tree {
        let mut tree = Tree::default();
        entries.iter().for_each(|entry| tree.push(entry));
        tree
    }

    /// The definition of RFC 6962 §2.1, word for word.
    fn by_definition(entries: &[Hash]) -> Hash {
        match entries {
            [] => Sha256::digest([]).into(),
            [one] => leaf(one),
            many => {
                let k = many.len().next_power_of_two() / 2;
                let k = if k == many.len() { k / 2 } else { k };
                parent(&by_definition(&many[..k]), &by_definition(&many[k..]))
            }
        }
    }

    #[test]
    fn roots_are_those_of_the_rfc() {
        for count in 0..70 {
            let entries = entries(count);
            assert_eq!(tree(&entries).root(), by_definition(&entries), "{count}");
        }
        let tree = tree(&entries(11));
        assert_eq!(Tree::of(tree.size(), tree.roots().to_vec()), Some(tree.clone()));
        assert_eq!(Tree::of(10, tree.roots().to_vec()), None);
    }

    proptest! {
        #[test]
        fn a_path_leads_to_the_root_and_no_other_does(count in 1_u64..200, at in any::<prop::sample::Index>(), before in any::<prop::sample::Index>()) {
            let all = entries(count);
            let index = at.index(all.len());
            // Of what came before, only the roots may be left.
            let known = before.index(index + 1);
            let mut proving = Proving::new(tree(&all[..known]), index as u64);
            all[known..].iter().for_each(|entry| proving.push(entry));
            let (path, whole) = proving.path().unwrap();
            prop_assert_eq!(whole.root(), by_definition(&all));
            prop_assert_eq!(root_by(&all[index], index as u64, count, &path), Some(whole.root()));
            prop_assert_ne!(root_by(&[9; 32], index as u64, count, &path), Some(whole.root()));
            let mut longer = path.clone();
            longer.push([1; 32]);
            prop_assert_ne!(root_by(&all[index], index as u64, count, &longer), Some(whole.root()));
            prop_assert_eq!(root_by(&all[index], count, count, &path), None);
        }
    }
}
