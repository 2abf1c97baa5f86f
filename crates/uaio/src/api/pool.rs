//! Buffers that are allocated once and used again and again.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::aligned::AlignedBuf;
use super::buffer::{IoBuf, IoBufMut};

/// A fixed number of equal, aligned buffers in one piece of memory. With them an operation allocates nothing.
///
/// Cloning gives another handle to the same pool; its memory is freed when the last handle and the last
/// [`PoolBuf`] are gone. Taking and giving back are lock-free: safe from any thread, and after a fork.
///
/// ```
/// let pool = uaio::BufferPool::new(2, 4096, 4096);
/// let (a, b) = (pool.take(), pool.take());
/// assert!(a.is_some() && b.is_some() && pool.take().is_none());
/// drop(a);
/// assert!(pool.take().is_some());
/// ```
#[derive(Clone)]
pub struct BufferPool(Arc<Inner>);

struct Inner {
    memory: AlignedBuf,
    start: *mut u8,
    /// Bytes of one buffer, and from one to the next.
    size: usize,
    stride: usize,
    count: usize,
    /// Bit set: in use.
    used: Box<[AtomicU64]>,
}

// SAFETY: `start` points into `memory`; each buffer is touched only by who has set its bit.
unsafe impl Send for Inner {}
// SAFETY: as above; the bits are atomic.
unsafe impl Sync for Inner {}

impl BufferPool {
    /// `count` buffers of `size` bytes, each at a multiple of `align` bytes.
    ///
    /// # Panics
    /// `align` is no power of two, `size` is 0, or the sum is over `isize::MAX`.
    #[must_use]
    pub fn new(count: usize, size: usize, align: usize) -> BufferPool {
        assert!(size > 0, "buffers of 0 bytes");
        let stride = size.checked_next_multiple_of(align).expect("a possible size");
        let mut memory = AlignedBuf::new(stride.checked_mul(count).expect("a possible size"), align);
        let start = memory.io_mut_ptr();
        let used = (0..count.div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        BufferPool(Arc::new(Inner { memory, start, size, stride, count, used }))
    }

    /// A buffer, with its whole [`size`](BufferPool::size) as its length and whatever its last user left in it.
    /// `None`: all are in use.
    #[must_use]
    pub fn take(&self) -> Option<PoolBuf> {
        let index = self.0.used.iter().enumerate().find_map(|(word, bits)| self.0.claim(word, bits))?;
        Some(PoolBuf { pool: Arc::clone(&self.0), index: index as u32, len: self.0.size })
    }

    /// Bytes of one buffer.
    #[must_use]
    pub fn size(&self) -> usize {
        self.0.size
    }

    /// Number of buffers.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.count
    }
}

impl Inner {
    fn claim(&self, word: usize, bits: &AtomicU64) -> Option<usize> {
        loop {
            let free = (!bits.load(Ordering::Relaxed)).trailing_zeros() as usize;
            let index = word * 64 + free;
            if free == 64 || index >= self.count {
                return None;
            }
            // Acquire: pairs with the Release in `PoolBuf::drop`; the last user is done with the bytes.
            if bits.fetch_or(1 << free, Ordering::Acquire) & (1 << free) == 0 {
                return Some(index);
            }
        }
    }
}

impl fmt::Debug for BufferPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let align = self.0.memory.as_ptr().align_offset(4096) == 0;
        write!(f, "BufferPool({} x {} bytes, page-aligned: {align})", self.0.count, self.0.size)
    }
}

/// A buffer of a [`BufferPool`]; dropping it gives it back. Length and capacity are as with [`AlignedBuf`].
pub struct PoolBuf {
    pool: Arc<Inner>,
    index: u32,
    len: usize,
}

impl PoolBuf {
    /// Bytes that there is room for: [`BufferPool::size`].
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.pool.size
    }

    /// Makes it `len` bytes long.
    ///
    /// # Panics
    /// `len` is over the capacity.
    pub fn set_len(&mut self, len: usize) {
        assert!(len <= self.capacity(), "{len} bytes do not fit into {}", self.capacity());
        self.len = len;
    }

    fn start(&self) -> *mut u8 {
        // SAFETY: `index` < count, so the buffer lies inside the memory.
        unsafe { self.pool.start.add(self.index as usize * self.pool.stride) }
    }
}

impl Drop for PoolBuf {
    fn drop(&mut self) {
        let bit = 1 << (self.index % 64);
        // Release: pairs with the Acquire in `claim`.
        self.pool.used[self.index as usize / 64].fetch_and(!bit, Ordering::Release);
    }
}

impl Deref for PoolBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: initialised when the pool was made, and this value's alone while its bit is set.
        unsafe { std::slice::from_raw_parts(self.start(), self.len) }
    }
}

impl DerefMut for PoolBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `&mut self` is the only access.
        unsafe { std::slice::from_raw_parts_mut(self.start(), self.len) }
    }
}

impl fmt::Debug for PoolBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PoolBuf({} of {} bytes)", self.len, self.capacity())
    }
}

// SAFETY: in the pool's memory, which this value keeps; this value's alone, initialised; it stays when the
// value moves.
unsafe impl IoBuf for PoolBuf {
    fn io_ptr(&self) -> *const u8 {
        self.start()
    }

    fn io_len(&self) -> usize {
        self.len
    }
}

// SAFETY: as above.
unsafe impl IoBufMut for PoolBuf {
    fn io_mut_ptr(&mut self) -> *mut u8 {
        self.start()
    }

    fn io_room(&self) -> usize {
        self.capacity()
    }

    unsafe fn set_filled(&mut self, bytes: usize) {
        self.len = bytes;
    }
}
