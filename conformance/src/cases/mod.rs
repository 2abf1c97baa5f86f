//! The cases, by subject.

mod abi;
mod append;
mod cancel;
mod destroy;
mod direct_io;
mod errors;
mod flags;
mod fsync;
mod getevents;
mod life;
mod order;
mod poll;
mod quota;
mod read_write;
mod resfd;
mod ring;
mod setup;
mod signals;
mod streams;
mod submit;
mod vectors;

use crate::case::Case;

/// All of them.
pub fn all() -> Vec<Case> {
    let groups = [
        abi::cases(),
        setup::cases(),
        quota::cases(),
        submit::cases(),
        order::cases(),
        read_write::cases(),
        flags::cases(),
        vectors::cases(),
        append::cases(),
        direct_io::cases(),
        streams::cases(),
        errors::cases(),
        fsync::cases(),
        poll::cases(),
        resfd::cases(),
        getevents::cases(),
        signals::cases(),
        cancel::cases(),
        destroy::cases(),
        ring::cases(),
        life::cases(),
    ];
    groups.into_iter().flatten().collect()
}
