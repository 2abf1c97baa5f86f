//! Mappings.

use crate::errno::Result;
use crate::os::file;
use crate::os::raw::sys;

fn map(len: usize, flags: i32) -> Result<*mut u8> {
    let prot = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new anonymous mapping at an address of the kernel's choice touches no existing memory.
    unsafe { sys!(SYS_mmap, 0, len, prot, flags | libc::MAP_ANONYMOUS, -1isize, 0) }.map(|p| p as *mut u8)
}

/// `len` bytes of zeroed private memory; pages come when they are touched.
pub(crate) fn map_private(len: usize) -> Result<*mut u8> {
    map(len, libc::MAP_PRIVATE | libc::MAP_NORESERVE)
}

/// Types of which zeroed memory is a value.
///
/// # Safety
/// All bits zero is a valid value of the type, and the one that `zeroed` makes.
pub(crate) unsafe trait Zeroed {
    /// Loom's atomics are more than bits.
    #[cfg(loom)]
    fn zeroed() -> Self;
    /// The value that all bits zero are.
    #[cfg(miri)]
    fn zeroed() -> Self
    where
        Self: Sized,
    {
        // SAFETY: the trait's promise.
        unsafe { core::mem::zeroed() }
    }
}

// SAFETY: a number.
unsafe impl Zeroed for crate::sync::AtomicU64 {
    #[cfg(loom)]
    fn zeroed() -> Self {
        Self::default()
    }
}

/// `count` values, all zero, in private memory of their own.
#[cfg(not(any(loom, miri)))]
pub(crate) fn map_array<T: Zeroed>(count: usize) -> Result<*mut T> {
    map_private(count * size_of::<T>()).map(<*mut u8>::cast)
}

/// Unmaps what [`map_array`] gave. Nobody uses it any more.
#[cfg(not(any(loom, miri)))]
pub(crate) fn unmap_array<T: Zeroed>(base: *mut T, count: usize) {
    unmap(base as usize, count * size_of::<T>());
}

#[cfg(any(loom, miri))]
pub(crate) use crate::model::memory::{map_array, unmap_array};

/// `len` bytes of zeroed shared memory, of which [`alias`] can make more mappings.
pub(crate) fn map_shared(len: usize) -> Result<*mut u8> {
    map(len, libc::MAP_SHARED)
}

/// A shared mapping of the file `fd`, `len` bytes from its start.
pub(crate) fn map_file(fd: i32, len: usize) -> Result<*mut u8> {
    let prot = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping at an address of the kernel's choice touches no existing memory.
    unsafe { sys!(SYS_mmap, 0, len, prot, libc::MAP_SHARED, fd, 0) }.map(|p| p as *mut u8)
}

/// A second mapping of the shared mapping at `addr`, somewhere else. What was in it may be lost.
pub(crate) fn alias(addr: *mut u8, len: usize) -> Result<*mut u8> {
    // SAFETY: an old size of 0 leaves the shared mapping at `addr` as it is and makes another one.
    match unsafe { sys!(SYS_mremap, addr, 0, len, libc::MREMAP_MAYMOVE, 0) } {
        Ok(address) => Ok(address as *mut u8),
        // Emulators may not know this form; valgrind does not.
        Err(_) => replace_and_alias(addr, len),
    }
}

/// As [`alias`], by a file in memory that takes the mapping's place.
fn replace_and_alias(addr: *mut u8, len: usize) -> Result<*mut u8> {
    let (prot, fixed) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_FIXED);
    // SAFETY: a name and a flag; the descriptor is new.
    let fd = unsafe { sys!(SYS_memfd_create, c"uaio".as_ptr(), libc::MFD_CLOEXEC) }? as i32;
    // SAFETY: `fd` is ours, and so is the mapping at `addr`, whose contents the caller gives up.
    let placed =
        unsafe { sys!(SYS_ftruncate, fd, len).and_then(|_| sys!(SYS_mmap, addr, len, prot, fixed, fd, 0)) };
    let other = placed.and_then(|_| map_file(fd, len));
    file::close(fd);
    dont_fork(addr, len);
    other
}

/// Unmaps. Only whole mappings of ours are given here, after their last use.
pub(crate) fn unmap(addr: usize, len: usize) {
    // SAFETY: the callers own the range and hold no reference into it any more.
    let _ = unsafe { sys!(SYS_munmap, addr, len) };
}

/// Makes the private pages read as zero in a forked child.
pub(crate) fn wipe_on_fork(addr: *mut u8, len: usize) -> Result<()> {
    // SAFETY: changes what a later child sees, nothing in this process.
    unsafe { sys!(SYS_madvise, addr, len, libc::MADV_WIPEONFORK) }.map(drop)
}

/// Leaves the mapping out of a forked child.
pub(crate) fn dont_fork(addr: *mut u8, len: usize) {
    // SAFETY: changes what a later child sees, nothing in this process.
    let _ = unsafe { sys!(SYS_madvise, addr, len, libc::MADV_DONTFORK) };
}

/// Makes a range read-only.
#[cfg(test)]
pub(crate) fn protect_read(addr: usize, len: usize) {
    // SAFETY: tests give a range of their own.
    let _ = unsafe { sys!(SYS_mprotect, addr, len, libc::PROT_READ) };
}

/// Makes a range a hole that nobody else can map into.
#[cfg(test)]
pub(crate) fn protect_none(addr: usize, len: usize) {
    // SAFETY: tests give a range of their own.
    let _ = unsafe { sys!(SYS_mprotect, addr, len, libc::PROT_NONE) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_aliases_are_the_same_memory() {
        for alias in [alias, replace_and_alias] {
            let first = map_shared(8192).unwrap();
            let second = alias(first, 8192).unwrap();
            // SAFETY: both are mappings of 8192 bytes that this test alone uses.
            unsafe {
                first.add(5000).write_volatile(7);
                assert_eq!(second.add(5000).read_volatile(), 7);
            }
            unmap(first as usize, 8192);
            unmap(second as usize, 8192);
        }
    }
}
