//! Which vectors of a suite are run: a filter expression over name, tags, action and environment, a share of all by name, and those that
//! an earlier run did not find as expected. Pure.
//!
//! The grammar, in the order of how tightly things bind: `( … )`, `not`, `and`, `or`; a test is `tag(x)`, `name(x)`, `name(~regex)`,
//! `action(id)` or `env(dev)`. It is parsed by hand: a column and what would fit there say more to a person than a parser library's words.

use crate::model::{ActionId, Digest, Environment, Vector};
use regex::Regex;
use std::collections::HashSet;
use std::str::FromStr;
use std::sync::Arc;

/// Which vectors are run.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Those these are all true of.
    pub filters: Vec<Filter>,
    /// Those in each of these shares.
    pub shards: Vec<Shard>,
    /// All but these: what an earlier run found as expected, by [`name_key`].
    pub without: Option<Arc<HashSet<u64>>>,
}

impl Selection {
    /// Whether a vector is run.
    #[must_use]
    pub fn has(&self, vector: &Vector) -> bool {
        self.filters.iter().all(|filter| filter.expression.is_true(vector))
            && self.shards.iter().all(|shard| shard.has(&vector.name))
            && self.without.as_ref().is_none_or(|without| !without.contains(&name_key(&vector.name)))
    }
}

/// What stands for a name where very many are kept.
#[must_use]
pub fn name_key(name: &str) -> u64 {
    u64::from_str_radix(Digest::of(name.as_bytes()).hex().get(..16).unwrap_or_default(), 16).unwrap_or_default()
}

/// One of `of` shares of all vectors. Which one a vector is in depends on its name alone: others may come and go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// From 1.
    pub number: u64,
    /// How many there are.
    pub of: u64,
}

impl Shard {
    fn has(self, name: &str) -> bool {
        name_key(name) % self.of == self.number - 1
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once('/').and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
        match parsed {
            Some((number, of)) if (1..=of).contains(&number) => Ok(Self { number, of }),
            _ => Err("is not a share such as 1/3, 2/3 or 3/3".to_owned()),
        }
    }
}

/// A filter expression.
#[derive(Debug, Clone)]
pub struct Filter {
    text: String,
    expression: Expression,
}

impl Filter {
    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

#[derive(Debug, Clone)]
enum Expression {
    Tag(String),
    Name(String),
    NameMatches(Regex),
    Action(ActionId),
    Env(Environment),
    Not(Box<Self>),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
}

impl Expression {
    fn is_true(&self, vector: &Vector) -> bool {
        match self {
            Self::Tag(tag) => vector.tags.contains(tag),
            Self::Name(name) => vector.name == *name,
            Self::NameMatches(regex) => regex.is_match(&vector.name),
            Self::Action(action) => vector.action == *action,
            Self::Env(environment) => vector.environment == *environment,
            Self::Not(inner) => !inner.is_true(vector),
            Self::And(a, b) => a.is_true(vector) && b.is_true(vector),
            Self::Or(a, b) => a.is_true(vector) || b.is_true(vector),
        }
    }
}

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parser = Parser { text, at: 0, depth: 0 };
        let expression = parser.either()?;
        parser.blanks();
        match parser.rest().is_empty() {
            true => Ok(Self { text: text.to_owned(), expression }),
            false => Err(parser.wrong("and, or, or the end")),
        }
    }
}

