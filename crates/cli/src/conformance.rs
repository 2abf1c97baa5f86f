//! `uaio conformance`: the cases that state what Linux AIO does, on uaio or on any other implementation.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use uaio_conformance::aio::Target;
use uaio_conformance::{options, suite};

use crate::env::Settings;
use crate::failure::Failure;
use crate::place;

/// Try what an implementation of Linux AIO does, case by case
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Targets:
  core         uaio, in this process [default]
  preload      uaio as `uaio run` gives it to a program: by the preload library
  libaio       uaio's libaio.so.1
  libaio=PATH  another libaio.so.1
  syscall      whatever libc's syscall() leads to
  kernel       the kernel's AIO

Exit status: 0 when no case failed, 1 when one did, 2 for wrong usage, 77 when the target cannot be tried here.")]
pub struct Args {
    #[command(flatten)]
    options: options::Args,
}

/// Gives the exit status.
pub fn run(args: &Args) -> Result<i32, Failure> {
    let (target, name) = target(&args.options)?;
    suite::perform(&args.options, target, name).map_err(usage)
}

/// The target, and its name where it has one of its own.
fn target(options: &options::Args) -> Result<(Target, Option<&'static str>), Failure> {
    match options.target.as_deref() {
        None => Ok((Target::Core("auto".into()), None)),
        Some("preload") => {
            enter_preload()?;
            Ok((Target::Syscall, Some("preload")))
        }
        Some("libaio") => {
            Ok((Target::Libaio(place::library("libaio.so.1")?.display().to_string()), Some("libaio")))
        }
        Some(other) => Ok((other.parse().map_err(|why| usage(format!("{why}, preload, libaio")))?, None)),
    }
}

fn usage(why: String) -> Failure {
    Failure::new(suite::USAGE, why)
}

/// Executes this command again, under the preload library; comes back when it is there. The quota stays the host's,
/// as with the kernel.
fn enter_preload() -> Result<(), Failure> {
    let library = place::preload()?;
    let preload = std::env::var_os("LD_PRELOAD").unwrap_or_default();
    if preload.as_bytes().starts_with(library.as_os_str().as_bytes()) {
        return Ok(());
    }
    let settings = Settings { library, ..Settings::default() };
    let variables = settings.variables(|name| std::env::var_os(name));
    let exe = std::env::current_exe().map_err(Failure::plain)?;
    let mut again = Command::new(exe);
    again.args(std::env::args_os().skip(1)).envs(variables.into_iter().filter(|(name, _)| *name == "LD_PRELOAD"));
    Err(Failure::plain(again.exec()))
}
