//! Whether the kernel's AIO can be had, tried for real; why not, and who has used its quota up.

use std::ffi::OsString;
use std::path::Path;

use serde_json::json;
use syscalls::{Errno, Sysno, syscall};

use super::filter::{self, Filter};
use super::finding::{Cause, Finding, over_uaio};
use super::holders::Holders;
use super::{sysctl, tracer};
use crate::units::count;

const TOPIC: &str = "kernel AIO";
/// How often the quota is looked at until it fits the answer; others use it meanwhile.
const LOOKS: u32 = 5;
/// What most hosts that use AIO set fs.aio-max-nr to.
const USUAL_MAX: u64 = 1 << 20;

/// fs.aio-nr and fs.aio-max-nr.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Quota {
    used: u64,
    max: u64,
}

/// What happened when a context was made and used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Trial {
    call: &'static str,
    errno: Option<Errno>,
}

/// What was seen; from this alone the cause follows.
#[derive(Debug)]
struct Evidence {
    trial: Trial,
    quota: Option<Quota>,
    /// Whether /proc/sys/fs is there at all.
    sysctls: bool,
    filter: Option<Filter>,
}

pub fn find(program: &[OsString]) -> Finding {
    let evidence = Evidence::gather();
    let finding = judge(&evidence);
    if finding.cause.is_none() {
        return finding;
    }
    finding.fix(over_uaio(program))
}

impl Evidence {
    fn gather() -> Evidence {
        let mut seen = Evidence::once();
        for _ in 1..LOOKS {
            if seen.trial.errno != Some(Errno::EAGAIN) || seen.quota.is_none_or(Quota::is_used_up) {
                break;
            }
            seen = Evidence::once();
        }
        seen
    }

    fn once() -> Evidence {
        let trial = try_it();
        let quota = sysctl::number("fs", "aio-nr").zip(sysctl::number("fs", "aio-max-nr"));
        let quota = quota.map(|(used, max)| Quota { used, max });
        Evidence { trial, quota, sysctls: Path::new("/proc/sys/fs/file-max").exists(), filter: filter::own() }
    }
}

/// Makes a context for one request, and uses it without a request.
fn try_it() -> Trial {
    let mut id = 0usize;
    // SAFETY: `id` holds 0 and lives across the call, which stores the new context there.
    if let Err(errno) = unsafe { syscall!(Sysno::io_setup, 1, &raw mut id) } {
        return Trial { call: "io_setup", errno: Some(errno) };
    }
    // SAFETY: no iocb is named.
    let submitted = unsafe { syscall!(Sysno::io_submit, id, 0, 0) };
    // SAFETY: no event is asked for.
    let got = unsafe { syscall!(Sysno::io_getevents, id, 0, 0, 0, 0) };
    // SAFETY: the context is ours alone and has no request in flight.
    let destroyed = unsafe { syscall!(Sysno::io_destroy, id) };
    let all = [("io_submit", submitted), ("io_getevents", got), ("io_destroy", destroyed)];
    let failed = all.iter().find_map(|(call, result)| Some((*call, result.err()?)));
    failed.map_or(Trial { call: "io_setup", errno: None }, |(call, errno)| Trial { call, errno: Some(errno) })
}

fn judge(seen: &Evidence) -> Finding {
    let call = seen.trial.call;
    let Some(errno) = seen.trial.errno else { return present(seen.quota) };
    let name = errno.name().unwrap_or("an unknown error");
    let says = format!("{call} gives {name}");
    match (errno, seen.quota, &seen.filter) {
        (Errno::EAGAIN, Some(quota), _) if quota.is_used_up() => used_up(&says, quota),
        (Errno::ENOSYS, None, _) if seen.sysctls => {
            let text = "this kernel was built without AIO (CONFIG_AIO): there is no fs.aio-max-nr";
            Finding::trouble(TOPIC, says, Cause::new("not-built-in", text))
        }
        (_, _, Some(filter)) => filter.fixes(Finding::trouble(TOPIC, &says, filter.cause(call, name))),
        (Errno::ENOMEM, ..) => {
            Finding::trouble(TOPIC, says, Cause::new("memory", "the kernel has no memory for a ring"))
        }
        _ => {
            let text = "neither the quota nor a seccomp filter of this process: a security module, a tracer or another kernel than Linux";
            tracer::named(Finding::trouble(TOPIC, says, Cause::new("unknown", text)))
        }
    }
}

fn present(quota: Option<Quota>) -> Finding {
    let Some(quota) = quota else { return Finding::ok(TOPIC, "present") };
    let says = format!("present; {}", quota.words());
    let holders = if quota.used > 0 { Holders::find() } else { Holders::default() };
    Finding::ok(TOPIC, says).details(details(quota, &holders))
}

fn used_up(says: &str, quota: Quota) -> Finding {
    let holders = Holders::find();
    let cause = Cause::new("quota", format!("the host's quota is used up: {}", quota.words()));
    let mut finding = Finding::trouble(TOPIC, says, cause).details(details(quota, &holders));
    finding.notes = holders.lines(quota.used);
    let enough = USUAL_MAX.max(quota.max.saturating_mul(2));
    finding.fix_if(format!("sysctl -w fs.aio-max-nr={enough}"), "as root of the host")
}

fn details(quota: Quota, holders: &Holders) -> serde_json::Value {
    json!({"aio_nr": quota.used, "aio_max_nr": quota.max, "holders": holders.seen, "unreadable_processes": holders.unreadable})
}

impl Quota {
    /// Not even one request more.
    fn is_used_up(self) -> bool {
        self.used >= self.max
    }

    fn words(self) -> String {
        format!("{} of {} requests are taken (fs.aio-nr, fs.aio-max-nr)", count(self.used), count(self.max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(errno: Errno, quota: Option<(u64, u64)>, sysctls: bool) -> &'static str {
        let trial = Trial { call: "io_setup", errno: Some(errno) };
        let quota = quota.map(|(used, max)| Quota { used, max });
        judge(&Evidence { trial, quota, sysctls, filter: None }).cause.unwrap().id
    }

    #[test]
    fn causes_follow_from_what_was_seen() {
        assert_eq!(cause(Errno::EAGAIN, Some((10, 10)), true), "quota");
        assert_eq!(cause(Errno::EAGAIN, Some((9, 10)), true), "unknown");
        assert_eq!(cause(Errno::ENOSYS, None, true), "not-built-in");
        assert_eq!(cause(Errno::ENOSYS, None, false), "unknown");
        assert_eq!(cause(Errno::ENOSYS, Some((0, 10)), true), "unknown");
        assert_eq!(cause(Errno::ENOMEM, Some((0, 10)), true), "memory");
    }

    #[test]
    fn a_larger_quota_than_usual_is_doubled() {
        let finding = used_up("", Quota { used: 1 << 21, max: 1 << 21 });
        assert_eq!(finding.fixes[0].command, "sysctl -w fs.aio-max-nr=4194304");
    }
}
