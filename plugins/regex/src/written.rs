//! A pack as TOML has it, and from there to the pack that is known: each thing with the line it stands on. It knows the format's keys,
//! not what patterns mean.

use crate::normal::Normalise;
use crate::pack::{Field, Pack, PackError, Placed, Rule, kebab};
use crate::template::Template;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ops::Range;
use toml::Spanned;

/// Reads a pack's text. What can be told of a pack as a whole is checked here; its rules are checked by [`crate::pack::parse`].
pub(crate) fn read(text: &str) -> Result<Pack, PackError> {
    let lines = Lines::new(text);
    let written: Written = toml::from_str(text).map_err(|e| PackError {
        file: None,
        line: e.span().map(|span| lines.of(&span)),
        rule: e.span().and_then(|span| lines.rule_around(&span)),
        what: e.message().lines().collect::<Vec<_>>().join(": "),
    })?;
    written.placed(&lines)
}

/// A text, and where its lines end.
struct Lines<'a> {
    text: &'a str,
    ends: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, ends: text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect() }
    }

    fn of(&self, span: &Range<usize>) -> usize {
        self.ends.partition_point(|end| *end < span.start) + 1
    }

    /// The id of the rule in whose table something stands, where it stands in one.
    fn rule_around(&self, span: &Range<usize>) -> Option<String> {
        let table = self.text.get(..span.start)?.rfind("[[rule]]")?;
        let rest = self.text.get(table + 8..)?;
        let rule = rest.split("\n[").next()?;
        let id = rule.lines().find_map(|line| line.trim().strip_prefix("id")?.trim().strip_prefix('=').map(str::trim))?;
        Some(id.trim_matches(['"', '\'']).to_owned()).filter(|id| kebab(id))
    }

    fn place<T>(&self, spanned: Spanned<T>) -> Placed<T> {
        Placed { line: self.of(&spanned.span()), it: spanned.into_inner() }
    }
}

/// The pack as TOML has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    schema: Spanned<u32>,
    name: Spanned<String>,
    version: String,
    summary: String,
    license: Option<String>,
    source: Option<String>,
    extends: Option<Spanned<String>>,
    #[serde(default)]
    disable: Vec<Spanned<String>>,
    #[serde(default)]
    reweigh: BTreeMap<String, Spanned<f64>>,
    #[serde(default)]
    normalise: Normalise,
    #[serde(rename = "in")]
    fields: Option<Vec<Field>>,
    #[serde(rename = "rule", default)]
    rules: Vec<WrittenRule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRule {
    id: Spanned<String>,
    classification: String,
    reason: Option<String>,
    confidence: f64,
    rank: Option<f64>,
    #[serde(default)]
    abstain: bool,
    #[serde(default)]
    any: Vec<Spanned<String>>,
    #[serde(default)]
    all: Vec<Spanned<String>>,
    #[serde(default)]
    none: Vec<Spanned<String>>,
    #[serde(rename = "in")]
    fields: Option<Vec<Field>>,
    normalise: Option<Normalise>,
    explain: Spanned<String>,
    #[serde(default)]
    attributes: BTreeMap<String, Spanned<String>>,
    #[serde(default)]
    matches: Vec<String>,
    #[serde(default)]
    rejects: Vec<String>,
}

impl Written {
    /// The pack with lines in the place of bytes.
    fn placed(self, lines: &Lines<'_>) -> Result<Pack, PackError> {
        if *self.schema.get_ref() != 1 {
            let what = format!("schema: {} is not known, this version reads 1", self.schema.get_ref());
            return Err(PackError::at(lines.of(&self.schema.span()), what));
        }
        let name = lines.place(self.name);
        if !kebab(&name.it) {
            return Err(PackError::at(name.line, format!("name: {} is not kebab-case of at most 64 characters", name.it)));
        }
        let extends = self.extends.map(|extends| lines.place(extends));
        if let Some(extends) = extends.as_ref().filter(|extends| !kebab(&extends.it)) {
            let what = format!("extends: {} is no name of a pack; write regex, or NAME for NAME.toml beside this file", extends.it);
            return Err(PackError::at(extends.line, what));
        }
        let reweigh: Vec<_> =
            self.reweigh.into_iter().map(|(id, sure)| (Placed { it: id, line: lines.of(&sure.span()) }, *sure.get_ref())).collect();
        if let Some((id, sure)) = reweigh.iter().find(|(_, sure)| !(0.0..=1.0).contains(sure)) {
            return Err(PackError::at(id.line, format!("reweigh.{}: {sure} is not between 0 and 1", id.it)));
        }
        let disable: Vec<_> = self.disable.into_iter().map(|id| lines.place(id)).collect();
        if let (None, Some(id)) = (&extends, disable.first().or(reweigh.first().map(|(id, _)| id))) {
            return Err(PackError::at(id.line, "disable, reweigh: there are only for a pack that has extends"));
        }
        if extends.is_none() && self.rules.is_empty() {
            return Err(PackError::at(1, "rule: there is none; write [[rule]], or extends"));
        }
        let fields = self.fields.as_deref().unwrap_or(&[Field::Message, Field::Code, Field::Stack]);
        let rules = self.rules.into_iter().map(|rule| rule.placed(lines, self.normalise, fields)).collect::<Result<_, _>>()?;
        Ok(Pack {
            name: name.it,
            version: self.version,
            summary: self.summary,
            license: self.license,
            source: self.source,
            extends: extends.map(|extends| extends.it),
            disable,
            reweigh,
            rules,
        })
    }
}

impl WrittenRule {
    fn placed(self, lines: &Lines<'_>, normalise: Normalise, fields: &[Field]) -> Result<Rule, PackError> {
        let id = lines.place(self.id);
        let place = |patterns: Vec<Spanned<String>>| patterns.into_iter().map(|pattern| lines.place(pattern)).collect::<Vec<_>>();
        let template = |field: &str, text: Spanned<String>| {
            let text = lines.place(text);
            Template::parse(&text.it)
                .map_err(|what| PackError { rule: Some(id.it.clone()), ..PackError::at(text.line, format!("{field}: {what}")) })
        };
        let explain = template("explain", self.explain)?;
        let attributes = self.attributes.into_iter().map(|(name, text)| Ok((name.clone(), template(&format!("attributes.{name}"), text)?)));
        Ok(Rule {
            explain,
            attributes: attributes.collect::<Result<_, _>>()?,
            line: id.line,
            id: id.it,
            from: None,
            classification: self.classification,
            reason: self.reason,
            confidence: self.confidence,
            rank: self.rank,
            abstain: self.abstain,
            any: place(self.any),
            all: place(self.all),
            none: place(self.none),
            fields: self.fields.unwrap_or_else(|| fields.to_vec()),
            normalise: self.normalise.unwrap_or(normalise),
            matches: self.matches,
            rejects: self.rejects,
        })
    }
}
