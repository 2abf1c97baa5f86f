//! The cases, by subject.

mod cancel;
mod cancel_more;
mod destroy;
mod destroy_more;
mod fork;
mod getevents;
mod libaio;
mod life;
mod lookup;
mod manual;
mod mapping;
mod poll;
mod read_write;
mod reaping;
mod resfd;
mod resfd_more;
mod ring;
mod setup;
mod signals;
mod signals_more;
mod submit;
mod waiters;

use crate::case::Case;

/// All of them.
pub fn all() -> Vec<Case> {
    let groups = [
        setup::cases(),
        submit::cases(),
        read_write::cases(),
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
