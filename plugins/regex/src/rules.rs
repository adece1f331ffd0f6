//! A pack made ready to run: one pass over each text finds which patterns may match, then rules are tried in the order of their
//! places until none can win any more. It knows texts and where they stand, not traces.

use crate::hints::{Index, Marks};
use crate::literals;
use crate::normal::Normalise;
use crate::pack::{Field, Pack, PackError, Placed, Rule, cut, last_line};
use crate::pattern::{Memory, Pattern};
use crate::reading::Reading;
use crate::settings::Bundle;
use crate::sight::{Seen, View, lens, reads_as_said};
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
    /// Another rule that holds and would have said another classification.
    pub beaten: Option<&'r Rule>,
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
    /// Its place, by where it was found, where it holds.
    pub place: f64,
}

/// A pack with its patterns compiled. Linear time: no pattern can backtrack.
#[derive(Debug)]
pub struct Rules {
    pack: Pack,
    /// All patterns, rule by rule: `any`, then `all`, then `none`.
    patterns: Vec<Pattern>,
    /// Each rule's index and that of its first pattern; the rule with the highest place first, the earlier of equals first.
    ranks: Vec<(usize, usize)>,
    /// The ways in which rules have their texts changed, and by its index each rule's own.
    views: Vec<Normalise>,
    view_of: Vec<usize>,
    /// Whether any rule asks how a text is to be read.
    reads: bool,
    /// What each pattern needs.
    index: Index,
    /// What searches write to.
    memory: Mutex<Memory>,
}

