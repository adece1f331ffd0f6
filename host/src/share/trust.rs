//! Whose word counts: which rule fits a reference, whose signatures there are, what may be granted. It reads the files of keys; all else
//! is pure. It knows nothing of networks.

use super::signature::Said;
use super::{PublicKey, Reference, ShareError, Signatures};
use crate::config::{Grants, Key, Origin, Read, Trust};
use crate::model::Digest;
use chrono::NaiveDate;
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};

/// The rules, with their keys.
#[derive(Debug)]
pub struct Trusted {
    keys: BTreeMap<String, (PublicKey, Key)>,
    /// Why a key is revoked, by its id: under another name it is the same key.
    revoked: BTreeMap<Digest, String>,
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    /// Which one it is in the settings, from 1.
    number: usize,
    origin: Origin,
    references: Vec<Regex>,
    plugins: Vec<Regex>,
}

/// By whose word an artifact may be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vouched {
    /// The keys that signed it and count, by name.
    pub signers: Vec<String>,
    /// Their ids, in the same order.
    pub keys: Vec<Digest>,
}

/// How an artifact came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// From the registry that its reference names.
    FromRegistry,
    /// By hand: the reference is what whoever wrote the file says it is, so that nothing but a signature counts.
    ByHand,
}

impl Trusted {
    /// Reads the keys.
    ///
    /// # Errors
    /// A key cannot be read, or a rule names one that is not there.
    pub fn read(trust: &Trust) -> Result<Self, ShareError> {
        let keys = trust.keys.iter().map(|(name, key)| Ok((name.clone(), (PublicKey::read(&key.file)?, key.clone()))));
        let keys: BTreeMap<_, _> = keys.collect::<Result<_, ShareError>>()?;
        let revoked = keys.values().filter_map(|(key, about)| Some((key.id, about.revoked.clone()?))).collect();
        let rules = trust.from.iter().enumerate().map(|(i, origin)| Rule::new(i + 1, origin, &keys)).collect::<Result<_, _>>()?;
        Ok(Self { keys, revoked, rules })
    }

    /// Whether anything may come from this place at all: asked before anything is fetched.
    ///
    /// # Errors
    /// No rule fits it.
    pub fn admits(&self, reference: &Reference) -> Result<(), ShareError> {
        self.rule(reference).map(|_| ())
    }

    /// By whose word this artifact may be used.
    ///
    /// # Errors
    /// There are not enough signatures that count: which there are, and why they do not.
    pub fn vouch(
        &self,
        reference: &Reference,
        digest: Digest,
        signatures: &Signatures,
        came: Came,
        on: NaiveDate,
    ) -> Result<Vouched, ShareError> {
        let rule = self.rule(reference)?;
        let (mut vouched, mut doubts) = (Vouched { signers: Vec::new(), keys: Vec::new() }, Vec::new());
        for name in &rule.origin.keys {
            let Some((key, about)) = self.keys.get(name) else { continue };
            let said: Vec<_> = signatures.0.iter().map(|signature| key.check(signature, digest)).collect();
            if said.contains(&Said::ThisOne) {
                match self.doubt(key, about, on) {
                    Some(why) => doubts.push(format!("{name} signed it, and {why}")),
                    // One key under two names has one vote.
                    None if vouched.keys.contains(&key.id) => {}
                    None => {
                        vouched.signers.push(name.clone());
                        vouched.keys.push(key.id);
                    }
                }
            } else if let Some(Said::Another(other)) = said.iter().find(|said| matches!(said, Said::Another(_))) {
                doubts.push(format!("a signature by {name} is of {other}"));
            }
        }
        let needed = match came {
            Came::FromRegistry => rule.origin.needed(),
            Came::ByHand => rule.origin.needed().max(1),
        };
        if vouched.signers.len() >= needed {
            return Ok(vouched);
        }
        if rule.origin.unsigned {
            doubts.push("what comes by hand is never taken unsigned".to_owned());
        }
        if doubts.is_empty() {
            doubts.push(match signatures.0.len() {
                0 => "it is not signed".to_owned(),
                n => format!("it carries {n} by none of these keys"),
            });
        }
        let what = format!(
            "{reference}: {} takes {needed} of {}, and has {}: {}",
            rule.named(),
            if rule.origin.keys.is_empty() { "no keys".to_owned() } else { rule.origin.keys.join(", ") },
            vouched.signers.len(),
            doubts.join("; ")
        );
        Err(ShareError::refused(what, "ask its author to sign it with a key that counts, or name the key it is signed with in that rule"))
    }

