//! What is handed to `configure`: a pack's text; or a bundle, which is a pack with those it extends, so that it needs no other file.
//! Here they become one pack. It knows packs, not how rules run.

use crate::pack::{self, BUILT_IN, BUILT_IN_NAME, Pack, PackError};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How many packs may stand on one another.
pub const MOST: usize = 8;

/// A pack and those it extends, each after the one that extends it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// The version of this format; 1.
    pub bundle: u32,
    /// What is answered.
    #[serde(default, skip_serializing_if = "Answer::is_best")]
    pub answer: Answer,
    /// The packs.
    pub pack: Vec<Part>,
}

/// One pack of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Its file, for errors.
    pub file: String,
    /// Its text.
    pub text: String,
}

/// What a pack answers about a trace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// The verdict of the best rule.
    #[default]
    Best,
    /// One verdict for each rule, with what it found and what it lacks: for those who write rules.
    EveryRule,
}

impl Answer {
    #[allow(clippy::trivially_copy_pass_by_ref)]
    fn is_best(&self) -> bool {
        *self == Self::Best
    }
}

impl Bundle {
    /// Reads the settings' text: a bundle, a pack, or the built-in pack where it is blank.
    ///
    /// # Errors
    /// A bundle that is none. What is wrong with a pack is told when it is read.
    pub fn of_settings(settings: &str) -> Result<Self, PackError> {
        if settings.trim().is_empty() {
            return Ok(Self::of(BUILT_IN_NAME, BUILT_IN));
        }
        if !settings.starts_with("bundle") {
            return Ok(Self::of("", settings));
        }
        let bundle: Self = toml::from_str(settings).map_err(|e| PackError::at(1, format!("a bundle: {}", e.message())))?;
        match (bundle.bundle, bundle.pack.len()) {
            (1, 1..=MOST) => Ok(bundle),
            (1, packs) => Err(PackError::at(1, format!("a bundle of {packs} packs, not of 1 to {MOST}"))),
            (other, _) => Err(PackError::at(1, format!("bundle: {other} is not known, this version reads 1"))),
        }
    }

    /// A bundle of one pack.
    #[must_use]
    pub fn of(file: &str, text: &str) -> Self {
        Self { bundle: 1, answer: Answer::Best, pack: vec![Part { file: file.to_owned(), text: text.to_owned() }] }
    }

    /// The text for `configure`: of one pack that is to say the best, its own.
    #[must_use]
    pub fn to_settings(&self) -> String {
        match self.pack.as_slice() {
            [alone] if self.answer == Answer::Best => alone.text.clone(),
            // A struct of strings and numbers is always TOML.
            _ => toml::to_string(self).unwrap_or_default(),
        }
    }

    /// The first pack with the rules of all, as far as they are in force; no pattern is read.
    ///
    /// # Errors
    /// What is wrong with one of them, with its file where it is not the first.
    pub fn merged(&self) -> Result<Pack, PackError> {
        self.merge(|_| Ok(()))
    }

    /// As [`Bundle::merged`], with every pattern read.
    ///
    /// # Errors
    /// As there, or a pattern that is none.
    pub fn checked(&self) -> Result<Pack, PackError> {
        self.merge(pack::check_patterns)
    }

    fn merge(&self, check: impl Fn(&Pack) -> Result<(), PackError>) -> Result<Pack, PackError> {
        let mut below: Option<Pack> = None;
        for (i, part) in self.pack.iter().enumerate().rev() {
            let in_file = |e: PackError| PackError { file: e.file.or_else(|| (i > 0).then(|| part.file.clone())), ..e };
            let pack = pack::parse(&part.text).and_then(|pack| check(&pack).map(|()| pack)).map_err(in_file)?;
            below = Some(match (below, &pack.extends) {
                (None, None) => pack,
                (Some(below), Some(name)) if below.name == *name => extended(pack, below).map_err(in_file)?,
                (below, wanted) => {
                    let there = below.map_or("nothing".to_owned(), |below| below.name);
                    let what = format!("extends: {} is wanted, {there} is there", wanted.as_deref().unwrap_or("nothing"));
                    return Err(in_file(PackError::at(1, what)));
                }
            });
        }
        below.ok_or_else(|| PackError::at(1, "no pack"))
    }
}

