//! What a plugin's confidences are worth: a line that leads from what it said to how often that was right. Pure. It knows numbers and
//! plugins' names, not where outcomes and labels come from.
//!
//! The line is that of Platt (Probabilistic outputs for support vector machines, 1999) on log-odds: right = σ(slope · logit(said) +
//! intercept), fitted by Newton's method with a prior that pulls towards slope 1 and intercept 0, so that a handful of labels change
//! little. Isotonic regression would follow the data more closely, and with the few labels that teams have follow their noise.

use crate::model::Confidence;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of the format.
const SCHEMA: u32 = 1;
/// Said confidences are kept this far from 0 and 1: log-odds have no end there. It is what a thousand labels could tell at best.
const EDGE: f64 = 0.001;
/// How much the prior counts: as if so many labels had been seen that agree with what the plugin says.
const PRIOR: f64 = 2.0;
const STEPS: usize = 50;
const HALVINGS: usize = 30;

/// How plugins are calibrated, by their names; as the file `calibration.toml` has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// The version of this format; 1.
    pub schema: u32,
    /// Each plugin's line.
    #[serde(default, rename = "plugin")]
    pub plugins: BTreeMap<String, Line>,
}

/// How one plugin is calibrated.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// How many labelled verdicts it was fitted to.
    pub labels: usize,
    /// The share of them that was right.
    pub right: f64,
    /// What the plugin said on average.
    pub said: f64,
    /// How much the plugin's log-odds count; never below 0, so that surer stays surer.
    pub slope: f64,
    /// What is added to them.
    pub intercept: f64,
}

/// A labelled verdict: what the plugin said, and whether it was right.
pub type Labelled = (Confidence, bool);

impl Default for Calibration {
    fn default() -> Self {
        Self { schema: SCHEMA, plugins: BTreeMap::new() }
    }
}

impl Calibration {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// The line, and what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let read: Self = toml::from_str(text).map_err(|e| {
            let line = e.span().map_or(1, |span| text.get(..span.start).unwrap_or(text).matches('\n').count() + 1);
            format!("{line}: {}", e.message().replace('\n', " "))
        })?;
        if read.schema != SCHEMA {
            return Err(format!("1: schema: {} is not known, this version reads {SCHEMA}", read.schema));
        }
        match read.plugins.iter().find(|(_, line)| !(line.slope >= 0.0 && line.slope.is_finite() && line.intercept.is_finite())) {
            Some((name, _)) => Err(format!("1: plugin.{name}: slope and intercept must be numbers, the slope not below 0")),
            None => Ok(read),
        }
    }

    /// Fits a line to each plugin's labelled verdicts.
    #[must_use]
    pub fn fit(labelled: &BTreeMap<String, Vec<Labelled>>) -> Self {
        let plugins = labelled.iter().filter(|(_, labels)| !labels.is_empty()).map(|(name, labels)| (name.clone(), Line::fit(labels)));
        Self { schema: SCHEMA, plugins: plugins.collect() }
    }

    /// What a plugin's confidence is worth: itself, where nothing is known of the plugin.
    #[must_use]
    pub fn apply(&self, plugin: &str, said: Confidence) -> Confidence {
        self.plugins.get(plugin).map_or(said, |line| line.apply(said))
    }
}

impl Line {
    fn fit(labels: &[Labelled]) -> Self {
        let count = labels.len() as f64;
        let mean = |value: fn(&Labelled) -> f64| (labels.iter().map(value).sum::<f64>() / count * 1e4).round() / 1e4;
        let (mut slope, mut intercept) = newton(labels, Slope::Fitted);
        if slope < 0.0 {
            // Surer must stay surer: then its confidences say nothing, and only how often it is right is left.
            (slope, intercept) = (0.0, newton(labels, Slope::None).1);
        }
        let rounded = |value: f64| (value * 1e4).round() / 1e4;
        Self {
            labels: labels.len(),
            right: mean(|(_, right)| f64::from(u8::from(*right))),
            said: mean(|(said, _)| said.get()),
            slope: rounded(slope),
            intercept: rounded(intercept),
        }
    }

    fn apply(&self, said: Confidence) -> Confidence {
        // Between 0 and 1 by what a sigmoid is; where the line came from a file that is full of extremes, still.
        Confidence::new(sigmoid(self.slope * logit(said.get()) + self.intercept)).unwrap_or(said)
    }
}

/// Whether a slope is fitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slope {
    Fitted,
    None,
}

