//! Contexts that io_destroy has to wait for, because a library thread holds files of theirs besides their requests.

use crate::context::Context;

/// Each is counted in until it is given back. Kept, so that a message allocates nothing.
#[derive(Debug, Default)]
pub(crate) struct Lent(Vec<&'static Context>);

impl Lent {
    /// The caller has a request of `context`.
    pub(crate) fn add(&mut self, context: &'static Context) {
        if self.0.last().is_none_or(|last| !core::ptr::eq(*last, context)) {
            context.lend();
            self.0.push(context);
        }
    }

    /// The files are let go of.
    pub(crate) fn give_back(&mut self) {
        self.0.drain(..).for_each(Context::leave);
    }
}
