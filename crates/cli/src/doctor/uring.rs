//! Whether io_uring can be had, tried for real, and why not.

use std::fs;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use syscalls::{Errno, Sysno, syscall};

use super::filter::{self, Filter};
use super::finding::{Cause, Finding};
use super::{sysctl, tracer};

const TOPIC: &str = "io_uring";
/// Sizes of the ring, entries to submit and completions: the largest and the smallest that the engine takes.
const LARGE: (u32, u32) = (256, 4096);
const SMALL: (u32, u32) = (4, 8);
const SETUP_CQSIZE: u32 = 1 << 3;
/// What the engine does not start without: no completion is dropped, a wait takes a time, and these requests, which
/// kernels with the second feature have. First the name that `UAIO_URING_MASK` has for it.
const NEEDED: [(&str, u32, &str); 7] = [
    ("nodrop", 1 << 1, "IORING_FEAT_NODROP"),
    ("ext_arg", 1 << 8, "IORING_FEAT_EXT_ARG"),
    ("readv", 0, "IORING_OP_READV"),
    ("writev", 0, "IORING_OP_WRITEV"),
    ("fsync", 0, "IORING_OP_FSYNC"),
    ("poll_add", 0, "IORING_OP_POLL_ADD"),
    ("async_cancel", 0, "IORING_OP_ASYNC_CANCEL"),
];
const MASK: &str = "UAIO_URING_MASK";
/// Words of struct io_uring_params, and which is which.
const PARAMS: usize = 30;
const CQ_ENTRIES: usize = 1;
const FLAGS: usize = 2;
const FEATURES: usize = 5;

/// How far it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trial {
    /// A ring of the large size, or with fewer entries.
    Works {
        entries: u32,
    },
    /// Refused before the kernel looked at the arguments.
    Forbidden(Errno),
    NoRing(Errno),
    /// A ring, but no entering it.
    NoEnter(Errno),
    Lacks(&'static str),
}

/// What was seen; from this alone the cause follows.
#[derive(Debug)]
struct Evidence {
    trial: Trial,
    /// kernel.io_uring_disabled, there since Linux 6.6.
    disabled: Option<u64>,
    group: Option<i64>,
    administrator: bool,
    filter: Option<Filter>,
    /// Whether the kernel has io_uring's functions; None where its symbols cannot be read.
    built_in: Option<bool>,
    /// That more locked memory helps, tried for real.
    memlock: Option<u64>,
}

pub fn find() -> Finding {
    judge(&Evidence::gather())
}

impl Evidence {
    fn gather() -> Evidence {
        let trial = try_it();
        let no_memory = matches!(trial, Trial::NoRing(Errno::ENOMEM) | Trial::Works { .. }) && trial != large();
        Evidence {
            trial,
            disabled: sysctl::number("kernel", "io_uring_disabled"),
            group: fs::read_to_string("/proc/sys/kernel/io_uring_group").ok().and_then(|g| g.trim().parse().ok()),
            administrator: is_administrator(),
            filter: filter::own(),
            built_in: if trial == Trial::Forbidden(Errno::ENOSYS) { built_in() } else { None },
            memlock: if no_memory { memlock_helps() } else { None },
        }
    }
}

fn large() -> Trial {
    Trial::Works { entries: LARGE.0 }
}

fn try_it() -> Trial {
    // SAFETY: the parameters' address is null, so nothing is made.
    match unsafe { syscall!(Sysno::io_uring_setup, 1, 0) } {
        Err(Errno::EFAULT) => (),
        Err(errno) => return Trial::Forbidden(errno),
        Ok(_) => return Trial::NoRing(Errno::EFAULT),
    }
    match ring(LARGE) {
        Trial::NoRing(Errno::ENOMEM) => ring(SMALL),
        other => other,
    }
}

