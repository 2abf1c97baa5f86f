//! What a panic of a case does: it is told to the runner, and the case is over.
//!
//! Nothing is unwound, so it is the same when the program is built to abort, and in every thread of the case.

use std::io::Write;
use std::panic::{PanicHookInfo, set_hook};

use crate::failure::cut;

/// Stands before the text of a panic in what a case prints.
pub const MARK: char = '\u{1e}';

/// From now on panics of this process print their text and end it.
pub fn end_the_process() {
    set_hook(Box::new(|info| {
        let _ = write!(std::io::stdout(), "{MARK}{}", text(info));
        let _ = std::io::stdout().flush();
        // SAFETY: ends the process.
        unsafe { libc::_exit(1) }
    }));
}

/// `FILE:LINE`, and in the next lines the message.
pub fn text(info: &PanicHookInfo) -> String {
    let at = info.location().map_or_else(String::new, |at| format!("{}:{}", at.file(), at.line()));
    let payload = info.payload();
    let message = payload.downcast_ref::<String>().map(String::as_str);
    let message = message.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("a panic");
    format!("{at}\n{}", cut(message))
}
