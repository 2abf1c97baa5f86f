//! The ring as programs use it: spec 1.

use super::Case;
use crate::case;
use crate::case::Run;
use crate::tools::*;
use uaio::abi::*;

pub fn cases() -> Vec<Case> {
    [words(), mappings()].into_iter().flatten().collect()
}

fn words() -> Vec<Case> {
    vec![
        case!(Linux, "ring/can_be_reaped_by_hand", "spec 1.reap.1, spec 1.reap.2", |t| {
            let null = open("/dev/null", libc::O_RDONLY);
            let ctx = t.setup(32);
            for round in 0..40u64 {
                let mut iocbs: Vec<Iocb> =
                    (0..20).map(|i| Iocb { data: round * 20 + i, ..io(0, null, 0, 0, 0) }).collect();
                assert_eq!(t.submit(ctx, &mut iocbs), 20);
                let r = ring(ctx);
                for i in 0..20 {
                    assert_ne!(unsafe { (&raw const r.tail).read_volatile() }, r.head);
                    let event = unsafe { *((ctx + 32) as *const IoEvent).add(r.head as usize) };
                    assert_eq!((event.data, event.res), (round * 20 + i, 0));
                    unsafe { (&raw mut r.head).write_volatile((r.head + 1) % r.nr) };
                }
                assert_eq!(t.look(ctx), 0);
            }
        }),
        case!(Linux, "ring/a_head_moved_by_the_program_frees_room", "spec 1.reap.3", |t| {
            let null = open("/dev/null", libc::O_RDONLY);
            let ctx = t.setup(1);
            let mut iocbs = vec![io(0, null, 0, 0, 0); 1000];
            for _ in 0..5 {
                while t.submit(ctx, &mut iocbs) != EAGAIN {}
                let r = ring(ctx);
                unsafe { (&raw mut r.head).write_volatile((&raw const r.tail).read_volatile()) };
                assert_eq!(t.submit(ctx, &mut iocbs[..1]), 1);
            }
        }),
        case!(Linux, "ring/events_appear_without_a_call", "spec 1.reap.1", |t| {
            let (r, w) = pipe(0);
            let ctx = t.setup(1);
            assert_eq!(t.submit(ctx, &mut [poll(r, libc::POLLIN)]), 1);
            put(w, b"x");
            let header = ring(ctx);
            while unsafe { (&raw const header.tail).read_volatile() } == 0 {
                std::thread::yield_now();
            }
        }),
        case!(Quirk, "ring/rubbish_in_head_crashes_nobody", "spec 1.reap.4", |t| {
            let null = open("/dev/null", libc::O_RDONLY);
            let ctx = t.setup(1);
            assert_eq!(t.submit(ctx, &mut [io(0, null, 0, 0, 0); 3]), 3);
            for head in [0xffff_ffffu32, 1 << 31, 5, ring(ctx).nr] {
                unsafe { (&raw mut ring(ctx).head).write_volatile(head) };
                let n = t.look(ctx);
                assert!((0..=64).contains(&n), "{n}");
                t.submit(ctx, &mut [io(0, null, 0, 0, 0)]);
            }
            assert_eq!(t.destroy(ctx), 0);
        }),
        case!(Linux, "ring/another_id_is_einval_until_it_is_back", "spec 1.reap.7", |t| {
            let ctx = t.setup(1);
            unsafe { (&raw mut ring(ctx).id).write_volatile(7) };
            assert_eq!((t.submit_at(ctx, 0, 0), t.destroy(ctx)), (EINVAL, EINVAL));
            unsafe { (&raw mut ring(ctx).id).write_volatile(0) };
            assert_eq!((t.submit_at(ctx, 0, 0), t.destroy(ctx)), (0, 0));
        }),
        case!(Linux, "ring/rubbish_in_nr_and_magic_does_not_matter", "spec 1.reap.8", |t| {
            if t.is_libaio() {
                t.not_applicable("libaio reads the magic");
            }
            let null = open("/dev/null", libc::O_RDONLY);
            let ctx = t.setup(1);
            unsafe {
                (&raw mut ring(ctx).nr).write_volatile(1);
                (&raw mut ring(ctx).magic).write_volatile(0);
            }
            assert_eq!(t.submit(ctx, &mut [io(0, null, 0, 0, 0); 50]), 50);
            assert_eq!(t.reap(ctx, 50).len(), 50);
        }),
        case!(Linux, "ring/a_larger_head_moves_the_next_reader", "spec 1.reap.2", |t| {
            let ctx = five_events(t, 1);
            unsafe { (&raw mut ring(ctx).head).write_volatile(3) };
            let data: Vec<u64> = t.reap(ctx, 2).iter().map(|e| e.data).collect();
            assert_eq!((data, t.look(ctx), ring(ctx).head), (vec![3, 4], 0, 5));
        }),
        case!(Linux, "ring/a_smaller_head_hands_events_out_again", "spec 1.reap.2", |t| {
            let ctx = five_events(t, 1);
            t.reap(ctx, 5);
            unsafe { (&raw mut ring(ctx).head).write_volatile(2) };
            let data: Vec<u64> = t.reap(ctx, 3).iter().map(|e| e.data).collect();
            assert_eq!((data, t.look(ctx)), (vec![2, 3, 4], 0));
        }),
        case!(Linux, "ring/a_head_out_of_range_is_taken_modulo_nr", "spec 1.reap.4", |t| {
            let ctx = five_events(t, 1);
            unsafe { (&raw mut ring(ctx).head).write_volatile(2 * ring(ctx).nr + 3) };
            let data: Vec<u64> = t.reap(ctx, 2).iter().map(|e| e.data).collect();
            assert_eq!((data, ring(ctx).head), (vec![3, 4], 5));
        }),
        case!(Quirk, "ring/a_head_before_the_tail_hands_out_old_events", "spec 1.reap.5", |t| {
            let ctx = five_events(t, 1);
            unsafe { (&raw mut ring(ctx).head).write_volatile(6) };
            let mut events = vec![IoEvent::default(); 500];
            let now = Some(Timespec::default());
            let n = t.getevents(ctx, 0, 500, events.as_mut_ptr() as usize, now);
            assert_eq!((n, t.look(ctx)), (ring(ctx).nr as isize - 1, 0));
        }),
        case!(Quirk, "ring/a_forged_tail_lasts_until_the_next_completion", "spec 1.reap.6, decision A6", |t| {
            let null = open("/dev/null", libc::O_RDONLY);
            let ctx = five_events(t, 1);
            unsafe { (&raw mut ring(ctx).tail).write_volatile(9) };
            assert_eq!(t.look(ctx), t.decided("A6", 9, 5));
            assert_eq!(t.submit(ctx, &mut [io(0, null, 0, 0, 0)]), 1);
            assert_eq!(unsafe { (&raw const ring(ctx).tail).read_volatile() }, 6);
        }),
    ]
}

