//! The seccomp filter that this process runs under, if any, and where it came from.

use std::fs;
use std::path::Path;

use super::finding::{Cause, Finding};

/// A process of the chain of parents.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Ancestor {
    pid: u32,
    parent: u32,
    name: String,
    filters: u32,
}

/// Where a filter was met first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// The outermost process that has it, with its name.
    has: Option<(u32, String)>,
    /// Its parent, which has not.
    free: Option<(u32, String)>,
    runtime: Option<&'static str>,
}

/// The filter in force, if there is one.
pub fn own() -> Option<Filter> {
    if !in_force() {
        return None;
    }
    let (has, free) = origin(read(std::process::id()), read);
    let runtime = has.as_ref().filter(|_| free.is_none()).and_then(|_| runtime());
    Some(Filter { has: has.map(named), free: free.map(named), runtime })
}

/// Asked of the kernel, for there may be no /proc.
fn in_force() -> bool {
    // SAFETY: takes no pointer.
    unsafe { libc::prctl(libc::PR_GET_SECCOMP, 0, 0, 0, 0) == 2 }
}

fn named(process: Ancestor) -> (u32, String) {
    (process.pid, process.name)
}

/// Goes up as long as the parent has as many filters as the child. Gives the last one, and the parent with fewer.
fn origin(
    mut process: Option<Ancestor>,
    read: impl Fn(u32) -> Option<Ancestor>,
) -> (Option<Ancestor>, Option<Ancestor>) {
    while let Some(child) = process {
        match read(child.parent) {
            Some(parent) if parent.filters < child.filters => return (Some(child), Some(parent)),
            Some(parent) => process = Some(parent),
            None => return (Some(child), None),
        }
    }
    (None, None)
}

fn read(pid: u32) -> Option<Ancestor> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| status.lines().find_map(|line| Some(line.strip_prefix(name)?.trim().to_string()));
    let number = |name: &str| field(name)?.parse().ok();
    // Kernels before 5.9 do not count them.
    let filters = number("Seccomp_filters:").or_else(|| Some(u32::from(number("Seccomp:")? == 2)))?;
    Some(Ancestor { pid, parent: number("PPid:")?, name: field("Name:")?, filters })
}

/// The container runtime whose marks are here.
fn runtime() -> Option<&'static str> {
    let marks = [("/.dockerenv", "docker"), ("/run/.containerenv", "podman")];
    marks.iter().find(|(mark, _)| Path::new(mark).exists()).map(|(_, name)| *name)
}

impl Filter {
    /// That it answers `calls` with `errno`.
    pub fn cause(&self, calls: &str, errno: &str) -> Cause {
        let origin = match (&self.has, &self.free) {
            (Some((pid, name)), Some((parent, shell))) => {
                format!("; process {pid} ({name}) has it, its parent {parent} ({shell}) has not")
            }
            (Some((pid, name)), None) => format!("; every process has it up to {pid} ({name})"),
            _ => String::new(),
        };
        Cause::new("seccomp", format!("a seccomp filter answers {calls} with {errno}{origin}"))
    }

    /// What gives the program a place without it, added to `finding`.
    pub fn fixes(&self, finding: Finding) -> Finding {
        match (&self.free, self.runtime) {
            (Some((pid, name)), _) => {
                finding.note(format!("a program that process {pid} ({name}) starts by itself has no such filter"))
            }
            (None, Some(runtime)) => {
                let command = format!("{runtime} run --security-opt seccomp=unconfined IMAGE");
                finding.fix_if(command, "or with a profile that allows these calls")
            }
            (None, None) => finding,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(filters: &'static [u32]) -> impl Fn(u32) -> Option<Ancestor> {
        |pid| {
            let filters = *filters.get(pid.checked_sub(1)? as usize)?;
            Some(Ancestor { pid, parent: pid - 1, name: format!("p{pid}"), filters })
        }
    }

    #[test]
    fn the_outermost_process_with_the_filter() {
        let found = |filters| {
            let read = chain(filters);
            let (has, free) = origin(read(filters.len() as u32), &read);
            (has.map(|p| p.pid), free.map(|p| p.pid))
        };
        assert_eq!(found(&[0, 0, 1, 1]), (Some(3), Some(2)));
        assert_eq!(found(&[0, 1, 2]), (Some(3), Some(2)), "another filter above it");
        assert_eq!(found(&[1, 1]), (Some(1), None));
    }

    #[test]
    fn we_ourselves() {
        let own = read(std::process::id()).unwrap();
        assert_eq!(own.filters > 0, in_force());
        assert!(own.parent > 0 && !own.name.is_empty());
    }

    #[test]
    fn a_container_names_its_runtime() {
        let filter = Filter { has: Some((1, "init".into())), free: None, runtime: Some("docker") };
        let cause = filter.cause("io_uring_setup", "EPERM");
        assert!(cause.text.ends_with("with EPERM; every process has it up to 1 (init)"), "{}", cause.text);
        let finding = filter.fixes(Finding::trouble("t", "s", cause));
        assert_eq!(finding.fixes[0].command, "docker run --security-opt seccomp=unconfined IMAGE");
    }
}
