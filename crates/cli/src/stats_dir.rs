//! The private directory in which the processes of a program keep their counters.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;
use tempfile::TempDir;

use crate::failure::Failure;
use crate::summary::{Process, parse};
use uaio::stats::MAPPING;

/// Longest path that a process accepts in `UAIO_STATS`, bytes.
const PATH_MAX: usize = 480;

/// Removed when dropped.
#[derive(Debug)]
pub struct StatsDir {
    _outer: TempDir,
    inner: PathBuf,
}

impl StatsDir {
    /// Makes it. Where we are root, the program may give that up before its first AIO call; so everybody who knows
    /// the inner directory's random name may make files there, and nobody can list the outer one.
    pub fn make() -> Result<StatsDir, Failure> {
        let failed = |e: io::Error| Failure::own(format!("no temporary directory: {e}"));
        let outer = tempfile::Builder::new().prefix("uaio-").tempdir().map_err(failed)?;
        let inner = tempfile::Builder::new().prefix("").rand_bytes(16).tempdir_in(&outer).map_err(failed)?.keep();
        if geteuid().is_root() {
            fs::set_permissions(&outer, Permissions::from_mode(0o711)).map_err(failed)?;
            fs::set_permissions(&inner, Permissions::from_mode(0o1733)).map_err(failed)?;
        }
        if inner.as_os_str().as_bytes().len() > PATH_MAX {
            return Err(Failure::own(format!(
                "{}: too long a path for the counters; set TMPDIR",
                inner.display()
            )));
        }
        Ok(StatsDir { _outer: outer, inner })
    }

    /// Where the counters are.
    pub fn path(&self) -> &Path {
        &self.inner
    }

    /// What is there now, oldest first. Files that are not what they should be are left out.
    pub fn processes(&self) -> Vec<Process> {
        let entries = fs::read_dir(&self.inner).into_iter().flatten().flatten();
        let mut all: Vec<Process> = entries.filter_map(|entry| read(&entry.path()).ok().flatten()).collect();
        all.sort_by(|a, b| a.started.total_cmp(&b.started).then(a.pid.cmp(&b.pid)));
        all
    }
}

fn read(path: &Path) -> io::Result<Option<Process>> {
    // The file may be somebody else's making: no link is followed, nothing is waited for.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file: File = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() {
        return Ok(None);
    }
    let mut bytes = Vec::with_capacity(MAPPING);
    file.take(MAPPING as u64).read_to_end(&mut bytes)?;
    Ok(parse(&bytes).ok().map(|stats| Process::from(&*stats)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_counter_file_is_left_out() {
        let dir = StatsDir::make().unwrap();
        fs::write(dir.path().join("1.stats"), "short").unwrap();
        fs::write(dir.path().join("2.stats"), vec![7; MAPPING]).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("3.stats")).unwrap();
        assert!(dir.processes().is_empty());
        let path = dir.path().to_owned();
        drop(dir);
        assert!(!path.exists());
    }
}
