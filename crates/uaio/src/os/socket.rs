//! The socket by which files travel from the program's descriptor table to the library's private one.

use core::mem::{MaybeUninit, size_of};

use crate::errno::{Errno, Result};
use crate::os::raw::sys;

/// Most descriptors in one message (SCM_MAX_FD).
pub(crate) const MAX_FDS: usize = 253;

const HEADER: usize = size_of::<libc::cmsghdr>();

#[repr(C, align(8))]
struct Control {
    bytes: [u8; HEADER + MAX_FDS * 4 + 4],
}

/// An abstract address, as the kernel chose it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Address {
    addr: libc::sockaddr_un,
    len: u32,
}

fn socket(flags: i32) -> Result<i32> {
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC | flags;
    // SAFETY: reads no memory.
    unsafe { sys!(SYS_socket, libc::AF_UNIX, kind, 0) }.map(|fd| fd as i32)
}

/// A listening socket at an abstract address that nobody else has.
pub(crate) fn listen() -> Result<(i32, Address)> {
    let fd = socket(libc::SOCK_NONBLOCK)?;
    bound_address(fd).map(|address| (fd, address)).inspect_err(|_| super::file::close(fd))
}

fn bound_address(fd: i32) -> Result<Address> {
    // SAFETY: `sockaddr_un` is plain data, for which zero is valid.
    let mut addr: libc::sockaddr_un = unsafe { core::mem::zeroed() };
    addr.sun_family = libc::AF_UNIX as u16;
    let mut len = size_of::<libc::sockaddr_un>() as u32;
    // SAFETY: an address of only its family asks for an abstract name of the kernel's choice.
    unsafe { sys!(SYS_bind, fd, &raw const addr, size_of::<u16>()) }?;
    // SAFETY: `addr` and `len` are valid and large enough.
    unsafe { sys!(SYS_getsockname, fd, &raw mut addr, &raw mut len) }?;
    // SAFETY: reads no memory.
    unsafe { sys!(SYS_listen, fd, 64) }?;
    Ok(Address { addr, len })
}

/// A socket connected to `address`.
pub(crate) fn connect(address: &Address) -> Result<i32> {
    let fd = socket(0)?;
    // SAFETY: the address is valid for its length.
    match unsafe { sys!(SYS_connect, fd, &raw const address.addr, address.len) } {
        Ok(_) => Ok(fd),
        Err(e) => {
            super::file::close(fd);
            Err(e)
        }
    }
}

/// Whether `fd` is a socket connected to `address`.
pub(crate) fn is_connected_to(fd: i32, address: &Address) -> bool {
    // SAFETY: `sockaddr_un` is plain data, for which zero is valid.
    let mut peer: libc::sockaddr_un = unsafe { core::mem::zeroed() };
    let mut len = size_of::<libc::sockaddr_un>() as u32;
    // SAFETY: `peer` and `len` are valid and large enough.
    let got = unsafe { sys!(SYS_getpeername, fd, &raw mut peer, &raw mut len) };
    got.is_ok()
        && len == address.len
        && peer.sun_family == address.addr.sun_family
        && peer.sun_path == address.addr.sun_path
}

/// Takes a waiting connection, non-blocking, if process `pid` made it.
pub(crate) fn accept_from(listener: i32, pid: i32) -> Result<i32> {
    // SAFETY: asks for no address.
    let fd = unsafe { sys!(SYS_accept4, listener, 0, 0, libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK) }? as i32;
    let mut peer = [0i32; 3];
    let got = option(fd, libc::SO_PEERCRED, &mut peer);
    if got.is_ok() && peer[0] == pid {
        return Ok(fd);
    }
    super::file::close(fd);
    Err(Errno::EACCES)
}

fn option<T>(fd: i32, name: i32, value: &mut T) -> Result<()> {
    let mut len = size_of::<T>() as u32;
    // SAFETY: `value` is plain data of `len` bytes.
    unsafe { sys!(SYS_getsockopt, fd, libc::SOL_SOCKET, name, value as *mut T, &raw mut len) }.map(drop)
}

/// The number that tells this socket from every other one since boot; an error when `fd` is no socket.
pub(crate) fn cookie(fd: i32) -> Result<u64> {
    let mut cookie = 0u64;
    option(fd, libc::SO_COOKIE, &mut cookie)?;
    Ok(cookie)
}

