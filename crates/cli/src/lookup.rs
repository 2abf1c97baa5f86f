//! Finding a program as execvp(3) does.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::{AccessFlags, eaccess};

use crate::failure::{Failure, NOT_EXECUTABLE, NOT_FOUND};

/// Where programs are looked for when PATH is not set.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// The file that executing `name` would execute.
pub fn find(name: &OsStr) -> Result<PathBuf, Failure> {
    let path = std::env::var_os("PATH").unwrap_or(DEFAULT_PATH.into());
    search(name, &path).map_err(|errno| failure(name, errno))
}

/// The failure of executing `name` with `errno`.
pub fn failure(name: &OsStr, errno: Errno) -> Failure {
    let status = if errno == Errno::ENOENT { NOT_FOUND } else { NOT_EXECUTABLE };
    let reason = match errno {
        Errno::ENOENT => "not found",
        Errno::EISDIR => "is a directory",
        Errno::EACCES => "permission denied",
        other => other.desc(),
    };
    Failure::new(status, format!("{}: {reason}", name.display()))
}

fn search(name: &OsStr, path: &OsStr) -> Result<PathBuf, Errno> {
    if name.is_empty() {
        return Err(Errno::ENOENT);
    }
    if name.as_bytes().contains(&b'/') {
        return executable(Path::new(name));
    }
    let mut result = Err(Errno::ENOENT);
    for dir in std::env::split_paths(path) {
        let dir = if dir.as_os_str().is_empty() { PathBuf::from(".") } else { dir };
        match executable(&dir.join(name)) {
            Ok(found) => return Ok(found),
            // A file that may not be executed is remembered, the search goes on.
            Err(Errno::EACCES | Errno::EISDIR) => result = Err(Errno::EACCES),
            Err(_) => (),
        }
    }
    result
}

fn executable(path: &Path) -> Result<PathBuf, Errno> {
    eaccess(path, AccessFlags::X_OK)?;
    let kind = path.metadata().map_err(|e| Errno::from_raw(e.raw_os_error().unwrap_or(libc::EIO)))?;
    match kind.is_dir() {
        true => Err(Errno::EISDIR),
        false => Ok(path.to_owned()),
    }
}

/// The last component of a path.
pub fn base_name(path: &Path) -> OsString {
    path.file_name().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn file(dir: &Path, name: &str, mode: u32) {
        fs::write(dir.join(name), "x").unwrap();
        fs::set_permissions(dir.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn the_search_goes_on_behind_what_cannot_be_executed() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        file(a.path(), "p", 0o644);
        file(b.path(), "p", 0o755);
        file(a.path(), "q", 0o644);
        fs::create_dir(a.path().join("d")).unwrap();
        let path = std::env::join_paths([a.path(), b.path()]).unwrap();
        let search = |name: &str| search(OsStr::new(name), &path);
        assert_eq!(search("p"), Ok(b.path().join("p")));
        assert_eq!(search("q"), Err(Errno::EACCES));
        assert_eq!(search("d"), Err(Errno::EACCES));
        assert_eq!(search("r"), Err(Errno::ENOENT));
        assert_eq!(search(""), Err(Errno::ENOENT));
        assert_eq!(search(a.path().to_str().unwrap()), Err(Errno::EISDIR));
    }

    #[test]
    fn statuses_are_those_of_a_shell() {
        assert_eq!(failure(OsStr::new("x"), Errno::ENOENT).status, 127);
        assert_eq!(failure(OsStr::new("x"), Errno::EACCES).status, 126);
    }
}
