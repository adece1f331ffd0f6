//! A rule pack as its author writes it (TOML, schema 1) and the checks it must pass. It knows no regex engine and no trace. The format
//! is described by `pack.schema.json` beside this crate, which editors read.

use crate::normal::Normalise;
use crate::template::Template;
use crate::written;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;

/// The text of the built-in pack.
pub const BUILT_IN: &str = concat!(
    include_str!("../rules/pack.toml"),
    include_str!("../rules/settings.toml"),
    include_str!("../rules/network.toml"),
    include_str!("../rules/trust.toml"),
    include_str!("../rules/http.toml"),
    include_str!("../rules/services.toml"),
    include_str!("../rules/databases.toml"),
    include_str!("../rules/brokers.toml"),
    include_str!("../rules/platforms.toml"),
    include_str!("../rules/values.toml"),
    include_str!("../rules/code.toml"),
    include_str!("../rules/data.toml"),
    include_str!("../rules/generic.toml"),
    include_str!("../rules/unknown.toml"),
);
/// The name of the built-in pack.
pub const BUILT_IN_NAME: &str = "regex";
/// The JSON Schema of the format.
pub const SCHEMA: &str = include_str!("../pack.schema.json");
/// The longest pattern, in bytes.
pub const PATTERN_BYTES: usize = 4096;
/// The most attributes of a rule, and the longest text of it, in bytes: hosts take verdicts of some kilobytes only.
const ATTRIBUTES: usize = 24;
const TEMPLATE_BYTES: usize = 1000;

/// A rule pack: who it is and its rules, in the author's order.
#[derive(Debug, Clone)]
pub struct Pack {
    /// The pack's name in kebab-case.
    pub name: String,
    /// The pack's version, semantic versioning.
    pub version: String,
    /// What it is for, in one sentence.
    pub summary: String,
    /// Under which licence it may be used, as an SPDX expression.
    pub license: Option<String>,
    /// Where it is developed, as a URL.
    pub source: Option<String>,
    /// The pack whose rules it takes over: `regex`, or `NAME` for `NAME.toml` beside it.
    pub extends: Option<String>,
    /// Rules of the extended pack that it does without.
    pub disable: Vec<Placed<String>>,
    /// Rules of the extended pack that it is surer of, or less sure.
    pub reweigh: Vec<(Placed<String>, f64)>,
    /// The rules.
    pub rules: Vec<Rule>,
}

/// Something, and the line it stands on, from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed<T> {
    /// The thing.
    pub it: T,
    /// Its line.
    pub line: usize,
}

/// One rule: which texts it wants and what it says when it finds them.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Unique within the pack, kebab-case.
    pub id: String,
    /// The line of its id.
    pub line: usize,
    /// The pack it comes from, where that is another than the one it is in.
    pub from: Option<String>,
    /// The classification it votes for.
    pub classification: String,
    /// The kind of cause, kebab-case.
    pub reason: Option<String>,
    /// How sure it is, 0 to 1.
    pub confidence: f64,
    /// Its place among the rules that match, 0 to 100, where that is another than its confidence gives it.
    pub rank: Option<f64>,
    /// Whether the pack has nothing to say where this rule speaks.
    pub abstain: bool,
    /// At least one of these must be found.
    pub any: Vec<Placed<String>>,
    /// Each of these must be found.
    pub all: Vec<Placed<String>>,
    /// None of these may be found.
    pub none: Vec<Placed<String>>,
    /// Where to look.
    pub fields: Vec<Field>,
    /// How a text is changed before it is looked at.
    pub normalise: Normalise,
    /// Why a match means what the rule says, in one sentence.
    pub explain: Template,
    /// Names and values that its verdict carries.
    pub attributes: Vec<(String, Template)>,
    /// Texts for which it must speak; they are tests.
    pub matches: Vec<String>,
    /// Texts it must not match; they are tests.
    pub rejects: Vec<String>,
}

impl Rule {
    /// All patterns: `any`, then `all`, then `none`.
    pub fn patterns(&self) -> impl Iterator<Item = &Placed<String>> {
        self.any.iter().chain(&self.all).chain(&self.none)
    }

    /// Its place among the rules that match: the highest speaks.
    #[must_use]
    pub fn place(&self) -> f64 {
        self.rank.unwrap_or(self.confidence * 100.0)
    }

    /// The names in braces that its texts are filled in by.
    pub fn wanted_captures(&self) -> impl Iterator<Item = &str> {
        self.templates().flat_map(Template::names)
    }

    fn templates(&self) -> impl Iterator<Item = &Template> {
        std::iter::once(&self.explain).chain(self.attributes.iter().map(|(_, template)| template))
    }

