//! A buffer that begins where `O_DIRECT` wants it.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use super::buffer::{IoBuf, IoBufMut};

/// Bytes at an address that is a multiple of a given power of two, as files opened with `O_DIRECT` demand it.
///
/// It has a length and a capacity, as `Vec<u8>` has; all bytes of the capacity are always initialised. A read has the
/// capacity as its room and sets the length to what was read; a write writes the length.
///
/// ```
/// let mut buf = uaio::AlignedBuf::new(8192, 4096);
/// assert_eq!((buf.len(), buf.as_ptr() as usize % 4096), (8192, 0));
/// buf.set_len(4096);
/// buf.fill(7);
/// ```
pub struct AlignedBuf {
    start: NonNull<u8>,
    len: usize,
    layout: Layout,
}

// SAFETY: plain bytes that belong to this value alone.
unsafe impl Send for AlignedBuf {}
// SAFETY: `&AlignedBuf` only reads.
unsafe impl Sync for AlignedBuf {}

impl AlignedBuf {
    /// `len` zero bytes at a multiple of `align` bytes. `len` is also the capacity.
    ///
    /// # Panics
    /// `align` is no power of two, or `len` is over `isize::MAX`. Aborts without memory, as `Vec` does.
    #[must_use]
    pub fn new(len: usize, align: usize) -> AlignedBuf {
        let layout = Layout::from_size_align(len.max(1), align).expect("a power of two and a possible length");
        // SAFETY: the size is not 0.
        let start = unsafe { alloc_zeroed(layout) };
        let Some(start) = NonNull::new(start) else { handle_alloc_error(layout) };
        AlignedBuf { start, len, layout }
    }

    /// Bytes that there is room for.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.layout.size()
    }

    /// Makes it `len` bytes long. Bytes that come back have the values that they had.
    ///
    /// # Panics
    /// `len` is over the capacity.
    pub fn set_len(&mut self, len: usize) {
        assert!(len <= self.capacity(), "{len} bytes do not fit into {}", self.capacity());
        self.len = len;
    }
}

impl Drop for AlignedBuf {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout, and nobody has it any more.
        unsafe { dealloc(self.start.as_ptr(), self.layout) };
    }
}

impl Deref for AlignedBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `len` <= capacity, all of it initialised; borrowed from `self`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl DerefMut for AlignedBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `&mut self` is the only access.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl fmt::Debug for AlignedBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "AlignedBuf({} of {} bytes, at a multiple of {})",
            self.len,
            self.capacity(),
            self.layout.align()
        )
    }
}

// SAFETY: on the heap, this value's alone, initialised; it stays when the value moves.
unsafe impl IoBuf for AlignedBuf {
    fn io_ptr(&self) -> *const u8 {
        self.start.as_ptr()
    }

    fn io_len(&self) -> usize {
        self.len
    }
}

// SAFETY: as above.
unsafe impl IoBufMut for AlignedBuf {
    fn io_mut_ptr(&mut self) -> *mut u8 {
        self.start.as_ptr()
    }

    fn io_room(&self) -> usize {
        self.capacity()
    }

    unsafe fn set_filled(&mut self, bytes: usize) {
        self.len = bytes;
    }
}
