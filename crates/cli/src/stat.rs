//! `uaio stat PID`: the counters of a running program, read from its memory.

use std::fs;
use std::io::{self, ErrorKind, IsTerminal};
use std::thread;
use std::time::Duration;

use uaio::stats::{MAGIC, MAPPING, Stats};

use crate::failure::Failure;
use crate::memory::{self, Mapping};
use crate::report;
use crate::summary::{Process, parse};

/// Bytes of a page, the least that the kernels of all our machines have.
const PAGE: usize = 4096;
/// How much anonymous memory is searched page by page.
const SEARCH_MAX: usize = 1 << 30;

/// Show what a running program has done with AIO
///
/// The program must run over uaio. It does not notice.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Process id
    #[arg(value_parser = clap::value_parser!(i32).range(1..))]
    pid: i32,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Repeat, until the program ends
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    watch: Option<Duration>,
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number")?;
    let duration = Duration::try_from_secs_f64(seconds).map_err(|_| "not a duration")?;
    if duration < Duration::from_millis(10) { Err("too short".into()) } else { Ok(duration) }
}

/// Prints them, once or again and again.
pub fn run(args: &Args) -> Result<i32, Failure> {
    let counters = Counters::find(args.pid)?;
    let mut stats = counters.read()?;
    loop {
        print(&Process::from(&*stats), args);
        let Some(pause) = args.watch else { return Ok(0) };
        thread::sleep(pause);
        match counters.read() {
            Ok(next) => stats = next,
            // It has ended, or executes something else now.
            Err(_) => return Ok(0),
        }
    }
}

fn print(process: &Process, args: &Args) {
    if args.watch.is_some() && !args.json && io::stdout().is_terminal() {
        // Home, and clear to the end.
        print!("\x1b[H\x1b[J");
    }
    match (args.json, args.watch) {
        (true, None) => print!("{}", report::json(std::slice::from_ref(process))),
        (true, Some(_)) => println!("{}", serde_json::to_string(process).expect("only strings and numbers")),
        (false, _) => println!("{}", report::table(process)),
    }
}

/// Where the counters of a process are.
#[derive(Debug)]
pub struct Counters {
    pid: i32,
    address: usize,
}

impl Counters {
    pub fn find(pid: i32) -> Result<Counters, Failure> {
        let mappings = memory::mappings(pid).map_err(|e| explain(pid, &e))?;
        let inner_pid = innermost_pid(pid);
        let own = |address: &usize| belongs_to(pid, *address, inner_pid);
        // Whoever may see the mappings may not always read them.
        if let Some(mapping) = mappings.iter().find(|mapping| mapping.writable) {
            memory::read(pid, mapping.start, &mut [0]).map_err(|e| explain(pid, &e))?;
        }
        let candidates: Vec<&Mapping> = mappings.iter().filter(|m| may_hold(m)).collect();
        let starts = candidates.iter().map(|m| m.start);
        let found = starts.clone().find(own).or_else(|| search_pages(pid, &candidates).into_iter().find(own));
        let address = found.ok_or_else(|| Failure::plain(not_found(pid, &mappings)))?;
        Ok(Counters { pid, address })
    }

    pub fn read(&self) -> Result<Box<Stats>, Failure> {
        let mut bytes = vec![0; MAPPING];
        memory::read(self.pid, self.address, &mut bytes).map_err(|e| explain(self.pid, &e))?;
        parse(&bytes).map_err(|wrong| Failure::plain(format!("process {}: {wrong}", self.pid)))
    }
}

/// A counter file, or anonymous memory.
fn may_hold(mapping: &Mapping) -> bool {
    let name = mapping.name.trim_end_matches(" (deleted)");
    let kind = name.is_empty() || name.starts_with("[anon") || name.ends_with(".stats") || name == "/dev/zero";
    mapping.writable && mapping.len >= MAPPING && kind
}

