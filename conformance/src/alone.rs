//! Runs the cases in this process, each on a thread, for systems that cannot fork.
//!
//! A case that fails, crashes or hangs does not come back: its thread sleeps for ever, with whatever it holds.

use std::sync::atomic::{AtomicI32, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{ThreadId, current};
use std::time::{Duration, Instant};

use crate::aio::{Calls, Target};
use crate::case::{Case, Run};
use crate::failure::Failure;
use crate::needs_process::needs_process;
use crate::panics;
use crate::runner::Outcome;
use crate::suite::FAILED;
use crate::trace::{Trace, noted};

/// Where the running case says how it ended. Set: the cases run in this process.
static VERDICT: Mutex<Option<Sender<Outcome>>> = Mutex::new(None);
/// The signal that the running case would have died of.
static CRASH: AtomicI32 = AtomicI32::new(0);

const DEADLY: [i32; 5] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGABRT];

/// The cases of one target. A process tries one target only, and once.
pub struct Alone {
    calls: Calls,
    target: Target,
    trace: Trace,
}

impl Alone {
    /// Changes what this process does on a panic and on deadly signals.
    pub fn new(target: &Target) -> Result<Alone, String> {
        let calls = noted(Calls::of(target)?);
        let trace = Trace::new();
        trace.use_here();
        let runner = current().id();
        std::panic::set_hook(Box::new(move |info| panicked(runner, &panics::text(info))));
        DEADLY.into_iter().for_each(catch);
        Ok(Alone { calls, target: target.clone(), trace })
    }

    /// Runs `case`, at most for `limit`.
    pub fn run(&self, case: &Case, limit: Duration) -> Outcome {
        if let Some(why) = needs_process(case.name) {
            return Outcome::NotApplicable(format!("needs a process of its own: {why}"));
        }
        let verdict = expect();
        self.trace.clear();
        let (body, run) = (case.body, Run::new(self.calls, &self.target));
        std::thread::spawn(move || {
            body(&run);
            tell(Outcome::Passed);
        });
        match wait(&verdict, limit) {
            Outcome::Failed(failure) => Outcome::Failed(failure.with("", &self.trace.calls())),
            other => other,
        }
    }
}

/// A case has failed; a panic of the thread that runs them is the end.
fn panicked(runner: ThreadId, text: &str) {
    if current().id() == runner {
        eprintln!("{text}");
        std::process::exit(FAILED);
    }
    end(Outcome::Failed(Failure::panic(text)))
}

/// Whether the cases run in this process.
pub fn is_on() -> bool {
    VERDICT.lock().unwrap_or_else(PoisonError::into_inner).is_some()
}

/// The running case is over; its thread stays.
pub fn end(outcome: Outcome) -> ! {
    tell(outcome);
    loop {
        std::thread::park();
    }
}

fn tell(outcome: Outcome) {
    if let Some(verdict) = &*VERDICT.lock().unwrap_or_else(PoisonError::into_inner) {
        // Nobody listens to a case that was given up.
        let _ = verdict.send(outcome);
    }
}

fn expect() -> Receiver<Outcome> {
    let (sender, receiver) = channel();
    CRASH.store(0, SeqCst);
    *VERDICT.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
    receiver
}

fn wait(verdict: &Receiver<Outcome>, limit: Duration) -> Outcome {
    let started = Instant::now();
    while started.elapsed() < limit {
        if let Ok(outcome) = verdict.recv_timeout(Duration::from_millis(2)) {
            return outcome;
        }
        if CRASH.load(SeqCst) != 0 {
            return Outcome::Failed(Failure::death(CRASH.load(SeqCst)));
        }
    }
    Outcome::Failed(Failure::hang(limit.as_secs()))
}

/// From now on the signal stops the thread that it would kill the process for.
fn catch(signal: i32) {
    extern "C" fn stop(signal: i32) {
        CRASH.store(signal, SeqCst);
        loop {
            // SAFETY: no arguments.
            unsafe { libc::pause() };
        }
    }
    // SAFETY: the handler makes no call but pause.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = stop as *const () as usize;
        action.sa_flags = libc::SA_ONSTACK | libc::SA_NODEFER;
        libc::sigaction(signal, &action, std::ptr::null_mut());
    }
}
