//! io_destroy at the moment at which a part of a write to a pipe has gone through: it ends, whoever reads meanwhile.
#![allow(clippy::undocumented_unsafe_blocks)]

mod common;

use std::time::{Duration, Instant};

use common::*;
use uaio::abi::*;

/// More than a pipe holds.
const LONG: usize = 3 * 65536;

/// Reads `pieces` pages, or what is there.
fn read_pages(fd: i32, pieces: usize) {
    let mut page = [0u8; 4096];
    for _ in 0..pieces {
        unsafe { libc::read(fd, page.as_mut_ptr().cast(), page.len()) };
    }
}

#[test]
fn destroy_ends_between_the_parts_of_a_write() {
    on_engines(&["uring", "threads"], "destroy_ends_between_the_parts_of_a_write", || {
        // What used to happen is that io_destroy never came back.
        unsafe { libc::alarm(240) };
        let until = Instant::now() + Duration::from_secs(2);
        let mut bytes = vec![1u8; LONG];
        for pieces in (1..12).cycle().take_while(|_| Instant::now() < until) {
            let (r, w) = pipe();
            let ctx = setup(4);
            let mut iocbs = [(); 3].map(|()| rw(IOCB_CMD_PWRITE, w, bytes.as_mut_ptr(), LONG, 0, 1));
            assert_eq!(submit(ctx, &mut iocbs), 3);
            std::thread::scope(|scope| {
                // As much as is in the pipe for sure.
                scope.spawn(move || read_pages(r, pieces));
                destroy(ctx);
            });
            unsafe { (libc::close(r), libc::close(w)) };
        }
    });
}
