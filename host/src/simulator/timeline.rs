//! How an execution goes: how long it is queued and runs, and what it ends with. PURE but for chance, which is handed in.

use super::scenario::{Limits, Scenario, Span};
use serde_json::{Value, json};
use std::time::Duration;

/// The course of one execution.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Timeline {
    /// How long until it has ended; a third of it is spent in the queue.
    pub(super) takes: Duration,
    /// What it ends with; none where it never ends.
    pub(super) answer: Option<Value>,
}

impl Timeline {
    pub(super) fn of(scenario: &Scenario, limits: &Limits, random: &mut fastrand::Rng) -> Self {
        let takes = match scenario.running_ms {
            Span::Of(ms) => ms,
            Span::Between(from, to) => random.u64(from.min(to)..=from.max(to)),
        };
        if scenario.steps_ms.is_empty() {
            return Self { takes: Duration::from_millis(takes), answer: scenario.answer.clone() };
        }
        let ceiling = limits.step_ceiling_ms;
        let takes = Duration::from_millis(scenario.steps_ms.iter().map(|ms| (*ms).min(ceiling)).sum());
        match scenario.steps_ms.iter().position(|ms| *ms > ceiling) {
            None => Self { takes, answer: scenario.answer.clone() },
            Some(step) => {
                let takes = scenario.steps_ms.iter().take(step).sum::<u64>() + ceiling;
                Self { takes: Duration::from_millis(takes), answer: scenario.answer.as_ref().map(|answer| ended_at(answer, step, ceiling)) }
            }
        }
    }

    /// Whether it has ended so long after the submit.
    pub(super) fn ended(&self, elapsed: Duration) -> bool {
        self.answer.is_some() && elapsed >= self.takes
    }

    /// The answer to a poll so long after the submit.
    pub(super) fn seen(&self, elapsed: Duration) -> Value {
        match &self.answer {
            Some(answer) if self.ended(elapsed) => answer.clone(),
            _ if elapsed < self.takes / 3 => json!({"status": "QUEUED"}),
            _ => json!({"status": "RUNNING"}),
        }
    }
}

/// The answer of an execution that the platform ended at a step.
fn ended_at(answer: &Value, step: usize, ceiling_ms: u64) -> Value {
    let message = format!("the step was ended after {ceiling_ms} ms");
    let error = json!({"message": message, "code": "STEP_TIMEOUT"});
    let mut steps: Vec<Value> = answer.get("trace").and_then(Value::as_array).cloned().unwrap_or_default();
    steps.truncate(step + 1);
    if let Some(Value::Object(last)) = steps.get_mut(step) {
        last.remove("output");
        last.insert("error".to_owned(), error.clone());
    }
    json!({"status": "FAILED", "result": {"error": error}, "trace": steps})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeline(scenario: &Value) -> Timeline {
        let mut whole = json!({"name": "a", "dataActionId": "a1b2c3d4-e5f6-7890-abcd-ef1234567890", "answer": {"status": "COMPLETED", "trace": [{"stepId": "1", "output": 1}, {"stepId": "2", "output": 2}, {"stepId": "3"}]}});
        whole.as_object_mut().unwrap().extend(scenario.as_object().unwrap().clone());
        Timeline::of(&serde_json::from_value(whole).unwrap(), &Limits::default(), &mut fastrand::Rng::with_seed(1))
    }

    #[test]
    fn an_execution_is_queued_then_runs_then_is_done() {
        let timeline = timeline(&json!({"runningMs": 300}));
        let seen = |ms| timeline.seen(Duration::from_millis(ms))["status"].clone();
        assert_eq!(
            (seen(0), seen(99), seen(100), seen(299), seen(300)),
            (json!("QUEUED"), json!("QUEUED"), json!("RUNNING"), json!("RUNNING"), json!("COMPLETED"))
        );
    }

    #[test]
    fn a_step_over_the_ceiling_ends_the_execution() {
        let over = timeline(&json!({"stepsMs": [1_000, 40_000, 1_000]}));
        let answer = over.answer.unwrap();
        assert_eq!((over.takes, answer["status"].as_str()), (Duration::from_secs(31), Some("FAILED")));
        assert_eq!(
            answer["trace"],
            json!([{"stepId": "1", "output": 1}, {"stepId": "2", "error": {"message": "the step was ended after 30000 ms", "code": "STEP_TIMEOUT"}}])
        );
        let under = timeline(&json!({"stepsMs": [1_000, 30_000, 1_000]}));
        assert_eq!((under.takes, under.answer.unwrap()["status"].as_str()), (Duration::from_secs(32), Some("COMPLETED")));
    }

    #[test]
    fn a_duration_is_drawn_from_its_span() {
        let takes = timeline(&json!({"runningMs": [100, 200]})).takes;
        assert!(takes >= Duration::from_millis(100) && takes <= Duration::from_millis(200));
        assert_eq!(takes, timeline(&json!({"runningMs": [100, 200]})).takes, "the same seed draws the same");
    }
}