/// The slope and the intercept that make the labels likeliest, with the prior; with a slope of 0 where none is wanted.
fn newton(labels: &[Labelled], which: Slope) -> (f64, f64) {
    let sloped = which == Slope::Fitted;
    let points: Vec<(f64, f64)> = labels.iter().map(|(said, right)| (logit(said.get()), f64::from(u8::from(*right)))).collect();
    let loss = |slope: f64, intercept: f64| {
        let point = |(x, right): &(f64, f64)| {
            let p = sigmoid(slope * x + intercept).clamp(1e-12, 1.0 - 1e-12);
            -(right * p.ln() + (1.0 - right) * (1.0 - p).ln())
        };
        let prior = if sloped { (slope - 1.0).powi(2) } else { 0.0 };
        points.iter().map(point).sum::<f64>() + PRIOR / 2.0 * (prior + intercept.powi(2))
    };
    let (mut slope, mut intercept) = (if sloped { 1.0 } else { 0.0 }, 0.0);
    for _ in 0..STEPS {
        // The gradient and the second derivatives of the penalised likelihood.
        let (mut by_slope, mut by_intercept) = (PRIOR * (1.0 - slope), PRIOR * -intercept);
        let (mut ss, mut si, mut ii) = (PRIOR, 0.0, PRIOR);
        for (x, right) in &points {
            let p = sigmoid(slope * x + intercept);
            let (error, weight) = (right - p, p * (1.0 - p));
            by_slope += error * x;
            by_intercept += error;
            ss += weight * x * x;
            si += weight * x;
            ii += weight;
        }
        let determinant = ss * ii - si * si;
        let mut step = if sloped {
            ((by_slope * ii - by_intercept * si) / determinant, (by_intercept * ss - by_slope * si) / determinant)
        } else {
            (0.0, by_intercept / ii)
        };
        // Far from the end a whole step may lead past it.
        let before = loss(slope, intercept);
        for _ in 0..HALVINGS {
            if loss(slope + step.0, intercept + step.1) <= before {
                break;
            }
            step = (step.0 / 2.0, step.1 / 2.0);
        }
        (slope, intercept) = (slope + step.0, intercept + step.1);
    }
    (slope, intercept)
}

/// The log-odds of a probability, kept from having no end.
#[must_use]
pub fn logit(p: f64) -> f64 {
    let p = p.clamp(EDGE, 1.0 - EDGE);
    (p / (1.0 - p)).ln()
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sure(p: f64) -> Confidence {
        Confidence::new(p).unwrap()
    }

    fn fit(labels: &[(f64, usize, usize)]) -> Calibration {
        let each =
            |&(said, right, wrong): &(f64, usize, usize)| [vec![(sure(said), true); right], vec![(sure(said), false); wrong]].concat();
        Calibration::fit(&BTreeMap::from([("p".to_owned(), labels.iter().flat_map(each).collect())]))
    }

    #[test]
    fn who_shouts_is_taken_at_what_it_is_worth() {
        let worth = fit(&[(1.0, 60, 40)]).apply("p", sure(1.0)).get();
        assert!((worth - 0.6).abs() < 0.03, "{worth}");
    }

    #[test]
    fn who_is_right_as_often_as_it_says_stays_as_it_is() {
        let fitted = fit(&[(0.9, 90, 10), (0.6, 60, 40), (0.75, 75, 25)]);
        for said in [0.6, 0.75, 0.9] {
            let worth = fitted.apply("p", sure(said)).get();
            assert!((worth - said).abs() < 0.02, "{said} became {worth}");
        }
    }

    #[test]
    fn who_is_righter_when_it_is_less_sure_is_taken_at_how_often_it_is_right() {
        for labels in [[(1.0, 300, 700), (0.9, 900, 100)], [(0.9, 10, 90), (0.6, 90, 10)], [(0.3, 300, 700), (0.0, 5000, 5000)]] {
            let fitted = fit(&labels);
            let count = |which: fn(&(f64, usize, usize)) -> usize| labels.iter().map(which).sum::<usize>() as f64;
            let share = count(|l| l.1) / count(|l| l.1 + l.2);
            let worth = labels.iter().map(|l| fitted.apply("p", sure(l.0)).get() * (l.1 + l.2) as f64).sum::<f64>() / count(|l| l.1 + l.2);
            assert!((worth - share).abs() < 0.02, "{labels:?}: worth {worth}, right {share}");
        }
    }

    #[test]
    fn a_handful_of_labels_changes_little_and_of_others_nothing_is_known() {
        let worth = fit(&[(0.9, 0, 1)]).apply("p", sure(0.9)).get();
        assert!(worth > 0.6, "{worth}");
        assert_eq!(fit(&[(0.9, 0, 9)]).apply("other", sure(0.9)).get(), 0.9);
        assert_eq!(fit(&[]), Calibration::default());
    }

    #[test]
    fn it_is_written_as_it_is_read() {
        let fitted = fit(&[(0.9, 80, 20), (0.6, 60, 40)]);
        assert_eq!(Calibration::parse(&toml::to_string(&fitted).unwrap()).unwrap(), fitted);
        assert_eq!(Calibration::parse("schema = 2").unwrap_err(), "1: schema: 2 is not known, this version reads 1");
        assert!(Calibration::parse("schema = 1\n[plugin.p]\nlabels = 1\nright = 1\nsaid = 1\nslope = -1\nintercept = 0").is_err());
        assert!(Calibration::parse("schema = 1\nx = 1").unwrap_err().starts_with("2: unknown field"));
    }

    proptest! {
        #[test]
        fn a_calibrated_confidence_is_one_and_surer_stays_surer(
            labels in proptest::collection::vec((0.0..=1.0_f64, any::<bool>()), 1..40),
            a in 0.0..=1.0_f64,
            b in 0.0..=1.0_f64,
        ) {
            let labels = labels.into_iter().map(|(said, right)| (sure(said), right)).collect();
            let fitted = Calibration::fit(&BTreeMap::from([("p".to_owned(), labels)]));
            let worth = |said: f64| fitted.apply("p", sure(said)).get();
            prop_assert!((0.0..=1.0).contains(&worth(a)));
            prop_assert!(a > b || worth(a) <= worth(b));
        }
    }
}