/// `pack` with the rules of `below` behind its own.
fn extended(mut pack: Pack, below: Pack) -> Result<Pack, PackError> {
    let known: BTreeSet<_> = below.rules.iter().map(|rule| rule.id.as_str()).collect();
    let named = pack.disable.iter().map(|id| ("disable", id)).chain(pack.reweigh.iter().map(|(id, _)| ("reweigh", id)));
    for (field, id) in named {
        if !known.contains(id.it.as_str()) {
            return Err(PackError::at(id.line, format!("{field}: {} has no rule {}", below.name, id.it)));
        }
    }
    let disabled: BTreeSet<_> = pack.disable.iter().map(|id| id.it.as_str()).collect();
    let off = |id: &str| disabled.contains(id);
    if let Some(twice) = pack.rules.iter().find(|own| known.contains(own.id.as_str()) && !off(&own.id)) {
        let what = format!("id: {} has a rule of this id; disable it, or choose another", below.name);
        return Err(PackError::of(twice, twice.line, what));
    }
    let reweighed: BTreeMap<_, _> = pack.reweigh.iter().map(|(id, confidence)| (id.it.as_str(), *confidence)).collect();
    let name = below.name.clone();
    let taken_over = below.rules.iter().filter(|rule| !off(&rule.id)).cloned().map(|mut rule| {
        if let Some(confidence) = reweighed.get(rule.id.as_str()) {
            // Its place follows what its user thinks of it.
            (rule.confidence, rule.rank) = (*confidence, None);
        }
        rule.from.get_or_insert_with(|| name.clone());
        rule
    });
    let taken_over: Vec<_> = taken_over.collect();
    pack.rules.extend(taken_over);
    Ok(pack)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOP: &str = "schema = 1\nname = 'top'\nversion = '1.0.0'\nsummary = 's'\nextends = 'regex'\n";

    fn merged(top: &str) -> Result<Pack, String> {
        let mut bundle = Bundle::of("top.toml", top);
        bundle.pack.push(Part { file: "built in".into(), text: BUILT_IN.into() });
        let read = Bundle::of_settings(&bundle.to_settings()).unwrap();
        assert_eq!(read, bundle, "what is written is read back");
        read.merged().map_err(|e| e.to_string())
    }

    #[test]
    fn rules_are_taken_over_disabled_and_reweighed() {
        let before = pack::built_in().unwrap();
        let pack = merged(&format!("{TOP}disable = ['tls']\n[reweigh]\ndns = 0.5\n")).unwrap();
        assert_eq!(pack.rules.len(), before.rules.len() - 1);
        let dns = pack.rules.iter().find(|r| r.id == "dns").unwrap();
        assert_eq!((dns.confidence, dns.from.as_deref()), (0.5, Some("regex")));
        assert!(!pack.rules.iter().any(|r| r.id == "tls"));
    }

    #[test]
    fn what_is_not_there_cannot_be_disabled() {
        assert_eq!(merged(&format!("{TOP}disable = ['tsl']\n")).unwrap_err(), "line 6: disable: regex has no rule tsl");
        assert_eq!(merged(&format!("{TOP}[reweigh]\nno = 0.5\n")).unwrap_err(), "line 7: reweigh: regex has no rule no");
        let own = "[[rule]]\nid = 'dns'\nclassification = 'X'\nconfidence = 0.5\nexplain = 'e'\nany = ['x']\n";
        assert_eq!(
            merged(&format!("{TOP}{own}")).unwrap_err(),
            "line 7: rule dns: id: regex has a rule of this id; disable it, or choose another"
        );
        assert!(merged(&format!("{TOP}disable = ['dns']\n{own}")).is_ok());
        assert_eq!(merged(&TOP.replace("'regex'", "'other'")).unwrap_err(), "line 1: extends: other is wanted, regex is there");
    }

    #[test]
    fn an_error_below_names_its_file() {
        let mut bundle = Bundle::of("top.toml", &TOP.replace("'regex'", "'base'"));
        bundle.pack.push(Part { file: "base.toml".into(), text: "schema = 1\nname = 3".into() });
        let error = bundle.merged().unwrap_err().to_string();
        assert_eq!(error, "base.toml: line 2: invalid type: integer `3`, expected a string");
        bundle.pack.truncate(1);
        assert_eq!(bundle.merged().unwrap_err().to_string(), "line 1: extends: base is wanted, nothing is there");
        assert_eq!(
            Bundle::of_settings("bundle = 2\npack = []").unwrap_err().to_string(),
            "line 1: bundle: 2 is not known, this version reads 1"
        );
    }
}
