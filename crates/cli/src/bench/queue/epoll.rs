//! AIO in an event loop: epoll_wait on an eventfd, then io_getevents.

use std::os::fd::AsRawFd;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::super::calls::Calls;
use super::super::request::Request;
use super::Queue;
use super::aio::Aio;
use crate::failure::Failure;

pub struct EventLoop {
    aio: Aio,
    epoll: Epoll,
    eventfd: EventFd,
}

impl EventLoop {
    pub fn new(calls: Calls, depth: usize) -> Result<EventLoop, Failure> {
        let eventfd = EventFd::from_value_and_flags(0, EfdFlags::EFD_NONBLOCK).map_err(Failure::plain)?;
        let epoll = Epoll::new(EpollCreateFlags::empty()).map_err(Failure::plain)?;
        epoll.add(&eventfd, EpollEvent::new(EpollFlags::EPOLLIN, 0)).map_err(Failure::plain)?;
        let mut aio = Aio::new(calls, depth)?;
        aio.resfd = Some(eventfd.as_raw_fd());
        Ok(EventLoop { aio, epoll, eventfd })
    }
}

impl Queue for EventLoop {
    unsafe fn submit(&mut self, requests: &[Request]) -> Result<(), Failure> {
        // SAFETY: the caller's promise.
        unsafe { self.aio.submit(requests) }
    }

    fn reap(&mut self, min: usize, done: &mut Vec<usize>) -> Result<(), Failure> {
        let enough = done.len() + min;
        while done.len() < enough {
            let mut ready = [EpollEvent::empty()];
            match self.epoll.wait(&mut ready, EpollTimeout::NONE) {
                Err(nix::errno::Errno::EINTR) => continue,
                waited => waited.map_err(Failure::plain)?,
            };
            self.eventfd.read().map_err(|e| Failure::plain(format!("eventfd: {e}")))?;
            self.aio.reap_now(done)?;
        }
        Ok(())
    }
}