/// How deep parentheses and `not` may stand in each other.
const DEPTH: usize = 64;

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn either(&mut self) -> Result<Expression, String> {
        let mut left = self.both()?;
        while self.word("or") {
            left = Expression::Or(Box::new(left), Box::new(self.both()?));
        }
        Ok(left)
    }

    fn both(&mut self) -> Result<Expression, String> {
        let mut left = self.one()?;
        while self.word("and") {
            left = Expression::And(Box::new(left), Box::new(self.one()?));
        }
        Ok(left)
    }

    fn one(&mut self) -> Result<Expression, String> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(format!("column {}: is nested deeper than {DEPTH}", self.column()));
        }
        let one = self.inner();
        self.depth -= 1;
        one
    }

    fn inner(&mut self) -> Result<Expression, String> {
        if self.word("not") {
            return Ok(Expression::Not(Box::new(self.one()?)));
        }
        if self.sign('(') {
            let inner = self.either()?;
            return if self.sign(')') { Ok(inner) } else { Err(self.wrong("and, or, or )")) };
        }
        self.blanks();
        let start = self.at;
        let name: String = self.rest().chars().take_while(char::is_ascii_alphabetic).collect();
        self.at += name.len();
        if !matches!(name.as_str(), "tag" | "name" | "action" | "env") || !self.sign('(') {
            self.at = start;
            return Err(self.wrong("tag(…), name(…), name(~regex), action(…), env(…), not or ("));
        }
        let value = self.value()?;
        let failed =
            |what: String| format!("column {}: {name}({value}): {what}", self.text.get(..start).unwrap_or_default().chars().count() + 1);
        match (name.as_str(), value.strip_prefix('~')) {
            ("name", Some(regex)) => Regex::new(regex)
                .map(Expression::NameMatches)
                .map_err(|e| failed(e.to_string().lines().last().unwrap_or_default().to_owned())),
            ("name", None) => Ok(Expression::Name(value.to_owned())),
            ("tag", _) => Ok(Expression::Tag(value.to_owned())),
            ("env", _) => value.parse().map(Expression::Env).map_err(|e: crate::model::Malformed| failed(e.to_string())),
            _ => value.parse().map(Expression::Action).map_err(|e: crate::model::Malformed| failed(e.to_string())),
        }
    }

    /// What stands between the parentheses of a test: up to the one that closes, those that are opened inside it being its own.
    fn value(&mut self) -> Result<&'a str, String> {
        let (start, mut open) = (self.at, 0_usize);
        let mut escaped = false;
        for (i, c) in self.rest().char_indices() {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '(' => open += 1,
                ')' if open == 0 => {
                    self.at = start + i + 1;
                    return Ok(self.text.get(start..start + i).unwrap_or_default().trim());
                }
                ')' => open -= 1,
                _ => {}
            }
        }
        self.at = self.text.len();
        Err(self.wrong(")"))
    }

    fn word(&mut self, word: &str) -> bool {
        self.blanks();
        let found = self.rest().strip_prefix(word).is_some_and(|after| !after.starts_with(|c: char| c.is_alphanumeric()));
        self.at += if found { word.len() } else { 0 };
        found
    }

    fn sign(&mut self, sign: char) -> bool {
        self.blanks();
        let found = self.rest().starts_with(sign);
        self.at += if found { sign.len_utf8() } else { 0 };
        found
    }

    fn blanks(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn column(&self) -> usize {
        self.text.get(..self.at).unwrap_or_default().chars().count() + 1
    }

    fn wrong(&mut self, fits: &str) -> String {
        self.blanks();
        let found: String = self.rest().chars().take(20).collect();
        let found = if found.is_empty() { "the end".to_owned() } else { format!("`{found}`") };
        format!("column {}: expected {fits}, found {found}", self.column())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn vector(name: &str) -> Vector {
        Vector {
            name: name.into(),
            action: "a1b2c3d4-e5f6-7890-abcd-ef1234567890".parse().unwrap(),
            input: serde_json::Map::new(),
            environment: Environment::Test,
            tags: vec!["smoke".into(), "de".into()],
            expect: None,
            repetition: None,
            source: None,
        }
    }

    fn selects(filter: &str) -> bool {
        Selection { filters: vec![filter.parse().unwrap()], ..Selection::default() }.has(&vector("refund (de)"))
    }

    #[test]
    fn not_binds_before_and_and_and_before_or() {
        for (filter, wanted) in [
            ("tag(smoke)", true),
            ("tag(smok)", false),
            ("name(refund (de))", true),
            ("name(~^refund \\()", true),
            ("name(~(x|fund))", true),
            ("env(test) and action(a1b2c3d4-e5f6-7890-abcd-ef1234567890)", true),
            ("not tag(x) and tag(de)", true),
            ("not (tag(x) or tag(de))", false),
            ("tag(x) and tag(y) or tag(de)", true),
            ("tag(de) or tag(x) and tag(y)", true),
            ("not not tag(de)", true),
        ] {
            assert_eq!(selects(filter), wanted, "{filter}");
        }
    }

    #[test]
    fn what_does_not_fit_is_named_with_its_column() {
        let wrong = |filter: &str| filter.parse::<Filter>().unwrap_err();
        assert_eq!(wrong("tag(a) tag(b)"), "column 8: expected and, or, or the end, found `tag(b)`");
        assert_eq!(wrong("tag(a) and"), "column 11: expected tag(…), name(…), name(~regex), action(…), env(…), not or (, found the end");
        assert_eq!(wrong("(tag(a)"), "column 8: expected and, or, or ), found the end");
        assert_eq!(wrong("env(live)"), "column 1: env(live): is not one of dev, test, prod");
        assert_eq!(wrong("name(~()"), "column 9: expected ), found the end");
        assert!(wrong("name(~[)").starts_with("column 1: name(~[): "));
        assert!(wrong(&"(".repeat(1000)).ends_with("is nested deeper than 64"));
    }

    #[test]
    fn every_name_is_in_one_share_and_stays_there() {
        let shards: Vec<Shard> = ["1/3", "2/3", "3/3"].iter().map(|text| text.parse().unwrap()).collect();
        let mut sizes = [0; 3];
        for i in 0..300 {
            let name = format!("vector {i}");
            let of: Vec<_> = shards.iter().map(|shard| shard.has(&name)).collect();
            assert_eq!(of.iter().filter(|has| **has).count(), 1);
            sizes[of.iter().position(|has| *has).unwrap()] += 1;
        }
        assert!(sizes.iter().all(|size| (60..140).contains(size)), "{sizes:?}");
        assert_eq!(name_key("refund-de"), 0x114e_5699_e4a9_0671, "by SHA-256: other programs can tell shares too");
        assert!("0/3".parse::<Shard>().is_err() && "4/3".parse::<Shard>().is_err() && "1".parse::<Shard>().is_err());
    }

    proptest! {
        #[test]
        fn no_filter_makes_it_panic(text in "[a-z()~ \\\\ü]{0,40}|(not |tag\\(x\\)|and |or |\\(|\\)| ){0,12}") {
            let _ = text.parse::<Filter>();
        }
    }
}
