//! Running a program as a child that looks like ourselves from outside: its signals, its stops, its end.

use nix::errno::Errno;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, pthread_sigmask};
use nix::sys::signalfd::{SfdFlags, SignalFd, siginfo};
use nix::unistd::{ForkResult, Pid, fork, getpid, getsid};

use crate::failure::Failure;
use crate::run::Launch;

/// How the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Exit(i32),
    /// By this signal; a number, for the real-time ones have no name.
    Signal(i32),
}

/// Runs the program, passes on what is sent to us, and returns when it has ended.
pub fn run(launch: Launch) -> Result<End, Failure> {
    let before = Signals::take().map_err(|e| Failure::own(format!("signals: {e}")))?;
    // SAFETY: this process has one thread, so the child may do anything.
    match unsafe { fork() }.map_err(|e| Failure::own(format!("fork: {e}")))? {
        ForkResult::Child => {
            before.give_back();
            let Err(failure) = launch.exec();
            failure.print();
            // SAFETY: ends the child without running what the parent has registered.
            unsafe { libc::_exit(failure.status) }
        }
        ForkResult::Parent { child } => {
            drop(launch);
            watch(child).map_err(|e| Failure::own(format!("waiting for the program: {e}")))
        }
    }
}

/// How signals were before we took them.
struct Signals {
    mask: SigSet,
    on_child: libc::sigaction,
}

impl Signals {
    /// Blocks what is passed on, so that it waits for `watch`, and makes sure that children can be waited for.
    fn take() -> nix::Result<Signals> {
        let mut mask = SigSet::empty();
        pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&passed_on()), Some(&mut mask))?;
        // SAFETY: zero is a valid sigaction: the default, with no flags.
        let (default, mut on_child): (libc::sigaction, libc::sigaction) = unsafe { std::mem::zeroed() };
        // SAFETY: both point to a sigaction; the new one installs no handler.
        unsafe { libc::sigaction(libc::SIGCHLD, &raw const default, &raw mut on_child) };
        Ok(Signals { mask, on_child })
    }

    /// For the program: as it would have found them without us.
    fn give_back(&self) {
        // SAFETY: the action that was in force when the process started; not a handler, for none outlives exec.
        unsafe { libc::sigaction(libc::SIGCHLD, &raw const self.on_child, std::ptr::null_mut()) };
        let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&self.mask), None);
    }
}

/// All but the faults of our own making, and what the terminal does to background jobs.
fn passed_on() -> SigSet {
    use Signal::{SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP, SIGTTIN, SIGTTOU};
    let mut set = SigSet::all();
    for signal in [SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP, SIGTTIN, SIGTTOU] {
        set.remove(signal);
    }
    set
}

fn watch(child: Pid) -> nix::Result<End> {
    let signals = SignalFd::with_flags(&passed_on(), SfdFlags::SFD_CLOEXEC)?;
    loop {
        let signal = match signals.read_signal() {
            Ok(signal) => signal,
            Err(Errno::EINTR) => continue,
            Err(errno) => return Err(errno),
        };
        match signal {
            Some(signal) if signal.ssi_signo == libc::SIGCHLD as u32 => {
                if let Some(end) = look_after(child)? {
                    return Ok(end);
                }
            }
            Some(signal) if concerns(&signal, child) => send(child, signal.ssi_signo as i32),
            _ => (),
        }
    }
}

/// Whether the child should get this signal of ours.
fn concerns(signal: &siginfo, child: Pid) -> bool {
    let by_a_process = signal.ssi_code <= 0;
    if by_a_process {
        return signal.ssi_pid as i32 != child.as_raw();
    }
    // What the terminal sends goes to the whole process group, the child included; only a hang-up goes to the
    // session's leader alone.
    signal.ssi_signo == libc::SIGHUP as u32 && getsid(None) == Ok(getpid())
}

fn send(child: Pid, signal: i32) {
    // SAFETY: kill touches no memory. The child is not yet waited for, so the id is still its own.
    unsafe { libc::kill(child.as_raw(), signal) };
}

/// Waits for whatever has ended or stopped; as PID 1 also for the orphans of others.
fn look_after(child: Pid) -> nix::Result<Option<End>> {
    loop {
        let mut status = 0;
        // SAFETY: `status` is there to be written.
        let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG | libc::WUNTRACED) };
        match Errno::result(pid) {
            Ok(0) => return Ok(None),
            Ok(pid) if pid != child.as_raw() => (),
            Ok(_) if libc::WIFEXITED(status) => return Ok(Some(End::Exit(libc::WEXITSTATUS(status)))),
            Ok(_) if libc::WIFSIGNALED(status) => return Ok(Some(End::Signal(libc::WTERMSIG(status)))),
            Ok(_) => stop_too(libc::WSTOPSIG(status)),
            Err(Errno::EINTR) => (),
            Err(errno) => return Err(errno),
        }
    }
}

/// Job control stopped the child: the shell waits for us to stop. A plain SIGSTOP is between the child and its sender.
fn stop_too(signal: i32) {
    if [libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU].contains(&signal) {
        send(getpid(), libc::SIGSTOP);
    }
}

impl End {
    /// The exit status for ours; dies by the child's signal if that is how it died.
    pub fn follow(self) -> ! {
        if let End::Signal(signal) = self {
            die_by(signal);
        }
        let status = match self {
            End::Exit(status) => status,
            End::Signal(signal) => 128 + signal,
        };
        std::process::exit(status)
    }
}

/// Leaves no core of ours: the child's is the one of interest.
fn die_by(signal: i32) {
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    let _ = nix::sys::prctl::set_dumpable(false);
    // SAFETY: installs the default action, sends the signal, and lets it through; no memory is touched but `set`.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigaddset(&raw mut set, signal);
        libc::sigprocmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut());
    }
}
