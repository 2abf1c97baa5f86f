//! Steps by somebody else: another thread, a forked child, this thread while another one waits.

use super::World;
use super::memory::EVENTS;
use crate::differences;
use crate::plan::{Bad, Buf, Ctx, Data, Entry, Req, Step};
use crate::sys;

impl World {
    pub(super) fn in_thread(&mut self, steps: &[Step], place: &str) {
        let outer = format!("{place}.");
        std::thread::scope(|scope| {
            let done = scope.spawn(|| self.steps(steps, &outer)).join();
            assert!(done.is_ok(), "the thread panicked");
        });
    }

    pub(super) fn in_child(&mut self, steps: &[Step], place: &str) {
        if self.is_child || self.quiet {
            return self.line("skipped: no second generation");
        }
        self.settle();
        let outer = format!("{place}.");
        let status = sys::in_child(|| {
            self.become_child();
            self.steps(steps, &outer);
            self.leave();
        });
        self.line(&format!("child: status {status}"));
        // What it read and wrote went past this process's account.
        (self.cold, self.dirty) = ([true; 3], true);
    }

    fn become_child(&mut self) {
        self.is_child = true;
        for context in &mut self.contexts {
            context.foreign = true;
            context.only_one = false;
        }
    }

    fn leave(&mut self) {
        for n in 0..self.contexts.len() {
            if !self.contexts[n].foreign {
                self.restore(n);
            }
            if self.contexts[n].answers() {
                self.drain(n);
                self.show_events(n);
            }
        }
        self.show_buffers();
    }

    /// Another thread waits for `count` events while `meanwhile` is done; then the rest is made up.
    pub(super) fn with_waiter(&mut self, n: u8, count: u8, meanwhile: &[Step], place: &str) {
        let n = n as usize % self.contexts.len();
        self.settle();
        if !self.contexts[n].answers() || self.contexts[n].due > 0 || self.quiet {
            return self.line("skipped: nothing to wait for");
        }
        let (side, id, into) = (self.side, self.contexts[n].id, self.memory.waiters_events());
        let count = usize::from(count.clamp(1, 8)).min(EVENTS);
        let waiter = std::thread::spawn(move || side.io_getevents(id, count as i64, count as i64, into, 0, None));
        sys::nap(500);
        self.quiet = true;
        meanwhile.iter().filter(|s| is_simple(s)).take(1).for_each(|s| self.step(s, place));
        self.make_up(n, count);
        self.quiet = false;
        let got = waiter.join().expect("the waiter panicked");
        let got = differences::waiter_of_destroyed(got, self.contexts[n].alive, count);
        self.line(&format!("the waiter got {got}"));
        self.take(n, into, usize::try_from(got).unwrap_or(0));
    }

    /// Sees to it that a waiter for `count` events ends.
    fn make_up(&mut self, n: usize, count: usize) {
        let context = &self.contexts[n];
        if !context.answers() {
            return;
        }
        let missing = count.saturating_sub(context.due);
        let req = Req { data: Data::At(Buf::Bad(Bad::Null)), ..Req::nothing() };
        self.submit(Ctx::N(n as u8), &vec![Entry::Req(req); missing], None);
        self.check_room(n, count);
    }

    /// Where the empty reads were refused, because /dev/null was closed, say, only the end of the context helps.
    fn check_room(&mut self, n: usize, count: usize) {
        if self.contexts[n].alive && self.contexts[n].due < count {
            self.destroy(Ctx::N(n as u8));
        }
    }
}

/// Steps that need nothing to be settled.
fn is_simple(step: &Step) -> bool {
    matches!(
        step,
        Step::Submit { .. } | Step::Destroy(_) | Step::Feed { .. } | Step::Cancel { .. } | Step::Close(_)
    )
}
