//! The proof that each check passes, fails and is unknown somewhere: the tests of all themes are run once more, and the
//! verdicts that they ask for are held against what each check says of itself.

use crate::support;
use crate::{
    baseline, fabric, inventory, isolation, kernel, kubernetes, locality, nvlink, nvlink_errors, pcie, rdma,
    roce, security,
};
use nvtopo_audit::Status;
use nvtopo_audit::check::checks;

const THEMES: [&[fn()]; 13] = [
    baseline::CASES,
    fabric::CASES,
    inventory::CASES,
    isolation::CASES,
    kernel::CASES,
    kubernetes::CASES,
    locality::CASES,
    nvlink::CASES,
    nvlink_errors::CASES,
    pcie::CASES,
    rdma::CASES,
    roce::CASES,
    security::CASES,
];

/// Returns the statuses that need a case: a pass, unknown, and whatever else the rule says.
fn needed(rule: &str) -> Vec<Status> {
    let says = |verb: &str| rule.contains(verb);
    let all = [
        (Status::Pass, true),
        (Status::Warn, says("Warns") || says("it warns")),
        (Status::Fail, says("Fails") || says("fails")),
        (Status::Unknown, true),
    ];
    all.into_iter().filter(|(_, is_needed)| *is_needed).map(|(status, _)| status).collect()
}

#[test]
fn every_check_has_a_case_of_each_status_that_its_rule_names() {
    std::thread::scope(|scope| {
        for tests in THEMES {
            scope.spawn(|| tests.iter().for_each(|test| test()));
        }
    });
    let seen = support::seen();
    let mut missing = Vec::new();
    for check in checks() {
        let is_seen = |status: &Status| seen.contains(&(check.code, *status));
        missing.extend(
            needed(check.rule).iter().filter(|own| !is_seen(own)).map(|own| format!("{} {own}", check.code)),
        );
        // A check that could only pass would say nothing.
        assert!(
            needed(check.rule).len() > 2 || check.code == "vm-or-bare-metal",
            "{}: {}",
            check.code,
            check.rule
        );
    }
    assert!(missing.is_empty(), "no test has these verdicts:\n{}", missing.join("\n"));
}
