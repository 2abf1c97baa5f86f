//! `uaio install DIR`: puts this build into a prefix, which may be moved afterwards.

use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::place;

/// Install uaio into DIR
///
/// DIR becomes, or already is, a prefix with bin, lib, libexec, include and share. It may be moved later, and copied to
/// another machine.
#[derive(clap::Args, Debug)]
pub struct Args {
    dir: PathBuf,
}

/// The interface's version, not ours: programs ask pkg-config for it.
const LIBAIO_VERSION: &str = "0.3.113";
const HEADER: &str = include_str!("../../libaio/include/libaio.h");
const PKG_CONFIG: &str = include_str!("../../libaio/libaio.pc.in");

macro_rules! pages {
    ($($page:literal)*) => { [$(($page, include_str!(concat!("../../../docs/man/", $page)))),*] };
}

const PAGES: [(&str, &str); 8] = pages![
    "man1/uaio.1" "man2/io_setup.2" "man2/io_submit.2" "man2/io_getevents.2" "man2/io_pgetevents.2" "man2/io_cancel.2"
    "man2/io_destroy.2" "man7/uaio.7"
];

/// Writes the files and says which.
pub fn run(args: &Args) -> Result<i32, Failure> {
    let exe = std::env::current_exe().map_err(|e| Failure::plain(format!("where am I? {e}")))?;
    let built = [
        (exe, "bin/uaio"),
        (place::preload()?, "lib/uaio/libuaio_preload.so"),
        (place::library("libaio.so.1")?, "lib/uaio/libaio.so.1"),
        (place::library("libaio.so.1t64")?, "lib/uaio/libaio.so.1t64"),
        (place::library("libaio.a")?, "lib/uaio/libaio.a"),
        (place::aiocp()?, "libexec/uaio/aiocp"),
    ];
    for (from, to) in built {
        put(&args.dir.join(to), |to| copy(&from, to))?;
    }
    put(&args.dir.join("lib/uaio/libaio.so"), |to| link("libaio.so.1", to))?;
    put(&args.dir.join("include/uaio/libaio.h"), |to| write(HEADER, to))?;
    put(&args.dir.join("lib/uaio/pkgconfig/libaio.pc"), |to| write(&pkg_config(), to))?;
    for (page, text) in PAGES {
        put(&args.dir.join("share/man").join(page), |to| write(text, to))?;
    }
    Ok(0)
}

/// The prefix is where the file is: it may be moved.
fn pkg_config() -> String {
    PKG_CONFIG.replace("@PREFIX@", "${pcfiledir}/../../..").replace("@VERSION@", LIBAIO_VERSION)
}

/// Makes one file, in a directory that is made as well.
fn put(to: &Path, make: impl FnOnce(&Path) -> io::Result<()>) -> Result<(), Failure> {
    let made = fs::create_dir_all(to.parent().unwrap_or(Path::new("."))).and_then(|()| make(to));
    made.map_err(|e| Failure::plain(format!("{}: {e}", to.display())))?;
    println!("{}", to.display());
    Ok(())
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut fresh = fresh(to, fs::metadata(from)?.permissions())?;
    io::copy(&mut fs::File::open(from)?, &mut fresh)?;
    fresh.persist(to)?;
    Ok(())
}

fn write(text: &str, to: &Path) -> io::Result<()> {
    let mut fresh = fresh(to, Permissions::from_mode(0o644))?;
    fresh.write_all(text.as_bytes())?;
    fresh.persist(to)?;
    Ok(())
}

fn link(target: &str, to: &Path) -> io::Result<()> {
    match fs::remove_file(to) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => symlink(target, to),
    }
}

/// To be renamed over the old one, which may be in use.
fn fresh(to: &Path, permissions: Permissions) -> io::Result<tempfile::NamedTempFile> {
    let dir = to.parent().unwrap_or(Path::new("."));
    let fresh = tempfile::NamedTempFile::new_in(dir)?;
    fresh.as_file().set_permissions(permissions)?;
    Ok(fresh)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_manual_page_is_installed() {
        let man = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/man");
        let sections = fs::read_dir(&man).unwrap().map(|section| section.unwrap().path());
        let pages = sections.flat_map(|section| fs::read_dir(section).unwrap().map(|page| page.unwrap().path()));
        let there: BTreeSet<PathBuf> = pages.map(|page| page.strip_prefix(&man).unwrap().to_path_buf()).collect();
        assert_eq!(there, PAGES.iter().map(|(page, _)| PathBuf::from(page)).collect());
    }
}
