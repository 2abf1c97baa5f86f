//! `uaio-conformance`: the cases as a program.

use clap::Parser;
use uaio_conformance::aio::Target;
use uaio_conformance::options::Args;
use uaio_conformance::{semantics, suite};

/// Runs the conformance cases of Linux AIO on an implementation.
#[derive(Parser)]
#[command(
    version,
    after_help = "\
Targets:
  kernel       the kernel's AIO, by system calls [default]
  core         uaio, in this process
  syscall      whatever libc's syscall() leads to: the kernel, or a preloaded library
  libaio=PATH  a libaio.so.1

Exit status: 0 when no case failed, 1 when one did, 2 for wrong usage, 77 when the target cannot be tried here."
)]
struct Options {
    #[command(flatten)]
    args: Args,
    /// Prints docs/semantics.md
    #[arg(long)]
    semantics: bool,
}

fn main() {
    let Options { args, semantics } = Options::parse();
    if semantics {
        return print!("{}", semantics::page());
    }
    let target = args.target.as_deref().map_or(Ok(Target::Kernel), str::parse);
    let status = target.and_then(|target| suite::perform(&args, target, None)).unwrap_or_else(|usage| {
        eprintln!("uaio-conformance: {usage}");
        suite::USAGE
    });
    std::process::exit(status);
}
