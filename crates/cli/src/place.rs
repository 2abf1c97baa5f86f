//! Where our own files are: beside the executable in a build directory, or in an installed prefix, which may be
//! anywhere.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::failure::Failure;

const AIOCP: [&str; 2] = ["aiocp", "../libexec/uaio/aiocp"];

/// The preload library, as LD_PRELOAD can name it.
pub fn preload() -> Result<PathBuf, Failure> {
    let library = library("libuaio_preload.so")?;
    check_preloadable(&library)?;
    Ok(library)
}

/// A library that was built with the command.
pub fn library(name: &str) -> Result<PathBuf, Failure> {
    find(&[&format!("../lib/uaio/{name}"), name])
}

/// The bundled client.
pub fn aiocp() -> Result<PathBuf, Failure> {
    find(&AIOCP)
}

fn find(candidates: &[&str]) -> Result<PathBuf, Failure> {
    let exe = std::env::current_exe().map_err(|e| Failure::own(format!("where am I? {e}")))?;
    let dir = exe.parent().unwrap_or(Path::new("/"));
    let found = candidates.iter().find_map(|candidate| dir.join(candidate).canonicalize().ok());
    found.ok_or_else(|| {
        let [first, second] = [0, 1].map(|i| dir.join(candidates[i]));
        Failure::own(format!("neither {} nor {} exists", first.display(), second.display()))
    })
}

/// The loader splits LD_PRELOAD at colons and spaces and expands `$`.
fn check_preloadable(library: &Path) -> Result<(), Failure> {
    let bad = library.as_os_str().as_bytes().iter().find(|byte| b": \t\n$".contains(byte));
    bad.map_or(Ok(()), |byte| {
        let (path, bad) = (library.display(), char::from(*byte));
        Err(Failure::own(format!(
            "LD_PRELOAD cannot name {path}: there is a {bad:?} in the path; install uaio elsewhere"
        )))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_the_loader_would_split() {
        assert!(check_preloadable(Path::new("/opt/uaio/lib/libuaio_preload.so")).is_ok());
        for bad in ["/a b/x.so", "/a:b/x.so", "/$LIB/x.so"] {
            let failure = check_preloadable(Path::new(bad)).unwrap_err();
            assert_eq!(failure.status, 125);
            assert!(failure.message.contains(bad));
        }
    }
}