/// The kernel may have joined the counters' mapping with its neighbours, so that it starts in the middle of one.
fn search_pages(pid: i32, candidates: &[&Mapping]) -> Vec<usize> {
    let mut anonymous: Vec<_> = candidates.iter().filter(|m| m.len > MAPPING).collect();
    anonymous.sort_by_key(|m| m.len);
    let mut found = Vec::new();
    let mut budget = SEARCH_MAX;
    for mapping in anonymous {
        let Some(left) = budget.checked_sub(mapping.len) else { break };
        budget = left;
        let pages: Vec<usize> = (mapping.start..mapping.start + mapping.len).step_by(PAGE).collect();
        let words = memory::read_words(pid, &pages);
        found.extend(pages.iter().zip(words).filter(|(_, word)| *word == MAGIC).map(|(page, _)| *page));
    }
    found
}

/// Whether there are counters at `address`, and they are this process's: a fork inherits its parent's memory.
fn belongs_to(pid: i32, address: usize, inner_pid: u32) -> bool {
    let mut head = [0; 16];
    if memory::read(pid, address, &mut head).is_err() {
        return false;
    }
    let magic = u64::from_ne_bytes(*head.first_chunk().expect("16 bytes"));
    let owner = u32::from_ne_bytes(*head.last_chunk().expect("16 bytes"));
    magic == MAGIC && owner == inner_pid
}

const _: () = assert!(std::mem::offset_of!(Stats, magic) == 0 && std::mem::offset_of!(Stats, pid) == 12);

/// The id that the process itself sees, in its pid namespace.
fn innermost_pid(pid: i32) -> u32 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let ids = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    ids.and_then(|ids| ids.split_whitespace().last()?.parse().ok()).unwrap_or(pid as u32)
}

fn not_found(pid: i32, mappings: &[Mapping]) -> String {
    if mappings.iter().any(|mapping| mapping.name.contains("libuaio_preload")) {
        format!("process {pid} runs over uaio, but has made no AIO call yet")
    } else {
        format!("process {pid} does not run over uaio (start it with `uaio run`)")
    }
}

pub fn explain(pid: i32, error: &io::Error) -> Failure {
    let gone = error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH);
    if gone {
        return Failure::plain(format!("there is no process {pid}"));
    }
    if error.kind() != ErrorKind::PermissionDenied {
        return Failure::plain(format!("process {pid}: {error}"));
    }
    let scope = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope");
    let scope = scope.map(|value| format!("kernel.yama.ptrace_scope = {}; ", value.trim())).unwrap_or_default();
    Failure::plain(format!("no permission to read process {pid} ({scope}its own user or root may)"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering::Relaxed;

    #[test]
    fn our_own_counters_are_found_anywhere() {
        let pid = std::process::id();
        assert!(Counters::find(pid as i32).unwrap_err().message.contains("does not run over uaio"));
        // In the middle of a large block, page-aligned, as after a merge of mappings.
        let mut memory = vec![0u64; (40 * PAGE + MAPPING) / 8];
        let base = (memory.as_mut_ptr() as usize).next_multiple_of(PAGE) + 20 * PAGE;
        // SAFETY: inside `memory`, aligned, zeroed, and large enough; nobody else uses it.
        let stats = unsafe { &*(base as *const Stats) };
        stats.magic.store(MAGIC, Relaxed);
        stats.version.store(uaio::stats::VERSION, Relaxed);
        stats.pid.store(pid, Relaxed);
        stats.setups.store(5, Relaxed);
        let counters = Counters::find(pid as i32).unwrap();
        assert_eq!(counters.address, base);
        assert_eq!(counters.read().unwrap().setups.load(Relaxed), 5);
        stats.pid.store(pid + 1, Relaxed);
        assert!(Counters::find(pid as i32).is_err(), "a parent's counters are not ours");
    }

    #[test]
    fn no_such_process() {
        assert_eq!(Counters::find(i32::MAX).unwrap_err().message, format!("there is no process {}", i32::MAX));
    }
}
