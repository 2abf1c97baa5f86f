//! Ways to have requests carried out.

mod aio;
mod epoll;
mod io_uring;
mod posix;

use super::request::Request;
use super::side::Side;
use crate::failure::Failure;

pub use self::epoll::EventLoop;

/// Requests go in, their tags come out.
pub trait Queue {
    /// Submits all of them by one call, where the interface has such a call.
    ///
    /// # Safety
    /// Files, buffers and the queue live, and the buffers are left alone, until the tags have come out.
    unsafe fn submit(&mut self, requests: &[Request]) -> Result<(), Failure>;

    /// Waits for at least `min` completions and appends the tags of all that are there. A request that did not do
    /// all that it should have done is a failure.
    fn reap(&mut self, min: usize, done: &mut Vec<usize>) -> Result<(), Failure>;
}

/// The queue of `side`, for up to `depth` requests.
pub fn open(side: Side, depth: usize) -> Result<Box<dyn Queue>, Failure> {
    Ok(match (side, side.calls()) {
        (_, Some(calls)) => Box::new(aio::Aio::new(calls, depth)?),
        (Side::Posix, _) => Box::new(posix::Posix::new(depth)),
        _ => Box::new(io_uring::Ring::new(depth)?),
    })
}

/// A completion against what was asked for.
fn check(request: &Request, result: i64) -> Result<(), Failure> {
    let Some(expected) = request.misses(result) else { return Ok(()) };
    Err(Failure::plain(format!("{:?} gives {result} in the place of {expected}", request.op)))
}
