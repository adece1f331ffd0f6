//! A pack made ready to run: one pass over each text finds which patterns may match, then rules are tried in the order of their
//! confidence until one holds. It knows texts and where they stand, not traces.

use crate::hints::{Hints, Index, Marks};
use crate::literals;
use crate::normal::{Normal, Normalise};
use crate::pack::{Field, Pack, PackError, Placed, Rule, cut, last_line};
use crate::pattern::{Memory, Pattern};
use crate::settings::Bundle;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How runtimes print an error with its stack; `%` stands for the error.
const STACKS: [&str; 4] = [
    "Error: %\n    at Object.<anonymous> (/srv/action/index.js:42:31)\n    at Module._compile (node:internal/modules/cjs/loader:1378:14)\n    at async createOrder (/srv/action/lib/orders.js:310:9)\n    at process.processTicksAndRejections (node:internal/process/task_queues:95:5)\n    at TCPConnectWrap.afterConnect [as oncomplete] (node:net:1611:16)\n    at RedirectableRequest.handleRequestTimeout (/srv/node_modules/axios/lib/adapters/http.js:675:16)",
    "Traceback (most recent call last):\n  File \"/srv/action/main.py\", line 88, in handler\n    response = session.post(url, json=payload, timeout=10)\n  File \"/usr/lib/python3.11/site-packages/requests/sessions.py\", line 637, in post\n    return self.request(\"POST\", url, data=data, json=json, **kwargs)\nrequests.exceptions.RequestException: %",
    "java.lang.RuntimeException: %\n\tat com.example.action.OrderService.create(OrderService.java:117)\n\tat org.springframework.web.client.RestTemplate.doExecute(RestTemplate.java:785)\n\tat java.base/java.lang.Thread.run(Thread.java:840)\nCaused by: %",
    "System.Exception: %\n   at Acme.Actions.Orders.CreateAsync(Order order, CancellationToken token) in /src/Orders.cs:line 64\n   at System.Net.Http.HttpClient.<SendAsync>g__Core|83_0(HttpRequestMessage request)",
];

/// Of how many rules the examples are run to warm up; with more it would only take longer.
const WARMED: usize = 64;

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

/// Where a pattern matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hit {
    /// Index of the pattern among those of its rule.
    pub pattern: usize,
    /// Index of the text.
    pub text: usize,
    /// Its first byte in the text as it was given.
    pub start: usize,
    /// Behind its last byte.
    pub end: usize,
}

/// A rule that matched and what it matched.
#[derive(Debug)]
pub struct Match<'r> {
    /// The rule.
    pub rule: &'r Rule,
    /// For each pattern that carried the match.
    pub hits: Vec<Hit>,
    /// What its groups captured, by name.
    pub captured: Vec<(String, String)>,
}

/// What became of one rule.
#[derive(Debug)]
pub struct Tried<'r> {
    /// The rule.
    pub rule: &'r Rule,
    /// Whether it holds.
    pub holds: bool,
    /// For each of its patterns, in their order: where it was first found.
    pub found: Vec<Option<Hit>>,
    /// What its groups captured, where it holds.
    pub captured: Vec<(String, String)>,
}

/// A pack with its patterns compiled. Linear time: no pattern can backtrack.
#[derive(Debug)]
pub struct Rules {
    pack: Pack,
    /// All patterns, rule by rule: `any`, then `all`, then `none`.
    patterns: Vec<Pattern>,
    /// Each rule's index and that of its first pattern; the most confident rule first, the earlier of equals first.
    ranks: Vec<(usize, usize)>,
    /// The ways in which rules have their texts changed, and by its index each rule's own.
    views: Vec<Normalise>,
    view_of: Vec<usize>,
    /// What each pattern needs.
    index: Index,
    /// What searches write to.
    memory: Mutex<Memory>,
}

/// Texts as the rules of one view see them.
struct View<'a>(Vec<(Normal<'a>, Hints)>);

impl Rules {
    /// Compiles what the settings hold: a pack, a bundle, or nothing, which is the built-in pack.
    ///
    /// # Errors
    /// What is wrong with the pack.
    pub fn from_settings(settings: &str) -> Result<Self, PackError> {
        Self::new(Bundle::of_settings(settings)?.checked()?)
    }

