//! Whether a program will load our library, and if not, why.
//!
//! The loader does not tell: it ignores LD_PRELOAD in silence for a privileged program, and a static program has
//! no loader. So the file is read before it is executed, and through a script also its interpreter.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{getegid, geteuid, getgid, getuid};

use crate::elf::{self, Facts, Platform};
use crate::failure::Failure;
use crate::lookup;

/// How deep scripts may name scripts; the kernel allows about as many.
const DEPTH: usize = 5;
/// Bytes of a script's first line that the kernel looks at.
const FIRST_LINE: usize = 256;

/// Why our library cannot be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    Static,
    /// Its loader belongs to another C library.
    Loader(PathBuf),
    Platform(Platform),
    SetUserId(u32),
    SetGroupId(u32),
    Capabilities,
    /// We ourselves run with other ids than those of our user.
    Privileged,
}

/// An [`Obstacle`] and the file that it is about.
#[derive(Debug)]
pub struct Refusal {
    pub file: PathBuf,
    pub obstacle: Obstacle,
}

impl Refusal {
    /// Why, without what can be done.
    pub fn reason(&self) -> String {
        format!("{} {}", self.file.display(), self.obstacle)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (--force runs it on the kernel's AIO)", self.reason())
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secure = "so the loader ignores LD_PRELOAD";
        match self {
            Obstacle::Static => f.write_str("is statically linked, so no library can be preloaded into it"),
            Obstacle::Loader(loader) => {
                write!(
                    f,
                    "is started by {}, another C library's loader than the one uaio is built for",
                    loader.display()
                )
            }
            Obstacle::Platform(platform) => {
                write!(f, "is a {platform} program, another machine than uaio is built for")
            }
            Obstacle::SetUserId(user) => write!(f, "is set-user-ID and would run as user {user}, {secure}"),
            Obstacle::SetGroupId(group) => write!(f, "is set-group-ID and would run as group {group}, {secure}"),
            Obstacle::Capabilities => write!(f, "has file capabilities, {secure}"),
            Obstacle::Privileged => write!(f, "would run with other ids than those of its user, {secure}"),
        }
    }
}

/// Looks at the program `path` and, through scripts, at what will be executed in the end.
pub fn check(path: &Path) -> Result<Option<Refusal>, Failure> {
    let file = executed(path)?;
    Ok(obstacle(&file).map(|obstacle| Refusal { file, obstacle }))
}

/// The program itself, or what executes the script that it is.
pub fn executed(path: &Path) -> Result<PathBuf, Failure> {
    let mut file = path.to_owned();
    for _ in 0..DEPTH {
        match interpreter(&file)? {
            Some(next) => file = next,
            None => return Ok(file),
        }
    }
    Err(lookup::failure(path.as_os_str(), Errno::ELOOP))
}

/// What executes `path`, when it is a script.
fn interpreter(path: &Path) -> Result<Option<PathBuf>, Failure> {
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FIRST_LINE as u64).read_to_end(&mut start));
    if read.is_err() || start.starts_with(b"\x7fELF") {
        return Ok(None);
    }
    let Some((program, argument)) = first_line(&start) else {
        // execvp gives text without a first line to the shell; binfmt_misc may know other formats.
        let text = !start.contains(&0) && Path::new("/bin/sh").exists();
        return Ok(text.then(|| "/bin/sh".into()));
    };
    let found = lookup::find(program.as_os_str());
    let found =
        found.map_err(|f| Failure::new(f.status, format!("{}: interpreter {}", path.display(), f.message)))?;
    match argument.filter(|_| lookup::base_name(&found) == "env").and_then(|words| env_program(&words)) {
        Some(name) => lookup::find(&name).map(Some),
        None => Ok(Some(found)),
    }
}

/// Interpreter and argument of a `#!` line.
fn first_line(start: &[u8]) -> Option<(PathBuf, Option<OsString>)> {
    let line = start.strip_prefix(b"#!")?.split(|b| *b == b'\n').next()?.trim_ascii();
    let split = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
    let (program, argument) = line.split_at(split);
    let argument = argument.trim_ascii();
    let own = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    (!program.is_empty()).then(|| (own(program).into(), (!argument.is_empty()).then(|| own(argument))))
}

/// The program that `env WORDS` executes: the first word that is no option and no assignment.
fn env_program(words: &OsStr) -> Option<OsString> {
    let mut words = words.as_bytes().split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let name = words.find(|word| !word.starts_with(b"-") && !word.contains(&b'='))?;
    Some(OsString::from_vec(name.to_vec()))
}

