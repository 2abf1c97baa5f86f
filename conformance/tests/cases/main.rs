//! Every case on the kernel, and on uaio with each engine; and the errors that the calls return there beside those that the
//! manual pages list.

mod pages;

use std::time::Duration;

use uaio_conformance::aio::Target;
use uaio_conformance::case::Case;
use uaio_conformance::cases;
use uaio_conformance::runner::{Outcome, run_noted, side_by_side, unavailable};
use uaio_conformance::trace::Trace;

/// They mostly wait.
const JOBS: usize = 8;

/// What the calls returned in all the cases.
fn all_pass(target: &Target) -> pages::Errors {
    if let Some(why) = unavailable(target) {
        eprintln!("{target}: not applicable: {why}");
        return pages::Errors::new();
    }
    let parts = side_by_side(&cases::all(), JOBS, |cases| {
        let trace = Trace::new();
        let failed = |case: &Case| match run_noted(case, target, Duration::from_secs(240), &trace) {
            Outcome::Failed(why) => Some(format!("{} ({}):\n{why}", case.name, case.source)),
            Outcome::Passed | Outcome::NotApplicable(_) => None,
        };
        (cases.filter_map(failed).collect::<Vec<String>>(), trace.errors())
    });
    let (failures, met): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
    let failures = failures.concat();
    assert!(failures.is_empty(), "{target}:\n{}", failures.join("\n"));
    met.into_iter().flatten().map(pages::on_its_page).collect()
}

/// One test: a child that is forked while another thread of this process starts or ends could start no thread.
#[test]
fn the_kernel_and_every_engine_are_as_the_cases_and_the_pages_say() {
    let mut met = all_pass(&Target::Kernel);
    for engine in ["auto", "inline", "uring", "threads", "kernel", "scripted"] {
        met.extend(all_pass(&Target::Core(engine.into())));
    }
    pages::agree_with(&met);
}
