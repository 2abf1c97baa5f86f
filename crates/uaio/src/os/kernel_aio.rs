//! The kernel's own six calls, for `UAIO_ENGINE=off`.

use crate::abi::nr;
use crate::os::raw::syscall6;

/// Makes one of the six calls as the caller made it.
///
/// # Safety
/// As the call itself.
pub(crate) unsafe fn call(number: usize, args: [usize; 6]) -> isize {
    debug_assert!(
        [nr::IO_SETUP, nr::IO_DESTROY, nr::IO_GETEVENTS, nr::IO_SUBMIT, nr::IO_CANCEL, nr::IO_PGETEVENTS]
            .contains(&number)
    );
    // SAFETY: the caller's promise.
    unsafe { syscall6(number, args) }
}
