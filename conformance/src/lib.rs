//! Cases that state what Linux AIO does. Each runs on the kernel, the oracle, and on every implementation given as a
//! [`aio::Target`]; each in a process of its own.

pub mod aio;
pub mod case;
pub mod cases;
pub mod runner;
pub mod tools;
