//! `uaio`: runs programs on user-space Linux AIO, and shows what they do with it.
//!
//! The C library enters `main` directly. Rust's own start-up would ignore SIGPIPE and open standard
//! descriptors that are closed, and the program that `uaio run` executes would inherit both.
#![cfg_attr(not(test), no_main)]

mod bench;
mod child;
mod conformance;
mod doctor;
mod elf;
mod env;
mod failure;
mod install;
mod lookup;
mod memory;
mod percentiles;
mod place;
mod program;
mod report;
mod run;
mod stat;
mod stats_dir;
mod summary;
mod units;

use std::ffi::OsString;

use clap::{Parser, Subcommand};

use crate::failure::{Failure, OWN_FAILURE};

/// Linux native AIO (io_setup, io_submit, io_getevents, io_cancel, io_destroy) in user space, for unmodified programs.
#[derive(Parser, Debug)]
#[command(name = "uaio", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Run(run::Args),
    Stat(stat::Args),
    Bench(bench::Args),
    Conformance(conformance::Args),
    Install(install::Args),
    Doctor(doctor::Args),
    /// Print the version
    Version,
}

/// The C entry point.
#[cfg(not(test))]
#[unsafe(no_mangle)]
extern "C" fn main(_argc: libc::c_int, _argv: *const *const libc::c_char) -> libc::c_int {
    enter(std::env::args_os().collect())
}

/// Does what the command line asks; gives the exit status.
#[cfg_attr(test, allow(dead_code))]
fn enter(args: Vec<OsString>) -> i32 {
    let running = args.get(1).is_some_and(|word| word == "run" || word == "doctor");
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.exit_code() != 0 && running { OWN_FAILURE } else { error.exit_code() };
        }
    };
    perform(cli.command).unwrap_or_else(|failure| {
        failure.print();
        failure.status
    })
}

fn perform(command: Command) -> Result<i32, Failure> {
    match command {
        Command::Run(args) => run::run(args),
        Command::Stat(args) => stat::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Conformance(args) => conformance::run(&args),
        Command::Install(args) => install::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Version => {
            println!("uaio {}", std::env!("CARGO_PKG_VERSION"));
            Ok(0)
        }
    }
}
