//! What the page shows of a run, gathered as outcomes come: sums over all of them, and as many whole outcomes as a person would look at.
//! Pure.

use crate::model::{Classification, Outcome, Sighting, Status};
use crate::report::causes::Causes;
use crate::report::kinds::{Kind, end_of, kind_of};
use std::collections::BTreeMap;

/// How many outcomes are shown whole that are not as expected, and how many others.
const UNEXPECTED: usize = 400;
const OTHERS: usize = 100;
/// How many actions are told apart.
const ACTIONS: usize = 5_000;
/// Into how many parts the time of a run is divided at most.
const PARTS: usize = 240;

/// All of it.
#[derive(Default)]
pub(super) struct Gathered {
    pub(super) kinds: BTreeMap<Kind, usize>,
    /// How executions ended: `COMPLETED`, a classification, or a problem.
    pub(super) ends: BTreeMap<String, usize>,
    /// Outcomes by tenths of confidence.
    pub(super) confidence: [usize; 10],
    /// For two plugins: how often both spoke, and how often they said the same.
    pub(super) agreement: BTreeMap<(String, String), (usize, usize)>,
    pub(super) actions: BTreeMap<String, Took>,
    pub(super) course: Course,
    pub(super) causes: Causes,
    pub(super) shown: Vec<Outcome>,
    others: usize,
    unexpected: usize,
    pub(super) hidden: usize,
}

/// How long executions of an action took, in milliseconds.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Took {
    pub(super) count: usize,
    pub(super) sum: u64,
    pub(super) longest: u64,
}

impl Gathered {
    pub(super) fn add(&mut self, outcome: &Outcome) {
        let kind = kind_of(outcome);
        *self.kinds.entry(kind).or_default() += 1;
        *self.ends.entry(end(outcome)).or_default() += 1;
        if let Some(confidence) = outcome.confidence {
            // Truncated on purpose: 0.95 belongs to the last tenth, and so does 1.
            let tenth = ((confidence.get() * 10.0) as usize).min(9);
            self.confidence.iter_mut().skip(tenth).take(1).for_each(|count| *count += 1);
        }
        self.compare(outcome);
        if let Some(ms) = outcome.execution_duration_ms {
            let id = format!("{} {}", outcome.action_id, outcome.environment_id);
            if self.actions.len() < ACTIONS || self.actions.contains_key(&id) {
                let took = self.actions.entry(id).or_default();
                (took.count, took.sum, took.longest) = (took.count + 1, took.sum + ms, took.longest.max(ms));
            }
        }
        self.course.add(outcome);
        self.causes.count(outcome);
        let (count, most) = match kind {
            Kind::AsExpected => (&mut self.others, OTHERS),
            _ => (&mut self.unexpected, UNEXPECTED),
        };
        if *count < most {
            *count += 1;
            self.shown.push(outcome.clone());
        } else {
            self.hidden += 1;
        }
    }

    fn compare(&mut self, outcome: &Outcome) {
        for (i, a) in outcome.verdicts.iter().enumerate() {
            for b in outcome.verdicts.iter().skip(i + 1).filter(|b| b.plugin != a.plugin) {
                let pair = if a.plugin < b.plugin { (a.plugin.clone(), b.plugin.clone()) } else { (b.plugin.clone(), a.plugin.clone()) };
                let (both, same) = self.agreement.entry(pair).or_default();
                *both += 1;
                *same += usize::from(a.classification == b.classification);
            }
        }
    }
}

/// How an execution ended, in a word.
pub(super) fn end(outcome: &Outcome) -> String {
    end_of(outcome).unwrap_or_else(|| "no status".to_owned())
}

/// What kind of end that is, for its colour; the word stands beside it.
pub(super) fn class_of(end: &str) -> &'static str {
    match end {
        Status::COMPLETED => "good",
        Classification::EXTERNAL => "external",
        Classification::INTERNAL => "internal",
        Classification::UNKNOWN => "unknown",
        _ if end.starts_with("not finished") => "problem",
        _ => "own",
    }
}

/// How many sessions were in which state, over the time of a run: so many milliseconds of sessions in each part of it.
#[derive(Debug, Default)]
pub(super) struct Course {
    width: u64,
    pub(super) parts: Vec<Part>,
}

