//! Cases that state what Linux AIO does. Each runs on the kernel, the oracle, and on every implementation given as a
//! [`aio::Target`]; each in a process of its own.

// Cases make wrong calls on purpose: with bad pointers, bad contexts, memory that is gone.
#![allow(clippy::not_unsafe_ptr_arg_deref)]

pub mod aio;
pub mod alone;
pub mod case;
pub mod cases;
pub mod direct;
pub mod failure;
pub mod libaio_calls;
pub mod list;
pub mod needs_process;
pub mod options;
pub mod panics;
pub mod report;
pub mod rows;
pub mod runner;
pub mod self_test;
pub mod semantics;
pub mod sleepers;
pub mod suite;
pub mod together;
pub mod tools;
pub mod trace;
