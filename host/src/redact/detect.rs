//! What is masked by its form: e-mail addresses, phone and card numbers, IBANs, tokens, keys, JWTs, passwords in URLs, and what an
//! organisation's own rules find. Forms that digits have by chance are checked by their check digits. Pure.

use crate::config::{Detector, Privacy};
use crate::model::Digest;
use regex::{Regex, RegexSet};
use std::ops::Range;
use std::sync::LazyLock;

/// The version of the detectors: raised whenever one of them finds something else than before.
const VERSION: u32 = 1;

/// What each detector looks for. A group, where there is one, is what is masked of a match.
const FORMS: [(Detector, &str); 10] = [
    (Detector::Key, r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?s:.*?)(?:-----END [A-Z ]*PRIVATE KEY-----|\z)"),
    (Detector::Key, r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    (Detector::Jwt, r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"),
    (Detector::UrlPassword, r"\b[a-zA-Z][a-zA-Z0-9+.-]*://([^\s/:@]*:[^\s/@]+)@"),
    (Detector::Email, r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}"),
    (
        Detector::Token,
        r"\b(?:(?:sk|pk|rk)_(?:live|test)_[A-Za-z0-9]{10,}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|xox[abprs]-[A-Za-z0-9-]{10,}|glpat-[\w-]{16,}|npm_[A-Za-z0-9]{30,}|AIza[\w-]{30,}|whsec_[A-Za-z0-9+/=]{16,})",
    ),
    (
        Detector::Token,
        r#"(?i)(?:\b(?:bearer|basic)\s+|\b(?:[a-z]+[_-])?(?:api[_-]?key|token|secret|password|passwd|pwd)["']?\s*[:=]\s*["']?)([^\s"'&,;<>{}]{8,})"#,
    ),
    (Detector::Iban, r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b"),
    (Detector::Card, r"\b[2-6](?:[ -]?\d){12,18}\b"),
    (
        Detector::Phone,
        r"\+\d(?:[ ()./-]{0,2}\d){7,14}\b|\(\d{3}\) ?\d{3}-\d{4}\b|\b\d{3}[-. ]\d{3}[-. ]\d{4}\b|\b0\d{2,4}[ /-]\d{3,8}(?:[ -]\d{2,5})?\b",
    ),
];

/// What is looked for.
#[derive(Debug, Default)]
pub struct Rules {
    names: Vec<Name>,
    forms: Vec<Regex>,
    /// All forms at once: most texts have none.
    any: RegexSet,
    set: String,
}

/// Whose form it is.
#[derive(Debug, Clone)]
enum Name {
    Own(String),
    Built(Detector),
}

impl Rules {
    /// The detectors and rules of the settings.
    ///
    /// # Errors
    /// The rule that is no regular expression, or matches nothing at all.
    pub fn new(settings: &Privacy) -> Result<Self, String> {
        let built = FORMS.iter().filter(|(detector, _)| settings.detectors.contains(detector));
        let built = built.map(|(detector, form)| (Name::Built(*detector), (*form).to_owned()));
        let own = settings.rules.iter().map(|(name, form)| (Name::Own(format!("rule:{name}")), form.clone()));
        // An organisation's rule knows more about what it finds than a detector does.
        let (names, texts): (Vec<_>, Vec<_>) = own.chain(built).unzip();
        let compile = |(name, text): (&Name, &String)| {
            let form =
                Regex::new(text).map_err(|e| format!("privacy.rules.{}: {}", name.as_str().trim_start_matches("rule:"), last_line(&e)))?;
            match form.is_match("") {
                true => {
                    Err(format!("privacy.rules.{}: matches an empty text, and so every text", name.as_str().trim_start_matches("rule:")))
                }
                false => Ok(form),
            }
        };
        let forms = names.iter().zip(&texts).map(compile).collect::<Result<Vec<_>, _>>()?;
        let any = RegexSet::new(&texts).map_err(|e| format!("privacy.rules: {}", last_line(&e)))?;
        let detectors: Vec<_> = settings.detectors.iter().map(|d| d.as_str()).collect();
        let digest = Digest::of(format!("{detectors:?} {:?}", settings.rules).as_bytes()).hex();
        Ok(Self { names, forms, any, set: format!("{VERSION}-{}", digest.get(..12).unwrap_or_default()) })
    }

    /// All detectors, without settings: for texts of plugins under work, which are shown to their author.
    #[must_use]
    pub fn built_in() -> &'static Self {
        static ALL: LazyLock<Rules> = LazyLock::new(|| {
            let detectors = FORMS.iter().map(|(detector, _)| *detector).collect();
            // The forms are constants that a test compiles.
            Rules::new(&Privacy { detectors, ..Privacy::default() }).unwrap_or_default()
        });
        &ALL
    }

    /// The name of this set of rules: the detectors' version, and a digest of which are in use and what was added.
    #[must_use]
    pub fn set(&self) -> &str {
        &self.set
    }

    /// What is found in a text, and by whom.
    pub(super) fn find<'a>(&'a self, text: &'a str) -> impl Iterator<Item = (Range<usize>, &'a str)> {
        self.any.matches(text).into_iter().filter_map(|n| Some((self.names.get(n)?, self.forms.get(n)?))).flat_map(move |(name, form)| {
            form.captures_iter(text).filter_map(move |found| {
                let part = found.get(1).or(found.get(0))?;
                let range = name.checked(text, part.range())?;
                Some((range, name.as_str()))
            })
        })
    }

    /// Whether an id holds what no id should: digits by chance are the rule in ids, so that numbers are not looked for.
    pub(super) fn in_id(&self, id: &str) -> bool {
        self.find(id).any(|(_, name)| !["phone", "card"].contains(&name))
    }
}

impl Name {
    fn as_str(&self) -> &str {
        match self {
            Self::Own(name) => name,
            Self::Built(detector) => detector.as_str(),
        }
    }

    /// What of a match is really one.
    fn checked(&self, text: &str, range: Range<usize>) -> Option<Range<usize>> {
        let part = text.get(range.clone())?;
        let digits = part.bytes().filter(u8::is_ascii_digit).count();
        match self {
            // A password before a host is the business of another detector, and the host is worth knowing.
            Self::Built(Detector::Email) => (!is_userinfo(text.get(..range.start)?)).then_some(range),
            Self::Built(Detector::Card) => ((13..=19).contains(&digits) && luhn(part)).then_some(range),
            Self::Built(Detector::Iban) => iban(part).map(|length| range.start..range.start + length),
            Self::Built(Detector::Phone) => {
                let least = if part.starts_with('+') { 8 } else { 9 };
                ((least..=15).contains(&digits) && stands_apart(text, &range)).then_some(range)
            }
            // Words after `token:` are words about a token.
            Self::Built(Detector::Token) => part.bytes().any(|b| b.is_ascii_digit()).then_some(range),
            _ => Some(range),
        }
    }
}

/// Whether what follows stands between the scheme and the host of a URL.
fn is_userinfo(before: &str) -> bool {
    let word = before.rsplit(char::is_whitespace).next().unwrap_or_default();
    word.rsplit_once("://").is_some_and(|(_, rest)| !rest.contains(['/', '?']))
}

/// Whether digits are not the midst of a longer row of them, such as a UUID or an account number in groups.
fn stands_apart(text: &str, range: &Range<usize>) -> bool {
    let before = text.get(..range.start).unwrap_or_default();
    let after = text.get(range.end..).unwrap_or_default();
    let joined = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    let grouped = |part: Option<char>| part.is_some_and(|c| c.is_ascii_digit());
    !before.ends_with(joined)
        && !grouped(before.strip_suffix(' ').and_then(|before| before.chars().next_back()))
        && !after.starts_with(joined)
        && !grouped(after.strip_prefix(' ').and_then(|after| after.chars().next()))
}

/// The check of ISO/IEC 7812-1.
fn luhn(text: &str) -> bool {
    let digits = text.chars().rev().filter_map(|c| c.to_digit(10));
    let sum: u32 = digits.enumerate().map(|(n, d)| if n % 2 == 1 { (2 * d) / 10 + (2 * d) % 10 } else { d }).sum();
    sum.is_multiple_of(10)
}

/// How much of a text is an IBAN: what follows one may look like more of it.
fn iban(text: &str) -> Option<usize> {
    let ends = text.char_indices().map(|(at, c)| at + c.len_utf8()).filter(|end| *end >= 15).collect::<Vec<_>>();
    ends.into_iter().rev().find(|end| {
        let compact: String = text.get(..*end).unwrap_or_default().split(' ').collect();
        compact.parse::<iban::Iban>().is_ok()
    })
}

/// The last line of an error of the regex crate says what is wrong; those before show where.
fn last_line(error: &regex::Error) -> String {
    error.to_string().lines().last().unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(own: &[(&str, &str)]) -> Result<Rules, String> {
        use Detector::{Card, Email, Iban, Jwt, Key, Phone, Token, UrlPassword};
        let rules = own.iter().map(|(name, form)| ((*name).to_owned(), (*form).to_owned())).collect();
        let detectors = vec![Email, Phone, Card, Iban, Token, Key, Jwt, UrlPassword];
        Rules::new(&Privacy { detectors, rules, ..Privacy::default() })
    }

    fn found(text: &str) -> Vec<(String, String)> {
        let rules = rules(&[]).unwrap();
        rules.find(text).map(|(range, name)| (name.to_owned(), text[range].to_owned())).collect()
    }

    #[test]
    fn each_form_is_found_and_told() {
        for (name, text, part) in [
            ("email", "no user Eve.O+x@mail.example.co.uk here", "Eve.O+x@mail.example.co.uk"),
            ("phone", "call +49 (0)30 1234567 now", "+49 (0)30 1234567"),
            ("phone", "tel (555) 123-4567", "(555) 123-4567"),
            ("phone", "from 555-123-4567.", "555-123-4567"),
            ("phone", "at 030 12345678", "030 12345678"),
            ("card", "card 4111 1111 1111 1111 declined", "4111 1111 1111 1111"),
            ("card", "card 5500005555555559", "5500005555555559"),
            ("iban", "to DE89 3704 0044 0532 0130 00 NOT booked", "DE89 3704 0044 0532 0130 00"),
            ("iban", "GB82WEST12345698765432", "GB82WEST12345698765432"),
            ("token", "Authorization: Bearer abc.DEF-123456", "abc.DEF-123456"),
            ("token", "key sk_live_4eC39HqLyjWDarjtT1", "sk_live_4eC39HqLyjWDarjtT1"),
            ("token", "?client_secret=s3cr3t-value&x", "s3cr3t-value"),
            ("key", "AKIAIOSFODNN7EXAMPLE is wrong", "AKIAIOSFODNN7EXAMPLE"),
            (
                "key",
                "x -----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY----- y",
                "-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----",
            ),
            ("jwt", "got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln!", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln"),
            ("email", "mailto:eve@example.com", "eve@example.com"),
            ("email", "GET https://x.example/?m=eve@example.com", "eve@example.com"),
            ("url-password", "postgres://app:pa:ss@db.internal/x", "app:pa:ss"),
        ] {
            assert_eq!(found(text), [(name.to_owned(), part.to_owned())], "{text}");
        }
    }

    #[test]
    fn what_only_looks_like_it_is_left_alone() {
        for text in [
            "connect ECONNREFUSED 10.12.0.17:5432",
            "at Object.<anonymous> (/app/src/index.js:120:33)",
            "2026-11-25T10:11:12.123+00:00 request 1767225600000 took 1500 ms",
            "id a1b2c3d4-e5f6-7890-abcd-ef1234567890, 00000000-0000-4000-8000-000000000000, order 4111111111111112",
            "Unexpected token: expected string, password: required",
            "user@localhost over https://api.example.com:8443/v1?x=1",
            "DE00 3704 0044 0532 0130 00 is no IBAN",
            "05-11-2026 and 12.05.2026, version 10.20.30",
            "status code 503, 0 of 100 in 300000 ms",
        ] {
            assert_eq!(found(text), [], "{text}");
        }
    }

    #[test]
    fn an_organisations_rules_are_checked_and_named() {
        let ours = rules(&[("customer-number", r"\bCUST-\d{6}\b")]).unwrap();
        let text = "no CUST-123456";
        assert_eq!(
            ours.find(text).map(|(range, name)| (&text[range], name)).collect::<Vec<_>>(),
            [("CUST-123456", "rule:customer-number")]
        );
        assert_ne!(ours.set(), rules(&[]).unwrap().set());
        assert!(ours.set().starts_with("1-"));
        let wrong = |form| rules(&[("x", form)]).unwrap_err();
        assert!(wrong("(").starts_with("privacy.rules.x: error: unclosed group"), "{}", wrong("("));
        assert_eq!(wrong("a*"), "privacy.rules.x: matches an empty text, and so every text");
    }
}
