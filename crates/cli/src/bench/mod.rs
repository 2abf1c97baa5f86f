//! `uaio bench`: jobs over the six calls, ours beside the kernel's in one run. One file per job.

mod kernel;
mod sample;
mod setup_destroy;

use clap::Subcommand;

use crate::failure::Failure;

/// Measure uaio against the kernel's AIO
///
/// Each job does both in turn in one run, so that whatever else the machine does meets both.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    job: Job,
}

#[derive(Subcommand, Debug)]
enum Job {
    SetupDestroy(setup_destroy::Args),
}

/// Runs the job.
pub fn run(args: &Args) -> Result<i32, Failure> {
    match &args.job {
        Job::SetupDestroy(args) => setup_destroy::run(args),
    }
}
