//! Figures as people read them. It knows numbers, not what they measure.

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
