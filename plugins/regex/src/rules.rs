//! A pack made ready to run: one pass over each text finds which patterns may match, then rules are tried in the order of their
//! confidence until one holds. It knows texts and where they stand, not traces.

use crate::finder::Finder;
use crate::literals::{self, FOLDS_TO_ASCII, Required};
use crate::pack::{self, Field, Pack, Rule};
use crate::pattern::{Memory, Pattern};
use regex_syntax::hir::Hir;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// How runtimes print an error with its stack; `%` stands for the error.
const STACKS: [&str; 4] = [
    "Error: %\n    at Object.<anonymous> (/srv/action/index.js:42:31)\n    at Module._compile (node:internal/modules/cjs/loader:1378:14)\n    at async createOrder (/srv/action/lib/orders.js:310:9)\n    at process.processTicksAndRejections (node:internal/process/task_queues:95:5)\n    at TCPConnectWrap.afterConnect [as oncomplete] (node:net:1611:16)\n    at RedirectableRequest.handleRequestTimeout (/srv/node_modules/axios/lib/adapters/http.js:675:16)",
    "Traceback (most recent call last):\n  File \"/srv/action/main.py\", line 88, in handler\n    response = session.post(url, json=payload, timeout=10)\n  File \"/usr/lib/python3.11/site-packages/requests/sessions.py\", line 637, in post\n    return self.request(\"POST\", url, data=data, json=json, **kwargs)\nrequests.exceptions.RequestException: %",
    "java.lang.RuntimeException: %\n\tat com.example.action.OrderService.create(OrderService.java:117)\n\tat org.springframework.web.client.RestTemplate.doExecute(RestTemplate.java:785)\n\tat java.base/java.lang.Thread.run(Thread.java:840)\nCaused by: %",
    "System.Exception: %\n   at Acme.Actions.Orders.CreateAsync(Order order, CancellationToken token) in /src/Orders.cs:line 64\n   at System.Net.Http.HttpClient.<SendAsync>g__Core|83_0(HttpRequestMessage request)",
];

/// A text a rule may look at, and where it stands in the trace.
#[derive(Debug, Clone, Copy)]
pub struct Text<'a> {
    /// Which field of an error or step it is.
    pub field: Field,
    /// Index of its step; none for the execution as a whole.
    pub step: Option<u32>,
    /// The text itself.
    pub text: &'a str,
}

/// Where a pattern matched: index of the text, start and end in bytes.
pub type Span = (usize, usize, usize);

/// A rule that matched and what it matched.
#[derive(Debug)]
pub struct Match<'r> {
    /// The rule.
    pub rule: &'r Rule,
    /// For each pattern that carried the match.
    pub spans: Vec<Span>,
}

/// A pack with its patterns compiled. Linear time: no pattern can backtrack.
#[derive(Debug)]
pub struct Rules {
    pack: Pack,
    /// All patterns, rule by rule: `any`, then `all`, then `none`.
    patterns: Vec<Pattern>,
    /// Each rule's index and that of its first pattern; the most confident rule first, the earlier of equals first.
    ranks: Vec<(usize, usize)>,
    /// Finds the literals that patterns cannot match without.
    literals: Finder,
    /// What the presence of each literal makes possible.
    hints: Vec<Hint>,
    /// What no literal speaks for, and so is always possible.
    always: Hint,
    /// All patterns and rules: what is possible where literals are no help.
    everything: Hint,
    /// What searches write to.
    memory: Mutex<Memory>,
}

/// What may match: patterns, and by rank the rules that rest on them.
#[derive(Debug, Clone, Default)]
struct Hint {
    patterns: Vec<usize>,
    ranks: Vec<usize>,
}

impl Hint {
    fn add(&mut self, pattern: usize, rank: Option<usize>) {
        self.patterns.push(pattern);
        self.ranks.extend(rank);
    }
}

/// A set of small numbers.
#[derive(Debug, Clone)]
struct Marks(Vec<u64>);

impl Marks {
    fn of(most: usize) -> Self {
        Self(vec![0; most.div_ceil(64)])
    }

