//! Which file an operation is about.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// The file of an operation. It is needed until submit has returned: by then the library has the file itself, and
/// the descriptor may be closed or used again.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum IoFile<'f> {
    /// Somebody else's.
    Borrowed(BorrowedFd<'f>),
    /// Shared.
    Fd(Arc<OwnedFd>),
    /// Shared.
    File(Arc<File>),
}

impl AsFd for IoFile<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            IoFile::Borrowed(fd) => *fd,
            IoFile::Fd(fd) => fd.as_fd(),
            IoFile::File(file) => file.as_fd(),
        }
    }
}

/// What an operation takes as its file: a reference to anything that has an open descriptor (`&File`, `&Arc<File>`,
/// `&OwnedFd`, `&PipeReader`, `&TcpStream`, …), or a `File`, an `OwnedFd`, an `Arc` of one, or a `BorrowedFd`. Never a number: that
/// may be another file by the time of the call.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no open file for an operation",
    label = "neither a reference to something open, nor a file",
    note = "give `&file`, of a `File`, `OwnedFd`, pipe or socket, or the `File`, `OwnedFd`, or `Arc` of one itself",
    note = "a name has to be opened first; a number may be another file by the time of the call"
)]
pub trait IntoIoFile<'f> {
    /// The file.
    fn into_io_file(self) -> IoFile<'f>;
}

#[diagnostic::do_not_recommend]
impl<'f, T: AsFd + ?Sized> IntoIoFile<'f> for &'f T {
    fn into_io_file(self) -> IoFile<'f> {
        IoFile::Borrowed(self.as_fd())
    }
}

macro_rules! into_io_file {
    ($($given:ty, |$value:ident| $made:expr;)*) => {
        $(impl<'f> IntoIoFile<'f> for $given {
            fn into_io_file(self) -> IoFile<'f> {
                let $value = self;
                $made
            }
        })*
    };
}

into_io_file! {
    IoFile<'f>, |file| file;
    BorrowedFd<'f>, |fd| IoFile::Borrowed(fd);
    Arc<OwnedFd>, |fd| IoFile::Fd(fd);
    Arc<File>, |file| IoFile::File(file);
    OwnedFd, |fd| IoFile::Fd(Arc::new(fd));
    File, |file| IoFile::File(Arc::new(file));
}
