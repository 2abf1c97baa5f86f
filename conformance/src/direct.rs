//! Files for O_DIRECT, and what their file system and device demand.

use std::fs::File;
use std::os::fd::AsRawFd;

use crate::case::Run;
use crate::tools::*;

/// A file of 8192 bytes `a`, open with O_DIRECT.
pub struct Direct {
    pub file: File,
    pub fd: i32,
    /// Lengths and offsets must be multiples of this, bytes.
    pub offset_align: usize,
    /// Addresses must be multiples of this, bytes.
    pub mem_align: usize,
}

/// A file for O_DIRECT; where there is none on a real file system the case says nothing.
pub fn direct(t: &Run, flags: i32) -> Direct {
    let Some(file) = scratch(flags | libc::O_DIRECT) else { t.not_applicable("no O_DIRECT here") };
    let fd = file.as_raw_fd();
    let mut st: libc::statx = unsafe { std::mem::zeroed() };
    let got = unsafe { libc::statx(fd, c"".as_ptr(), libc::AT_EMPTY_PATH, libc::STATX_DIOALIGN, &mut st) };
    if got != 0 || st.stx_mask & libc::STATX_DIOALIGN == 0 || st.stx_dio_offset_align == 0 {
        t.not_applicable("the file system does not tell what O_DIRECT demands");
    }
    let (offset_align, mem_align) = (st.stx_dio_offset_align as usize, st.stx_dio_mem_align as usize);
    if offset_align > 4096 {
        t.not_applicable("O_DIRECT demands more than 4096 bytes");
    }
    Direct { file, fd, offset_align, mem_align }
}

impl Direct {
    /// The file's size, bytes.
    pub fn size(&self) -> u64 {
        self.file.metadata().unwrap().len()
    }

    /// Whether the file holds `want` from `offset` on.
    pub fn holds(&self, offset: i64, want: &[u8]) -> bool {
        let count = want.len().div_ceil(4096) + 1;
        let back = pages(count, count);
        let n = unsafe { libc::pread(self.fd, back as *mut _, (count - 1) * 4096, offset) };
        n >= want.len() as isize && unsafe { std::slice::from_raw_parts(back as *const u8, want.len()) } == want
    }
}

/// `count` pages filled with `byte`.
pub fn filled(count: usize, byte: u8) -> usize {
    let at = pages(count, count);
    unsafe { std::ptr::write_bytes(at as *mut u8, byte, count * 4096) };
    at
}