    fn add(&mut self, numbers: &[usize]) {
        for number in numbers {
            if let Some(word) = self.0.get_mut(number / 64) {
                *word |= 1 << (number % 64);
            }
        }
    }

    fn has(&self, number: usize) -> bool {
        self.0.get(number / 64).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    /// The numbers, in order.
    fn iter(&self) -> impl Iterator<Item = usize> {
        self.0.iter().enumerate().flat_map(|(i, &word)| {
            let rest = std::iter::successors(Some(word), |word| Some(word & word.wrapping_sub(1)));
            rest.take_while(|word| *word != 0).map(move |word| i * 64 + word.trailing_zeros() as usize)
        })
    }
}

impl Rules {
    /// Compiles the pack in `settings`, or the built-in one where `settings` is blank.
    ///
    /// # Errors
    /// What is wrong with the pack, in one line.
    pub fn from_settings(settings: &str) -> Result<Self, String> {
        Self::new(if settings.trim().is_empty() { pack::built_in()? } else { pack::parse(settings)? })
    }

    /// Compiles a pack.
    ///
    /// # Errors
    /// The rule and the pattern that is no regex.
    pub fn new(pack: Pack) -> Result<Self, String> {
        let mut firsts = Vec::new();
        let mut required = Vec::new();
        for rule in &pack.rules {
            firsts.push(required.len());
            for pattern in patterns(rule) {
                required.push(literals::required(&parse(rule, pattern)?));
            }
        }
        let mut ranks: Vec<_> = firsts.into_iter().enumerate().collect();
        let confidence = |(i, _): &(usize, usize)| pack.rules.get(*i).map_or(0.0, |rule| rule.confidence);
        // A stable sort: of equals the earlier stays first.
        ranks.sort_by(|a, b| confidence(b).total_cmp(&confidence(a)));
        let (literals, hints, always, everything) = hints(&pack, &ranks, &required);
        let literals = Finder::new(literals.iter().map(Vec::as_slice));
        // Parsed again rather than kept: what lasts is then laid side by side, in the room that building left.
        let mut compiled = Vec::with_capacity(required.len());
        let all = pack.rules.iter().flat_map(|rule| patterns(rule).map(move |pattern| (rule, pattern)));
        for ((rule, pattern), required) in all.zip(&required) {
            compiled.push(Pattern::new(&parse(rule, pattern)?, required.as_ref()).map_err(|e| wrong(rule, pattern, e.as_ref()))?);
        }
        Ok(Self { patterns: compiled, pack, ranks, literals, hints, always, everything, memory: Mutex::default() })
    }

    /// Runs every example bare, and one of each rule as runtimes print it with a stack: what the regex engine builds on first
    /// use is then there for the first trace. Where the host takes a snapshot after `configure`, it is there for every trace.
    pub fn warm(&self) {
        let rules = &self.pack.rules;
        let bare = rules.iter().flat_map(|rule| &rule.matches).cloned();
        let with_stack = |stack: &'static str| rules.iter().filter_map(|r| r.matches.first()).map(move |text| stack.replacen('%', text, 1));
        for text in bare.chain(STACKS.into_iter().flat_map(with_stack)) {
            let _ = self.best(&[Text { field: Field::Message, step: None, text: &text }]);
        }
    }

    /// The pack that runs.
    #[must_use]
    pub fn pack(&self) -> &Pack {
        &self.pack
    }

