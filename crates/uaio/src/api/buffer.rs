//! What may be read into and written from: memory that stays where it is while an operation has it.

use std::sync::Arc;

/// Bytes that an operation can write to a file.
///
/// Provided for `Vec<u8>`, `Box<[u8]>`, `Arc<[u8]>`, `String`, `&[u8]`, `&[u8; N]`, `&str`, `&mut [u8]`,
/// [`AlignedBuf`](crate::AlignedBuf) and [`PoolBuf`](crate::PoolBuf).
///
/// # Safety
/// From a call of [`io_ptr`](IoBuf::io_ptr) on, and until the value is used again or dropped:
/// * the address stays valid for reads of [`io_len`](IoBuf::io_len) bytes, also after the value itself was moved
///   (so not `[u8; N]`, which moves with the value);
/// * these bytes are initialised, and nobody writes to them, through this value or otherwise;
/// * both functions give the same answers again.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a buffer to write from",
    label = "its bytes do not stay where they are when it moves, or are no bytes",
    note = "give a `Vec<u8>`, `Box<[u8]>`, `Arc<[u8]>`, `String`, `AlignedBuf` or `PoolBuf` itself: the completion gives it back",
    note = "in `Context::scope` a borrowed one does as well: `&buffer[..]`"
)]
pub unsafe trait IoBuf {
    /// Address of the first byte.
    fn io_ptr(&self) -> *const u8;

    /// Bytes to write.
    fn io_len(&self) -> usize;
}

/// Memory that an operation can read a file's bytes into.
///
/// Provided for `Vec<u8>` (room: its capacity; afterwards its length is what was read), `Box<[u8]>` and `&mut [u8]`
/// (room: their length, which stays), [`AlignedBuf`](crate::AlignedBuf) and [`PoolBuf`](crate::PoolBuf) (as `Vec`).
///
/// # Safety
/// From a call of [`io_mut_ptr`](IoBufMut::io_mut_ptr) on, and until the value is used again or dropped:
/// * the address stays valid for writes of [`io_room`](IoBufMut::io_room) bytes, also after the value itself was
///   moved;
/// * nobody else reads or writes these bytes: so nothing that shares its memory, such as `Arc<[u8]>`;
/// * `io_room` gives the same answer again.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a buffer to read into",
    label = "its bytes do not stay where they are when it moves, or are not its alone, or are no bytes",
    note = "give a `Vec<u8>`, `Box<[u8]>`, `AlignedBuf` or `PoolBuf` itself: the completion gives it back",
    note = "in `Context::scope` a borrowed one does as well: `&mut buffer[..]`"
)]
pub unsafe trait IoBufMut {
    /// Address of the first byte.
    fn io_mut_ptr(&mut self) -> *mut u8;

    /// Bytes that there is room for.
    fn io_room(&self) -> usize;

    /// A read has ended: the first `bytes` bytes are the file's. Not called when it has failed.
    ///
    /// # Safety
    /// `bytes` <= [`io_room`](IoBufMut::io_room), and these bytes are initialised.
    unsafe fn set_filled(&mut self, bytes: usize);
}

// SAFETY: the elements live on the heap, belong to this Vec alone, and stay when it moves; `len` are initialised.
unsafe impl IoBuf for Vec<u8> {
    fn io_ptr(&self) -> *const u8 {
        self.as_ptr()
    }

    fn io_len(&self) -> usize {
        self.len()
    }
}

// SAFETY: as above; the capacity is all this Vec's.
unsafe impl IoBufMut for Vec<u8> {
    fn io_mut_ptr(&mut self) -> *mut u8 {
        self.as_mut_ptr()
    }

    fn io_room(&self) -> usize {
        self.capacity()
    }

    unsafe fn set_filled(&mut self, bytes: usize) {
        // SAFETY: the caller's promise: within the capacity, and initialised.
        unsafe { self.set_len(bytes) };
    }
}

// SAFETY: on the heap, this box's alone, initialised, and stays when the box moves.
unsafe impl IoBuf for Box<[u8]> {
    fn io_ptr(&self) -> *const u8 {
        self.as_ptr()
    }

    fn io_len(&self) -> usize {
        self.len()
    }
}

// SAFETY: as above.
unsafe impl IoBufMut for Box<[u8]> {
    fn io_mut_ptr(&mut self) -> *mut u8 {
        self.as_mut_ptr()
    }

    fn io_room(&self) -> usize {
        self.len()
    }

    unsafe fn set_filled(&mut self, _bytes: usize) {}
}

// SAFETY: shared and so immutable while this Arc exists; on the heap, initialised.
unsafe impl IoBuf for Arc<[u8]> {
    fn io_ptr(&self) -> *const u8 {
        self.as_ptr()
    }

    fn io_len(&self) -> usize {
        self.len()
    }
}

// SAFETY: as `Vec<u8>`, which it is.
unsafe impl IoBuf for String {
    fn io_ptr(&self) -> *const u8 {
        self.as_ptr()
    }

    fn io_len(&self) -> usize {
        self.len()
    }
}

// SAFETY: elsewhere, immutable for as long as the borrow, and so for as long as the value.
unsafe impl IoBuf for &[u8] {
    fn io_ptr(&self) -> *const u8 {
        self.as_ptr()
    }

    fn io_len(&self) -> usize {
        self.len()
    }
}

// SAFETY: as `&[u8]`.
unsafe impl IoBuf for &str {
    fn io_ptr(&self) -> *const u8 {
        self.as_ptr()
    }

    fn io_len(&self) -> usize {
        self.len()
    }
}

// SAFETY: elsewhere, and exclusively this borrow's.
unsafe impl IoBuf for &mut [u8] {
    fn io_ptr(&self) -> *const u8 {
        self.as_ptr()
    }

    fn io_len(&self) -> usize {
        self.len()
    }
}

// SAFETY: as above.
unsafe impl IoBufMut for &mut [u8] {
    fn io_mut_ptr(&mut self) -> *mut u8 {
        self.as_mut_ptr()
    }

    fn io_room(&self) -> usize {
        self.len()
    }

    unsafe fn set_filled(&mut self, _bytes: usize) {}
}

// SAFETY: as `&[u8]`.
unsafe impl<const N: usize> IoBuf for &[u8; N] {
    fn io_ptr(&self) -> *const u8 {
        self.as_ptr()
    }

    fn io_len(&self) -> usize {
        N
    }
}