fn ring((entries, completions): (u32, u32)) -> Trial {
    let mut params = [0u32; PARAMS];
    params[FLAGS] = SETUP_CQSIZE;
    params[CQ_ENTRIES] = completions;
    // SAFETY: the parameters are 120 bytes, which the kernel reads and fills in.
    let fd = match unsafe { syscall!(Sysno::io_uring_setup, entries as usize, params.as_mut_ptr()) } {
        // SAFETY: a new descriptor that is nobody else's.
        Ok(fd) => unsafe { OwnedFd::from_raw_fd(fd as i32) },
        Err(errno) => return Trial::NoRing(errno),
    };
    let lacks = |(mask, bit, _): &&(&str, u32, &str)| params[FEATURES] & bit != *bit || is_masked(mask);
    if let Some((_, _, name)) = NEEDED.iter().find(lacks) {
        return Trial::Lacks(name);
    }
    // SAFETY: submits nothing and waits for nothing.
    match unsafe { syscall!(Sysno::io_uring_enter, fd.as_raw_fd(), 0, 0, 0, 0, 0) } {
        Ok(_) => Trial::Works { entries },
        Err(errno) => Trial::NoEnter(errno),
    }
}

fn is_masked(name: &str) -> bool {
    std::env::var(MASK).is_ok_and(|mask| mask.split(',').any(|masked| masked == name))
}

/// CAP_SYS_ADMIN, bit 21 of the effective capabilities.
fn is_administrator() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("CapEff:")?.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << 21) != 0)
}

fn built_in() -> Option<bool> {
    let symbols = fs::read_to_string("/proc/kallsyms").ok().filter(|text| !text.is_empty())?;
    Some(symbols.lines().any(|line| line.split(' ').nth(2) == Some("io_uring_fops")))
}

/// Raises our own limit as far as we may, tries again, and puts it back. Gives the limit that was too low.
fn memlock_helps() -> Option<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_MEMLOCK).ok()?;
    let most = [(libc::RLIM_INFINITY, libc::RLIM_INFINITY), (hard, hard)];
    most.iter().find(|(soft, hard)| setrlimit(Resource::RLIMIT_MEMLOCK, *soft, *hard).is_ok())?;
    let helped = ring(LARGE) == large();
    let _ = setrlimit(Resource::RLIMIT_MEMLOCK, soft, hard);
    helped.then_some(soft)
}

fn judge(seen: &Evidence) -> Finding {
    let name = |errno: Errno| errno.name().unwrap_or("an unknown error");
    match seen.trial {
        Trial::Works { entries } if seen.memlock.is_none() => {
            Finding::ok(TOPIC, format!("present; a ring of {entries} entries was made"))
        }
        Trial::Works { entries } => locked_memory(seen, format!("only a ring of {entries} entries can be made")),
        Trial::Forbidden(errno) => forbidden(seen, errno, format!("io_uring_setup gives {}", name(errno))),
        Trial::NoEnter(errno) => {
            refused(seen, "io_uring_enter", errno, format!("io_uring_enter gives {}", name(errno)))
        }
        Trial::NoRing(errno) if seen.memlock.is_some() => {
            locked_memory(seen, format!("io_uring_setup gives {}", name(errno)))
        }
        Trial::NoRing(errno) => {
            refused(seen, "io_uring_setup", errno, format!("no ring can be made: {}", name(errno)))
        }
        Trial::Lacks(feature) => too_old(feature),
    }
}

fn too_old(feature: &str) -> Finding {
    let cause = Cause::new("too-old", "the kernel is too old for the engine: io_uring of Linux 5.11 has it");
    let finding = Finding::trouble(TOPIC, format!("present, without {feature}"), cause);
    match NEEDED.iter().any(|(mask, _, name)| *name == feature && is_masked(mask)) {
        true => finding.note(format!("{MASK} takes it for missing")).fix(format!("unset {MASK}")),
        false => finding,
    }
}

fn locked_memory(seen: &Evidence, says: String) -> Finding {
    let limit = seen.memlock.unwrap_or_default();
    let text = format!("RLIMIT_MEMLOCK is {limit} bytes; with more, a full ring was made");
    Finding::trouble(TOPIC, says, Cause::new("memlock", text)).fix("ulimit -l unlimited")
}