    /// Compiles a pack.
    ///
    /// # Errors
    /// The rule and the pattern that takes too much memory.
    pub fn new(pack: Pack) -> Result<Self, PackError> {
        let mut firsts = Vec::new();
        let mut required = Vec::new();
        for rule in &pack.rules {
            firsts.push(required.len());
            for pattern in rule.patterns() {
                required.push(literals::required(&parse(rule, pattern)?));
            }
        }
        let mut ranks: Vec<_> = firsts.into_iter().enumerate().collect();
        let confidence = |(i, _): &(usize, usize)| pack.rules.get(*i).map_or(0.0, |rule| rule.confidence);
        // A stable sort: of equals the earlier stays first.
        ranks.sort_by(|a, b| confidence(b).total_cmp(&confidence(a)));
        let index = Index::new(&pack, &ranks, &required);
        // Parsed again rather than kept: what lasts is then laid side by side, in the room that building left.
        let mut compiled = Vec::with_capacity(required.len());
        let all = pack.rules.iter().flat_map(|rule| rule.patterns().map(move |pattern| (rule, pattern)));
        for ((rule, pattern), required) in all.zip(&required) {
            let wanted: Vec<_> = rule.wanted_captures().collect();
            let made = Pattern::new(&parse(rule, pattern)?, required.as_ref(), &wanted);
            compiled.push(made.map_err(|e| wrong(rule, pattern, e.as_ref()))?);
        }
        let mut views = Vec::new();
        let mut view = |rule: &Rule| {
            views.iter().position(|known| *known == rule.normalise).unwrap_or_else(|| {
                views.push(rule.normalise);
                views.len() - 1
            })
        };
        let view_of = pack.rules.iter().map(&mut view).collect();
        Ok(Self { patterns: compiled, pack, ranks, views, view_of, index, memory: Mutex::default() })
    }

    /// Runs examples bare, and one of each rule as runtimes print it with a stack: what the regex engine builds on first use is then
    /// there for the first trace. Where the host takes a snapshot after `configure`, it is there for every trace.
    pub fn warm(&self) {
        let rules = || self.pack.rules.iter().take(WARMED);
        let bare = rules().flat_map(|rule| &rule.matches).cloned();
        let with_stack = |stack: &'static str| rules().filter_map(|r| r.matches.first()).map(move |text| stack.replacen('%', text, 1));
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
        let (views, ranks) = self.look(texts);
        let mut memory = self.memory();
        ranks.iter().find_map(|rank| {
            let (rule, first, view) = self.at(rank, &views)?;
            let hits = self.hits(rule, first, texts, view, &mut memory)?;
            Some(Match {
                rule,
                captured: self.captured(rule, first, &hits, view),
                hits: hits.iter().map(|hit| view.origin(*hit)).collect(),
            })
        })
    }

