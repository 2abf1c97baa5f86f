//! Loom's atomics under the interface that the protocols use.
//!
//! Loom takes SeqCst for AcqRel, and has sequentially consistent fences. So SeqCst is AcqRel between two of them.
//!
//! Loom 0.7 decides which orders to try by the last access to a word alone. A thread that loads a word and then stores to it so
//! hides another's load before that, and the order of that load and the store is never turned round. So each word has
//! a second one, on which every access to the first is a change.

use loom::sync::atomic::{self, Ordering, fence};

struct Turn(atomic::AtomicBool);

impl Turn {
    #[track_caller]
    fn new() -> Self {
        Turn(atomic::AtomicBool::new(false))
    }

    #[track_caller]
    fn in_order<T>(&self, order: Ordering, access: impl FnOnce() -> T) -> T {
        // Relaxed: orders nothing but what loom tries.
        self.0.swap(true, Ordering::Relaxed);
        if order != Ordering::SeqCst {
            return access();
        }
        fence(Ordering::SeqCst);
        let answer = access();
        fence(Ordering::SeqCst);
        answer
    }
}

macro_rules! atomics {
    ($($name:ident$(<$of:ident>)?: $value:ty, $zero:expr;)*) => {$(
        pub(crate) struct $name$(<$of>)?(atomic::$name$(<$of>)?, Turn);

        impl$(<$of>)? core::fmt::Debug for $name$(<$of>)? {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(stringify!($name))
            }
        }

        #[allow(dead_code)]
        impl$(<$of>)? $name$(<$of>)? {
            #[track_caller]
            pub(crate) fn new(value: $value) -> Self {
                Self(atomic::$name::new(value), Turn::new())
            }

            #[track_caller]
            pub(crate) fn load(&self, order: Ordering) -> $value {
                self.1.in_order(order, || self.0.load(order))
            }

            #[track_caller]
            pub(crate) fn store(&self, value: $value, order: Ordering) {
                self.1.in_order(order, || self.0.store(value, order));
            }

            #[track_caller]
            pub(crate) fn swap(&self, value: $value, order: Ordering) -> $value {
                self.1.in_order(order, || self.0.swap(value, order))
            }

            #[track_caller]
            pub(crate) fn compare_exchange(
                &self,
                from: $value,
                to: $value,
                order: Ordering,
                failed: Ordering,
            ) -> Result<$value, $value> {
                self.1.in_order(order, || self.0.compare_exchange(from, to, order, failed))
            }

            #[track_caller]
            pub(crate) fn compare_exchange_weak(
                &self,
                from: $value,
                to: $value,
                order: Ordering,
                failed: Ordering,
            ) -> Result<$value, $value> {
                self.compare_exchange(from, to, order, failed)
            }
        }

        impl$(<$of>)? Default for $name$(<$of>)? {
            fn default() -> Self {
                Self::new($zero)
            }
        }
    )*};
}

macro_rules! arithmetic {
    ($($name:ident: $value:ty, $($call:ident)*;)*) => {$(
        impl $name {$(
            #[track_caller]
            #[allow(dead_code)]
            pub(crate) fn $call(&self, value: $value, order: Ordering) -> $value {
                self.1.in_order(order, || self.0.$call(value, order))
            }
        )*}
    )*};
}

atomics! {
    AtomicI32: i32, 0;
    AtomicU32: u32, 0;
    AtomicU64: u64, 0;
    AtomicUsize: usize, 0;
    AtomicPtr<T>: *mut T, core::ptr::null_mut();
}

arithmetic! {
    AtomicU32: u32, fetch_add fetch_sub fetch_and fetch_or fetch_min;
    AtomicU64: u64, fetch_add fetch_sub fetch_and fetch_or;
    AtomicUsize: usize, fetch_add fetch_sub;
}

/// A cell whose accesses loom checks: two of them, unordered, end the model.
#[derive(Debug)]
pub(crate) struct UnsafeCell<T>(loom::cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loom::cell::UnsafeCell::new(value))
    }

    /// Counts as a change at this moment.
    #[track_caller]
    pub(crate) fn get(&self) -> *mut T {
        self.0.with_mut(|place| place)
    }

    /// Counts as a look at this moment.
    #[track_caller]
    pub(crate) fn look(&self) -> *const T {
        self.0.with(|place| place)
    }
}

impl<T> Default for UnsafeCell<Option<T>> {
    fn default() -> Self {
        Self::new(None)
    }
}

impl Default for UnsafeCell<crate::request::Request> {
    fn default() -> Self {
        // SAFETY: zeroed memory is a valid request (`slot.rs`).
        Self::new(unsafe { core::mem::zeroed() })
    }
}