/// Sends `words` with references to the files `fds`; waits when the socket is full.
pub(crate) fn send(fd: i32, words: &[u64], fds: &[i32]) -> Result<()> {
    debug_assert!(fds.len() <= MAX_FDS);
    let mut control = MaybeUninit::<Control>::uninit();
    let mut iov = libc::iovec { iov_base: words.as_ptr() as *mut _, iov_len: size_of_val(words) };
    // SAFETY: `msghdr` is plain data, for which zero is valid.
    let mut msg: libc::msghdr = unsafe { core::mem::zeroed() };
    msg.msg_iov = &raw mut iov;
    msg.msg_iovlen = 1;
    if !fds.is_empty() {
        let len = HEADER + size_of_val(fds);
        let head = control.as_mut_ptr().cast::<libc::cmsghdr>();
        // SAFETY: `control` is aligned for the header and has room for MAX_FDS descriptors behind it.
        unsafe {
            (*head).cmsg_len = len as _;
            (*head).cmsg_level = libc::SOL_SOCKET;
            (*head).cmsg_type = libc::SCM_RIGHTS;
            core::ptr::copy_nonoverlapping(fds.as_ptr(), head.cast::<u8>().add(HEADER).cast::<i32>(), fds.len());
        }
        msg.msg_control = head.cast();
        msg.msg_controllen = len as _;
    }
    loop {
        // SAFETY: everything that `msg` names outlives the call.
        match unsafe { sys!(SYS_sendmsg, fd, &raw const msg, libc::MSG_NOSIGNAL) } {
            Err(Errno::EINTR) => {}
            other => return other.map(drop),
        }
    }
}

/// What [`peek`] brought.
#[derive(Debug)]
pub(crate) struct Received {
    /// Words of the message.
    pub(crate) words: usize,
    /// Descriptors that arrived.
    pub(crate) fds: usize,
    /// Descriptors were sent that found no free number here.
    pub(crate) truncated: bool,
}

/// Receives one message without waiting, and leaves it there, with references to its files; EAGAIN when there is none, 0
/// words when the peer has gone.
pub(crate) fn peek(fd: i32, words: &mut [u64], fds: &mut [i32; MAX_FDS]) -> Result<Received> {
    let mut control = MaybeUninit::<Control>::uninit();
    let mut iov = libc::iovec { iov_base: words.as_mut_ptr().cast(), iov_len: size_of_val(words) };
    // SAFETY: `msghdr` is plain data, for which zero is valid.
    let mut msg: libc::msghdr = unsafe { core::mem::zeroed() };
    msg.msg_iov = &raw mut iov;
    msg.msg_iovlen = 1;
    msg.msg_control = control.as_mut_ptr().cast();
    msg.msg_controllen = size_of::<Control>() as _;
    let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC | libc::MSG_PEEK;
    // SAFETY: everything that `msg` names is valid for its length and outlives the call.
    let bytes = unsafe { sys!(SYS_recvmsg, fd, &raw mut msg, flags) }?;
    let head = control.as_ptr().cast::<libc::cmsghdr>();
    let mut count = 0;
    if msg.msg_controllen as usize >= HEADER {
        // SAFETY: the kernel has written a header, and behind it as many descriptors as its length says.
        unsafe {
            if (*head).cmsg_type == libc::SCM_RIGHTS {
                count = ((*head).cmsg_len - HEADER) / 4;
                core::ptr::copy_nonoverlapping(
                    head.cast::<u8>().add(HEADER).cast::<i32>(),
                    fds.as_mut_ptr(),
                    count,
                );
            }
        }
    }
    Ok(Received { words: bytes / 8, fds: count, truncated: msg.msg_flags & libc::MSG_CTRUNC != 0 })
}

/// Takes the next message away, and its references to files; a peeked one has been dealt with.
pub(crate) fn discard(fd: i32) {
    let mut word = 0u64;
    let (flags, nobody) = (libc::MSG_DONTWAIT, core::ptr::null_mut::<u8>());
    // SAFETY: `word` is valid for eight bytes; the rest of the message is cut off.
    let _ = unsafe { sys!(SYS_recvfrom, fd, &raw mut word, 8, flags, nobody, nobody) };
}
