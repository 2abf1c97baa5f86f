//! `uaio install DIR`: copies this build into a prefix, which may be moved afterwards.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::place;

/// Install uaio into DIR
///
/// DIR becomes, or already is, a prefix with bin, lib and libexec. It may be moved later, and copied to another machine.
#[derive(clap::Args, Debug)]
pub struct Args {
    dir: PathBuf,
}

/// Copies the files and says which.
pub fn run(args: &Args) -> Result<i32, Failure> {
    let exe = std::env::current_exe().map_err(|e| Failure::plain(format!("where am I? {e}")))?;
    let files = [
        (exe, "bin/uaio"),
        (place::preload()?, "lib/uaio/libuaio_preload.so"),
        (place::aiocp()?, "libexec/uaio/aiocp"),
    ];
    for (from, to) in files {
        let to = args.dir.join(to);
        copy(&from, &to).map_err(|e| Failure::plain(format!("{}: {e}", to.display())))?;
        println!("{}", to.display());
    }
    Ok(0)
}

/// By renaming, for the old file may be in use.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let dir = to.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(dir)?;
    let fresh = tempfile::Builder::new().permissions(fs::metadata(from)?.permissions()).tempfile_in(dir)?;
    fs::copy(from, fresh.path())?;
    fresh.persist(to)?;
    Ok(())
}