/// How many rules that cannot win are still tried, to tell what else could have been said.
const ALTERNATIVES: usize = 6;
/// How many hits of a pattern in frames or quotations are passed over in search of one that counts: a text may be full of them.
const TRIES: usize = 64;
/// How much a hit counts more for each step that it lies deeper in the chain of causes.
const DEPTH: i32 = 12;

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
        let place = |(i, _): &(usize, usize)| pack.rules.get(*i).map_or(0.0, Rule::place);
        // A stable sort: of equals the earlier stays first.
        ranks.sort_by(|a, b| place(b).total_cmp(&place(a)));
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
        let reads = pack.rules.iter().any(|rule| reads_as_said(rule) || rule.fields.contains(&Field::Frames));
        Ok(Self { patterns: compiled, reads, pack, ranks, views, view_of, index, memory: Mutex::default() })
    }

    /// Runs examples bare, and one of each rule as runtimes print it with a stack: what the regex engine builds on first use is then
    /// there for the first trace. Where the host takes a snapshot after `configure`, it is there for every trace.
    pub fn warm(&self) {
        let rules = || self.pack.rules.iter().take(WARMED);
        let bare = rules().flat_map(|rule| &rule.matches).cloned();
        let with_stack = |stack: &'static str| rules().filter_map(|r| r.matches.first()).map(move |text| stack.replace('%', text));
        for text in bare.chain(STACKS.into_iter().flat_map(with_stack)) {
            let _ = self.best(&[Text { field: Field::Message, step: None, text: &text }]);
        }
    }

    /// The pack that runs.
    #[must_use]
    pub fn pack(&self) -> &Pack {
        &self.pack
    }

    /// The rule that speaks for `texts`: of those that match the one with the highest place, where a hit counts more the nearer it is
    /// to the root of the failure; the earlier one of equals.
    #[must_use]
    pub fn best(&self, texts: &[Text<'_>]) -> Option<Match<'_>> {
        let (views, ranks) = self.look(texts);
        let mut memory = self.memory();
        let deepest = views.iter().map(View::deepest).max().unwrap_or_default().max(0);
        let mut best: Option<(f64, Holding<'_, '_, '_>)> = None;
        let mut beaten: Option<&Rule> = None;
        let mut looked = 0;
        for rank in ranks.iter() {
            let Some((rule, first, view)) = self.at(rank, &views) else { continue };
            let most = best.as_ref().map_or(f64::NEG_INFINITY, |(most, _)| *most);
            // What comes now can win no more; what else could have been said is of interest where rules weigh readings.
            if most >= rule.place() + f64::from(deepest * DEPTH) {
                looked += 1;
                if beaten.is_some() || !self.reads || looked > ALTERNATIVES {
                    break;
                }
            }
            let Some((hits, depth)) = self.hits(rule, first, view, &mut memory) else { continue };
            let place = rule.place() + f64::from(depth * DEPTH);
            let other = best.as_ref().map(|(_, best)| best.rule).filter(|best| best.classification != rule.classification);
            if place > most {
                beaten = other.or(beaten);
                best = Some((place, Holding { rule, first, view, hits }));
            } else if other.is_some() {
                beaten = beaten.or(Some(rule));
            }
        }
        let (_, Holding { rule, first, view, hits }) = best?;
        Some(Match {
            rule,
            captured: self.captured(rule, first, &hits, view),
            hits: hits.iter().map(|hit| view.origin(*hit)).collect(),
            beaten,
        })
    }

    /// What becomes of every rule, the one with the highest place first: which of its patterns are found, and whether it holds. Slower
    /// than [`Rules::best`].
    #[must_use]
    pub fn tried(&self, texts: &[Text<'_>]) -> Vec<Tried<'_>> {
        let (views, _) = self.look(texts);
        let mut memory = self.memory();
        let tried = (0..self.ranks.len()).filter_map(|rank| {
            let (rule, first, view) = self.at(rank, &views)?;
            let found = (0..rule.patterns().count()).map(|pattern| self.find(rule, first, pattern, view, &mut memory));
            let found: Vec<_> = found.map(|hit| hit.map(|(hit, _)| view.origin(hit))).collect();
            let hits = self.hits(rule, first, view, &mut memory);
            let captured = hits.as_ref().map(|(hits, _)| self.captured(rule, first, hits, view)).unwrap_or_default();
            let depth = hits.as_ref().map_or(0, |(_, depth)| *depth);
            Some(Tried { rule, holds: hits.is_some(), found, captured, place: rule.place() + f64::from(depth * DEPTH) })
        });
        tried.collect()
    }

    /// The texts as each view shows them, and the rules that may hold, by rank.
    fn look<'t>(&self, texts: &[Text<'t>]) -> (Vec<View<'t>>, Marks) {
        let mut ranks = Marks::of(self.ranks.len());
        self.index.start(&mut ranks);
        let mut seen = |view: &Normalise, text: &Text<'t>| {
            let normal = view.apply(text.text);
            let hints = self.index.look(&normal.text, &mut ranks);
            let is_read = self.reads && matches!(text.field, Field::Message | Field::Stack);
            Seen { field: text.field, reading: is_read.then(|| Reading::of(&normal.text)), normal, hints }
        };
        let views = self.views.iter().map(|view| {
            let seen = texts.iter().map(|text| seen(view, text)).collect();
            View::new(texts, seen, self.index.no_patterns())
        });
        let views = views.collect();
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

    /// Where a pattern of a rule is found: the first hit of the deepest.
    fn find(&self, rule: &Rule, first: usize, pattern: usize, view: &View<'_>, memory: &mut Memory) -> Option<(Hit, i32)> {
        let index = first + pattern;
        let made = self.patterns.get(index)?;
        view.scopes(rule).iter().find_map(|scope| {
            let seen = view.texts.get(scope.text)?;
            let lens = lens(rule, seen.field)?;
            if !self.index.may_match(&seen.hints, index) {
                return None;
            }
            let (mut from, end) = scope.range;
            for _ in 0..TRIES {
                if from >= end {
                    break;
                }
                let (text, range) = (&*seen.normal.text, (from, end));
                let (start, end) = match seen.hints.everywhere {
                    true => made.find(text, range, memory),
                    false => made.find_near(text, range, self.index.places(&seen.hints, index), memory),
                }?;
                match seen.reading.as_ref().map_or(Ok(()), |reading| reading.admits(lens, &(start..end))) {
                    Ok(()) => return Some((Hit { pattern, text: scope.text, start, end }, scope.depth)),
                    Err(next) => from = (next.max(start + 1)..text.len()).find(|at| text.is_char_boundary(*at))?,
                }
            }
            None
        })
    }

    /// Where the patterns of a rule that holds stand, in the texts as it sees them: the deepest hit of `any`, and of each of `all`; and
    /// how deep the first of them lies.
    fn hits(&self, rule: &Rule, first: usize, view: &View<'_>, memory: &mut Memory) -> Option<(Vec<Hit>, i32)> {
        let mut find = |pattern: usize| self.find(rule, first, pattern, view, memory);
        let (all, none) = (rule.any.len(), rule.any.len() + rule.all.len());
        let deepest = view.scopes(rule).first().map_or(0, |scope| scope.depth);
        let mut found: Vec<(Hit, i32)> = Vec::with_capacity(1 + rule.all.len());
        if !rule.any.is_empty() {
            let mut best: Option<(Hit, i32)> = None;
            for pattern in view.possible.within(first..first + all).map(|pattern| pattern - first) {
                if let Some(hit) = find(pattern).filter(|(_, depth)| best.is_none_or(|(_, known)| *depth > known)) {
                    best = Some(hit);
                    if hit.1 == deepest {
                        break;
                    }
                }
            }
            found.push(best?);
        }
        for pattern in all..none {
            found.push(find(pattern)?);
        }
        let mut forbidden = view.possible.within(first + none..first + none + rule.none.len());
        let holds = forbidden.all(|pattern| find(pattern - first).is_none());
        let depth = found.first().map_or(0, |(_, depth)| *depth);
        holds.then(|| (found.into_iter().map(|(hit, _)| hit).collect(), depth))
    }

    /// What the groups of a rule that holds captured; nothing, where its texts want nothing.
    fn captured(&self, rule: &Rule, first: usize, hits: &[Hit], view: &View<'_>) -> Vec<(String, String)> {
        let mut captured = Vec::new();
        if rule.wanted_captures().next().is_none() {
            return captured;
        }
        for hit in hits {
            let shown = view.texts.get(hit.text).map(|seen| &*seen.normal.text);
            if let (Some(pattern), Some(text)) = (self.patterns.get(first + hit.pattern), shown) {
                captured.extend(pattern.captured(text, (hit.start, hit.end)));
            }
        }
        captured
    }
}

/// A rule that holds.
struct Holding<'r, 'v, 't> {
    rule: &'r Rule,
    first: usize,
    view: &'v View<'t>,
    hits: Vec<Hit>,
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
        let mut wrong = Vec::new();
        for rule in &rules.pack.rules {
            let alone = Rules::new(Pack { rules: vec![rule.clone()], ..rules.pack.clone() }).unwrap();
            for text in &rule.matches {
                if alone.best(&message(text)).is_none() {
                    wrong.push(format!("{} should match {text:?}", rule.id));
                } else if let Some(best) = rules.best(&message(text)).filter(|best| best.rule.id != rule.id) {
                    wrong.push(format!("{} speaks for {text:?}, not {}", best.rule.id, rule.id));
                }
            }
            let matched = rule.rejects.iter().filter(|text| alone.best(&message(text)).is_some());
            wrong.extend(matched.map(|text| format!("{} should not match {text:?}", rule.id)));
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn ordinary_words_match_nothing() {
        let rules = Rules::from_settings("").unwrap();
        for text in ["Something went wrong", "Error: failed", "Error: null", "exit code 1", "", "order 503 was shipped to 404 Main St"] {
            let said = rules.best(&message(text)).map(|m| m.rule);
            assert!(said.is_none_or(|rule| rule.classification == "UNKNOWN"), "{text:?}: {:?}", said.map(|rule| &rule.id));
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
        for text in ["connect ECONNREFUSED after getaddrinfo ENOTFOUND", "status code 502: <!DOCTYPE html>", "the weather is fine"] {
            let tried = rules.tried(&message(text));
            assert_eq!(tried.len(), rules.pack.rules.len());
            let best = rules.best(&message(text)).map(|m| m.rule.id.as_str());
            let first = tried.iter().find(|t| t.holds).map(|t| t.rule.id.as_str());
            assert_eq!(first, best, "{text}: in a text without causes the first that holds speaks");
        }
        let texts = message("HTTP 500: deadlock detected");
        let tried = rules.tried(&texts);
        let silent = tried.iter().find(|t| t.rule.id == "database-concurrency").unwrap();
        let found = |range: std::ops::Range<usize>| silent.found[range].iter().any(Option::is_some);
        let any = silent.rule.any.len();
        assert!(!silent.holds && found(0..any) && found(any..silent.found.len()), "{silent:?}");
    }

    #[test]
    fn the_deeper_cause_speaks_and_what_was_beaten_is_known() {
        let rules = rules(
            "explain = 'e'\nany = ['wrapper']\nin = ['error']\n[[rule]]\nid = 'b'\nclassification = 'Y'\nconfidence = 0.4\nexplain = 'e'\nany = ['cause']\nin = ['error']",
        );
        let said = |text: &str| rules.best(&message(text)).map(|m| (m.rule.id.clone(), m.beaten.map(|rule| rule.id.clone())));
        let told = |own: &str, beaten: Option<&str>| Some((own.to_owned(), beaten.map(str::to_owned)));
        assert_eq!(said("wrapper of a cause"), told("a", Some("b")));
        assert_eq!(said("a wrapper. Caused by: the cause"), told("b", Some("a")));
        assert_eq!(said("a wrapper\n    at cause (a.js:1:2)"), told("a", None));
        assert_eq!(said("wrapper of value 'cause'"), told("a", None));
    }

    #[test]
    fn a_rank_gives_another_place_than_the_confidence() {
        let rules = rules(
            "explain = 'e'\nany = ['x']\n[[rule]]\nid = 'b'\nclassification = 'Y'\nconfidence = 0.1\nrank = 90\nexplain = 'e'\nany = ['x']",
        );
        assert_eq!(rules.best(&message("x")).map(|m| m.rule.id.as_str()), Some("b"));
    }
}
