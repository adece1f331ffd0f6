//! What is masked by its form: e-mail addresses, phone and card numbers, IBANs, tokens, keys, JWTs, passwords in URLs, and what an
//! organisation's own rules find. Forms that digits have by chance are checked by their check digits. Pure.

use super::values::Values;
use crate::config::{Detector, Privacy};
use crate::model::Digest;
use regex::{Regex, RegexSet, RegexSetBuilder};
use serde_json::Map;
use std::ops::Range;
use std::sync::LazyLock;

/// The version of the detectors: raised whenever one of them finds something else than before.
const VERSION: u32 = 2;

/// What each detector looks for. A group, where there is one, is what is masked of a match.
const FORMS: [(Detector, &str); 11] = [
    (Detector::Key, r"-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----(?s:.*?)(?:-----END [A-Z ]*PRIVATE KEY(?: BLOCK)?-----|\z)"),
    (Detector::Key, r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    (Detector::Jwt, r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"),
    (Detector::UrlPassword, r#"\b[a-zA-Z][a-zA-Z0-9+.-]*://([^\s/:@"'<>{},;&]*:[^\s/"'<>{},;&]+)@"#),
    (Detector::UrlPassword, r"\b[a-zA-Z][a-zA-Z0-9+.-]*://([A-Za-z0-9_.~-]{16,})@"),
    (Detector::Email, r"[A-Za-z0-9._%+-]+(?:@|%40)[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}"),
    (
        Detector::Token,
        r"\b(?:(?:sk|pk|rk)_(?:live|test)_[A-Za-z0-9]{10,}|sk-[A-Za-z0-9_-]{20,}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|xox[abprs]-[A-Za-z0-9-]{10,}|glpat-[\w-]{16,}|npm_[A-Za-z0-9]{30,}|AIza[\w-]{30,}|whsec_[A-Za-z0-9+/=]{16,})",
    ),
    (
        Detector::Token,
        r#"(?i)(?:\b(?:bearer|basic)\s+|(?:api[_-]?key|access[_-]?key|account[_-]?key|private[_-]?key|token|secret|password|passwd|passphrase|pwd)\\*["']?\s*[:=]\s*\\*["']?)([^\s"'&,;<>{}\\]{4,})"#,
    ),
    (Detector::Iban, r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b"),
    (Detector::Card, r"\b[3-6](?:[ -]?\d){12,18}\b|\b2(?:[ -]?\d){15}\b"),
    (
        Detector::Phone,
        r"(?:\+|%2B|\b00)[1-9](?:[ ()./-]{0,2}\d){7,14}\b|\(\d{3}\) ?\d{3}-\d{4}\b|\b(?:1[-. ])?\d{3}[-.]\d{3}[-.]\d{4}\b|\b\d{3} \d{3}-\d{4}\b|\b0\d(?: \d\d){4}\b|\b0\d{2,4} \d{3}(?: \d\d){2}\b|\b0\d{2,4}[ /-]\d{3,8}(?:[ -]\d{2,5})?\b",
    ),
];

/// What the automaton of all forms may take in each thread: with the library's 2 MiB it is given up on ordinary texts, for an engine that is
/// ten times as slow.
const DFA_BYTES: usize = 16 << 20;
/// How long userinfo in a URL can be, in bytes.
const USERINFO: usize = 256;
/// Endings of names with an `@` that are files or versions rather than hosts.
const FILES: [&str; 17] =
    ["png", "jpg", "jpeg", "gif", "svg", "webp", "ico", "css", "js", "mjs", "cjs", "ts", "tsx", "json", "tgz", "gz", "zip"];

/// A form whose classes and boundaries are those of ASCII: those of Unicode take most of the time of a start, fill the quick automaton, and
/// keep it from texts that are not ASCII.
fn in_ascii(form: &str) -> String {
    form.replace(r"\b", r"(?-u:\b)").replace(r"\d", "[0-9]").replace(r"\s", "[[:space:]]").replace(r"\w", "[[:word:]]")
}

/// What is looked for.
#[derive(Debug, Default)]
pub struct Rules {
    names: Vec<Name>,
    forms: Vec<Regex>,
    /// All forms at once: most texts have none.
    any: RegexSet,
    set: String,
    /// What the user says is secret, in the forms in which programs write it.
    secrets: Option<Values>,
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
        let built = built.map(|(detector, form)| (Name::Built(*detector), in_ascii(form)));
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
        let any = RegexSetBuilder::new(&texts).dfa_size_limit(DFA_BYTES).build();
        let any = any.map_err(|e| format!("privacy.rules: {}", last_line(&e)))?;
        let detectors: Vec<_> = settings.detectors.iter().map(|d| d.as_str()).collect();
        let digest = Digest::of(format!("{detectors:?} {:?}", settings.rules).as_bytes()).hex();
        Ok(Self { names, forms, any, secrets: None, set: format!("{VERSION}-{}", digest.get(..12).unwrap_or_default()) })
    }

    /// The same rules, which hide these texts too, wherever they stand.
    #[must_use]
    pub fn hiding<'t>(self, secrets: impl Iterator<Item = &'t str>) -> Self {
        let secrets: Map<_, _> = secrets.enumerate().map(|(i, text)| (i.to_string(), text.into())).collect();
        let secrets = (!secrets.is_empty()).then(|| Values::of(&secrets));
        Self { secrets, ..self }
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
        let secrets = self.secrets.iter().flat_map(|secrets| secrets.find(text)).map(|found| (found, "secret"));
        let forms = self.any.matches(text).into_iter().filter_map(|n| Some((self.names.get(n)?, self.forms.get(n)?))).flat_map(
            move |(name, form)| {
                form.captures_iter(text).filter_map(move |found| {
                    // An organisation's rule may have groups for reasons of its own: only one named `mask` is ours.
                    let part = match name {
                        Name::Own(_) => found.name("mask"),
                        Name::Built(_) => found.get(1),
                    };
                    let range = name.checked(text, part.or(found.get(0))?.range())?;
                    Some((range, name.as_str()))
                })
            },
        );
        secrets.chain(forms)
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
            Self::Built(Detector::Email) => (!is_userinfo(text, range.start) && !is_file(part)).then_some(range),
            Self::Built(Detector::Card) => is_card(part).then_some(range),
            Self::Built(Detector::Iban) => iban(part).map(|length| range.start..range.start + length),
            Self::Built(Detector::Phone) => {
                let international = part.starts_with(['+', '%']) || part.starts_with("00");
                let number = digits - if part.starts_with('%') { 1 } else { 0 };
                ((if international { 8 } else { 9 })..=16).contains(&number).then_some(range).filter(|range| stands_apart(text, range))
            }
            Self::Built(Detector::Token) => is_secret(text, &range).then_some(range),
            Self::Own(_) => (!range.is_empty()).then_some(range),
            _ => Some(range),
        }
    }
}

/// Whether what stands after a name that promises a secret is one: a word about a token, a path, an address or a place in a file is not.
fn is_secret(text: &str, range: &Range<usize>) -> bool {
    let part = text.get(range.clone()).unwrap_or_default();
    let place = part.rsplit(':').take(2).all(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit() || b == b')')) && part.contains(':');
    if place || part.starts_with('/') || part.starts_with("arn:") || part.contains("://") {
        return false;
    }
    let before = text.get(..range.start).unwrap_or_default();
    // What is quoted or assigned is a value; what follows a colon in a sentence may be any word.
    match before.chars().next_back() {
        Some('"' | '\'') => true,
        Some('=') => part.len() >= 6,
        _ => part.len() >= 8 && part.bytes().any(|b| b.is_ascii_digit()),
    }
}

