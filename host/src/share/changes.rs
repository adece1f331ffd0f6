//! What changes from one version of a plugin to the next, as far as it can be told without running it. Pure.

use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What there is to compare of a version.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Version {
    /// Its version.
    pub version: String,
    /// What it imports.
    pub imports: BTreeSet<String>,
    /// What it asks to see.
    pub reads: BTreeSet<String>,
    /// Its rules, each by its id as it stands; none where it has no rules.
    pub rules: BTreeMap<String, String>,
}

/// What is new, gone or another.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct Changes {
    pub from: String,
    pub to: String,
    pub imports_added: Vec<String>,
    pub reads_added: Vec<String>,
    pub reads_gone: Vec<String>,
    pub rules_added: Vec<String>,
    pub rules_gone: Vec<String>,
    pub rules_changed: Vec<String>,
}

impl Changes {
    /// From one to the next.
    #[must_use]
    pub fn between(old: &Version, new: &Version) -> Self {
        let more = |a: &BTreeSet<String>, b: &BTreeSet<String>| b.difference(a).cloned().collect();
        let ids = |version: &Version| version.rules.keys().cloned().collect::<BTreeSet<_>>();
        let changed = old.rules.iter().filter(|(id, text)| new.rules.get(*id).is_some_and(|now| now != *text));
        Self {
            from: old.version.clone(),
            to: new.version.clone(),
            imports_added: more(&old.imports, &new.imports),
            reads_added: more(&old.reads, &new.reads),
            reads_gone: more(&new.reads, &old.reads),
            rules_added: more(&ids(old), &ids(new)),
            rules_gone: more(&ids(new), &ids(old)),
            rules_changed: changed.map(|(id, _)| id.clone()).collect(),
        }
    }

    /// What there is to say, as subject and text; nothing of what stays as it is.
    #[must_use]
    pub fn rows(&self) -> Vec<[String; 2]> {
        let mut rows = vec![["version".to_owned(), format!("{} → {}", self.from, self.to)]];
        for (subject, all) in [
            ("imports, new", &self.imports_added),
            ("asks for, new", &self.reads_added),
            ("asks for no more", &self.reads_gone),
            ("rules, new", &self.rules_added),
            ("rules, gone", &self.rules_gone),
            ("rules, changed", &self.rules_changed),
        ] {
            if !all.is_empty() {
                rows.push([subject.to_owned(), format!("{} ({})", all.join(" "), all.len())]);
            }
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_told() {
        let rules = |all: &[(&str, &str)]| all.iter().map(|(id, text)| ((*id).to_owned(), (*text).to_owned())).collect();
        let old = Version { version: "1.0.0".into(), rules: rules(&[("a", "1"), ("b", "1"), ("c", "1")]), ..Version::default() };
        let new = Version {
            version: "1.1.0".into(),
            rules: rules(&[("a", "1"), ("b", "2"), ("d", "1")]),
            reads: ["input".to_owned()].into(),
            ..Version::default()
        };
        let changes = Changes::between(&old, &new);
        assert_eq!(
            (changes.rules_added, changes.rules_gone, changes.rules_changed),
            (vec!["d".into()], vec!["c".into()], vec!["b".into()])
        );
        assert_eq!(changes.reads_added, ["input"]);
        assert_eq!(Changes::between(&old, &old).rows().len(), 1);
    }
}
