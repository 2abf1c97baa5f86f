//! POLL on files that never tell when they get ready: EINVAL if they are not ready at once, as Linux has it.
#![allow(clippy::undocumented_unsafe_blocks)]

mod common;

use std::os::fd::AsRawFd;

use common::*;
use uaio::abi::*;

const EINVAL: isize = -(libc::EINVAL as isize);

#[test]
fn a_poll_that_can_never_end_is_einval() {
    on_every_engine("a_poll_that_can_never_end_is_einval", || {
        let ctx = setup(8);
        let regular = Scratch::new("poll-files", false).unwrap();
        let null = std::fs::File::open("/dev/null").unwrap();
        let root = std::fs::File::open("/").unwrap();
        for file in [&regular.file, &null, &root] {
            for mask in [0, libc::POLLPRI] {
                let iocb = Iocb { buf: mask as u64, ..poll_in(file.as_raw_fd(), 1) };
                assert_eq!(submit(ctx, &mut [iocb]), EINVAL);
            }
            assert_eq!(submit(ctx, &mut [poll_in(file.as_raw_fd(), 2)]), 1);
            assert_eq!(reap(ctx, 1)[0].res, i64::from(libc::POLLIN));
        }
        destroy(ctx);
    });
}