    /// Whether a plugin from there may bear this name.
    ///
    /// # Errors
    /// Which rule is against it.
    pub fn may_bear(&self, reference: &Reference, name: &str) -> Result<(), ShareError> {
        let rule = self.rule(reference)?;
        if rule.plugins.is_empty() || rule.plugins.iter().any(|pattern| pattern.is_match(name)) {
            return Ok(());
        }
        let what = format!(
            "{reference}: a plugin from there may not be named {name:?}: {} allows {}",
            rule.named(),
            rule.origin.plugins.join(", ")
        );
        Err(ShareError::refused(what, "ask its author for another name, or add it to `plugins` of that rule"))
    }

    /// Whether a plugin from there may be granted this.
    ///
    /// # Errors
    /// Which rule is against it.
    pub fn may_see(&self, reference: &Reference, name: &str, grants: &Grants) -> Result<(), ShareError> {
        let rule = self.rule(reference)?;
        let beyond: Vec<_> = grants.difference(&rule.origin.reads).map(|read| read.as_str()).collect();
        if beyond.is_empty() {
            return Ok(());
        }
        let what = format!(
            "{name} is granted {} by plugins.grants, and {} does not allow that for {}",
            beyond.join(" and "),
            rule.named(),
            reference.place()
        );
        Err(ShareError::refused(what, "take the grant back, or add it to `reads` of that rule"))
    }

    /// Whether what was taken from there before may still be used: nobody has revoked what it stands on since. That a key has expired
    /// changes nothing about what it signed in its time.
    ///
    /// # Errors
    /// Which rule or key is against it.
    pub fn stands(&self, reference: &Reference, name: &str, signers: &[String], keys: &[Digest]) -> Result<(), ShareError> {
        let rule = self.rule(reference)?;
        // A name with another key behind it is another signer.
        let counts = |(signer, id): &(&String, &Digest)| {
            let same = self.keys.get(*signer).is_some_and(|(key, _)| key.id == **id);
            same && rule.origin.keys.contains(signer) && !self.revoked.contains_key(id)
        };
        let counting = signers.iter().zip(keys).filter(counts).map(|(_, id)| id).collect::<BTreeSet<_>>().len();
        let needed = rule.origin.needed();
        if counting >= needed {
            return Ok(());
        }
        let what = format!(
            "{name} was taken on the word of {}, and by {} {counting} of them {} now, of {needed} that it takes",
            or_nobody(signers),
            rule.named(),
            if counting == 1 { "counts" } else { "count" }
        );
        Err(ShareError::refused(what, format!("`tracejury plugin remove {name}`, or pull one that is signed with a key that counts")))
    }

    /// What is allowed there, in a line for people.
    ///
    /// # Errors
    /// Nothing is.
    pub fn told(&self, reference: &Reference) -> Result<String, ShareError> {
        let rule = self.rule(reference)?;
        Ok(format!("{}: {}", rule.named(), rule.told()))
    }

    /// Each rule: its references, and what it allows.
    #[must_use]
    pub fn rules(&self) -> Vec<[String; 3]> {
        self.rules.iter().map(|rule| [rule.number.to_string(), rule.origin.references.join(" "), rule.told()]).collect()
    }

    /// Each key: its name, its id, and whether its signatures count.
    #[must_use]
    pub fn keys(&self, today: NaiveDate) -> Vec<[String; 3]> {
        let counts = |key: &PublicKey, about: &Key| match (self.doubt(key, about, today), about.expires) {
            (Some(why), _) => why,
            (None, Some(last)) => format!("counts until {last}"),
            (None, None) => "counts".to_owned(),
        };
        self.keys.iter().map(|(name, (key, about))| [name.clone(), key.id.to_string(), counts(key, about)]).collect()
    }

    /// Why signatures by this key count no more.
    fn doubt(&self, key: &PublicKey, about: &Key, on: NaiveDate) -> Option<String> {
        match (self.revoked.get(&key.id), about.expires) {
            (Some(why), _) => Some(format!("that key is revoked ({why})")),
            (None, Some(last)) if on > last => Some(format!("that key expired on {last}")),
            _ => None,
        }
    }

    fn rule(&self, reference: &Reference) -> Result<&Rule, ShareError> {
        let place = reference.place();
        self.rules.iter().find(|rule| rule.references.iter().any(|pattern| pattern.is_match(&place))).ok_or_else(|| {
            let what = format!("{reference}: no rule of [[trust.from]] fits it, so nothing may come from there");
            let help = format!("if you trust it, write into your settings: [[trust.from]] references = [{place:?}] keys = [\"NAME\"], and [trust.keys.NAME] file = \"….pub\"");
            ShareError::refused(what, help)
        })
    }
}

