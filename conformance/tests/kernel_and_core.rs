//! Every case on the kernel, and on uaio with each engine.

use std::time::Duration;

use uaio_conformance::aio::Target;
use uaio_conformance::case::Case;
use uaio_conformance::cases;
use uaio_conformance::runner::{Outcome, run, side_by_side, unavailable};

/// They mostly wait.
const JOBS: usize = 4;

fn all_pass(target: &Target) {
    if let Some(why) = unavailable(target) {
        eprintln!("{target}: not applicable: {why}");
        return;
    }
    let failures = side_by_side(&cases::all(), JOBS, |cases| {
        let failed = |case: &Case| match run(case, target, Duration::from_secs(60)) {
            Outcome::Failed(why) => Some(format!("{} ({}):\n{why}", case.name, case.source)),
            Outcome::Passed | Outcome::NotApplicable(_) => None,
        };
        cases.filter_map(failed).collect::<Vec<String>>()
    })
    .concat();
    assert!(failures.is_empty(), "{target}:\n{}", failures.join("\n"));
}

#[test]
fn the_kernel_is_as_the_cases_say() {
    all_pass(&Target::Kernel);
    // One after the other: they share the host's quota.
    all_pass(&Target::Core("kernel".into()));
}

#[test]
fn auto_is_like_the_kernel() {
    all_pass(&Target::Core("auto".into()));
}

#[test]
fn inline_is_like_the_kernel() {
    all_pass(&Target::Core("inline".into()));
}

#[test]
fn uring_is_like_the_kernel() {
    all_pass(&Target::Core("uring".into()));
}

#[test]
fn threads_is_like_the_kernel() {
    all_pass(&Target::Core("threads".into()));
}

#[test]
fn scripted_is_like_the_kernel_without_a_script() {
    all_pass(&Target::Core("scripted".into()));
}