    /// What becomes of every rule, the most confident first: which of its patterns are found, and whether it holds. Slower than
    /// [`Rules::best`], and with the same end: the first that holds here is the best.
    #[must_use]
    pub fn tried(&self, texts: &[Text<'_>]) -> Vec<Tried<'_>> {
        let (views, _) = self.look(texts);
        let mut memory = self.memory();
        let tried = (0..self.ranks.len()).filter_map(|rank| {
            let (rule, first, view) = self.at(rank, &views)?;
            let found = (0..rule.patterns().count()).map(|pattern| self.find(rule, first, pattern, texts, view, &mut memory));
            let found: Vec<_> = found.map(|hit| hit.map(|hit| view.origin(hit))).collect();
            let hits = self.hits(rule, first, texts, view, &mut memory);
            let captured = hits.as_ref().map(|hits| self.captured(rule, first, hits, view)).unwrap_or_default();
            Some(Tried { rule, holds: hits.is_some(), found, captured })
        });
        tried.collect()
    }

    /// The texts as each view shows them, and the rules that may hold, by rank.
    fn look<'t>(&self, texts: &[Text<'t>]) -> (Vec<View<'t>>, Marks) {
        let mut ranks = Marks::of(self.ranks.len());
        self.index.start(&mut ranks);
        let mut shown = |view: &Normalise, text: &Text<'t>| {
            let normal = view.apply(text.text);
            let hints = self.index.look(&normal.text, &mut ranks);
            (normal, hints)
        };
        let views = self.views.iter().map(|view| View(texts.iter().map(|text| shown(view, text)).collect())).collect();
        (views, ranks)
    }

    /// The rule of a rank, its first pattern, and the texts as it sees them.
    fn at<'a, 't>(&self, rank: usize, views: &'a [View<'t>]) -> Option<(&Rule, usize, &'a View<'t>)> {
        let &(index, first) = self.ranks.get(rank)?;
        Some((self.pack.rules.get(index)?, first, views.get(*self.view_of.get(index)?)?))
    }

    /// What searches write to. Poisoned by a panic it would still be only room to write to.
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where a pattern of a rule is first found.
    fn find(&self, rule: &Rule, first: usize, pattern: usize, texts: &[Text<'_>], view: &View<'_>, memory: &mut Memory) -> Option<Hit> {
        let index = first + pattern;
        let made = self.patterns.get(index)?;
        texts.iter().zip(&view.0).enumerate().find_map(|(i, (text, (normal, hints)))| {
            if !rule.fields.contains(&text.field) || !self.index.may_match(hints, index) {
                return None;
            }
            let (start, end) = match hints.everywhere {
                true => made.find(&normal.text, memory),
                false => made.find_near(&normal.text, self.index.places(hints, index), memory),
            }?;
            Some(Hit { pattern, text: i, start, end })
        })
    }

    /// Where the patterns of a rule that holds stand, in the texts as it sees them: the first hit of `any`, and the first of each of
    /// `all`.
    fn hits(&self, rule: &Rule, first: usize, texts: &[Text<'_>], view: &View<'_>, memory: &mut Memory) -> Option<Vec<Hit>> {
        let mut find = |pattern: usize| self.find(rule, first, pattern, texts, view, memory);
        let (all, none) = (rule.any.len(), rule.any.len() + rule.all.len());
        let mut hits = Vec::with_capacity(1 + rule.all.len());
        if !rule.any.is_empty() {
            hits.push((0..all).find_map(&mut find)?);
        }
        for pattern in all..none {
            hits.push(find(pattern)?);
        }
        (none..none + rule.none.len()).all(|pattern| find(pattern).is_none()).then_some(hits)
    }

    /// What the groups of a rule that holds captured; nothing, where its texts want nothing.
    fn captured(&self, rule: &Rule, first: usize, hits: &[Hit], view: &View<'_>) -> Vec<(String, String)> {
        let mut captured = Vec::new();
        if rule.wanted_captures().next().is_none() {
            return captured;
        }
        for hit in hits {
            let shown = view.0.get(hit.text).map(|(normal, _)| &*normal.text);
            if let (Some(pattern), Some(text)) = (self.patterns.get(first + hit.pattern), shown) {
                captured.extend(pattern.captured(text, hit.start));
            }
        }
        captured
    }
}

impl View<'_> {
    /// The same hit in the text as it was given.
    fn origin(&self, hit: Hit) -> Hit {
        let (start, end) = self.0.get(hit.text).map_or((hit.start, hit.end), |(normal, _)| normal.origin(hit.start, hit.end));
        Hit { start, end, ..hit }
    }
}

fn parse(rule: &Rule, pattern: &Placed<String>) -> Result<regex_syntax::hir::Hir, PackError> {
    rule.normalise.parse(&pattern.it).map_err(|e| wrong(rule, pattern, &e))
}

