//! What a program may do to its ring, further: spec 1.

use std::ops::Range;

use super::Case;
use crate::case;
use crate::case::Run;
use crate::tools::*;
use uaio::abi::*;

/// Requests that are done when io_submit returns, one for each number.
pub(super) fn done(t: &Run, ctx: usize, numbers: Range<u64>) {
    let null = open("/dev/null", libc::O_RDONLY);
    let mut iocbs: Vec<Iocb> = numbers.map(|data| Iocb { data, ..io(0, null, 0, 0, 0) }).collect();
    assert_eq!(t.submit(ctx, &mut iocbs), iocbs.len() as isize);
    unsafe { libc::close(null) };
}

pub(super) fn header(ctx: usize) -> RingHeader {
    unsafe { (ctx as *const RingHeader).read_volatile() }
}

pub(super) fn set_head(ctx: usize, head: u32) {
    unsafe { (&raw mut ring(ctx).head).write_volatile(head) };
}

fn set_tail(ctx: usize, tail: u32) {
    unsafe { (&raw mut ring(ctx).tail).write_volatile(tail) };
}

fn set_id(ctx: usize, id: u32) {
    unsafe { (&raw mut ring(ctx).id).write_volatile(id) };
}

fn data(events: &[IoEvent]) -> Vec<u64> {
    events.iter().map(|e| e.data).collect()
}

/// What is in the ring between head and tail, taken as a program does it.
fn by_hand(ctx: usize) -> Vec<IoEvent> {
    use std::sync::atomic::{AtomicU32, Ordering};
    let word = |at: *mut u32| unsafe { AtomicU32::from_ptr(at) };
    let (head, tail) = (word(&raw mut ring(ctx).head), word(&raw mut ring(ctx).tail));
    let (mut at, end, nr) = (head.load(Ordering::Relaxed), tail.load(Ordering::Acquire), header(ctx).nr);
    let mut events = vec![];
    while at != end {
        events.push(unsafe { ((ctx + 32) as *const IoEvent).add(at as usize).read_volatile() });
        at = (at + 1) % nr;
    }
    head.store(at, Ordering::Release);
    events
}

/// The answers of the calls that look the context up.
pub(super) fn answers(t: &Run, ctx: usize) -> [isize; 4] {
    let mut iocb = Iocb::default();
    [
        t.submit_at(ctx, 0, 0),
        t.getevents(ctx, 0, 0, 0, None),
        t.pgetevents(ctx, 0, 0, 0, None, std::ptr::null()),
        t.cancel(ctx, &mut iocb),
    ]
}

pub fn cases() -> Vec<Case> {
    let mut all = head();
    all.extend(other_words());
    all
}

fn head() -> Vec<Case> {
    vec![
        case!(Linux, "ring/by_hand_while_another_thread_submits", "spec 1.reap.1, spec 1.reap.3", |t| {
            let ctx = t.setup(8);
            std::thread::scope(|s| {
                s.spawn(|| {
                    let null = open("/dev/null", libc::O_RDONLY);
                    let mut next = 0;
                    while next < 20_000 {
                        let data = next;
                        match t.submit(ctx, &mut [Iocb { data, ..io(0, null, 0, 0, 0) }]) {
                            1 => next += 1,
                            answer => assert_eq!(answer, EAGAIN),
                        }
                    }
                });
                let mut next = 0;
                while next < 20_000 {
                    for event in by_hand(ctx) {
                        assert_eq!((event.data, event.res), (next, 0));
                        next += 1;
                    }
                    std::thread::yield_now();
                }
            });
            assert_eq!(t.look(ctx), 0);
        }),
        case!(Linux, "ring/by_hand_and_by_call_in_turn", "spec 1.reap.1, spec 1.reap.2", |t| {
            let ctx = t.setup(1);
            for round in 0..100 {
                done(t, ctx, round * 10..round * 10 + 10);
                set_head(ctx, (header(ctx).head + 3) % header(ctx).nr);
                assert_eq!(data(&t.reap(ctx, 4)), (round * 10 + 3..round * 10 + 7).collect::<Vec<_>>());
                assert_eq!(data(&by_hand(ctx)), (round * 10 + 7..round * 10 + 10).collect::<Vec<_>>());
            }
        }),
        case!(Linux, "ring/the_next_call_starts_at_the_programs_head", "spec 1.reap.2", |t| {
            let ctx = t.setup(1);
            done(t, ctx, 0..5);
            set_head(ctx, 2);
            assert_eq!(data(&t.reap(ctx, 3)), [2, 3, 4]);
            assert_eq!((header(ctx).head, header(ctx).tail), (5, 5));
        }),
        case!(Linux, "ring/a_head_out_of_range_counts_modulo_nr", "spec 1.reap.4", |t| {
            let ctx = t.setup(1);
            done(t, ctx, 0..5);
            set_head(ctx, 3 * header(ctx).nr + 2);
            assert_eq!(data(&t.reap(ctx, 3)), [2, 3, 4]);
            assert_eq!((header(ctx).head, t.look(ctx)), (5, 0));
        }),
        case!(Quirk, "ring/a_head_one_past_tail_hands_out_a_whole_ring", "spec 1.reap.5", |t| {
            let ctx = t.setup(1);
            done(t, ctx, 7..10);
            set_head(ctx, 4);
            let mut events = [IoEvent { data: 99, ..IoEvent::default() }; 200];
            let nr = header(ctx).nr as usize;
            assert_eq!(t.getevents(ctx, 0, 200, events.as_mut_ptr() as usize, None), nr as isize - 1);
            assert_eq!(data(&events[nr - 4..nr]), [7, 8, 9, 99]);
            assert_eq!((header(ctx).head, t.look(ctx)), (3, 0));
            done(t, ctx, 1..2);
            assert_eq!(data(&t.reap(ctx, 1)), [1]);
        }),
        case!(Linux, "ring/head_and_tail_wrap_at_nr", "spec 1.reap.1", |t| {
            let ctx = t.setup(1);
            let nr = header(ctx).nr;
            for i in 1..2 * nr + 5 {
                done(t, ctx, 0..1);
                assert_eq!(header(ctx).tail, i % nr);
                assert_eq!(t.look(ctx), 1);
                assert_eq!(header(ctx).head, i % nr);
            }
        }),
    ]
}

