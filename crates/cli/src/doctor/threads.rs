//! Why no thread can be started.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{getgid, getppid, getuid};

use super::finding::{Cause, Finding, over_uaio, quoted};
use super::pids;

const SAYS: &str = "inline: every request is executed inside io_submit, POLL gives EAGAIN";

pub fn can_start() -> bool {
    std::thread::Builder::new().spawn(|| ()).is_ok_and(|thread| thread.join().is_ok())
}

/// Raises our own limit as far as we may, tries again, and puts it back.
pub fn missing(topic: &str) -> Finding {
    let trouble = |id, text: String| Finding::trouble(topic, SAYS, Cause::new(id, text));
    let (soft, hard) = getrlimit(Resource::RLIMIT_NPROC).unwrap_or((libc::RLIM_INFINITY, libc::RLIM_INFINITY));
    let helped = setrlimit(Resource::RLIMIT_NPROC, hard, hard).is_ok() && can_start();
    let _ = setrlimit(Resource::RLIMIT_NPROC, soft, hard);
    if let Some(limit) = pids::full() {
        let text =
            format!("no thread can be started: a control group has as many tasks as it may ({})", limit.display());
        let fix = format!("echo max >{}", quoted(limit.as_os_str()));
        return trouble("pids", text).fix_if(fix, "as root of the host");
    }
    if helped {
        let most = if hard == libc::RLIM_INFINITY { "unlimited".into() } else { hard.to_string() };
        let text = format!("no thread can be started: RLIMIT_NPROC is {soft}; with more, one was");
        return trouble("nproc", text).fix(format!("ulimit -u {most}"));
    }
    let tasks = pids::of_user(getuid().as_raw());
    if tasks >= hard {
        let text =
            format!("no thread can be started: this user has {tasks} tasks, the hard RLIMIT_NPROC is {hard}");
        let raise = format!("prlimit --pid {} --nproc=unlimited", getppid());
        let restart =
            format!("setpriv --reuid={} --regid={} --clear-groups {}", getuid(), getgid(), over_uaio(&[]));
        return trouble("nproc-hard", text)
            .fix_if(raise, "as root (CAP_SYS_RESOURCE), for the process that has started this one")
            .fix_if(restart, "or as root, with root's limit");
    }
    let text =
        "no thread can be started: not RLIMIT_NPROC; maybe the limit of a control group that cannot be seen";
    trouble("threads", text.into())
}
