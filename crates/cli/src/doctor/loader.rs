//! A loader that cannot be asked what its program would load.

use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

use super::finding::{Cause, Finding, quoted};
use crate::{elf, lookup};

/// The loader that a program names.
pub fn of(file: &Path) -> Option<PathBuf> {
    elf::read(File::open(file).ok()?)?.interpreter
}

/// `error` says why.
pub fn not_asked(file: &Path, error: String) -> Finding {
    let finding = Finding::trouble("libraries", "the loader was not asked", Cause::new("loader", error));
    let Some(loader) = of(file) else { return finding };
    let fix = match loader.metadata() {
        Ok(metadata) => as_owner(&metadata, file).map(|ask| (ask, "as root")),
        Err(_) => namesake(&loader).map(|ours| (link(&ours, &loader), "as root; takes the loader of this system")),
    };
    match fix {
        Some((command, note)) => finding.fix_if(command, note),
        None => finding,
    }
}

/// A loader that belongs to an ordinary user is run by nobody else.
fn as_owner(loader: &Metadata, file: &Path) -> Option<String> {
    let (user, group) = (loader.uid(), loader.gid());
    let ask = || {
        format!(
            "setpriv --reuid={user} --regid={group} --clear-groups uaio doctor -- {}",
            quoted(file.as_os_str())
        )
    };
    (user != 0 && user != geteuid().as_raw()).then(ask)
}

/// Our own loader, where it has the same name.
fn namesake(loader: &Path) -> Option<PathBuf> {
    of(Path::new("/proc/self/exe")).filter(|ours| lookup::base_name(ours) == lookup::base_name(loader))
}

fn link(ours: &Path, loader: &Path) -> String {
    let dir = loader.parent().unwrap_or(Path::new("/"));
    let [dir, ours, loader] = [dir, ours, loader].map(|path| quoted(path.as_os_str()));
    format!("mkdir -p {dir} && ln -s {ours} {loader}")
}