/// One part of the time.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Part {
    pub(super) queued: u64,
    pub(super) running: u64,
    pub(super) throttled: u64,
    pub(super) polls: u64,
}

impl Course {
    /// How long a part is, in milliseconds.
    pub(super) fn width(&self) -> u64 {
        self.width.max(1)
    }

    fn add(&mut self, outcome: &Outcome) {
        let line = &outcome.timeline;
        if line.ended == 0 {
            return;
        }
        self.reach(line.ended);
        let submitted = line.submitted.unwrap_or(line.ended);
        self.over(line.begun, submitted, |part| &mut part.queued);
        let (throttled, running) = phases(outcome);
        throttled.iter().for_each(|(from, to)| self.over(*from, *to, |part| &mut part.throttled));
        running.iter().for_each(|(from, to)| self.over(*from, *to, |part| &mut part.running));
        for (at, _) in &line.polls {
            let at = usize::try_from(at / self.width()).unwrap_or_default();
            self.parts.iter_mut().skip(at).take(1).for_each(|part| part.polls += 1);
        }
    }

    /// Makes room for a time; where there would be too many parts, two become one.
    fn reach(&mut self, at: u64) {
        while at / self.width() >= PARTS as u64 {
            self.width = self.width() * 2;
            let sum = |pair: &[Part]| {
                pair.iter().fold(Part::default(), |a, b| Part {
                    queued: a.queued + b.queued,
                    running: a.running + b.running,
                    throttled: a.throttled + b.throttled,
                    polls: a.polls + b.polls,
                })
            };
            self.parts = self.parts.chunks(2).map(sum).collect();
        }
        let needed = usize::try_from(at / self.width()).unwrap_or_default() + 1;
        if self.parts.len() < needed {
            self.parts.resize(needed, Part::default());
        }
    }

    fn over(&mut self, from: u64, to: u64, of: impl Fn(&mut Part) -> &mut u64) {
        let width = self.width();
        let first = usize::try_from(from / width).unwrap_or_default();
        for (i, part) in self.parts.iter_mut().enumerate().skip(first) {
            let start = i as u64 * width;
            if start >= to {
                break;
            }
            *of(part) += to.min(start + width) - from.max(start);
        }
    }
}

/// From when to when, in milliseconds since the run began.
type Span = (u64, u64);

/// When a session was throttled and when it ran, in milliseconds since the run began.
pub(super) fn phases(outcome: &Outcome) -> (Vec<Span>, Vec<Span>) {
    let line = &outcome.timeline;
    let (mut throttled, mut running) = (Vec::new(), Vec::new());
    let Some(mut since) = line.submitted else { return (throttled, running) };
    let mut waits = false;
    for (at, seen) in &line.polls {
        let is_throttled = *seen == Sighting::Throttled;
        if is_throttled != waits {
            if waits { &mut throttled } else { &mut running }.push((since, *at));
            (since, waits) = (*at, is_throttled);
        }
    }
    if waits { &mut throttled } else { &mut running }.push((since, line.ended));
    (throttled, running)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Environment, Timeline};

    fn outcome(timeline: Timeline) -> Outcome {
        let outcome = Outcome::of("v".into(), "a1b2c3d4-e5f6-7890-abcd-ef1234567890".parse().unwrap(), Environment::Test);
        Outcome { timeline, ..outcome }
    }

    #[test]
    fn every_millisecond_of_a_session_is_in_one_state() {
        let polls = vec![
            (150, Sighting::Running("R".into())),
            (200, Sighting::Throttled),
            (300, Sighting::Running("R".into())),
            (90_000, Sighting::Ended),
        ];
        let one = outcome(Timeline { begun: 10, submitted: Some(100), polls, ended: 90_000 });
        assert_eq!(phases(&one), (vec![(200, 300)], vec![(100, 200), (300, 90_000)]));
        let mut course = Course::default();
        course.add(&one);
        course.add(&outcome(Timeline { begun: 0, submitted: None, polls: vec![], ended: 500 }));
        let sum = |of: fn(&Part) -> u64| course.parts.iter().map(of).sum::<u64>();
        assert_eq!((sum(|p| p.queued), sum(|p| p.running), sum(|p| p.throttled), sum(|p| p.polls)), (590, 89_800, 100, 4));
        assert!(course.parts.len() <= PARTS);
    }
}
