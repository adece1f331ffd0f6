//! Tests as JUnit XML, which every CI system reads.

use super::test::Tests;
use super::trial::Trial;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

/// The report of one plugin's tests.
#[must_use]
pub fn junit(trial: &Trial, tests: &Tests) -> String {
    let mut suite = TestSuite::new(trial.profile().name.clone());
    for test in &tests.tests {
        let status = match test.wrong.split_first() {
            None => TestCaseStatus::success(),
            Some((first, _)) => {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                status.set_message(first.clone()).set_description(format!("{}\n{}", test.place, test.wrong.join("\n")));
                status
            }
        };
        let mut case = TestCase::new(test.name.clone(), status);
        case.set_classname(trial.profile().name.clone()).set_time(test.took);
        suite.add_test_case(case);
    }
    let mut report = Report::new("tracejury plugin test");
    report.add_test_suite(suite);
    // Written to memory; only a name that XML cannot hold at all could fail.
    report.to_string().unwrap_or_default()
}
