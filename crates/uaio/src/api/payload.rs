//! What an operation in flight owns: a value of any type, kept in place while it is small.

use std::mem::{MaybeUninit, align_of, size_of};

/// Words that a value may have to be kept in place: a `Vec`, a `PoolBuf`, and most wrappers of them.
const WORDS: usize = 6;

/// Room for one value. Whoever puts one in takes it out again with the same type, or drops it.
pub(crate) struct Payload {
    words: [MaybeUninit<usize>; WORDS],
    drop: unsafe fn(*mut Payload),
}

const fn fits<T>() -> bool {
    size_of::<T>() <= size_of::<[usize; WORDS]>() && align_of::<T>() <= align_of::<usize>()
}

unsafe fn drop_value<T>(payload: *mut Payload) {
    // SAFETY: the caller's promise, see `Payload::discard`.
    drop(unsafe { (*payload).take::<T>() });
}

unsafe fn drop_nothing(_payload: *mut Payload) {}

impl Payload {
    /// An empty one.
    pub(crate) const EMPTY: Payload = Payload { words: [MaybeUninit::uninit(); WORDS], drop: drop_nothing };

    /// Moves `value` in and tells where it is until it is taken out. A large one goes to the heap.
    pub(crate) fn put<T>(&mut self, value: T) -> *mut T {
        self.drop = drop_value::<T>;
        let place = self.words.as_mut_ptr();
        if fits::<T>() {
            // SAFETY: large enough and aligned, by `fits`.
            unsafe { place.cast::<T>().write(value) };
            return place.cast();
        }
        let boxed = Box::into_raw(Box::new(value));
        // SAFETY: a pointer fits one word.
        unsafe { place.cast::<*mut T>().write(boxed) };
        boxed
    }

    /// Moves the value out.
    ///
    /// # Safety
    /// A `T` was put in, and not taken out since.
    pub(crate) unsafe fn take<T>(&mut self) -> T {
        self.drop = drop_nothing;
        let place = self.words.as_mut_ptr();
        if fits::<T>() {
            // SAFETY: the caller's promise.
            return unsafe { place.cast::<T>().read() };
        }
        // SAFETY: the caller's promise; `put` made the box.
        unsafe { *Box::from_raw(place.cast::<*mut T>().read()) }
    }

    /// Moves everything out, for a drop elsewhere.
    ///
    /// # Safety
    /// Nobody uses the address that `put` gave any more.
    pub(crate) unsafe fn move_out(&mut self) -> Payload {
        let out = Payload { words: self.words, drop: self.drop };
        self.drop = drop_nothing;
        out
    }

    /// Drops the value, if there is one.
    pub(crate) fn discard(mut self) {
        // SAFETY: `drop` is for the type that was put in, or does nothing.
        unsafe { (self.drop)(&raw mut self) };
    }
}
