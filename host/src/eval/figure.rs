//! Figures as people read them: which there are, what they are called, how they are written. It does not know where they are shown.

use super::Scores;

/// The figures that sum up an evaluation, by name.
#[must_use]
pub fn summary(scores: &Scores) -> [(&'static str, String); 9] {
    [
        ("records", scores.records.to_string()),
        ("accuracy", three(scores.accuracy)),
        ("macro-F1", three(scores.macro_f1)),
        ("macro-F1, marked hard", known(scores.macro_f1_hard, three)),
        ("coverage (not UNKNOWN)", percent(scores.coverage)),
        ("internal called external", known(scores.internal_as_external, percent)),
        ("external called internal", known(scores.external_as_internal, percent)),
        ("reason right", known(scores.reason_right, three)),
        ("calibration error", known(scores.calibration_error, three)),
    ]
}

/// A share to three digits.
#[must_use]
pub fn three(share: f64) -> String {
    format!("{share:.3}")
}

/// A share in per cent.
#[must_use]
pub fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// A figure, or a dash where nothing is there to measure it by.
#[must_use]
pub fn known(figure: Option<f64>, written: fn(f64) -> String) -> String {
    figure.map_or_else(|| "–".to_owned(), written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_measured_is_a_dash() {
        assert_eq!((known(None, three), known(Some(0.98_76), three), percent(0.0199)), ("–".into(), "0.988".into(), "2.0 %".into()));
    }
}
