//! The cases, by subject.

mod abi;
mod append;
mod cancel;
mod cancel_more;
mod destroy;
mod destroy_more;
mod direct_io;
mod errors;
mod flags;
mod fork;
mod fsync;
mod getevents;
mod libaio;
mod life;
mod lookup;
mod manual;
mod mapping;
mod order;
mod places;
mod poll;
mod quota;
mod read_write;
mod reaping;
mod resfd;
mod resfd_more;
mod ring;
mod setup;
mod signals;
mod signals_more;
mod streams;
mod submit;
mod vectors;
mod waiters;

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
        places::cases(),
        poll::cases(),
        resfd::cases(),
        resfd_more::cases(),
        getevents::cases(),
        waiters::cases(),
        signals::cases(),
        signals_more::cases(),
        cancel::cases(),
        cancel_more::cases(),
        destroy::cases(),
        destroy_more::cases(),
        ring::cases(),
        reaping::cases(),
        mapping::cases(),
        lookup::cases(),
        life::cases(),
        fork::cases(),
        libaio::cases(),
        manual::cases(),
    ];
    groups.into_iter().flatten().collect()
}
