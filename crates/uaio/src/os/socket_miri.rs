//! The way to the library threads under Miri, which has no messages with descriptors: lists, and an eventfd for each end.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::eventfd;
use crate::errno::{Errno, Result};
use crate::os::raw::sys;

/// As the real one.
pub(crate) const MAX_FDS: usize = 253;

/// Where a listener is: its descriptor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Address(i32);

#[derive(Default)]
struct Ends {
    /// Connections to be accepted, by listener.
    waiting: BTreeMap<i32, VecDeque<i32>>,
    /// The other end of each sending one.
    peers: BTreeMap<i32, i32>,
    /// Messages to be received, by receiving end.
    messages: BTreeMap<i32, VecDeque<(Vec<u64>, Vec<i32>)>>,
}

static ENDS: Mutex<Ends> =
    Mutex::new(Ends { waiting: BTreeMap::new(), peers: BTreeMap::new(), messages: BTreeMap::new() });

fn ends() -> MutexGuard<'static, Ends> {
    ENDS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn end() -> Result<i32> {
    use std::os::fd::IntoRawFd;
    eventfd::new().map(IntoRawFd::into_raw_fd)
}

pub(crate) fn listen() -> Result<(i32, Address)> {
    let fd = end()?;
    ends().waiting.insert(fd, VecDeque::new());
    Ok((fd, Address(fd)))
}

pub(crate) fn connect(address: &Address) -> Result<i32> {
    let (near, far) = (end()?, end()?);
    let mut ends = ends();
    ends.peers.insert(near, far);
    ends.waiting.get_mut(&address.0).ok_or(Errno::EPIPE)?.push_back(far);
    eventfd::add_one(address.0);
    Ok(near)
}

pub(crate) fn is_connected_to(_fd: i32, _address: &Address) -> bool {
    false
}

pub(crate) fn accept_from(listener: i32, _pid: i32) -> Result<i32> {
    ends().waiting.get_mut(&listener).and_then(VecDeque::pop_front).ok_or(Errno::EAGAIN)
}

pub(crate) fn cookie(fd: i32) -> Result<u64> {
    ends().peers.contains_key(&fd).then_some(fd as u64).ok_or(Errno::EBADF)
}

pub(crate) fn send(fd: i32, words: &[u64], fds: &[i32]) -> Result<()> {
    // SAFETY: reads no memory.
    let dup = |fd: &i32| unsafe { sys!(SYS_fcntl, *fd, libc::F_DUPFD_CLOEXEC, 3) }.map(|fd| fd as i32);
    let fds = fds.iter().map(dup).collect::<Result<Vec<i32>>>()?;
    let mut ends = ends();
    let peer = *ends.peers.get(&fd).ok_or(Errno::EPIPE)?;
    ends.messages.entry(peer).or_default().push_back((words.to_vec(), fds));
    eventfd::add_one(peer);
    Ok(())
}

/// What one message had.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) words: usize,
    pub(crate) fds: usize,
    pub(crate) truncated: bool,
}

pub(crate) fn receive(fd: i32, words: &mut [u64], fds: &mut [i32; MAX_FDS], _peek: bool) -> Result<Received> {
    let message = ends().messages.get_mut(&fd).and_then(VecDeque::pop_front).ok_or(Errno::EAGAIN)?;
    words[..message.0.len()].copy_from_slice(&message.0);
    fds[..message.1.len()].copy_from_slice(&message.1);
    Ok(Received { words: message.0.len(), fds: message.1.len(), truncated: false })
}
