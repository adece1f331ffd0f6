//! Sessions that nobody could classify, to learn from: grouped by the shape of their error, each group with a rule proposed, for a
//! person to make sense of.

use super::shape::{Piece, id, pattern, shape, shown};
use crate::model::Trace;
use std::collections::{BTreeMap, BTreeSet};
use tracejury_regex::pack::Field;
use tracejury_regex::rules::{Rules, Text};

/// Sessions whose errors have one shape.
#[derive(Debug)]
pub struct Group {
    /// The shape, for people.
    pub shape: String,
    /// How many there are.
    pub count: usize,
    /// Some of their errors.
    pub examples: Vec<String>,
    pieces: Vec<Piece>,
}

/// How many examples a group keeps.
const EXAMPLES: usize = 3;

/// Groups traces by the shape of the error that speaks for them, the largest group first.
#[must_use]
pub fn groups<'a>(traces: impl IntoIterator<Item = &'a Trace>) -> Vec<Group> {
    let mut groups: BTreeMap<Vec<Piece>, Group> = BTreeMap::new();
    for trace in traces {
        let message = trace.fault().map_or("", |fault| fault.message.as_str());
        let pieces = shape(message);
        let new = || Group { shape: shown(&pieces), count: 0, examples: Vec::new(), pieces: pieces.clone() };
        let group = groups.entry(pieces.clone()).or_insert_with(new);
        group.count += 1;
        let line = message.trim().lines().next().unwrap_or_default().to_owned();
        if group.examples.len() < EXAMPLES && !group.examples.contains(&line) {
            group.examples.push(line);
        }
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    groups.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.shape.cmp(&b.shape)));
    groups
}

/// A rule for a group, to be edited: what it means is for a person to say. Its id is none of those that are taken, and is taken then.
#[must_use]
pub fn proposal(group: &Group, taken: &mut BTreeSet<String>) -> Option<String> {
    if !group.pieces.iter().any(|piece| matches!(piece, Piece::Words(words) if words.chars().filter(|c| c.is_alphabetic()).count() > 3)) {
        return None;
    }
    let base = id(&group.pieces);
    let numbered = (2..).map(|i| format!("{base}-{i}"));
    let own = std::iter::once(base.clone()).chain(numbered).find(|id| taken.insert(id.clone())).unwrap_or(base.clone());
    let text = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let list = group.examples.iter().map(|example| text(example)).collect::<Vec<_>>().join(", ");
    Some(format!(
        "# {} of {}\n[[rule]]\nid = {}\nclassification = \"UNKNOWN\"  # EXTERNAL_DEPENDENCY_OUTAGE or INTERNAL_LOGIC_FAULT?\n\
         # reason = \"\"\nconfidence = 0.8\nexplain = \"\"  # why this text means that\nany = [{}]\nmatches = [{list}]\nrejects = []\n",
        group.count,
        group.shape,
        text(&own),
        text(&pattern(&group.pieces)),
    ))
}

/// How many of these traces a proposed rule would match: of executions that went well it should match none. None where that cannot be
/// told.
#[must_use]
pub fn matched<'a>(proposal: &str, traces: impl IntoIterator<Item = &'a Trace>) -> Option<usize> {
    // What it says is for a person to fill in; what it matches is there.
    let pack = format!("schema = 1\nname = 'proposal'\nversion = '0.0.0'\nsummary = ''\n{proposal}");
    let rules = Rules::from_settings(&pack).ok()?;
    let hit = |trace: &&Trace| {
        let faults = trace.error.iter().chain(trace.steps.iter().filter_map(|step| step.error.as_ref()));
        let texts = faults.flat_map(|fault| std::iter::once(&fault.message).chain(&fault.stack));
        let texts = texts.chain(trace.steps.iter().filter_map(|step| step.output.as_ref()));
        let texts: Vec<_> = texts.map(|text| Text { field: Field::Message, step: None, text }).collect();
        rules.best(&texts).is_some()
    };
    Some(traces.into_iter().filter(hit).count())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Fault, Step};

    fn trace(message: &str) -> Trace {
        let error = Some(Fault { message: message.into(), ..Fault::default() });
        Trace::made_up(vec![Step { id: "a".into(), input: Some("4111".into()), error, ..Step::default() }])
    }

    #[test]
    fn errors_of_one_shape_are_one_group_with_a_rule_that_holds() {
        let traces: Vec<_> = ["ledger 17 is sealed", "ledger 18 is sealed", "odd"].map(trace).into();
        let groups = groups(&traces);
        assert_eq!((groups[0].count, groups[0].shape.as_str(), groups.len()), (2, "ledger ⟨number⟩ is sealed", 2));
        let mut taken = BTreeSet::new();
        let rule = proposal(&groups[0], &mut taken).unwrap();
        let pack = format!("schema = 1\nname = 'n'\nversion = '1.0.0'\nsummary = 's'\n{rule}");
        let rules = tracejury_regex::pack::parse(&pack).unwrap().rules;
        assert_eq!((rules[0].id.as_str(), rules[0].matches.len()), ("ledger-sealed", 2));
        assert!(proposal(&groups[1], &mut taken).is_none(), "three letters are no rule");
        assert!(proposal(&groups[0], &mut taken).unwrap().contains("id = \"ledger-sealed-2\""));
        let success = Trace { status: crate::model::Status("COMPLETED".into()), ..trace("ledger 9 is sealed again") };
        assert_eq!((matched(&rule, [&success]), matched(&rule, [&trace("odd")])), (Some(1), Some(0)));
    }
}
