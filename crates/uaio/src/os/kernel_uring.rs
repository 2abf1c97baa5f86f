//! Whether this place has io_uring.

use crate::errno::Errno;
use crate::os::raw::sys;

/// Asks without making a ring: a caller who may have one gets EFAULT for the missing parameters.
pub(crate) fn allowed() -> bool {
    // SAFETY: the parameters' address is null, so nothing is made.
    let answer = unsafe { sys!(SYS_io_uring_setup, 1, 0) };
    answer == Err(Errno::EFAULT)
}