fn wrong(rule: &Rule, pattern: &Placed<String>, error: &(dyn std::error::Error + 'static)) -> PackError {
    PackError::of(rule, pattern.line, format!("pattern `{}`: {}", cut(&pattern.it), last_line(error)))
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
            let said = |text: &str| RULES.best(&message(text)).map(|m| (m.rule.id.clone(), m.hits));
            // With a long s in the text no literal is trusted, and each pattern is searched for in all of it.
            let (short, long) = (said(&format!("{text} s")), said(&format!("{text} \u{17f}")));
            prop_assert_eq!(short, long);
        }
    }

    /// What the `regex` crate says of one rule: whether each pattern is found in a text that the rule looks at.
    fn natively(rule: &Rule, texts: &[Text<'_>]) -> bool {
        let found = |pattern: &Placed<String>| {
            let regex = natively_compiled(rule, &pattern.it);
            texts.iter().any(|text| rule.fields.contains(&text.field) && regex.is_match(&rule.normalise.apply(text.text).text))
        };
        (rule.any.is_empty() || rule.any.iter().any(found)) && rule.all.iter().all(found) && !rule.none.iter().any(found)
    }

    fn natively_compiled(rule: &Rule, pattern: &str) -> regex::Regex {
        let folds = rule.normalise.apply("A").text == "a";
        regex::RegexBuilder::new(pattern).case_insensitive(folds).build().unwrap()
    }

    fn pattern() -> impl Strategy<Value = String> {
        let part = prop_oneof![
            Just("error".to_owned()),
            Just("ECONN".to_owned()),
            Just("timeout".to_owned()),
            Just("[0-9]+".to_owned()),
            Just("a?".to_owned()),
            Just("\\b".to_owned()),
            Just("(?:time|out)".to_owned()),
            Just("[^e]".to_owned()),
            Just(".".to_owned()),
            Just(" ".to_owned()),
            Just("^".to_owned()),
            Just("$".to_owned()),
            Just("(x|error)".to_owned()),
            Just("k".to_owned()),
            Just("s{2}".to_owned()),
        ];
        (prop_oneof![Just(""), Just("(?i)"), Just("(?m)"), Just("(?s)")], proptest::collection::vec(part, 1..5))
            .prop_map(|(flags, parts)| format!("{flags}{}", parts.concat()))
    }

    proptest! {
        /// Every way in which a rule can be put together gives what the `regex` crate gives.
        #[test]
        fn rules_answer_as_the_regex_crate_does(
            any in proptest::collection::vec(pattern(), 0..3),
            all in proptest::collection::vec(pattern(), 0..3),
            none in proptest::collection::vec(pattern(), 0..2),
            fields in prop_oneof![Just("'message'"), Just("'code'"), Just("'message', 'stack'")],
            normalise in prop_oneof![Just(""), Just("'case'"), Just("'whitespace', 'quotes', 'escapes'")],
            message in "(error|ECONN|timeout|x|ss|K|\u{212a}|\u{17f}| |\n|7|time out){0,6}",
            code in "(error|ECONN|ETIMEOUT|[0-9]){0,2}",
        ) {
            prop_assume!(!any.is_empty() || !all.is_empty());
            let empty = |pattern: &String| regex_syntax::parse(pattern).unwrap().properties().minimum_len() == Some(0);
            prop_assume!(!any.iter().chain(&all).chain(&none).any(empty));
            let (any, all, none) = (format!("{any:?}"), format!("{all:?}"), format!("{none:?}"));
            let rules = rules(&format!("explain = 'e'\nany = {any}\nall = {all}\nnone = {none}\nin = [{fields}]\nnormalise = [{normalise}]"));
            let texts = [
                Text { field: Field::Message, step: None, text: &message },
                Text { field: Field::Code, step: None, text: &code },
            ];
            let best = rules.best(&texts);
            prop_assert_eq!(best.is_some(), natively(&rules.pack.rules[0], &texts));
            // And each hit is where the crate finds it first.
            for hit in best.iter().flat_map(|found| &found.hits) {
                let rule = &rules.pack.rules[0];
                let shown = rule.normalise.apply(texts[hit.text].text);
                let found = natively_compiled(rule, &rule.patterns().nth(hit.pattern).unwrap().it).find(&shown.text).unwrap();
                prop_assert_eq!((hit.start, hit.end), shown.origin(found.start(), found.end()));
            }
        }
    }

    proptest! {
        /// Rules that share their first literal, and so are told apart by a second one, answer as the `regex` crate does.
        #[test]
        fn a_crowd_answers_as_the_regex_crate_does(text in "(ledger|LEDGER|[0-9]{1,2}| is | was |sealed|shut|open|\u{17f}hut|e[0-9]| ){0,9}") {
            static RULES: std::sync::LazyLock<Rules> = std::sync::LazyLock::new(|| {
                let words = ["sealed", "shut", "open", "(?:sealed|shut)", "e[0-9]", "[^z]*open", "(?:sealed)?"];
                let rule = |i: usize| {
                    let flags = if i % 2 == 0 { "(?i)" } else { "" };
                    let pattern = format!("{flags}ledger [0-9]+ {} {}", ["is", "was"][i / 2 % 2], words[i % 7]);
                    let confidence = 0.1 + i as f64 / 100.0;
                    format!("[[rule]]\nid = 'r{i}'\nclassification = 'X'\nconfidence = {confidence}\nexplain = 'e'\nany = ['{pattern}']\n")
                };
                let head = HEAD.split("[[rule]]").next().unwrap();
                Rules::from_settings(&(0..28).fold(head.to_owned(), |pack, i| pack + &rule(i))).unwrap()
            });
            let texts = message(&text);
            let best = RULES.best(&texts).map(|found| found.rule.id.clone());
            let natively = RULES.pack.rules.iter().rev().find(|rule| natively(rule, &texts)).map(|rule| rule.id.clone());
            prop_assert_eq!(best, natively);
        }
    }

    const HEAD: &str =
        "schema = 1\nname = 'n'\nversion = '1.0.0'\nsummary = 's'\n[[rule]]\nid = 'a'\nclassification = 'X'\nconfidence = 0.5\n";

    fn rules(more: &str) -> Rules {
        Rules::from_settings(&format!("{HEAD}{more}")).unwrap()
    }

    #[test]
    fn any_all_none_and_in() {
        let rules = rules("explain = 'e'\nany = ['one', 'two']\nall = ['three']\nnone = ['four']\nin = ['message']");
        let spans = |text| rules.best(&message(text)).map(|m| m.hits.iter().map(|h| (h.text, h.start, h.end)).collect::<Vec<_>>());
        assert_eq!(spans("two three"), Some(vec![(0, 0, 3), (0, 4, 9)]));
        assert_eq!(spans("two"), None);
        assert_eq!(spans("three"), None);
        assert_eq!(spans("one three four"), None);
        let code = [Text { field: Field::Code, step: None, text: "one three" }];
        assert!(rules.best(&code).is_none());
    }

    #[test]
    fn what_was_captured_can_be_said() {
        let rules = rules(
            "explain = 'refund of {amount} for {who}'\nany = ['refund of (?<amount>[0-9.]+)( for (?<who>[a-z]+))?']\n[rule.attributes]\namount = '{amount}'",
        );
        let said = |text| rules.best(&message(text)).map(|m| m.rule.explain.fill(&m.captured)).unwrap();
        assert_eq!(said("a refund of 12.50 for ann!"), "refund of 12.50 for ann");
        assert_eq!(said("a refund of 7"), "refund of 7 for ?");
    }

    #[test]
    fn a_text_is_normalised_where_a_rule_wants_it() {
        let text = "Can\u{2019}t  reach";
        let plain = "explain = 'e'\nany = [\"can't (?<what>reach)\"]";
        assert!(rules(plain).best(&message(text)).is_none());
        let rules = rules(&format!("{plain}\nnormalise = ['whitespace', 'quotes', 'case']"));
        let hits = rules.best(&message(text)).unwrap().hits;
        assert_eq!(&text[hits[0].start..hits[0].end], text);
        let capitals = self::rules("explain = 'e'\nany = ['LIMIT_EXCEEDED']\nnormalise = ['case']");
        assert!(capitals.best(&message("Limit_Exceeded")).is_some(), "a pattern's letters are no more than the text's");
    }

    #[test]
    fn what_every_rule_came_to_agrees_with_the_best() {
        let rules = Rules::from_settings("").unwrap();
        for text in ["connect ECONNREFUSED after getaddrinfo ENOTFOUND", "status code 502: <!DOCTYPE html>", "nothing"] {
            let tried = rules.tried(&message(text));
            assert_eq!(tried.len(), rules.pack.rules.len());
            let first = tried.iter().find(|t| t.holds).map(|t| t.rule.id.as_str());
            assert_eq!(first, rules.best(&message(text)).map(|m| m.rule.id.as_str()), "{text}");
        }
        let texts = message("status code 502: <!DOCTYPE html>");
        let tried = rules.tried(&texts);
        let silent = tried.iter().find(|t| t.rule.id == "bad-response").unwrap();
        assert!(!silent.holds && silent.found[0].is_some() && silent.found[silent.rule.any.len()].is_some(), "{silent:?}");
    }
}
