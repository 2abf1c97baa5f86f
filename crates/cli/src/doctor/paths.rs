//! What the file systems of given paths can do, tried on a file there.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde_json::json;
use uaio::abi::{RWF_DONTCACHE, RWF_NOWAIT};

use super::finding::{Cause, Finding, quoted};
use crate::failure::Failure;

/// Alignment and length that every device takes.
const BLOCK: usize = 4096;

/// Whether something is supported.
type Answer = Result<bool, io::Error>;

#[repr(align(4096))]
struct Block([u8; BLOCK]);

pub fn find(path: &Path) -> Result<Finding, Failure> {
    let shown = path.display();
    let metadata = fs::metadata(path).map_err(|e| Failure::own(format!("{shown}: {e}")))?;
    let kind = metadata.file_type();
    if !kind.is_dir() && !kind.is_file() && !std::os::unix::fs::FileTypeExt::is_block_device(&kind) {
        return Err(Failure::own(format!("{shown}: neither a directory nor a file nor a block device")));
    }
    let topic = format!("path {}", quoted(path.as_os_str()));
    let system = type_of(path).unwrap_or_else(|| "a file system without a name".into());
    if !kind.is_dir() {
        return Ok(tried(topic, &system, path));
    }
    match temporary(path) {
        Ok(file) => Ok(tried(topic, &system, file.path())),
        Err(error) => Ok(no_file(topic, &system, path, &error)),
    }
}

/// A file of two blocks, removed when dropped.
fn temporary(dir: &Path) -> io::Result<tempfile::NamedTempFile> {
    let mut file = tempfile::Builder::new().prefix(".uaio-doctor-").tempfile_in(dir)?;
    file.write_all(&[0; 2 * BLOCK])?;
    file.as_file().sync_data()?;
    Ok(file)
}

fn no_file(topic: String, system: &str, path: &Path, error: &io::Error) -> Finding {
    let cause = Cause::new("no-file", format!("no file can be made in this directory: {}", error.kind()));
    let example = quoted(path.join("FILE").as_os_str());
    Finding::trouble(topic, format!("{system}; not tried"), cause)
        .fix_if(format!("uaio doctor --path {example}"), "a file that is there and can be read")
}

fn tried(topic: String, system: &str, file: &Path) -> Finding {
    let (buffered, direct) = (open(file, 0), open(file, libc::O_DIRECT));
    let buffered = match buffered {
        Ok(opened) => opened,
        Err(error) => {
            let cause = Cause::new("not-readable", format!("the file cannot be opened for reading: {error}"));
            let finding = Finding::trouble(topic, format!("{system}; not tried"), cause);
            let chmod = format!("chmod a+r {}", quoted(file.as_os_str()));
            let denied = error.kind() == io::ErrorKind::PermissionDenied;
            return if denied { finding.fix_if(chmod, "as the owner of the file") } else { finding };
        }
    };
    let nowait = flag(&buffered, RWF_NOWAIT);
    let dontcache = flag(&buffered, RWF_DONTCACHE);
    let (direct_works, direct_nowait) = match &direct {
        Ok(opened) => (flag(opened, 0), flag(opened, RWF_NOWAIT)),
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => (Ok(false), Ok(false)),
        Err(error) => (Err(io::Error::from_raw_os_error(error.raw_os_error().unwrap_or(libc::EIO))), Ok(false)),
    };
    let says = format!(
        "{system}: RWF_NOWAIT {}, O_DIRECT {}, RWF_DONTCACHE {}",
        word(&nowait),
        word(&direct_works),
        word(&dontcache)
    );
    let finding = Finding::ok(topic, says).details(json!({
        "file_system": system,
        "nowait": nowait.as_ref().ok(),
        "direct": direct_works.as_ref().ok(),
        "direct_nowait": direct_nowait.as_ref().ok(),
        "dontcache": dontcache.as_ref().ok(),
    }));
    consequences(finding, &nowait, &direct_works, &direct_nowait)
}

fn consequences(mut finding: Finding, nowait: &Answer, direct: &Answer, direct_nowait: &Answer) -> Finding {
    if matches!(nowait, Ok(false)) {
        finding = finding.note(
            "buffered reads are executed inside io_submit: without RWF_NOWAIT nobody can tell whether they wait",
        );
    }
    if matches!((direct, direct_nowait), (Ok(true), Ok(false))) {
        finding = finding.note("O_DIRECT requests are executed inside io_submit: the file takes no RWF_NOWAIT");
    }
    finding
}

fn open(path: &Path, flags: i32) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(flags | libc::O_NONBLOCK | libc::O_NOCTTY).open(path)
}

/// Reads one block with `flag`. EAGAIN is an answer of a file that knows RWF_NOWAIT.
fn flag(file: &File, flag: u32) -> Answer {
    let mut block = Box::new(Block([0; BLOCK]));
    let iov = libc::iovec { iov_base: block.0.as_mut_ptr().cast(), iov_len: BLOCK };
    // SAFETY: one piece, a whole block that lives across the call.
    let got = unsafe { libc::preadv2(file.as_raw_fd(), &raw const iov, 1, 0, flag as i32) };
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        _ if got >= 0 => Ok(true),
        Some(libc::EAGAIN) if flag == RWF_NOWAIT => Ok(true),
        Some(libc::EOPNOTSUPP) => Ok(false),
        // O_DIRECT of a file whose open let it pass.
        Some(libc::EINVAL) if flag == 0 => Ok(false),
        _ => Err(error),
    }
}

fn word(answer: &Answer) -> String {
    match answer {
        Ok(true) => "yes".into(),
        Ok(false) => "no".into(),
        Err(error) => format!("unknown ({error})"),
    }
}

/// The type of the mount that holds `path`, as mount(8) shows it.
fn type_of(path: &Path) -> Option<String> {
    let path = path.canonicalize().ok()?;
    let text = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let mut best: Option<(PathBuf, String)> = None;
    for line in text.lines() {
        let Some((point, kind)) = mount(line) else { continue };
        // Of mounts on the same directory the last one counts.
        let longer = best.as_ref().is_none_or(|(old, _)| point.as_os_str().len() >= old.as_os_str().len());
        if path.starts_with(&point) && longer {
            best = Some((point, kind));
        }
    }
    best.map(|(_, kind)| kind)
}

fn mount(line: &str) -> Option<(PathBuf, String)> {
    let (left, right) = line.split_once(" - ")?;
    let point = left.split(' ').nth(4)?;
    let point = ["\\040 ", "\\011\t", "\\012\n", "\\134\\"]
        .iter()
        .fold(point.to_string(), |point, pair| point.replace(&pair[..4], &pair[4..]));
    Some((point.into(), right.split(' ').next()?.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_mountinfo() {
        let line = r"36 35 98:0 /a /mnt\0402 rw,noatime master:1 - ext4 /dev/root rw";
        assert_eq!(mount(line), Some(("/mnt 2".into(), "ext4".into())));
        assert_eq!(mount("nonsense"), None);
        assert_eq!(type_of(Path::new("/proc/self/status")).unwrap(), "proc");
    }
}
