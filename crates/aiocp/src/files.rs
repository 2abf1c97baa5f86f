//! The two files. They never have a name for longer than a moment, so nothing is left behind, however we end.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::aio::Buffers;
use crate::content;

/// What O_DIRECT may ask of addresses, offsets and lengths, bytes.
pub const BLOCK_ALIGN: u64 = 4096;
/// Piece in which the file is made and verified, bytes.
const CHUNK: usize = 1 << 20;

/// Source and copy.
#[derive(Debug)]
pub struct Files {
    pub source: File,
    pub copy: File,
    /// Whether both are in O_DIRECT mode.
    pub direct: bool,
}

/// TMPDIR, else /var/tmp, which is on a disk more often than /tmp.
pub fn default_dir() -> PathBuf {
    std::env::var_os("TMPDIR").filter(|dir| !dir.is_empty()).map_or_else(|| "/var/tmp".into(), PathBuf::from)
}

impl Files {
    /// Makes the source, `size` bytes, and an empty copy of the same size in `dir`.
    pub fn make(dir: &Path, size: u64, progress: impl Fn(u64)) -> io::Result<Files> {
        let (source, copy) = (tempfile::tempfile_in(dir)?, tempfile::tempfile_in(dir)?);
        let mut chunk = vec![0; CHUNK];
        for (offset, len) in chunks(size) {
            content::fill(&mut chunk[..len], offset);
            source.write_all_at(&chunk[..len], offset)?;
            progress(offset + len as u64);
        }
        source.sync_all()?;
        copy.set_len(size)?;
        Ok(Files { source, copy, direct: false })
    }

    /// Switches both to O_DIRECT where the file system takes it.
    pub fn try_direct(mut self) -> io::Result<Files> {
        let switched = set_direct(&self.source, true).and_then(|()| set_direct(&self.copy, true));
        self.direct = switched.and_then(|()| self.trial_read()).is_ok();
        if !self.direct {
            set_direct(&self.source, false)?;
            set_direct(&self.copy, false)?;
        }
        Ok(self)
    }

    /// Some file systems take the flag and refuse the transfer.
    fn trial_read(&self) -> io::Result<()> {
        let mut buffers = Buffers::new(1, BLOCK_ALIGN as usize);
        self.source.read_at(buffers.get_mut(0), 0).map(drop)
    }

    /// Compares every byte of the copy with what it must be.
    pub fn verify(&self, size: u64, progress: impl Fn(u64)) -> Result<(), String> {
        let mut chunk = vec![0; CHUNK];
        set_direct(&self.copy, false).map_err(|e| format!("the copy: {e}"))?;
        let actual = self.copy.metadata().map_err(|e| format!("the copy: {e}"))?.len();
        if actual != size {
            return Err(format!("the copy has {actual} bytes instead of {size}"));
        }
        for (offset, len) in chunks(size) {
            let read = self.copy.read_exact_at(&mut chunk[..len], offset);
            read.map_err(|e| format!("reading the copy at {offset}: {e}"))?;
            if let Some(at) = content::first_difference(&chunk[..len], offset) {
                return Err(format!("the copy differs from the source at byte {at}"));
            }
            progress(offset + len as u64);
        }
        Ok(())
    }
}

fn chunks(size: u64) -> impl Iterator<Item = (u64, usize)> {
    (0..size).step_by(CHUNK).map(move |offset| (offset, CHUNK.min((size - offset) as usize)))
}

fn set_direct(file: &File, on: bool) -> io::Result<()> {
    // SAFETY: F_GETFL takes any descriptor and touches no memory.
    let flags = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFL) };
    let flags = if on { flags | libc::O_DIRECT } else { flags & !libc::O_DIRECT };
    // SAFETY: F_SETFL takes any descriptor and touches no memory.
    match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFL, flags) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_copy_is_noticed() {
        let files = Files::make(&std::env::temp_dir(), 3 * BLOCK_ALIGN, |_| ()).unwrap();
        assert!(files.verify(3 * BLOCK_ALIGN, |_| ()).unwrap_err().contains("at byte 0"));
        let mut all = vec![0; 3 * 4096];
        files.source.read_exact_at(&mut all, 0).unwrap();
        files.copy.write_all_at(&all, 0).unwrap();
        files.verify(3 * BLOCK_ALIGN, |_| ()).unwrap();
        files.copy.write_all_at(&[all[5000] ^ 1], 5000).unwrap();
        assert!(files.verify(3 * BLOCK_ALIGN, |_| ()).unwrap_err().contains("at byte 5000"));
    }
}
