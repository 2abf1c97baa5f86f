//! Buffers that are allocated once and used again and again.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::aligned::AlignedBuf;
use super::buffer::{IoBuf, IoBufMut};

/// A fixed number of equal, aligned buffers in one piece of memory. With them an operation allocates nothing.
///
/// Cloning gives another handle to the same pool; its memory is freed when the last handle and the last
/// [`PoolBuf`] are gone. Taking and giving back are one atomic operation each: safe from any thread, and after a fork.
///
/// ```
/// let pool = uaio::BufferPool::new(2, 4096, 4096);
/// let (a, b) = (pool.take(), pool.take());
/// assert!(a.is_some() && b.is_some() && pool.take().is_none());
/// drop(a);
/// assert!(pool.take().is_some());
/// ```
#[derive(Clone)]
pub struct BufferPool(Arc<Handle>);

/// What all clones of a pool share. While it lives, each word of the pool has its bit [`HANDLE`].
struct Handle(NonNull<Inner>);

// SAFETY: of `Inner` everybody reads what never changes, and atomics; any thread may free it.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

/// Buffers that one word is for.
const EACH: usize = 63;
/// The bit of a word that stands for the handles.
const HANDLE: u64 = 1 << EACH;

/// On the heap; who clears the last bit of the last word frees it.
struct Inner {
    memory: AlignedBuf,
    /// Of `memory`; each buffer is touched only by who has set its bit.
    start: *mut u8,
    /// Bytes of one buffer, and from one to the next.
    size: usize,
    stride: usize,
    count: usize,
    /// For 63 buffers each: a bit for each that is in use, and `HANDLE`.
    words: Box<[AtomicU64]>,
    /// Words that are not 0.
    alive: AtomicUsize,
}

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
        let words: Box<[AtomicU64]> = (0..count.div_ceil(EACH).max(1)).map(|_| AtomicU64::new(HANDLE)).collect();
        let alive = AtomicUsize::new(words.len());
        let inner = Box::new(Inner { memory, start, size, stride, count, words, alive });
        BufferPool(Arc::new(Handle(NonNull::from(Box::leak(inner)))))
    }

    fn inner(&self) -> &Inner {
        // SAFETY: the handle keeps it.
        unsafe { self.0.0.as_ref() }
    }

    /// A buffer, with its whole [`size`](BufferPool::size) as its length and whatever its last user left in it.
    /// `None`: all are in use.
    #[must_use]
    pub fn take(&self) -> Option<PoolBuf> {
        let inner = self.inner();
        let (word, bit) = inner.words.iter().enumerate().find_map(|(word, bits)| Some((word, claim(bits)?)))?;
        let buf = PoolBuf { pool: self.0.0, word: word as u32, bit, len: inner.size };
        // The last word may have fewer buffers than bits; those that there are not come last, and are given back.
        (buf.index() < inner.count).then_some(buf)
    }

    /// Bytes of one buffer.
    #[must_use]
    pub fn size(&self) -> usize {
        self.inner().size
    }

    /// Number of buffers.
    #[must_use]
    pub fn count(&self) -> usize {
        self.inner().count
    }
}

/// Sets the lowest bit that is not set.
fn claim(bits: &AtomicU64) -> Option<u32> {
    loop {
        // `HANDLE` is set as long as there is a pool to take from.
        let free = bits.load(Ordering::Relaxed).trailing_ones();
        if free >= EACH as u32 {
            return None;
        }
        // Acquire: pairs with the Release in `leave`; the last user is done with the bytes.
        if bits.fetch_or(1 << free, Ordering::Acquire) & (1 << free) == 0 {
            return Some(free);
        }
    }
}

/// Clears a bit, and frees the pool when it was the last.
///
/// # Safety
/// The bit is the caller's, who uses nothing of the pool any more.
unsafe fn leave(pool: NonNull<Inner>, word: usize, bit: u64) {
    // SAFETY: the pool lives as long as this bit is set.
    let (bits, alive) = unsafe { (&(&(*pool.as_ptr()).words)[word], &(*pool.as_ptr()).alive) };
    // Release: pairs with the Acquire in `claim`, and with the one of who frees; Acquire, in both: as who frees.
    if bits.fetch_and(!bit, Ordering::AcqRel) == bit && alive.fetch_sub(1, Ordering::AcqRel) == 1 {
        // SAFETY: made by `Box::leak`; no bit of any word is set, so nobody has it.
        drop(unsafe { Box::from_raw(pool.as_ptr()) });
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the bits are this handle's.
        let words = unsafe { self.0.as_ref() }.words.len();
        // SAFETY: as above; the last one may free it all.
        (0..words).for_each(|word| unsafe { leave(self.0, word, HANDLE) });
    }
}

impl fmt::Debug for BufferPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = self.inner();
        // No reference to the bytes: they are others'.
        let aligned = (inner.memory.io_ptr() as usize).is_multiple_of(4096);
        write!(f, "BufferPool({} x {} bytes, page-aligned: {aligned})", inner.count, inner.size)
    }
}

/// A buffer of a [`BufferPool`]; dropping it gives it back. Length and capacity are as with [`AlignedBuf`].
pub struct PoolBuf {
    pool: NonNull<Inner>,
    word: u32,
    /// Of `word`: its number.
    bit: u32,
    len: usize,
}

// SAFETY: the bytes are this value's alone, and the rest may be used by any thread.
unsafe impl Send for PoolBuf {}
// SAFETY: `&PoolBuf` only reads.
unsafe impl Sync for PoolBuf {}

impl PoolBuf {
    fn pool(&self) -> &Inner {
        // SAFETY: this buffer's bit keeps it.
        unsafe { self.pool.as_ref() }
    }

    fn index(&self) -> usize {
        self.word as usize * EACH + self.bit as usize
    }

    /// Bytes that there is room for: [`BufferPool::size`].
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.pool().size
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
        unsafe { self.pool().start.add(self.index() * self.pool().stride) }
    }
}

impl Drop for PoolBuf {
    fn drop(&mut self) {
        // SAFETY: the bit is this buffer's.
        unsafe { leave(self.pool, self.word as usize, 1 << self.bit) };
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
