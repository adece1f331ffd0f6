//! A pack made ready to run: one regex set over all patterns finds which occur, then each rule's logic is plain set
//! arithmetic. It knows texts and their locations, not traces.

use crate::pack::{self, Field, Pack, Rule};
use regex::{Regex, RegexSet, RegexSetBuilder};
use std::sync::OnceLock;

/// The most memory one compiled pattern or the set of all may take, in bytes.
const SIZE_LIMIT: usize = 16 << 20;

/// How much memory the lazily built automaton may take, in bytes: enough for all that [`Rules::warm`] shows it. The engine's
/// default is 2 MiB; when that is full, it forgets what it has built.
const AUTOMATON_LIMIT: usize = 8 << 20;

/// How runtimes print an error with its stack; `%` stands for the error.
const STACKS: [&str; 4] = [
    "Error: %\n    at Object.<anonymous> (/srv/action/index.js:42:31)\n    at Module._compile (node:internal/modules/cjs/loader:1378:14)\n    at async createOrder (/srv/action/lib/orders.js:310:9)\n    at process.processTicksAndRejections (node:internal/process/task_queues:95:5)\n    at TCPConnectWrap.afterConnect [as oncomplete] (node:net:1611:16)\n    at RedirectableRequest.handleRequestTimeout (/srv/node_modules/axios/lib/adapters/http.js:675:16)",
    "Traceback (most recent call last):\n  File \"/srv/action/main.py\", line 88, in handler\n    response = session.post(url, json=payload, timeout=10)\n  File \"/usr/lib/python3.11/site-packages/requests/sessions.py\", line 637, in post\n    return self.request(\"POST\", url, data=data, json=json, **kwargs)\nrequests.exceptions.RequestException: %",
    "java.lang.RuntimeException: %\n\tat com.example.action.OrderService.create(OrderService.java:117)\n\tat org.springframework.web.client.RestTemplate.doExecute(RestTemplate.java:785)\n\tat java.base/java.lang.Thread.run(Thread.java:840)\nCaused by: %",
    "System.Exception: %\n   at Acme.Actions.Orders.CreateAsync(Order order, CancellationToken token) in /src/Orders.cs:line 64\n   at System.Net.Http.HttpClient.<SendAsync>g__Core|83_0(HttpRequestMessage request)",
];

/// A text a rule may look at, and where it stands in the trace.
#[derive(Debug, Clone)]
pub struct Text<'a> {
    /// Which field of an error or step it is.
    pub field: Field,
    /// Its path in the trace, such as `steps[1].error.message`.
    pub location: String,
    /// The text itself.
    pub text: &'a str,
}

/// A rule that matched and what it matched.
#[derive(Debug)]
pub struct Match<'r> {
    /// The rule.
    pub rule: &'r Rule,
    /// For each pattern that carried the match: index of the text, start and end in bytes.
    pub spans: Vec<(usize, usize, usize)>,
}

/// A pack with its patterns compiled. Linear time: no pattern can backtrack.
#[derive(Debug)]
pub struct Rules {
    pack: Pack,
    set: RegexSet,
    /// For each rule, the index of its first pattern in `set`: `any`, then `all`, then `none`.
    offsets: Vec<usize>,
    /// Each pattern alone, compiled when its rule first wins: a set tells which patterns occur but not where.
    alone: Vec<OnceLock<Option<Regex>>>,
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
        let set = RegexSetBuilder::new(pack.rules.iter().flat_map(patterns))
            .size_limit(SIZE_LIMIT)
            .dfa_size_limit(AUTOMATON_LIMIT)
            .build()
            .map_err(|error| culprit(&pack).unwrap_or_else(|| format!("patterns: {error}")))?;
        let offsets = pack
            .rules
            .iter()
            .scan(0, |next, rule| {
                let mine = *next;
                *next += patterns(rule).count();
                Some(mine)
            })
            .collect();
        Ok(Self { pack, alone: (0..set.len()).map(|_| OnceLock::new()).collect(), set, offsets })
    }

    /// Runs every example bare, and one of each rule as runtimes print it with a stack: what the regex engine builds on first
    /// use is then there for the first trace. Where the host takes a snapshot after `configure`, it is there for every trace.
    pub fn warm(&self) {
        let rules = &self.pack.rules;
        let bare = rules.iter().flat_map(|rule| &rule.matches).cloned();
        let with_stack = |stack: &'static str| rules.iter().filter_map(|r| r.matches.first()).map(move |text| stack.replacen('%', text, 1));
        for text in bare.chain(STACKS.into_iter().flat_map(with_stack)) {
            let _ = self.best(&[Text { field: Field::Message, location: String::new(), text: &text }]);
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
        let found: Vec<_> = texts.iter().map(|t| self.set.matches(t.text)).collect();
        let hits = |rule: &Rule, pattern: usize| {
            texts.iter().zip(&found).any(|(text, found)| rule.fields.contains(&text.field) && found.matched(pattern))
        };
        let matched = |(rule, first): &(&Rule, &usize)| {
            let all = **first + rule.any.len();
            let none = all + rule.all.len();
            let end = none + rule.none.len();
            (rule.any.is_empty() || (**first..all).any(|p| hits(rule, p)))
                && (all..none).all(|p| hits(rule, p))
                && !(none..end).any(|p| hits(rule, p))
        };
        let (rule, first) = self
            .pack
            .rules
            .iter()
            .zip(&self.offsets)
            .filter(matched)
            .reduce(|best, next| if next.0.confidence > best.0.confidence { next } else { best })?;
        Some(Match { rule, spans: self.spans(rule, *first, texts) })
    }

    /// Where the winning rule's patterns stand: the first hit of `any`, and the first of each of `all`.
    fn spans(&self, rule: &Rule, first: usize, texts: &[Text<'_>]) -> Vec<(usize, usize, usize)> {
        let find = |(i, pattern): (usize, &String)| {
            let regex = self.alone.get(first + i)?.get_or_init(|| Regex::new(pattern).ok()).as_ref()?;
            texts.iter().enumerate().filter(|(_, t)| rule.fields.contains(&t.field)).find_map(|(i, t)| {
                let hit = regex.find(t.text)?;
                Some((i, hit.start(), hit.end()))
            })
        };
        let any = rule.any.iter().enumerate().find_map(find);
        let all = rule.all.iter().enumerate().map(|(i, pattern)| (rule.any.len() + i, pattern)).filter_map(find);
        any.into_iter().chain(all).collect()
    }
}

fn patterns(rule: &Rule) -> impl Iterator<Item = &String> {
    rule.any.iter().chain(&rule.all).chain(&rule.none)
}

fn culprit(pack: &Pack) -> Option<String> {
    pack.rules.iter().find_map(|rule| {
        patterns(rule).find_map(|pattern| {
            let error = Regex::new(pattern).err()?.to_string();
            let last = error.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            Some(format!("rule {}: pattern `{pattern}`: {last}", rule.id))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Vec<Text<'_>> {
        vec![Text { field: Field::Message, location: "error.message".into(), text }]
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
        let code = [Text { field: Field::Code, location: "error.code".into(), text: "one three" }];
        assert!(rules.best(&code).is_none());
    }
}