/// What keeps the library out of the program `path`.
pub fn obstacle(path: &Path) -> Option<Obstacle> {
    // A file that may be executed but not read shows nothing; the loader takes it like any other.
    let file = File::open(path).ok()?;
    let metadata = file.metadata().ok()?;
    let facts = elf::read(file)?;
    linkage(path, &facts).or_else(|| privilege(path, &metadata))
}

fn linkage(path: &Path, facts: &Facts) -> Option<Obstacle> {
    if elf::own_platform().is_some_and(|own| own != facts.platform) {
        return Some(Obstacle::Platform(facts.platform));
    }
    match &facts.interpreter {
        None if is_glibc_loader(path) => None,
        None => Some(Obstacle::Static),
        Some(loader) => is_foreign_loader(loader).then(|| Obstacle::Loader(loader.clone())),
    }
}

/// The loader itself can be the program: `ld-linux-x86-64.so.2 PROGRAM`.
fn is_glibc_loader(path: &Path) -> bool {
    let name = lookup::base_name(path);
    ["ld-linux", "ld64.so", "ld.so", "ld-2."].iter().any(|start| name.as_bytes().starts_with(start.as_bytes()))
}

fn is_foreign_loader(loader: &Path) -> bool {
    let name = lookup::base_name(loader);
    ["ld-musl", "ld-uClibc", "ld64-uClibc", "linker"]
        .iter()
        .any(|start| name.as_bytes().starts_with(start.as_bytes()))
}

/// When the kernel will tell the loader to be careful (AT_SECURE).
fn privilege(path: &Path, metadata: &Metadata) -> Option<Obstacle> {
    let honoured = !statvfs(path).is_ok_and(|fs| fs.flags().contains(FsFlags::ST_NOSUID));
    let gains = !nix::sys::prctl::get_no_new_privs().unwrap_or(false);
    let mode = metadata.mode();
    // Without its execute bit for the group, set-group-ID means something else.
    let group_bits = libc::S_ISGID | libc::S_IXGRP;
    if honoured && gains && mode & libc::S_ISUID != 0 && metadata.uid() != getuid().as_raw() {
        return Some(Obstacle::SetUserId(metadata.uid()));
    }
    if honoured && gains && mode & group_bits == group_bits && metadata.gid() != getgid().as_raw() {
        return Some(Obstacle::SetGroupId(metadata.gid()));
    }
    if honoured && !getuid().is_root() && has_capabilities(path, gains) {
        return Some(Obstacle::Capabilities);
    }
    (geteuid() != getuid() || getegid() != getgid()).then_some(Obstacle::Privileged)
}

/// Whether the file has capabilities that make the start a secure one: the "effective" bit does in any case,
/// permitted ones only if they are gained. See capabilities(7), vfs_cap_data.
fn has_capabilities(path: &Path, gains: bool) -> bool {
    let Ok(Some(value)) = xattr::get(path, "security.capability") else { return false };
    let words: Vec<u32> = value.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect();
    // The first word is revision and the "effective" bit; then permitted and inheritable take turns.
    let effective = words.first().is_some_and(|first| first & 1 != 0);
    effective || gains && words.iter().skip(1).take(4).step_by(2).any(|permitted| *permitted != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_lines() {
        let parse = |line: &str| first_line(line.as_bytes()).map(|(p, a)| (p, a.unwrap_or_default()));
        assert_eq!(parse("#!/bin/sh\nx"), Some(("/bin/sh".into(), "".into())));
        assert_eq!(parse("#! /bin/sh -e \n"), Some(("/bin/sh".into(), "-e".into())));
        assert_eq!(parse("#!/usr/bin/env python3"), Some(("/usr/bin/env".into(), "python3".into())));
        assert_eq!(parse("#!\n"), None);
        assert_eq!(parse("echo"), None);
    }

    #[test]
    fn what_env_executes() {
        let program = |words: &str| env_program(OsStr::new(words)).unwrap_or_default();
        assert_eq!(program("python3"), "python3");
        assert_eq!(program("-S A=b  python3 -u"), "python3");
        assert_eq!(program("-i"), "");
    }

    #[test]
    fn loaders() {
        assert!(is_foreign_loader(Path::new("/lib/ld-musl-x86_64.so.1")));
        assert!(!is_foreign_loader(Path::new("/lib64/ld-linux-x86-64.so.2")));
        assert!(is_glibc_loader(Path::new("/lib64/ld-linux-x86-64.so.2")));
    }

    #[test]
    fn our_own_test_program_is_fine() {
        assert!(check(&std::env::current_exe().unwrap()).unwrap().is_none());
    }
}
