//! Why we stop, in one line, and with which exit status.

use std::fmt::Display;
use std::io::{self, Write};

/// Exit status when `uaio run` itself fails, as with env(1) and timeout(1).
pub const OWN_FAILURE: i32 = 125;
/// Exit status for a program that cannot be executed.
pub const NOT_EXECUTABLE: i32 = 126;
/// Exit status for a program that is not found.
pub const NOT_FOUND: i32 = 127;

/// A message for the user and the exit status that goes with it.
#[derive(Debug)]
pub struct Failure {
    pub status: i32,
    pub message: String,
}

impl Failure {
    /// A failure with exit status `status`.
    pub fn new(status: i32, message: impl Display) -> Failure {
        Failure { status, message: message.to_string() }
    }

    /// A failure of `uaio run` before PROGRAM could be started.
    pub fn own(message: impl Display) -> Failure {
        Failure::new(OWN_FAILURE, message)
    }

    /// A failure of any other command.
    pub fn plain(message: impl Display) -> Failure {
        Failure::new(1, message)
    }

    /// Prints the line on stderr.
    pub fn print(&self) {
        let _ = writeln!(io::stderr(), "uaio: {}", self.message);
    }
}
