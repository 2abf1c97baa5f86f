//! Every case on the kernel, and on uaio with each engine.

use std::time::Duration;

use uaio_conformance::aio::Target;
use uaio_conformance::case::Case;
use uaio_conformance::cases;
use uaio_conformance::runner::{Outcome, run, side_by_side, unavailable};

/// They mostly wait.
const JOBS: usize = 8;

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

/// One test: a child that is forked while another thread of this process starts or ends could start no thread.
#[test]
fn the_kernel_and_every_engine_are_as_the_cases_say() {
    all_pass(&Target::Kernel);
    for engine in ["auto", "inline", "uring", "threads", "kernel", "scripted"] {
        all_pass(&Target::Core(engine.into()));
    }
}