impl Rule {
    fn new(number: usize, origin: &Origin, keys: &BTreeMap<String, (PublicKey, Key)>) -> Result<Self, ShareError> {
        let wrong = |what: String| {
            ShareError::refused(format!("trust.from, rule {number}: {what}"), "README, section Share a classifier, says what goes there")
        };
        if let Some(name) = origin.keys.iter().find(|name| !keys.contains_key(*name)) {
            return Err(wrong(format!("keys: there is no [trust.keys.{name}]")));
        }
        if origin.references.is_empty() {
            return Err(wrong("references: names none".to_owned()));
        }
        if origin.unsigned && origin.signatures.is_some() {
            return Err(wrong("unsigned: is against signatures; say one of them".to_owned()));
        }
        if origin.needed() > origin.keys.len() {
            return Err(wrong(format!("signatures: takes {} of {} keys, which nobody can give", origin.needed(), origin.keys.len())));
        }
        let patterns =
            |all: &[String]| all.iter().map(|text| pattern(text).map_err(|e| wrong(e.to_string()))).collect::<Result<Vec<_>, _>>();
        Ok(Self { number, references: patterns(&origin.references)?, plugins: patterns(&origin.plugins)?, origin: origin.clone() })
    }

    fn named(&self) -> String {
        format!("rule {} of trust.from ({})", self.number, self.origin.references.join(" "))
    }

    fn told(&self) -> String {
        let signed = match self.origin.needed() {
            0 => "unsigned or signed".to_owned(),
            n => format!("signed by {n} of {}", self.origin.keys.join(", ")),
        };
        format!("{signed}; {}", sight(&self.origin.reads))
    }
}

fn or_nobody(signers: &[String]) -> String {
    if signers.is_empty() { "nobody".to_owned() } else { signers.join(", ") }
}

/// How much may be seen, in a word.
fn sight(reads: &Grants) -> String {
    match reads.is_empty() {
        true => "sealed: sees error texts only".to_owned(),
        false => format!("reading: may be granted {}", reads.iter().map(|read: &Read| read.as_str()).collect::<Vec<_>>().join(" and ")),
    }
}

/// A pattern for the whole of a text: `*` is anything but `/`, `**` anything.
fn pattern(text: &str) -> Result<Regex, regex::Error> {
    let escaped = regex::escape(text).replace(r"\*\*", ".*").replace(r"\*", "[^/]*");
    Regex::new(&format!("^(?:{escaped})$"))
}

#[cfg(test)]
mod tests {
    use super::super::SigningKey;
    use super::super::signature::tests::pair;
    use super::*;
    use std::path::Path;

