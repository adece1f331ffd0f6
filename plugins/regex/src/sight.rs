//! The texts as the rules of one view see them, and where in them each rule looks. It knows texts and readings, not patterns.

use crate::hints::{Hints, Index, Marks};
use crate::normal::Normal;
use crate::pack::{Field, Rule};
use crate::reading::{Lens, Reading};
use crate::rules::{Hit, Text};

/// Texts as the rules of one view see them.
pub struct View<'a> {
    /// The texts.
    pub texts: Vec<Seen<'a>>,
    /// Where rules look that are for texts as they are: each as a whole.
    whole: Vec<Scope>,
    /// Where rules look that are for what is said: the deepest first.
    said: Vec<Scope>,
    /// The patterns that may match any of the texts.
    pub possible: Marks,
}

/// A text as the rules of one view see it.
pub struct Seen<'a> {
    /// Which field of an error or step it is.
    pub field: Field,
    /// As it is changed before rules look at it.
    pub normal: Normal<'a>,
    /// Which patterns may match it.
    pub hints: Hints,
    /// How it is read, where any rule asks for that.
    pub reading: Option<Reading>,
}

/// A stretch of a text.
pub struct Scope {
    /// Index of the text.
    pub text: usize,
    /// From where to where, in bytes.
    pub range: (usize, usize),
    /// How deep it lies in the chain of causes.
    pub depth: i32,
}

impl<'a> View<'a> {
    /// The texts, with the patterns that may match each.
    pub fn new(texts: &[Text<'_>], seen: Vec<Seen<'a>>, mut possible: Marks) -> Self {
        seen.iter().for_each(|seen| Index::add_possible(&seen.hints, &mut possible));
        // What the execution as a whole ended with may be the clean-up's: the failing step's own words count more.
        let step_speaks = texts.iter().any(|text| text.step.is_some() && text.field == Field::Message);
        let (mut whole, mut said) = (Vec::with_capacity(seen.len()), Vec::with_capacity(seen.len()));
        for (text, seen) in seen.iter().enumerate() {
            let all = (0, seen.normal.text.len());
            whole.push(Scope { text, range: all, depth: 0 });
            let base = i32::from(step_speaks && texts.get(text).is_some_and(|text| text.step.is_none()));
            match &seen.reading {
                Some(reading) => said.extend(reading.scopes().into_iter().map(|(range, depth)| Scope {
                    text,
                    range: (range.start, range.end),
                    depth: depth - base,
                })),
                None => said.push(Scope { text, range: all, depth: -base }),
            }
        }
        said.sort_by_key(|scope| -scope.depth);
        Self { texts: seen, whole, said, possible }
    }

    /// How deep in the chain of causes anything lies.
    pub fn deepest(&self) -> i32 {
        self.said.first().map_or(0, |scope| scope.depth)
    }

    /// Where a rule looks.
    pub fn scopes(&self, rule: &Rule) -> &[Scope] {
        if reads_as_said(rule) { &self.said } else { &self.whole }
    }

    /// The same hit in the text as it was given.
    pub fn origin(&self, hit: Hit) -> Hit {
        let (start, end) = self.texts.get(hit.text).map_or((hit.start, hit.end), |seen| seen.normal.origin(hit.start, hit.end));
        Hit { start, end, ..hit }
    }
}

/// How a rule looks at a field; not at all, where it is not for it.
pub fn lens(rule: &Rule, field: Field) -> Option<Lens> {
    let has = |field| rule.fields.contains(&field);
    if has(field) {
        return Some(Lens::Whole);
    }
    let lenses = [(Field::Quoted, Lens::Quoted), (Field::Error, Lens::Said), (Field::Frames, Lens::Frames)];
    let is_read = matches!(field, Field::Message | Field::Stack);
    lenses.into_iter().find(|(field, _)| is_read && has(*field)).map(|(_, lens)| lens)
}

/// Whether a rule looks at what is said only.
pub fn reads_as_said(rule: &Rule) -> bool {
    rule.fields.iter().any(|field| matches!(field, Field::Error | Field::Quoted))
}