/// Whether something with an `@` is the name of a file or of a repository.
fn is_file(text: &str) -> bool {
    let ending = text.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    // `icon@2x.png`, `package@1.2.3.tgz`; but `eve@example.com.js` holds an address all the same.
    let number = text.split_once('@').is_some_and(|(_, host)| host.starts_with(|c: char| c.is_ascii_digit()));
    (number && FILES.contains(&ending.as_str())) || text.starts_with("git@")
}

/// Whether a text at `at` stands between the scheme and the host of a URL.
fn is_userinfo(text: &str, at: usize) -> bool {
    let before = text.get(text.floor_char_boundary(at.saturating_sub(USERINFO))..at).unwrap_or_default();
    before.trim_end_matches(|c: char| c.is_ascii_alphanumeric() || "._~%!$*+:-@".contains(c)).ends_with("://") && before.contains(':')
}

/// Whether digits have the beginning and the length of a card number, and its check digit.
fn is_card(text: &str) -> bool {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let first = |n: usize| digits.get(..n).and_then(|d| d.parse::<u32>().ok()).unwrap_or_default();
    let known = match (first(1), first(2), digits.len()) {
        (4, _, 13 | 16 | 19) | (5, 51..=55, 16) | (3, 34 | 37, 15) | (3, 30 | 36 | 38, 14) | (3, 35, 16) | (6, _, 16..=19) => true,
        (2, _, 16) => (2221..=2720).contains(&first(4)),
        _ => false,
    };
    known && luhn(&digits)
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
            ("token", r#"{"accessToken":"abc123def456"}"#, "abc123def456"),
            ("token", r#"said {\"password\":\"hunter2\"}"#, "hunter2"),
            ("token", "dbPassword=correcthorse", "correcthorse"),
            ("token", "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG", "wJalrXUtnFEMI/K7MDENG"),
            ("url-password", "postgres://app:p@ssw0rd@db/x", "app:p@ssw0rd"),
            ("url-password", "https://0123456789abcdef0123@host/x", "0123456789abcdef0123"),
            ("email", r#"{"url":"https://api.example.com","m":"bob@example.org"}"#, "bob@example.org"),
            ("email", "url=https://host.example&mail=eve@example.com", "eve@example.com"),
            ("email", "?m=eve%40example.com", "eve%40example.com"),
            ("email", "at f (eve@example.org.js:1:1)", "eve@example.org.js"),
            ("phone", "call 1-800-555-1234", "1-800-555-1234"),
            ("phone", "0171 123 45 67 called", "0171 123 45 67"),
            ("phone", "01 23 45 67 89", "01 23 45 67 89"),
            ("phone", "0049 30 1234567", "0049 30 1234567"),
            ("card", "2223 0031 2200 3222", "2223 0031 2200 3222"),
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
            "Unexpected token: /app/src/parser.js:12:33, pwd=/home/app/releases/2026, token: main.js:12:33",
            "sizes 120 350 1024, +0000 2026-11-25, at 20261125101112 and 20261125101116",
            "icon@2x.png scope+pkg@1.2.3.tgz git@github.com:org/repo",
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
        assert!(ours.set().starts_with("2-"));
        let wrong = |form| rules(&[("x", form)]).unwrap_err();
        assert!(wrong("(").starts_with("privacy.rules.x: error: unclosed group"), "{}", wrong("("));
        let part = rules(&[("x", r"(\d{3})-(?<mask>\d{4})"), ("y", r"(a)(b)")]).unwrap();
        assert_eq!(part.find("123-4567 ab").map(|(range, _)| range).collect::<Vec<_>>(), [4..8, 9..11]);
        assert_eq!(wrong("a*"), "privacy.rules.x: matches an empty text, and so every text");
    }

    #[test]
    fn a_secret_is_hidden_in_every_form() {
        let rules = Rules::default().hiding(["p\"ss/w0rd"].into_iter());
        let hidden = |text: &str| rules.find(text).count();
        for text in ["p\"ss/w0rd", "see p%22ss%2Fw0rd.", r#"{"a":"p\"ss/w0rd"}"#, "P\"SS/W0RD"] {
            assert!(hidden(text) > 0, "{text}");
        }
        assert_eq!((hidden("pass"), Rules::default().find("p\"ss/w0rd").count()), (0, 0));
    }
}
