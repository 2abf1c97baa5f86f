//! Files that a library thread holds for requests, in its private descriptor table.

use std::collections::HashMap;

use crate::os::epoll::same_file;
use crate::os::file;

/// Number of a held file.
pub(crate) type Handle = u32;

#[derive(Debug)]
struct Held {
    fd: i32,
    users: u32,
}

/// The held files. A file is closed when its last request lets go of it, so that the program sees the end
/// of a pipe, or the space of a deleted file, no later than with the kernel.
#[derive(Debug, Default)]
pub(crate) struct Files {
    held: Vec<Held>,
    free: Vec<Handle>,
    /// The handle that a descriptor of the program's last came to: mostly the same file comes again.
    seen: HashMap<i32, Handle>,
}

impl Files {
    /// Takes over descriptor `fd`, with one user.
    pub(crate) fn add(&mut self, fd: i32) -> Handle {
        let new = Held { fd, users: 1 };
        if let Some(handle) = self.free.pop() {
            self.held[handle as usize] = new;
            return handle;
        }
        self.held.push(new);
        (self.held.len() - 1) as Handle
    }

    /// The handle under which the file of `new` is held already, if it is, by requests that named it `program_fd`
    /// too; else `new`. One descriptor is enough for them all.
    pub(crate) fn shared(&mut self, program_fd: i32, new: Handle) -> Handle {
        if let Some(old) = self.seen.get(&program_fd).map(|old| (*old, &self.held[*old as usize]))
            && old.0 != new
            && old.1.users > 0
            && same_file(self.fd(new), old.1.fd)
        {
            return old.0;
        }
        self.seen.insert(program_fd, new);
        new
    }

    /// Requests that name their file `program_fd` have it as `handle`.
    pub(crate) fn note(&mut self, program_fd: i32, handle: Handle) {
        self.seen.insert(program_fd, handle);
    }

    /// What `program_fd` last came to, if a request still has it: the handle, and its descriptor.
    pub(crate) fn known_as(&self, program_fd: i32) -> Option<(Handle, i32)> {
        let handle = *self.seen.get(&program_fd)?;
        let held = &self.held[handle as usize];
        (held.users > 0).then_some((handle, held.fd))
    }

    /// The descriptor.
    pub(crate) fn fd(&self, handle: Handle) -> i32 {
        self.held[handle as usize].fd
    }

    /// One user more.
    pub(crate) fn keep(&mut self, handle: Handle) {
        self.held[handle as usize].users += 1;
    }

    /// One user less. True: that was the last, and the file is closed.
    pub(crate) fn release(&mut self, handle: Handle) -> bool {
        self.let_go(handle).map(file::close).is_some()
    }

    /// As `release`, but the caller closes the descriptor, if there is nobody else.
    pub(crate) fn let_go(&mut self, handle: Handle) -> Option<i32> {
        let held = &mut self.held[handle as usize];
        held.users -= 1;
        if held.users > 0 {
            return None;
        }
        self.free.push(handle);
        Some(held.fd)
    }
}
