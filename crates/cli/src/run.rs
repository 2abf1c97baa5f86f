//! `uaio run`: executes a program with the preload library, or starts it and sums up what it did.

use std::convert::Infallible;
use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::execve;
use uaio::fault::Script;

use crate::env::{Engine, Format, Settings};
use crate::failure::{Failure, NOT_FOUND};
use crate::stats_dir::StatsDir;
use crate::{child, doctor, lookup, place, program, report};

/// Run a program on user-space AIO
///
/// PROGRAM is executed in place of uaio: same process, same exit status, and nothing is printed. Without PROGRAM
/// the bundled client aiocp runs, with a summary.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  uaio run -- fio job.fio
  uaio run --summary -- qemu-img bench -n -i native disk.img
  uaio run --engine threads --summary=stats.json -- ./program
  uaio run --fault 'read:EIO nth=3; write:short 5%' -- ./program
  eval \"$(uaio run --print-env)\"

Exit status: that of PROGRAM; 125 when uaio cannot do what is asked, 126 when PROGRAM cannot be executed, 127 when
it is not found.")]
pub struct Args {
    /// What executes the requests [default: UAIO_ENGINE, else auto]
    #[arg(long)]
    engine: Option<Engine>,
    /// Afterwards sum up, per process, what was asked and how it went: on stderr or into FILE (JSON if it ends in .json)
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    summary: Option<Option<PathBuf>>,
    /// Print the environment that does the same, and exit
    #[arg(long, value_name = "FORMAT", num_args = 0..=1, require_equals = true, default_missing_value = "shell")]
    print_env: Option<Format>,
    /// Make requests fail, be short, corrupt or late: 'seed=7; read:EIO nth=3; fsync:delay 50ms', or @FILE; see uaio(1)
    #[arg(long, value_name = "SCRIPT")]
    fault: Option<String>,
    /// Append what --fault has done to FILE, as a script that does the same again
    #[arg(long, value_name = "FILE", requires = "fault")]
    fault_log: Option<PathBuf>,
    /// How many requests a process may ask room for, as fs.aio-max-nr [default: UAIO_MAX_NR, else 1048576]
    #[arg(long, value_name = "N")]
    max_nr: Option<u64>,
    /// Run also a program that cannot load uaio; it then uses the kernel's AIO
    #[arg(long)]
    force: bool,
    /// The program and its arguments
    #[arg(value_name = "PROGRAM", trailing_var_arg = true)]
    command: Vec<OsString>,
}

/// A script is followed by the engine `scripted` alone.
fn engine(args: &Args) -> Result<Option<Engine>, Failure> {
    match (&args.fault, args.engine) {
        (Some(_), None | Some(Engine::Scripted)) => Ok(Some(Engine::Scripted)),
        (Some(_), Some(_)) => Err(Failure::own("--fault works with --engine scripted alone; leave --engine out")),
        (None, engine) => Ok(engine),
    }
}

/// The script, read for its errors.
fn fault(args: &Args) -> Result<Option<String>, Failure> {
    let Some(script) = &args.fault else { return Ok(None) };
    let text = match script.strip_prefix('@') {
        Some(file) => std::fs::read_to_string(file).map_err(|e| Failure::own(format!("--fault: {file}: {e}")))?,
        None => script.clone(),
    };
    text.parse::<Script>().map_err(|why| Failure::own(format!("--fault: {why}")))?;
    Ok(Some(text))
}

/// Absolute, for the program may go elsewhere.
fn fault_log(args: &Args) -> Result<Option<PathBuf>, Failure> {
    let absolute = |log: &PathBuf| {
        let path = std::path::absolute(log);
        path.map_err(|e| Failure::own(format!("--fault-log {}: {e}", log.display())))
    };
    args.fault_log.as_ref().map(absolute).transpose()
}

/// Gives the exit status, if it comes back at all.
pub fn run(args: Args) -> Result<i32, Failure> {
    let (engine, fault, fault_log) = (engine(&args)?, fault(&args)?, fault_log(&args)?);
    let settings =
        Settings { library: place::preload()?, engine, max_nr: args.max_nr, stats: None, fault, fault_log };
    if let Some(format) = args.print_env {
        print!("{}", settings.lines(format));
        return Ok(0);
    }
    let bundled = args.command.is_empty();
    let command = if bundled { vec![place::aiocp()?.into()] } else { args.command };
    let path = lookup::find(&command[0])?;
    let preload = match program::check(&path)? {
        Some(refusal) if !args.force => return Err(Failure::own(refusal)),
        refusal => refusal.is_none(),
    };
    let launch = Launch { path, command, settings: preload.then_some(settings) };
    match args.summary.or(bundled.then_some(None)) {
        None => match launch.exec()? {},
        Some(file) => sum_up(launch, file.as_deref()),
    }
}

fn sum_up(mut launch: Launch, file: Option<&Path>) -> Result<i32, Failure> {
    let dir = StatsDir::make()?;
    let path = launch.path.clone();
    if let Some(settings) = &mut launch.settings {
        settings.stats = Some(dir.path().into());
    }
    let end = child::run(launch)?;
    let processes = dir.processes();
    let none_counted = processes.iter().all(|process| process.requests.total == 0);
    let past_uaio = if none_counted { doctor::instructions(&path) } else { Vec::new() };
    let written = report::write_summary(&processes, &past_uaio, file);
    // Not left to its destructor: there is none when we end by a signal.
    drop(dir);
    written.unwrap_or_else(|failure| failure.print());
    end.follow()
}

/// A program that is ready to be executed.
#[derive(Debug)]
pub struct Launch {
    path: PathBuf,
    command: Vec<OsString>,
    /// None: it runs without us.
    settings: Option<Settings>,
}

impl Launch {
    /// Replaces this process. Comes back only with a failure.
    pub fn exec(&self) -> Result<Infallible, Failure> {
        let arguments: Vec<CString> = self.command.iter().map(|word| c_string(word)).collect::<Result<_, _>>()?;
        let environment = self.environment()?;
        let path = c_string(self.path.as_os_str())?;
        let mut result = execve(&path, &arguments, &environment);
        if result == Err(Errno::ENOEXEC) {
            let script = [&[c"sh".to_owned(), path], &arguments[1..]].concat();
            result = execve(c"/bin/sh", &script, &environment);
        }
        result.map_err(|errno| match errno {
            // The program is there; what is missing is the loader that it names.
            Errno::ENOENT => Failure::new(NOT_FOUND, format!("{}: its loader is not found", self.path.display())),
            _ => lookup::failure(&self.command[0], errno),
        })
    }

    fn environment(&self) -> Result<Vec<CString>, Failure> {
        let changes = self.settings.as_ref().map(|settings| settings.variables(|name| std::env::var_os(name)));
        let changes = changes.unwrap_or_default();
        let kept = std::env::vars_os().filter(|(name, _)| !changes.iter().any(|(changed, _)| name == changed));
        let changed = changes.iter().map(|(name, value)| (OsString::from(name), value.clone()));
        let entry = |(mut entry, value): (OsString, OsString)| {
            entry.push("=");
            entry.push(value);
            c_string(&entry)
        };
        kept.chain(changed).map(entry).collect()
    }
}

fn c_string(text: &OsStr) -> Result<CString, Failure> {
    CString::new(text.as_bytes()).map_err(|_| Failure::own("a NUL byte in the command"))
}