fn other_words() -> Vec<Case> {
    vec![
        case!(Linux, "ring/the_next_completion_restores_a_forged_tail", "spec 1.reap.6", |t| {
            let ctx = t.setup(1);
            done(t, ctx, 0..1);
            set_tail(ctx, 50);
            done(t, ctx, 1..2);
            assert_eq!(header(ctx).tail, 2);
            assert_eq!(data(&t.reap(ctx, 2)), [0, 1]);
            assert_eq!(t.look(ctx), 0);
        }),
        case!(Quirk, "ring/a_forged_tail_is_believed_until_then", "spec 1.reap.6", |t| {
            if t.is_libaio() {
                t.not_applicable("libaio reads the tail by itself");
            }
            let ctx = t.setup(1);
            done(t, ctx, 0..1);
            set_tail(ctx, 0);
            assert_eq!(t.look(ctx), t.decided("A6", 0, 1));
        }),
        case!(Linux, "ring/another_id_is_einval_in_every_call", "spec 1.reap.7", |t| {
            let ctx = t.setup(1);
            done(t, ctx, 0..1);
            let old = header(ctx).id;
            for id in [old + 1, old + 77, 0x7fff_ffff, u32::MAX] {
                set_id(ctx, id);
                assert_eq!((answers(t, ctx), t.destroy(ctx)), ([EINVAL; 4], EINVAL), "{id}");
            }
            set_id(ctx, old);
            assert_eq!((t.look(ctx), t.destroy(ctx)), (1, 0));
        }),
        case!(Linux, "ring/the_id_of_another_context_is_einval", "spec 1.reap.7, spec 1.lookup.1", |t| {
            let (a, b) = (t.setup(1), t.setup(1));
            let (id_a, id_b) = (header(a).id, header(b).id);
            set_id(a, id_b);
            assert_eq!((answers(t, a), t.destroy(a)), ([EINVAL; 4], EINVAL));
            assert_eq!(answers(t, b)[..3], [0; 3]);
            set_id(a, id_a);
            assert_eq!((t.destroy(a), t.destroy(b)), (0, 0));
        }),
        case!(Linux, "ring/magic_and_lengths_do_not_matter_to_a_waiter", "spec 1.reap.8", |t| {
            let (r, w) = pipe(0);
            let ctx = t.setup(1);
            assert_eq!(t.submit(ctx, &mut [poll(r, libc::POLLIN)]), 1);
            let rubbish = RingHeader { magic: 1, incompat_features: 7, header_length: 0, nr: 3, ..header(ctx) };
            *ring(ctx) = rubbish;
            put(w, b"x");
            assert_eq!(t.reap(ctx, 1).len(), 1);
            assert_eq!((header(ctx).nr, t.destroy(ctx)), (3, 0), "nobody mends what the program wrote");
        }),
    ]
}
