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

/// Returns the statuses that a rule names. Every check passes, and is unknown where no source tells enough.
fn named(rule: &str) -> Vec<Status> {
    let rule = rule.to_lowercase();
    let says = |verb: &str| rule.contains(verb);
    let all = [
        (Status::NotApplicable, says("not apply")),
        (Status::Pass, true),
        (Status::Unknown, true),
        (Status::Warn, says("warns ")),
        (Status::Fail, says("fails ")),
    ];
    all.into_iter().filter(|(_, is_named)| *is_named).map(|(status, _)| status).collect()
}

#[test]
fn every_check_has_a_case_of_each_status_that_its_rule_names() {
    std::thread::scope(|scope| {
        for tests in THEMES {
            scope.spawn(|| tests.iter().for_each(|test| test()));
        }
    });
    let (seen, given) = (support::seen(), support::given());
    let (mut missing, mut unnamed) = (Vec::new(), Vec::new());
    for check in checks() {
        let named = named(check.rule);
        // A check that could only pass would say nothing.
        let is_judge = named.contains(&Status::Warn) || named.contains(&Status::Fail);
        assert!(is_judge || check.code == "vm-or-bare-metal", "{}: {}", check.code, check.rule);
        for status in Status::ALL {
            let (verdict, is_named) = ((check.code, status), named.contains(&status));
            if is_named && status != Status::NotApplicable && !seen.contains(&verdict) {
                missing.push(format!("{} {status}", check.code));
            }
            if !is_named && given.contains(&verdict) {
                unnamed.push(format!("{} {status}", check.code));
            }
        }
    }
    assert!(missing.is_empty(), "no test has these verdicts:\n{}", missing.join("\n"));
    assert!(unnamed.is_empty(), "no rule names these verdicts:\n{}", unnamed.join("\n"));
}
