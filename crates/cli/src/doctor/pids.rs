//! Control groups that allow no further task, and the tasks of one user.

use std::fs;
use std::path::{Path, PathBuf};

/// Where the groups are, by the version of the interface.
const OLD: &str = "/sys/fs/cgroup/pids";
const NEW: &str = "/sys/fs/cgroup";

/// The limit that is reached: of our own group, or of one above it.
pub fn full() -> Option<PathBuf> {
    let lines = fs::read_to_string("/proc/self/cgroup").ok()?;
    lines.lines().filter_map(group).find_map(|group| group.ancestors().find_map(reached))
}

/// The tasks that RLIMIT_NPROC counts, as far as they can be seen.
pub fn of_user(user: u32) -> u64 {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|entry| fs::read_to_string(entry.path().join("status")).ok())
        .map(|status| tasks(&status, user))
        .sum()
}

/// Those of a process, if its real user is `user`.
fn tasks(status: &str, user: u32) -> u64 {
    let field = |name: &str| {
        status.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
    };
    if field("Uid:") == Some(user.into()) { field("Threads:").unwrap_or(0) } else { 0 }
}

/// The directory of a group that counts tasks.
fn group(line: &str) -> Option<PathBuf> {
    let mut fields = line.splitn(3, ':').skip(1);
    let (controllers, path) = (fields.next()?, fields.next()?);
    let root = match controllers {
        "" => NEW,
        _ if controllers.split(',').any(|name| name == "pids") => OLD,
        _ => return None,
    };
    Some(Path::new(root).join(path.trim_start_matches('/')))
}

fn reached(group: &Path) -> Option<PathBuf> {
    let number = |name: &str| fs::read_to_string(group.join(name)).ok()?.trim().parse::<u64>().ok();
    (number("pids.current")? >= number("pids.max")?).then(|| group.join("pids.max"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions() {
        assert_eq!(group("0::/a/b"), Some("/sys/fs/cgroup/a/b".into()));
        assert_eq!(group("7:cpu,pids:/a"), Some("/sys/fs/cgroup/pids/a".into()));
        assert_eq!(group("3:memory:/a"), None);
        assert_eq!(reached(Path::new("/proc")), None);
    }

    #[test]
    fn the_real_user_counts() {
        let status = "Name:\tx\nUid:\t7\t8\t8\t8\nThreads:\t3\n";
        assert_eq!((tasks(status, 7), tasks(status, 8)), (3, 0));
        assert!(of_user(nix::unistd::getuid().as_raw()) >= 1);
    }
}
