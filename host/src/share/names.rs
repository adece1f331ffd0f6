//! Names that a person takes for one another. Pure.

use unicode_security::confusable_detection::skeleton;

/// Whether two different names look alike (Unicode Technical Standard #39, skeletons: `rn` and `m`, `0` and `o`, `1` and `l`), or
/// differ in hyphens only.
#[must_use]
pub fn alike(a: &str, b: &str) -> bool {
    a != b && looks(a) == looks(b)
}

fn looks(name: &str) -> String {
    // Once more in small letters: the skeleton of `0` is a capital O.
    let once: String = skeleton(name).flat_map(char::to_lowercase).filter(|c| *c != '-' && *c != '_').collect();
    skeleton(&once).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_alike_is_known() {
        for (a, b) in [("acme-rules", "acrne-rules"), ("acme-rules", "acme-ru1es"), ("regex", "reg-ex"), ("bool", "b0ol"), ("acme", "аcme")]
        {
            assert!(alike(a, b), "{a} {b}");
        }
        for (a, b) in [("acme-rules", "acme-rules"), ("acme-rules", "acme-rule"), ("regex", "regexp")] {
            assert!(!alike(a, b), "{a} {b}");
        }
    }
}
