//! The files that are read and written, and what they are on.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// Bytes of one request.
pub const BLOCK: usize = 4096;

/// What the jobs work on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ground {
    /// Only read.
    pub data: PathBuf,
    pub data_blocks: u64,
    /// Read and written.
    pub scratch: PathBuf,
    pub scratch_blocks: u64,
    /// "ext4 on /dev/vda".
    pub found: String,
    /// The device is compressed memory.
    pub zram: bool,
}

/// Keeps our own files; they have no name any more.
#[derive(Debug)]
pub struct Files {
    pub ground: Ground,
    _open: Vec<File>,
}

impl Files {
    /// Of `path`, if given, and of files of our own with `data` and `scratch` bytes.
    pub fn prepare(path: Option<&Path>, data: u64, scratch: u64) -> Result<Files, Failure> {
        let dir = directory(path)?;
        let scratch_file = make(&dir, scratch)?;
        let existing = path.filter(|path| path.exists());
        let data_file = match existing {
            Some(path) => File::open(path).map_err(|e| failure(path, &e))?,
            None => make(&dir, data)?,
        };
        let data = existing.map_or(Ok(data), size)?;
        if data < 64 * BLOCK as u64 {
            return Err(Failure::plain("the file is too small: at least 256 KiB"));
        }
        let (mut found, zram) = describe(existing.unwrap_or(&dir));
        let (writes, _) = describe(&dir);
        if writes != found {
            found = format!("reads of {found}, writes to {writes}");
        }
        let ground = Ground {
            data: name(&data_file),
            data_blocks: data / BLOCK as u64,
            scratch: name(&scratch_file),
            scratch_blocks: scratch / BLOCK as u64,
            found,
            zram,
        };
        Ok(Files { ground, _open: vec![data_file, scratch_file] })
    }
}

impl Ground {
    /// Opens the file that is only read.
    pub fn open_data(&self, direct: bool) -> Result<File, Failure> {
        open(&self.data, false, direct)
    }

    /// Opens the file that is written.
    pub fn open_scratch(&self, direct: bool) -> Result<File, Failure> {
        open(&self.scratch, true, direct)
    }
}

fn open(path: &Path, write: bool, direct: bool) -> Result<File, Failure> {
    let mut options = OpenOptions::new();
    options.read(true).write(write).custom_flags(if direct { libc::O_DIRECT } else { 0 });
    options.open(path).map_err(|e| failure(path, &e))
}

/// How the other processes reach an open file.
fn name(file: &File) -> PathBuf {
    format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()).into()
}

fn failure(path: &Path, error: &io::Error) -> Failure {
    Failure::plain(format!("{}: {error}", path.display()))
}

/// Where our own files go: beside `path`, if that is in a file system, else here, else where temporary files go.
fn directory(path: Option<&Path>) -> Result<PathBuf, Failure> {
    let beside = path.filter(|path| !path.metadata().is_ok_and(|m| m.file_type().is_block_device()));
    let beside = beside.and_then(Path::parent).map(|dir| if dir == Path::new("") { Path::new(".") } else { dir });
    if let Some(dir) = beside {
        return Ok(dir.into());
    }
    let candidates = [".".into(), std::env::temp_dir(), "/var/tmp".into()];
    let found =
        candidates.into_iter().find(|dir: &PathBuf| is_on_a_device(dir) && tempfile::tempfile_in(dir).is_ok());
    found.ok_or_else(|| Failure::plain("neither . nor TMPDIR nor /var/tmp is on a disk; name one by --file"))
}

fn is_on_a_device(dir: &Path) -> bool {
    statfs(dir).is_ok_and(|fs| fs.filesystem_type() != TMPFS_MAGIC)
}

/// A file without a name, written and on the device.
fn make(dir: &Path, bytes: u64) -> Result<File, Failure> {
    let made = tempfile::tempfile_in(dir).and_then(|mut file| {
        let mut piece = vec![0; 1 << 20];
        for _ in 0..bytes / piece.len() as u64 {
            // Neither zeros nor the same block twice: some devices notice both.
            fastrand::fill(&mut piece);
            file.write_all(&piece)?;
        }
        file.sync_all()?;
        Ok(file)
    });
    made.map_err(|e| failure(dir, &e))
}

/// Bytes of a file or a block device.
fn size(path: &Path) -> Result<u64, Failure> {
    File::open(path).and_then(|mut file| file.seek(SeekFrom::End(0))).map_err(|e| failure(path, &e))
}

/// What `path` is on, and whether that is zram.
fn describe(path: &Path) -> (String, bool) {
    let Ok(meta) = path.metadata() else { return ("unknown".into(), false) };
    if meta.file_type().is_block_device() {
        return (path.display().to_string(), is_zram(meta.rdev()));
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let path = path.canonicalize().unwrap_or_else(|_| path.into());
    (mount_of(&mounts, &path).unwrap_or_else(|| "unknown".into()), is_zram(meta.dev()))
}

fn is_zram(dev: u64) -> bool {
    let link = format!("/sys/dev/block/{}:{}", libc::major(dev), libc::minor(dev));
    fs::read_link(link).is_ok_and(|to| to.to_string_lossy().contains("/zram"))
}

/// "ext4 on /dev/vda", from the mount whose place is the longest prefix of `path`.
fn mount_of(mounts: &str, path: &Path) -> Option<String> {
    let lines = mounts.lines().filter_map(|line| {
        let (place, kind) = line.split_once(" - ")?;
        let place = Path::new(place.split(' ').nth(4)?);
        let mut kind = kind.split(' ');
        Some((place, format!("{} on {}", kind.next()?, kind.next()?)))
    });
    // The last of several on one place hides the others.
    let all = lines.filter(|(place, _)| path.starts_with(place));
    all.max_by_key(|(place, _)| place.components().count()).map(|(_, words)| words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_mount() {
        let mounts = "22 1 254:0 / / rw - ext4 /dev/vda rw\n\
                      30 22 0:25 / /data rw shared:1 - xfs /dev/vdb rw\n\
                      31 22 0:26 / /data rw - btrfs /dev/vdc rw\n";
        let of = |path: &str| mount_of(mounts, Path::new(path)).unwrap();
        assert_eq!(of("/data/x"), "btrfs on /dev/vdc");
        assert_eq!([of("/database"), of("/")], ["ext4 on /dev/vda", "ext4 on /dev/vda"]);
    }

    #[test]
    fn own_files_have_no_name() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::prepare(Some(&dir.path().join("x")), 1 << 20, 1 << 20).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        assert_eq!(files.ground.open_data(false).unwrap().metadata().unwrap().len(), 1 << 20);
        assert_eq!(files.ground.data_blocks, 256);
    }
}
