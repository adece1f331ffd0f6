//! The classifier {{name}}: what it recognises, and what it says of it.

use tracejury_classifier::{Classifier, Description, Trace, Verdict, export};

/// Our classifier.
pub struct Ours;

impl Classifier for Ours {
    fn describe() -> Description {
        Description {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: env!("CARGO_PKG_DESCRIPTION").to_owned(),
            reads: Vec::new(),
            classifications: vec!["INTERNAL_LOGIC_FAULT".to_owned()],
            settings_schema: None,
        }
    }

    fn classify(trace: &Trace) -> Result<Vec<Verdict>, String> {
        let Some(seen) = trace.find("over the refund limit") else { return Ok(Vec::new()) };
        let verdict = Verdict::internal(0.9).reason("business-rule").because("The refund is over our own limit.").seen(seen);
        Ok(vec![verdict])
    }
}

export!(Ours);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refund_over_the_limit_is_our_own_rule() {
        let verdicts = Ours::classify(&Trace::failed("150.00 EUR is over the refund limit")).unwrap();
        assert_eq!(verdicts[0].reason.as_deref(), Some("business-rule"));
        assert!(Ours::classify(&Trace::failed("connect ECONNREFUSED")).unwrap().is_empty());
    }
}