    /// The field that an example stands for.
    #[must_use]
    pub fn example_field(&self) -> Field {
        let first = self.fields.first().copied().unwrap_or(Field::Message);
        match first {
            Field::Error | Field::Frames | Field::Quoted => Field::Message,
            _ if self.fields.contains(&Field::Message) => Field::Message,
            other => other,
        }
    }
}

/// A part of a step or of the session in which rules look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Field {
    /// The error's message.
    Message,
    /// The error's code.
    Code,
    /// The error's stack.
    Stack,
    /// The failing step's output, where granted.
    Output,
    /// The failing step's input, where granted.
    Input,
    /// What message and stack say in their own words: without frames, and without what they quote. What stands deeper in the chain of
    /// causes counts more.
    Error,
    /// As `error`, with what is quoted: addresses, statements, values.
    Quoted,
    /// The frames in message and stack.
    Frames,
}

/// What is wrong with a pack, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackError {
    /// The file, where it is not the one that was asked for.
    pub file: Option<String>,
    /// The line, from 1.
    pub line: Option<usize>,
    /// The rule.
    pub rule: Option<String>,
    /// The field and what is wrong with it.
    pub what: String,
}

impl fmt::Display for PackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}: ")?;
        }
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if let Some(rule) = &self.rule {
            write!(f, "rule {rule}: ")?;
        }
        f.write_str(&self.what)
    }
}

impl From<PackError> for String {
    fn from(error: PackError) -> Self {
        error.to_string()
    }
}

impl PackError {
    pub(crate) fn at(line: usize, what: impl Into<String>) -> Self {
        Self { file: None, line: Some(line), rule: None, what: what.into() }
    }

    pub(crate) fn of(rule: &Rule, line: usize, what: impl Into<String>) -> Self {
        Self { rule: Some(rule.id.clone()), ..Self::at(line, what) }
    }
}

/// The pack that is compiled in.
///
/// # Errors
/// As [`parse`]; a test holds that there are none.
pub fn built_in() -> Result<Pack, PackError> {
    parse(BUILT_IN)
}

/// Reads a pack and checks what the format asks for, but for its patterns: reading thousands of those takes time that nobody should
/// spend on a pack outside of the sandbox. Of what it extends nothing is known here.
///
/// # Errors
/// The first thing that is wrong.
pub fn parse(text: &str) -> Result<Pack, PackError> {
    let pack = written::read(text)?;
    let mut ids = BTreeMap::new();
    for rule in &pack.rules {
        check_keys(rule)?;
        if let Some(earlier) = ids.insert(&rule.id, rule.line) {
            return Err(PackError::of(rule, rule.line, format!("id: used before, on line {earlier}")));
        }
    }
    Ok(pack)
}

/// Reads the patterns of a pack's rules, without compiling them.
///
/// # Errors
/// The first that is none, or a name that none of them captures.
pub fn check_patterns(pack: &Pack) -> Result<(), PackError> {
    pack.rules.iter().try_for_each(check_rule)
}

/// The pack that a text says it extends, if it is one that can be read.
#[must_use]
pub fn extends_of(text: &str) -> Option<String> {
    // Most extend none: then nothing need be read twice.
    let named: Extends = text.contains("extends").then(|| toml::from_str(text).ok())??;
    named.extends.filter(|name| kebab(name))
}

#[derive(Deserialize)]
struct Extends {
    extends: Option<String>,
}

