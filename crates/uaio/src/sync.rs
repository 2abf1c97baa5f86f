//! The atomics of the protocols: the processor's, or in a model (`--cfg loom`) loom's, which lets them take effect in
//! every order that the memory model allows. Words that no protocol hangs on (counters, settings) use core's.

pub(crate) use core::sync::atomic::Ordering;

#[cfg(not(loom))]
pub(crate) use core::{
    cell::UnsafeCell,
    sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize},
};

#[cfg(loom)]
pub(crate) use crate::model::atomic::{AtomicI32, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, UnsafeCell};