    /// The rule that speaks for `texts`: the most confident of those that match, the earlier one of equals.
    #[must_use]
    pub fn best(&self, texts: &[Text<'_>]) -> Option<Match<'_>> {
        let mut ranks = Marks::of(self.ranks.len());
        ranks.add(&self.always.ranks);
        let hinted = |text: &Text<'_>| {
            let mut hints = Hints { patterns: Marks::of(self.patterns.len()), places: Vec::new(), everywhere: false };
            hints.patterns.add(&self.always.patterns);
            if !text.text.is_ascii() && FOLDS_TO_ASCII.iter().any(|fold| text.text.contains(fold)) {
                hints.patterns.add(&self.everything.patterns);
                ranks.add(&self.everything.ranks);
                hints.everywhere = true;
                return hints;
            }
            self.literals.find(text.text.to_ascii_lowercase().as_bytes(), |literal, at| {
                if let Some(hint) = self.hints.get(literal) {
                    hints.patterns.add(&hint.patterns);
                    ranks.add(&hint.ranks);
                    hints.places.push((literal, at));
                }
            });
            hints
        };
        let hints: Vec<_> = texts.iter().map(hinted).collect();
        // Poisoned by a panic it would still be only room to write to.
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        ranks.iter().find_map(|rank| {
            let &(rule, first) = self.ranks.get(rank)?;
            let rule = self.pack.rules.get(rule)?;
            let spans = self.spans(rule, first, texts, &hints, &mut memory)?;
            Some(Match { rule, spans })
        })
    }

    /// Where the patterns of a rule that holds stand: the first hit of `any`, and the first of each of `all`.
    fn spans(&self, rule: &Rule, first: usize, texts: &[Text<'_>], hints: &[Hints], memory: &mut Memory) -> Option<Vec<Span>> {
        let mut find = |index: usize| {
            let pattern = self.patterns.get(index)?;
            let mut places = texts.iter().zip(hints).enumerate();
            places.find_map(|(i, (text, hints))| {
                if !hints.patterns.has(index) || !rule.fields.contains(&text.field) {
                    return None;
                }
                let near =
                    hints.places.iter().filter(|(literal, _)| self.hints.get(*literal).is_some_and(|hint| hint.patterns.contains(&index)));
                let (start, end) = match hints.everywhere {
                    true => pattern.find(text.text, memory),
                    false => pattern.find_near(text.text, near.map(|(_, at)| *at), memory),
                }?;
                Some((i, start, end))
            })
        };
        let (all, none) = (first + rule.any.len(), first + rule.any.len() + rule.all.len());
        let mut spans = Vec::with_capacity(1 + rule.all.len());
        if !rule.any.is_empty() {
            spans.push((first..all).find_map(&mut find)?);
        }
        for pattern in all..none {
            spans.push(find(pattern)?);
        }
        (none..none + rule.none.len()).all(|pattern| find(pattern).is_none()).then_some(spans)
    }
}

/// What the literals in a text say.
struct Hints {
    /// Patterns that may match it.
    patterns: Marks,
    /// Which literal stands where, by its start in bytes.
    places: Vec<(usize, usize)>,
    /// Whether patterns may match where no literal stands.
    everywhere: bool,
}

/// The literals to look for, what each hints at, what no literal speaks for, and everything.
fn hints(pack: &Pack, ranks: &[(usize, usize)], required: &[Option<Required>]) -> (Vec<Vec<u8>>, Vec<Hint>, Hint, Hint) {
    let mut by_literal: BTreeMap<Vec<u8>, Hint> = BTreeMap::new();
    let (mut always, mut everything) = (Hint::default(), Hint::default());
    for (rank, &(rule, first)) in ranks.iter().enumerate() {
        let Some(rule) = pack.rules.get(rule) else { continue };
        // Without one of `any` a rule cannot hold; where it has none, without the first of `all`.
        let keys = first..first + rule.any.len().max(1);
        for pattern in first..first + patterns(rule).count() {
            let rank = keys.contains(&pattern).then_some(rank);
            everything.add(pattern, rank);
            match required.get(pattern).and_then(Option::as_ref) {
                Some(found) => found.literals.iter().for_each(|literal| by_literal.entry(literal.clone()).or_default().add(pattern, rank)),
                None => always.add(pattern, rank),
            }
        }
    }
    let (literals, hints) = by_literal.into_iter().unzip();
    (literals, hints, always, everything)
}

fn parse(rule: &Rule, pattern: &str) -> Result<Hir, String> {
    regex_syntax::parse(pattern).map_err(|e| wrong(rule, pattern, &e))
}

/// What is wrong with a pattern: the last line of an error, which says it without drawing the pattern.
fn wrong(rule: &Rule, pattern: &str, error: &dyn std::error::Error) -> String {
    let error = error.to_string();
    let what = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
    format!("rule {}: pattern `{pattern}`: {what}", rule.id)
}

fn patterns(rule: &Rule) -> impl Iterator<Item = &String> {
    rule.any.iter().chain(&rule.all).chain(&rule.none)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(text: &str) -> Vec<Text<'_>> {
        vec![Text { field: Field::Message, step: None, text }]
    }

    #[test]
    fn every_example_of_the_built_in_pack_holds() {
        let rules = Rules::from_settings("").unwrap();
        for rule in &rules.pack.rules {
            let alone = Rules::new(Pack { rules: vec![rule.clone()], ..rules.pack.clone() }).unwrap();
            for text in &rule.matches {
                assert!(alone.best(&message(text)).is_some(), "{} should match {text:?}", rule.id);
                let best = rules.best(&message(text)).unwrap().rule;
                assert_eq!(best.id, rule.id, "another rule speaks for {text:?}");
            }
            for text in &rule.rejects {
                assert!(alone.best(&message(text)).is_none(), "{} should not match {text:?}", rule.id);
            }
        }
    }

    #[test]
    fn ordinary_words_match_nothing() {
        let rules = Rules::from_settings("").unwrap();
        for text in ["Something went wrong", "Error: failed", "Error: null", "exit code 1", "", "order 503 was shipped to 404 Main St"] {
            assert!(rules.best(&message(text)).is_none(), "{text:?}: {:?}", rules.best(&message(text)).map(|m| &m.rule.id));
        }
    }

    #[test]
    fn what_folds_to_ascii_is_found_without_its_literal() {
        let rules = Rules::from_settings("").unwrap();
        let best = rules.best(&message("\u{17f}ocket hang up")).unwrap();
        assert_eq!(best.rule.id, "connection-reset");
    }

    proptest! {
        /// The literals are a short cut: with and without them the same rule speaks.
        #[test]
        fn the_short_cut_changes_nothing(words in proptest::collection::vec(0_usize..400, 0..6), noise in "\\PC{0,20}") {
            static RULES: std::sync::LazyLock<Rules> = std::sync::LazyLock::new(|| Rules::from_settings("").unwrap());
            let examples: Vec<_> = RULES.pack.rules.iter().flat_map(|r| r.matches.iter().chain(&r.rejects)).collect();
            let mut text: String = words.iter().map(|i| examples[i % examples.len()].as_str()).collect::<Vec<_>>().join(" ");
            text.push_str(&noise);
            let said = |text: &str| RULES.best(&message(text)).map(|m| (m.rule.id.clone(), m.spans));
            // With a long s in the text no literal is trusted, and each pattern is searched for in all of it.
            let (short, long) = (said(&format!("{text} s")), said(&format!("{text} \u{17f}")));
            prop_assert_eq!(short, long);
        }
    }

    #[test]
    fn a_bad_pattern_is_named() {
        let pack = pack::BUILT_IN.replacen("any = [", "any = ['(', ", 1);
        let error = Rules::from_settings(&pack).unwrap_err();
        assert!(error.starts_with("rule dns: pattern `(`: unclosed group"), "{error}");
    }

    #[test]
    fn any_all_none_and_in() {
        let pack = "schema = 1\nname = 'n'\nversion = '1.0.0'\nsummary = 's'\n[[rule]]\nid = 'a'\nclassification = 'X'\nconfidence = 0.5\nexplain = 'e'\n\
            any = ['one', 'two']\nall = ['three']\nnone = ['four']\nin = ['message']";
        let rules = Rules::from_settings(pack).unwrap();
        let spans = |text| rules.best(&message(text)).map(|m| m.spans);
        assert_eq!(spans("two three"), Some(vec![(0, 0, 3), (0, 4, 9)]));
        assert_eq!(spans("two"), None);
        assert_eq!(spans("three"), None);
        assert_eq!(spans("one three four"), None);
        let code = [Text { field: Field::Code, step: None, text: "one three" }];
        assert!(rules.best(&code).is_none());
    }
}