    fn today() -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 11, 26).unwrap()
    }

    fn trusted(dir: &Path, rest: &str) -> (Trusted, BTreeMap<&'static str, SigningKey>) {
        let mut keys = BTreeMap::new();
        let mut text = rest.to_owned();
        for (name, more) in [
            ("good", ""),
            ("second", ""),
            ("old", "expires = '2026-11-25'"),
            ("last-day", "expires = '2026-11-26'"),
            ("stolen", "revoked = 'stolen'"),
        ] {
            let (key, file) = pair(dir, name);
            text += &format!("\n[keys.{name}]\nfile = {:?}\n{more}\n", file.display().to_string());
            keys.insert(name, key);
        }
        (Trusted::read(&toml::from_str(&text).unwrap()).unwrap(), keys)
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let dir = tempfile::tempdir().unwrap();
        let rules = "[[from]]\nreferences = ['r.example.com/acme/*']\nkeys = ['good']\nplugins = ['acme-*']\n[[from]]\nreferences = ['r.example.com/**']\nunsigned = true\nreads = ['output']\n";
        let (trusted, _) = trusted(dir.path(), rules);
        let reference = |text: &str| text.parse::<Reference>().unwrap();
        assert!(trusted.admits(&reference("r.example.com.evil.org/acme/a:1")).is_err());
        assert!(trusted.told(&reference("r.example.com/acme/a:1")).unwrap().contains("signed by 1 of good; sealed"));
        assert!(trusted.told(&reference("r.example.com/acme/deep/a:1")).unwrap().contains("reading: may be granted output"));
        assert!(trusted.may_bear(&reference("r.example.com/acme/a:1"), "regex").unwrap_err().to_string().contains("may not be named"));
        let output = Grants::from([Read::Output]);
        assert!(trusted.may_see(&reference("r.example.com/acme/a:1"), "a", &output).unwrap_err().to_string().contains("rule 1"));
        assert!(trusted.may_see(&reference("r.example.com/x/a:1"), "a", &output).is_ok());
    }

    #[test]
    fn signatures_count_by_key_date_and_number() {
        let dir = tempfile::tempdir().unwrap();
        let (two, keys) = trusted(
            dir.path(),
            "[[from]]\nreferences = ['r.example.com/*']\nkeys = ['good', 'second', 'old', 'last-day', 'stolen']\nsignatures = 2\n",
        );
        let (reference, digest) = ("r.example.com/a:1".parse().unwrap(), Digest::of(b"m"));
        let vouch = |names: &[&str], of: Digest| {
            let signatures = names.iter().map(|name| keys[name].sign("r.example.com/a", of).unwrap()).collect();
            two.vouch(&reference, digest, &Signatures(signatures), Came::FromRegistry, today()).map_err(|e| e.to_string())
        };
        assert_eq!(vouch(&["good", "second"], digest).unwrap().signers, ["good", "second"]);
        assert_eq!(vouch(&["good", "last-day"], digest).unwrap().signers, ["good", "last-day"]);
        assert!(vouch(&["good", "good"], digest).unwrap_err().contains("takes 2 of"));
        assert!(vouch(&[], digest).unwrap_err().contains("it is not signed"));
        assert!(vouch(&["good", "old"], digest).unwrap_err().contains("old signed it, and that key expired on 2026-11-25"));
        assert!(vouch(&["good", "stolen"], digest).unwrap_err().contains("stolen signed it, and that key is revoked (stolen)"));
        assert!(vouch(&["good", "second"], Digest::of(b"other")).unwrap_err().contains("a signature by good is of sha256:"));
    }

    #[test]
    fn one_key_under_two_names_has_one_vote() {
        let dir = tempfile::tempdir().unwrap();
        let (key, file) = pair(dir.path(), "k");
        let file = file.display();
        let text = format!(
            "[[from]]\nreferences = ['r.example.com/*']\nkeys = ['a', 'b']\nsignatures = 2\n[keys.a]\nfile = '{file}'\n[keys.b]\nfile = '{file}'\n"
        );
        let trusted = Trusted::read(&toml::from_str(&text).unwrap()).unwrap();
        let digest = Digest::of(b"m");
        let signatures = Signatures(vec![key.sign("x", digest).unwrap()]);
        assert!(trusted.vouch(&"r.example.com/a:1".parse().unwrap(), digest, &signatures, Came::FromRegistry, today()).is_err());
    }

    #[test]
    fn what_comes_by_hand_is_never_taken_unsigned() {
        let dir = tempfile::tempdir().unwrap();
        let (trusted, keys) = trusted(dir.path(), "[[from]]\nreferences = ['r.example.com/*']\nkeys = ['good']\nunsigned = true\n");
        let (reference, digest) = ("r.example.com/a:1".parse().unwrap(), Digest::of(b"m"));
        let vouch = |came, signed: bool| {
            let signatures = if signed { vec![keys["good"].sign("x", digest).unwrap()] } else { Vec::new() };
            trusted.vouch(&reference, digest, &Signatures(signatures), came, today())
        };
        assert!(vouch(Came::FromRegistry, false).unwrap().signers.is_empty());
        assert!(vouch(Came::ByHand, false).unwrap_err().to_string().contains("never taken unsigned"));
        assert_eq!(vouch(Came::ByHand, true).unwrap().signers, ["good"]);
    }

    #[test]
    fn a_key_is_revoked_under_every_name_and_a_name_is_its_key() {
        let dir = tempfile::tempdir().unwrap();
        let ((key, file), (_, other)) = (pair(dir.path(), "k"), pair(dir.path(), "o"));
        let trusted = |again: &Path, revoked: &str| {
            let text = format!(
                "[[from]]\nreferences = ['r.example.com/*']\nkeys = ['now']\n[keys.now]\nfile = '{}'\n[keys.before]\nfile = '{}'\n{revoked}\n",
                again.display(),
                file.display()
            );
            Trusted::read(&toml::from_str(&text).unwrap()).unwrap()
        };
        let (reference, digest) = ("r.example.com/a:1".parse().unwrap(), Digest::of(b"m"));
        let signatures = Signatures(vec![key.sign("x", digest).unwrap()]);
        let vouched = trusted(&file, "").vouch(&reference, digest, &signatures, Came::ByHand, today()).unwrap();
        let stands = |trusted: &Trusted| trusted.stands(&reference, "a", &vouched.signers, &vouched.keys).is_ok();
        assert!(stands(&trusted(&file, "")));
        let revoked = trusted(&file, "revoked = 'stolen'");
        assert!(revoked.vouch(&reference, digest, &signatures, Came::ByHand, today()).unwrap_err().to_string().contains("(stolen)"));
        assert!(!stands(&revoked));
        assert!(!stands(&trusted(&other, "")), "another key stands behind the name now");
    }

    #[test]
    fn rules_that_cannot_be_met_are_refused() {
        for (text, why) in [
            ("[[from]]\nreferences = ['a.b/*']\nkeys = ['nobody']\n", "there is no [trust.keys.nobody]"),
            ("[[from]]\nreferences = ['a.b/*']\n", "takes 1 of 0 keys"),
            ("[[from]]\nunsigned = true\n", "names none"),
            ("[[from]]\nreferences = ['a.b/*']\nunsigned = true\nsignatures = 1\n", "say one of them"),
        ] {
            let error = Trusted::read(&toml::from_str(text).unwrap()).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
