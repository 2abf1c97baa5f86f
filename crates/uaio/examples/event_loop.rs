//! An event loop of one's own: epoll watches a pipe and a context's eventfd side by side.
//!
//! Lines from the standard input are appended to a file: `cargo run --example event_loop -- FILE`

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use uaio::{Completions, Context, Operation};

const INPUT: u64 = 0;
const COMPLETIONS: u64 = 1;

fn main() -> io::Result<()> {
    let Some(name) = std::env::args_os().nth(1) else {
        eprintln!("usage: event_loop FILE");
        std::process::exit(2);
    };
    let file = File::create(name)?;
    let context = Context::builder().capacity(64).eventfd().build()?;
    let epoll = epoll_of(&[(io::stdin().as_fd(), INPUT), (context.eventfd().expect("asked for"), COMPLETIONS)])?;
    let mut writes: Completions<Vec<u8>> = context.completions();
    let (mut offset, mut open) = (0, true);
    while open || !writes.is_empty() {
        match wait(&epoll)? {
            INPUT => {
                let mut bytes = vec![0; 4096];
                let got = io::stdin().lock().read(&mut bytes)?;
                bytes.truncate(got);
                open = !bytes.is_empty();
                if !open {
                    unwatch(&epoll, io::stdin().as_fd());
                    continue;
                }
                let len = bytes.len() as u64;
                writes.push(context.submit(Operation::write(&file, bytes, offset))?);
                offset += len;
            }
            _ => {
                context.dispatch();
                while let Some(write) = writes.try_next() {
                    eprintln!("{} bytes written", write.result?);
                }
            }
        }
    }
    Ok(())
}

fn epoll_of(files: &[(BorrowedFd<'_>, u64)]) -> io::Result<OwnedFd> {
    // SAFETY: makes a descriptor.
    let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
    if epoll < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: made a few lines above, and nobody else's.
    let epoll = unsafe { OwnedFd::from_raw_fd(epoll) };
    for (fd, number) in files {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: *number };
        // SAFETY: `event` outlives the call.
        if unsafe { libc::epoll_ctl(epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd.as_raw_fd(), &raw mut event) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(epoll)
}

fn unwatch(epoll: &OwnedFd, fd: BorrowedFd<'_>) {
    // SAFETY: no pointer is read for EPOLL_CTL_DEL.
    unsafe { libc::epoll_ctl(epoll.as_raw_fd(), libc::EPOLL_CTL_DEL, fd.as_raw_fd(), std::ptr::null_mut()) };
}

/// The number of something that is ready.
fn wait(epoll: &OwnedFd) -> io::Result<u64> {
    loop {
        let mut event = libc::epoll_event { events: 0, u64: 0 };
        // SAFETY: room for one event.
        match unsafe { libc::epoll_wait(epoll.as_raw_fd(), &raw mut event, 1, -1) } {
            1 => return Ok(event.u64),
            _ if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
            _ => return Err(io::Error::last_os_error()),
        }
    }
}