fn check_keys(rule: &Rule) -> Result<(), PackError> {
    let wrong = |what: String| Err(PackError::of(rule, rule.line, what));
    if !kebab(&rule.id) {
        return wrong("id: is not kebab-case of at most 64 characters".to_owned());
    }
    let upper_snake = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    if !rule.classification.chars().all(upper_snake) || !rule.classification.starts_with(|c: char| c.is_ascii_uppercase()) {
        return wrong(format!("classification: {} is not an UPPER_SNAKE name", rule.classification));
    }
    if let Some(reason) = rule.reason.as_ref().filter(|reason| !kebab(reason)) {
        return wrong(format!("reason: {reason} is not kebab-case"));
    }
    if let Some(rank) = rule.rank.filter(|rank| !(0.0..=100.0).contains(rank)) {
        return wrong(format!("rank: {rank} is not between 0 and 100"));
    }
    if !(0.0..=1.0).contains(&rule.confidence) {
        return wrong(format!("confidence: {} is not between 0 and 1", rule.confidence));
    }
    if rule.any.is_empty() && rule.all.is_empty() {
        return wrong("any, all: one of them needs a pattern".to_owned());
    }
    if rule.fields.is_empty() {
        return wrong("in: name at least one field".to_owned());
    }
    let has = |fields: &[Field]| rule.fields.iter().any(|field| fields.contains(field));
    if has(&[Field::Error, Field::Quoted]) && has(&[Field::Message, Field::Stack, Field::Frames]) {
        return wrong("in: error and quoted stand for message and stack; leave those and frames out".to_owned());
    }
    if rule.attributes.len() > ATTRIBUTES {
        return wrong(format!("attributes: {} of them, more than {ATTRIBUTES}", rule.attributes.len()));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let is_name = |name: &str| name.len() <= 64 && name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(plain);
    if let Some((name, _)) = rule.attributes.iter().find(|(name, _)| !is_name(name)) {
        return wrong(format!("attributes: {name:?} is no name: a letter, then letters, digits, _ . -"));
    }
    if let Some(long) = rule.templates().find(|template| template.bytes() > TEMPLATE_BYTES) {
        return wrong(format!("explain, attributes: a text of {} bytes, more than {TEMPLATE_BYTES}", long.bytes()));
    }
    Ok(())
}

fn check_rule(rule: &Rule) -> Result<(), PackError> {
    let mut captured = Vec::new();
    let carries = rule.any.len() + rule.all.len();
    for (i, pattern) in rule.patterns().enumerate() {
        let list = if i < rule.any.len() {
            "any"
        } else if i < carries {
            "all"
        } else {
            "none"
        };
        let wrong = |what: String| PackError::of(rule, pattern.line, format!("{list}: pattern `{}`: {what}", cut(&pattern.it)));
        if pattern.it.len() > PATTERN_BYTES {
            return Err(wrong(format!("is longer than {PATTERN_BYTES} bytes")));
        }
        let hir = rule.normalise.parse(&pattern.it).map_err(|e| wrong(last_line(&e)))?;
        if hir.properties().minimum_len().is_none_or(|least| least == 0) {
            return Err(wrong("matches every text, since it matches nothing at all; write what must be there".to_owned()));
        }
        if list != "none" {
            names(&hir, &mut captured);
        }
    }
    match rule.wanted_captures().find(|name| !captured.iter().any(|known| known == name)) {
        Some(name) => {
            let what = format!("explain, attributes: {{{name}}} is captured by no pattern of any or all; write (?<{name}>…)");
            Err(PackError::of(rule, rule.line, what))
        }
        None => Ok(()),
    }
}

/// The names of a pattern's groups.
fn names(hir: &regex_syntax::hir::Hir, into: &mut Vec<String>) {
    use regex_syntax::hir::HirKind::{Alternation, Capture, Concat, Repetition};
    match hir.kind() {
        Capture(group) => {
            into.extend(group.name.as_deref().map(str::to_owned));
            names(&group.sub, into);
        }
        Concat(parts) | Alternation(parts) => parts.iter().for_each(|part| names(part, into)),
        Repetition(repeated) => names(&repeated.sub, into),
        _ => {}
    }
}

/// Of an error about a pattern, and of what caused it, the last line: it says what is wrong without drawing the pattern.
pub(crate) fn last_line(error: &(dyn std::error::Error + 'static)) -> String {
    let error = std::iter::successors(Some(error), |error| error.source()).last().unwrap_or(error);
    error.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

/// As much of a pattern as an error shows.
pub(crate) fn cut(pattern: &str) -> String {
    let short: String = pattern.chars().take(60).collect();
    if short.len() < pattern.len() { format!("{short}…") } else { short }
}

/// Whether a name is kebab-case of at most 64 characters.
#[must_use]
pub fn kebab(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=64).contains(&text.len()) && text.bytes().all(plain) && !text.starts_with('-') && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pack of one rule, from line 5 on.
    pub(crate) const ONE: &str = "schema = 1\nname = 'n'\nversion = '1.0.0'\nsummary = 's'\n[[rule]]\nid = 'a'\nclassification = 'X'\nconfidence = 0.5\nexplain = 'e'\n";

    #[track_caller]
    fn says(text: &str, error: &str) {
        let read = parse(text).and_then(|pack| check_patterns(&pack));
        assert_eq!(read.unwrap_err().to_string(), error, "{text}");
    }

    #[test]
    fn an_error_names_line_rule_and_field() {
        let ok = format!("{ONE}any = ['x']\n");
        assert!(parse(&ok).is_ok());
        says("schema = 1\nname = 3", "line 2: invalid type: integer `3`, expected a string");
        says("schema = 2\nname = 'n'\nversion = '1'\nsummary = 's'", "line 1: schema: 2 is not known, this version reads 1");
        says("schema = 1\nname = 'n'\nversion = '1'\nsummary = 's'", "line 1: rule: there is none; write [[rule]], or extends");
        says(ONE, "line 6: rule a: any, all: one of them needs a pattern");
        says(&ok.replace("'n'", "'N n'"), "line 2: name: N n is not kebab-case of at most 64 characters");
        says(&ok.replace("'a'", "'A a'"), "line 6: rule A a: id: is not kebab-case of at most 64 characters");
        says(&ok.replace("'X'", "'x'"), "line 6: rule a: classification: x is not an UPPER_SNAKE name");
        says(&format!("{ok}reason = 'R r'"), "line 6: rule a: reason: R r is not kebab-case");
        says(
            &format!("{ok}in = ['error', 'stack']"),
            "line 6: rule a: in: error and quoted stand for message and stack; leave those and frames out",
        );
        says(&format!("{ok}rank = 101"), "line 6: rule a: rank: 101 is not between 0 and 100");
        says(&format!("{ok}in = []"), "line 6: rule a: in: name at least one field");
        says(
            &format!("{ok}in = ['body']"),
            "line 11: rule a: unknown variant `body`, expected one of `message`, `code`, `stack`, `output`, `input`, `error`, `quoted`, `frames`",
        );
        says(&ok.replace("0.5", "7.0"), "line 6: rule a: confidence: 7 is not between 0 and 1");
        let second = ok.split_once("[[rule]]").unwrap().1;
        says(&format!("{ok}[[rule]]{second}"), "line 12: rule a: id: used before, on line 6");
        says(&format!("{ONE}any = [\n'x',\n'(',\n]"), "line 12: rule a: any: pattern `(`: unclosed group");
        says(
            &format!("{ok}none = ['(?=x)']"),
            "line 11: rule a: none: pattern `(?=x)`: look-around, including look-ahead and look-behind, is not supported",
        );
        says(
            &format!("{ONE}all = ['{}']", "x".repeat(5000)),
            &format!("line 10: rule a: all: pattern `{}…`: is longer than 4096 bytes", "x".repeat(60)),
        );
        says(
            &format!("{ONE}any = ['.*']"),
            "line 10: rule a: any: pattern `.*`: matches every text, since it matches nothing at all; write what must be there",
        );
        says(&ok.replace("'e'", "'e {'"), "line 9: rule a: explain: a brace stands alone; write {{ or }} for one");
        says(
            &ok.replace("'e'", "'e {who}'"),
            "line 6: rule a: explain, attributes: {who} is captured by no pattern of any or all; write (?<who>…)",
        );
        says(
            &ok.replace("'e'", &format!("'{}'", "x".repeat(1001))),
            "line 6: rule a: explain, attributes: a text of 1001 bytes, more than 1000",
        );
        says(
            &format!("{ok}[rule.attributes]\n'a b' = 'v'"),
            "line 6: rule a: attributes: \"a b\" is no name: a letter, then letters, digits, _ . -",
        );
        says(&format!("{ok}[rule.attributes]\nx = '{{'"), "line 12: rule a: attributes.x: a brace stands alone; write {{ or }} for one");
        says(
            &format!("extends = 'a/b'\n{ok}"),
            "line 1: extends: a/b is no name of a pack; write regex, or NAME for NAME.toml beside this file",
        );
        says(&format!("disable = ['x']\n{ok}"), "line 1: disable, reweigh: there are only for a pack that has extends");
        says(
            &format!("normalise = ['spaces']\n{ok}"),
            "line 1: unknown variant `spaces`, expected one of `whitespace`, `case`, `quotes`, `escapes`, `strings`",
        );
        let unknown = parse(&format!("{ok}anny = ['y']")).unwrap_err().to_string();
        assert!(unknown.starts_with("line 11: rule a: unknown field `anny`, expected one of `id`"), "{unknown}");
        assert_eq!(parse(&format!("{ok}[reweigh")).unwrap_err().line, Some(11));
    }

    #[test]
    fn captures_may_be_used() {
        let text =
            format!("{ONE}any = ['refund of (?<amount>[0-9]+)']\n[rule.attributes]\namount = '{{amount}}'").replace("'e'", "'e {amount}'");
        let pack = parse(&text).unwrap();
        assert_eq!(pack.rules[0].wanted_captures().collect::<Vec<_>>(), ["amount", "amount"]);
    }

    #[test]
    fn the_built_in_pack_is_sound_and_every_rule_has_examples() {
        let pack = built_in().unwrap();
        check_patterns(&pack).unwrap();
        assert_eq!(pack.name, BUILT_IN_NAME);
        for rule in &pack.rules {
            assert!(!rule.matches.is_empty() && !rule.rejects.is_empty(), "{} lacks examples or counter-examples", rule.id);
            assert!(rule.reason.is_some() != (rule.classification == "UNKNOWN"), "{} lacks a reason, or has one too many", rule.id);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,80}", at in 0_usize..200) {
            let mut pack = format!("{ONE}any = ['x']");
            let at = at.min(pack.len());
            pack.insert_str(at, &text);
            let _ = parse(&pack).and_then(|pack| check_patterns(&pack));
        }
    }
}
