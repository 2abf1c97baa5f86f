//! `uaio doctor`: what this place offers, what is missing and why, and what removes it.
//!
//! Each cause is made by a test (`tests/doctor`), which then does what is printed and looks again; but for these, which follow
//! from evidence that only unit tests can make:
//!
//! * kernel AIO and io_uring, `not-built-in`: another kernel would have to run.
//! * kernel AIO, `memory`: where the kernel has no memory for a ring, a test has none either.
//! * io_uring, `memlock`: before Linux 5.12 only; later kernels do not count rings.
//! * io_uring, `too-old`: the tests have no such kernel; `UAIO_URING_MASK` makes the same evidence.
//! * seccomp, the fix for a container: a place with the marks of one is made, no image is run.
//!
//! No command of this host removes `static`, `other-libc`, `other-machine` (another program is needed), `instructions`, `past-uaio`
//! and `at-secure` (another program, or another start of it), engine `threads` (a limit that cannot be seen), and `unknown`, which
//! says what is ruled out, and names a tracer if there is one.

mod code;
mod engine;
mod filter;
mod finding;
mod holders;
mod kernel_aio;
mod libraries;
mod loader;
mod object_file;
mod paths;
mod pids;
mod process;
mod program;
mod sysctl;
mod threads;
mod tracer;
mod uring;

use std::ffi::OsString;
use std::path::PathBuf;

use crate::failure::Failure;

pub use program::instructions;

use finding::{Finding, Report};

/// Tell what this place offers, what is in the way, and the command that removes it
///
/// Everything is tried for real: a context, a ring, a request, a file. PROGRAM is read, and its loader is asked what
/// it would load; it is not run.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  uaio doctor
  uaio doctor --path /var/lib/mysql -- mariadbd
  uaio doctor --pid 1234 --json

Exit status: 0 nothing is in the way; 1 something is missing, uaio works all the same; 2 uaio cannot help this
program; 125 uaio itself failed.")]
pub struct Args {
    /// Look also at this running process
    #[arg(long, value_name = "PID", conflicts_with = "command", value_parser = clap::value_parser!(i32).range(1..))]
    pid: Option<i32>,
    /// Look also at the file system of PATH, a directory, a file or a block device; may be repeated
    #[arg(long, value_name = "PATH", num_args = 1..)]
    path: Vec<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// A program that is to run over uaio; its arguments are not looked at
    #[arg(value_name = "PROGRAM", last = true)]
    command: Vec<OsString>,
}

/// Prints what was found; gives the exit status.
pub fn run(args: &Args) -> Result<i32, Failure> {
    let report = Report::new(examine(args).map_err(|failure| Failure::own(failure.message))?);
    print!("{}", if args.json { report.json() } else { report.text() });
    Ok(report.status)
}

fn examine(args: &Args) -> Result<Vec<Finding>, Failure> {
    let uring = uring::find();
    let mut all = vec![kernel_aio::find(&args.command), uring.clone(), engine::find(&uring)];
    for path in &args.path {
        all.push(paths::find(path)?);
    }
    if !args.command.is_empty() {
        all.extend(program::find(&args.command)?);
    }
    if let Some(pid) = args.pid {
        all.extend(process::find(pid)?);
    }
    Ok(all)
}
