//! libaio's functions over uaio, for `libaio.so.1`, `libaio.a` and the preload library.
//!
//! All return a value or a negated errno and leave `errno` alone. The exported names and their versions are in
//! `symbols.rs`; `calls.rs` holds the functions, `core_table.rs` finds the one core of the process.

mod calls;
pub mod core_table;
mod symbols;
