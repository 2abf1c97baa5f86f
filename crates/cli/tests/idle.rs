//! What `uaio run` costs a program that does nothing: memory.

mod common;

use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use common::{command, spawn, until};

/// Most that a program may be larger, KiB.
const MOST: u64 = 1024;
const SLEEP: [&str; 2] = ["sleep", "60"];

/// Ended when the test does.
struct Sleeper(Child);

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Rss and Pss of a `sleep` that this starts, KiB, once it sleeps.
fn memory(command: &mut Command) -> (u64, u64) {
    let sleeper = Sleeper(spawn(command.stdin(Stdio::null())));
    let process = format!("/proc/{}", sleeper.0.id());
    let asleep = || {
        let name = fs::read_to_string(format!("{process}/comm")).ok()?;
        let state = fs::read_to_string(format!("{process}/wchan")).unwrap_or_default();
        (name.trim() == "sleep" && (state.contains("nanosleep") || state == "0")).then_some(())
    };
    until("sleep sleeps", asleep).unwrap();
    thread::sleep(Duration::from_millis(100));
    let text = fs::read_to_string(format!("{process}/smaps_rollup")).unwrap();
    let value = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    (value("Rss:"), value("Pss:"))
}

#[test]
fn an_idle_program_is_hardly_larger() {
    let mut plain = Command::new(SLEEP[0]);
    let (rss, pss) = memory(plain.args(&SLEEP[1..]));
    let (rss_with, pss_with) = memory(&mut command(["run", "--"].iter().chain(&SLEEP)));
    eprintln!("Rss {rss} KiB without, {rss_with} with; Pss {pss} and {pss_with}");
    assert!(rss_with > rss, "nothing was loaded");
    assert!(
        rss_with <= rss + MOST && pss_with <= pss + MOST,
        "Rss {rss} and {rss_with}, Pss {pss} and {pss_with}"
    );
}
