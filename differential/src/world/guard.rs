//! What AIO leaves open, and a sequence therefore must not do: requests in flight that meet in a file or a buffer.

use super::World;
use super::context::Pending;

const PAGE: i128 = 4096;

/// Whether the common outcome depends on which of the two comes first. `earlier` may still be in flight.
pub fn meet(earlier: &Pending, later: &Pending, same_context: bool) -> bool {
    share_buffers(earlier, later) || share_file(earlier, later, same_context)
}

fn share_buffers(earlier: &Pending, later: &Pending) -> bool {
    let in_both = |a: &[usize], b: &[usize]| a.iter().any(|x| b.contains(x));
    in_both(&earlier.fills, &later.fills)
        || in_both(&earlier.fills, &later.takes)
        || in_both(&earlier.takes, &later.fills)
}

fn share_file(earlier: &Pending, later: &Pending, same_context: bool) -> bool {
    if earlier.inode.is_none() || earlier.inode != later.inode || !(earlier.writes || later.writes) {
        return false;
    }
    // Buffered requests of one context run in order, on the kernel and on ours.
    if same_context && !earlier.direct && !later.direct {
        return false;
    }
    // What makes the file longer has been performed when the next one is looked at.
    if earlier.extends {
        return false;
    }
    later.extends || overlap(earlier.range, later.range, earlier.direct != later.direct)
}

/// By pages where one goes through the page cache and the other past it: Linux says EIO to whom the page is not left.
fn overlap(a: (i64, i64), b: (i64, i64), by_pages: bool) -> bool {
    let unit = if by_pages { PAGE } else { 1 };
    let whole = |(from, to): (i64, i64)| (i128::from(from) / unit, (i128::from(to) + unit - 1) / unit);
    let (a, b) = (whole(a), whole(b));
    a.0 < b.1 && b.0 < a.1
}

impl World {
    /// Waits until nothing in flight meets `new`, which goes to context `n`.
    pub(super) fn make_way(&mut self, n: usize, new: &Pending) {
        let in_the_way = |i: usize| self.contexts[i].pending.iter().any(|earlier| meet(earlier, new, i == n));
        if (0..self.contexts.len()).any(in_the_way) {
            self.settle();
        }
    }
}
