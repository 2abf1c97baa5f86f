//! Files that a library thread holds for requests, in its private descriptor table.

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
        let held = &mut self.held[handle as usize];
        held.users -= 1;
        if held.users > 0 {
            return false;
        }
        file::close(held.fd);
        self.free.push(handle);
        true
    }
}
