//! The one error type of the core.

use core::fmt;

/// A Linux error number, 1..=4095. Unknown numbers stay representable.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Errno(u16);

macro_rules! errnos {
    ($($name:ident = $value:literal),* $(,)?) => {
        impl Errno {
            $(#[doc = stringify!($name)] pub const $name: Errno = Errno($value);)*

            /// The symbolic name, where this list has it.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 { $($value => Some(stringify!($name)),)* _ => None }
            }

            /// The errno of that name, where this list has it.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Errno> {
                match name { $(stringify!($name) => Some(Errno($value)),)* _ => None }
            }
        }
    };
}

errnos! {
    EPERM = 1, ENOENT = 2, ESRCH = 3, EINTR = 4, EIO = 5, ENXIO = 6, E2BIG = 7, EBADF = 9, EAGAIN = 11,
    ENOMEM = 12, EACCES = 13, EFAULT = 14, EBUSY = 16, EEXIST = 17, ENODEV = 19, ENOTDIR = 20,
    EISDIR = 21, EINVAL = 22, ENFILE = 23, EMFILE = 24, ENOTTY = 25, EFBIG = 27, ENOSPC = 28,
    ESPIPE = 29, EROFS = 30, EPIPE = 32, ENOSYS = 38, ENODATA = 61, ETIME = 62, EOVERFLOW = 75,
    ENOTSOCK = 88, EOPNOTSUPP = 95, ENOTCONN = 107, ETOOMANYREFS = 109, ETIMEDOUT = 110,
    EALREADY = 114, EINPROGRESS = 115, EDQUOT = 122, ECANCELED = 125,
}

impl Errno {
    /// The error of a raw system call's result, -4095..=-1.
    #[must_use]
    pub const fn from_raw(ret: isize) -> Errno {
        Errno(ret.unsigned_abs() as u16)
    }

    /// The positive number.
    #[must_use]
    pub const fn code(self) -> i32 {
        self.0 as i32
    }

    /// The negated number, as `io_event.res` and libaio carry it.
    #[must_use]
    pub const fn negated(self) -> isize {
        -(self.0 as isize)
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "errno {}", self.0),
        }
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl std::error::Error for Errno {}

impl From<Errno> for std::io::Error {
    fn from(e: Errno) -> Self {
        std::io::Error::from_raw_os_error(e.code())
    }
}

/// A value or an [`Errno`].
pub type Result<T> = core::result::Result<T, Errno>;