/// A context of which five events wait, with data 0 to 4.
fn five_events(t: &Run, nr_events: u32) -> usize {
    let null = open("/dev/null", libc::O_RDONLY);
    let ctx = t.setup(nr_events);
    let mut iocbs: Vec<Iocb> = (0..5).map(|data| Iocb { data, ..io(0, null, 0, 0, 0) }).collect();
    assert_eq!(t.submit(ctx, &mut iocbs), 5);
    ctx
}

fn bytes(ctx: usize) -> usize {
    32 + ring(ctx).nr as usize * 32
}

fn mappings() -> Vec<Case> {
    vec![
        case!(Linux, "ring/read_only_works", "spec 1.reap.9", |t| {
            let null = open("/dev/null", libc::O_RDONLY);
            let ctx = t.setup(1);
            unsafe { libc::mprotect(ctx as *mut _, 4096, libc::PROT_READ) };
            assert_eq!(t.submit(ctx, &mut [io(0, null, 0, 0, 0)]), 1);
            assert_eq!(t.reap(ctx, 1).len(), 1);
            assert_eq!(t.destroy(ctx), 0);
        }),
        case!(Linux, "ring/unmapped_or_protected_is_einval", "spec 1.reap.10, spec 5.10", |t| {
            if t.is_libaio() {
                t.not_applicable("libaio reads the ring, which is gone");
            }
            let (a, b) = (t.setup(1), t.setup(1));
            unsafe {
                libc::munmap(a as *mut _, 4096);
                libc::mprotect(b as *mut _, 4096, libc::PROT_NONE);
            }
            for ctx in [a, b] {
                assert_eq!(t.submit_at(ctx, 0, 0), t.decided("A6", EINVAL, 0));
                assert_eq!(t.getevents(ctx, 0, 0, 0, None), EINVAL);
                assert_eq!(t.destroy(ctx), EINVAL);
            }
        }),
        case!(Linux, "ring/other_memory_in_its_place_is_einval_and_stays", "spec 5.10", |t| {
            let ctx = t.setup(1);
            let prot = libc::PROT_READ | libc::PROT_WRITE;
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
            let saved = unsafe { *(ctx as *const RingHeader) };
            unsafe {
                libc::mmap(ctx as *mut _, 4096, prot, flags, -1, 0);
                (ctx as *mut u32).add(100).write(0x1234);
            }
            ring(ctx).id = saved.id + 1;
            assert_eq!((t.submit_at(ctx, 0, 0), t.destroy(ctx)), (t.decided("A6", EINVAL, 0), EINVAL));
            assert_eq!(unsafe { (ctx as *const u32).add(100).read() }, 0x1234);
        }),
        case!(Linux, "ring/moved_it_is_known_by_its_new_address", "spec 1.reap.12", |t| {
            let (r, w) = pipe(0);
            let ctx = t.setup(1);
            assert_eq!(t.submit(ctx, &mut [poll(r, libc::POLLIN)]), 1);
            let target = pages(1, 1);
            let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
            let moved = unsafe { libc::mremap(ctx as *mut _, 4096, 4096, flags, target) } as usize;
            assert_eq!(moved, target);
            put(w, b"x");
            assert_eq!(t.reap(moved, 1).len(), 1);
            assert_eq!(t.submit_at(ctx, 0, 0), EINVAL);
            assert_eq!((t.destroy(ctx), t.destroy(moved)), (EINVAL, 0));
        }),
        case!(Linux, "ring/moved_with_events_in_it_they_stay", "spec 1.reap.12", |t| {
            let ctx = five_events(t, 1000);
            let len = bytes(ctx);
            let target = pages(len / 4096, len / 4096);
            let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
            let moved = unsafe { libc::mremap(ctx as *mut _, len, len, flags, target) } as usize;
            let data: Vec<u64> = t.reap(moved, 5).iter().map(|e| e.data).collect();
            assert_eq!((data, t.submit_at(moved, 0, 0)), (vec![0, 1, 2, 3, 4], 0));
            assert_eq!((t.destroy(ctx), t.destroy(moved)), (EINVAL, 0));
        }),
        case!(Quirk, "ring/growing_it_is_efault", "spec 1.reap.13, decision A6", |t| {
            let ctx = t.setup(1);
            let grown = unsafe { libc::mremap(ctx as *mut _, 4096, 8192, libc::MREMAP_MAYMOVE) };
            let errno = std::io::Error::last_os_error().raw_os_error();
            let refused = grown == libc::MAP_FAILED && errno == Some(libc::EFAULT);
            assert_eq!(refused, t.decided("A6", true, false));
            let ctx = if refused { ctx } else { grown as usize };
            assert_eq!((t.submit_at(ctx, 0, 0), t.destroy(ctx)), (0, 0));
        }),
        case!(Quirk, "ring/shrunk_to_its_first_page_all_calls_work", "spec 1.reap.14", |t| {
            let ctx = t.setup(500);
            if unsafe { libc::mremap(ctx as *mut _, bytes(ctx), 4096, 0) } == libc::MAP_FAILED {
                t.not_applicable("this kernel refuses to shrink it");
            }
            let null = open("/dev/null", libc::O_RDONLY);
            assert_eq!(t.submit(ctx, &mut [io(0, null, 0, 0, 0); 400]), 400);
            assert_eq!(t.reap(ctx, 400).len(), 400);
            assert_eq!(t.destroy(ctx), 0);
        }),
        case!(Linux, "ring/a_copy_of_it_is_no_context", "spec 1.context.2", |t| {
            if t.is_libaio() {
                t.not_applicable("libaio answers from a copy");
            }
            let ctx = five_events(t, 1);
            let copy = pages(1, 1);
            unsafe { std::ptr::copy_nonoverlapping(ctx as *const u8, copy as *mut u8, 4096) };
            assert_eq!((t.submit_at(copy, 0, 0), t.look(copy), t.destroy(copy)), (EINVAL, EINVAL, EINVAL));
            assert_eq!(t.reap(ctx, 5).len(), 5);
        }),
        case!(Contract, "ring/no_call_takes_what_is_no_context", "spec 1.context.1, io_submit(2) EINVAL", |t| {
            let (ctx, gone, hole) = (t.setup(1), t.setup(1), pages(1, 0));
            assert_eq!(t.destroy(gone), 0);
            let iocb = &raw mut *Box::new(Iocb::default());
            for bad in
                [0, 1, 4095, usize::MAX, usize::MAX << 63, ctx + 1, ctx + 8, ctx + 32, gone, hole, iocb as usize]
            {
                assert_eq!((t.submit_at(bad, 0, 0), t.submit_at(bad, 1, BAD)), (EINVAL, EINVAL), "{bad:#x}");
                assert_eq!((t.cancel(bad, iocb), t.destroy(bad)), (EINVAL, EINVAL), "{bad:#x}");
                // libaio reads at the address by itself.
                if !t.is_libaio() {
                    assert_eq!((t.look(bad), t.getevents(bad, 0, 0, 0, None)), (EINVAL, EINVAL), "{bad:#x}");
                }
            }
        }),
    ]
}
