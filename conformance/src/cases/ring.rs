//! The ring as programs use it: spec 1.

use super::Case;
use crate::case;
use crate::tools::*;
use uaio::abi::*;

pub fn cases() -> Vec<Case> {
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
                assert_eq!(t.submit_at(ctx, 0, 0), EINVAL);
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
    ]
}
