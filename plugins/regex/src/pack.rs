//! A rule pack as its author writes it (TOML, schema 1) and the checks it must pass. It knows no regex engine and no trace.

use serde::Deserialize;

/// The text of the built-in pack.
pub const BUILT_IN: &str = include_str!("../default.toml");

/// A rule pack: who it is and its rules, in the author's order.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pack {
    /// The version of the format; always 1.
    pub schema: u32,
    /// The pack's name in kebab-case.
    pub name: String,
    /// The pack's version, semantic versioning.
    pub version: String,
    /// What it is for, in one sentence.
    pub summary: String,
    /// The rules.
    #[serde(rename = "rule")]
    pub rules: Vec<Rule>,
}

/// One rule: which texts it wants and what it says when it finds them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Unique within the pack, kebab-case.
    pub id: String,
    /// The classification it votes for.
    pub classification: String,
    /// The kind of cause, kebab-case.
    pub reason: Option<String>,
    /// How sure it is, 0 to 1.
    pub confidence: f64,
    /// At least one of these must be found.
    #[serde(default)]
    pub any: Vec<String>,
    /// Each of these must be found.
    #[serde(default)]
    pub all: Vec<String>,
    /// None of these may be found.
    #[serde(default)]
    pub none: Vec<String>,
    /// Where to look: `message`, `code`, `stack`, `output`, `input`. Errors only, unless said otherwise.
    #[serde(default = "errors", rename = "in")]
    pub fields: Vec<Field>,
    /// Why a match means what the rule says, in one sentence.
    pub explain: String,
    /// Texts it must match; they are tests.
    #[serde(default)]
    pub matches: Vec<String>,
    /// Texts it must not match; they are tests.
    #[serde(default)]
    pub rejects: Vec<String>,
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
}

fn errors() -> Vec<Field> {
    vec![Field::Message, Field::Code, Field::Stack]
}

/// The pack that is compiled in.
///
/// # Errors
/// As [`parse`]; a test holds that there are none.
pub fn built_in() -> Result<Pack, String> {
    parse(BUILT_IN)
}

/// Reads a pack and checks what the format asks for.
///
/// # Errors
/// One line that names the line or the rule, and the field.
pub fn parse(text: &str) -> Result<Pack, String> {
    let pack: Pack = toml::from_str(text).map_err(|e| located(text, &e))?;
    if pack.schema != 1 {
        return Err(format!("schema: {} is not known, this classifier reads 1", pack.schema));
    }
    pack.rules.iter().enumerate().try_for_each(|(i, rule)| {
        check(rule).map_err(|what| format!("rule {} ({}): {what}", i + 1, rule.id))?;
        match pack.rules.iter().take(i).any(|earlier| earlier.id == rule.id) {
            true => Err(format!("rule {} ({}): id: used before", i + 1, rule.id)),
            false => Ok(()),
        }
    })?;
    Ok(pack)
}

fn located(text: &str, error: &toml::de::Error) -> String {
    let line = error.span().map(|span| text.get(..span.start).unwrap_or(text).matches('\n').count() + 1);
    match line {
        Some(line) => format!("line {line}: {}", error.message()),
        None => error.message().to_owned(),
    }
}

fn check(rule: &Rule) -> Result<(), String> {
    if !(0.0..=1.0).contains(&rule.confidence) {
        return Err(format!("confidence: {} is not between 0 and 1", rule.confidence));
    }
    if rule.any.is_empty() && rule.all.is_empty() {
        return Err("any, all: one of them needs a pattern".to_owned());
    }
    if rule.fields.is_empty() {
        return Err("in: name at least one field".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "schema = 1\nname = 'n'\nversion = '1.0.0'\nsummary = 's'\n[[rule]]\nid = 'a'\nclassification = 'X'\nconfidence = 0.5\nexplain = 'e'\n";

    #[test]
    fn an_error_names_line_or_rule() {
        assert_eq!(parse("schema = 1\nname = 3").unwrap_err(), "line 2: invalid type: integer `3`, expected a string");
        assert_eq!(parse(ONE).unwrap_err(), "rule 1 (a): any, all: one of them needs a pattern");
        let twice = ONE.replace(
            "[[rule]]",
            "[[rule]]\nany = ['x']\nid = 'a'\nclassification = 'X'\nconfidence = 0.5\nexplain = 'e'\n[[rule]]\nany = ['x']",
        );
        assert_eq!(parse(&twice).unwrap_err(), "rule 2 (a): id: used before");
        let sure = format!("{ONE}any = ['x']").replace("0.5", "7.0");
        assert_eq!(parse(&sure).unwrap_err(), "rule 1 (a): confidence: 7 is not between 0 and 1");
        assert!(parse(&format!("{ONE}any = ['x']\nanny = ['y']")).unwrap_err().starts_with("line 11: unknown field `anny`"));
    }

    #[test]
    fn the_built_in_pack_is_sound_and_every_rule_has_examples() {
        let pack = built_in().unwrap();
        for rule in &pack.rules {
            assert!(!rule.matches.is_empty() && !rule.rejects.is_empty(), "{} lacks examples or counter-examples", rule.id);
            assert!(rule.reason.is_some(), "{} lacks a reason", rule.id);
        }
    }
}