fn forbidden(seen: &Evidence, errno: Errno, says: String) -> Finding {
    let everywhere = "sysctl -w kernel.io_uring_disabled=0";
    match (errno, seen.disabled) {
        (Errno::EPERM, Some(2)) => {
            let cause = Cause::new("disabled", "kernel.io_uring_disabled is 2: nobody may make a ring");
            Finding::trouble(TOPIC, says, cause).fix_if(everywhere, "as root of the host")
        }
        (Errno::EPERM, Some(1)) if !seen.administrator => {
            let group = seen.group.unwrap_or(-1);
            let text = format!(
                "kernel.io_uring_disabled is 1: only CAP_SYS_ADMIN or group {group} (kernel.io_uring_group) may make a ring"
            );
            let own = format!("sysctl -w kernel.io_uring_group={}", nix::unistd::getegid());
            let finding = Finding::trouble(TOPIC, says, Cause::new("disabled-for-users", text));
            finding.fix_if(everywhere, "as root of the host").fix_if(own, "or for this group alone")
        }
        (Errno::ENOSYS, None) if seen.built_in == Some(false) => {
            let text = "this kernel has no io_uring (CONFIG_IO_URING, Linux 5.1)";
            Finding::trouble(TOPIC, says, Cause::new("not-built-in", text))
        }
        _ => refused(seen, "io_uring_setup", errno, says),
    }
}

fn refused(seen: &Evidence, call: &str, errno: Errno, says: String) -> Finding {
    let name = errno.name().unwrap_or("an unknown error");
    // A filter looks at the number of the call; what comes after the arguments were read is the kernel's own answer.
    let by_filter = !matches!(seen.trial, Trial::NoRing(Errno::ENOMEM | Errno::EMFILE | Errno::ENFILE));
    match &seen.filter {
        Some(filter) if by_filter => filter.fixes(Finding::trouble(TOPIC, says, filter.cause(call, name))),
        _ => {
            let text = "neither a setting of the kernel nor a seccomp filter of this process: a security module, a tracer or lack of memory";
            tracer::named(Finding::trouble(TOPIC, says, Cause::new("unknown", text)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence(trial: Trial) -> Evidence {
        Evidence {
            trial,
            disabled: Some(0),
            group: Some(-1),
            administrator: false,
            filter: None,
            built_in: None,
            memlock: None,
        }
    }

    fn cause(seen: &Evidence) -> &'static str {
        judge(seen).cause.map_or("none", |cause| cause.id)
    }

    #[test]
    fn settings_of_the_kernel() {
        let mut seen = evidence(Trial::Forbidden(Errno::EPERM));
        assert_eq!(cause(&seen), "unknown");
        seen.disabled = Some(2);
        assert_eq!(cause(&seen), "disabled");
        seen.disabled = Some(1);
        assert_eq!(cause(&seen), "disabled-for-users");
        seen.administrator = true;
        assert_eq!(cause(&seen), "unknown");
    }

    #[test]
    fn kernels_without_it() {
        let mut seen = evidence(Trial::Forbidden(Errno::ENOSYS));
        (seen.disabled, seen.built_in) = (None, Some(false));
        assert_eq!(cause(&seen), "not-built-in");
        assert_eq!(cause(&evidence(Trial::Lacks("IORING_FEAT_EXT_ARG"))), "too-old");
    }

    #[test]
    fn locked_memory_only_if_more_of_it_helped() {
        let mut seen = evidence(Trial::NoRing(Errno::ENOMEM));
        assert_eq!(cause(&seen), "unknown");
        seen.memlock = Some(0);
        assert_eq!(judge(&seen).fixes[0].command, "ulimit -l unlimited");
        let small = evidence(Trial::Works { entries: 4 });
        assert_eq!(cause(&small), "none");
        assert_eq!(cause(&Evidence { memlock: Some(9), ..small }), "memlock");
    }
}
