//! What a program may do to the mapping of its ring: spec 1.

use super::Case;
use super::reaping::{answers, done, header};
use super::resfd::with;
use crate::case;
use crate::tools::*;
use uaio::abi::*;

const PAGE: usize = 4096;
const ALL: i32 = libc::PROT_READ | libc::PROT_WRITE;

fn protect(ctx: usize, bytes: usize, prot: i32) {
    assert_eq!(unsafe { libc::mprotect(ctx as *mut _, bytes, prot) }, 0);
}

/// The new address, or a negated errno.
fn remap(ctx: usize, old: usize, new: usize) -> isize {
    let at = unsafe { libc::mremap(ctx as *mut _, old, new, libc::MREMAP_MAYMOVE) };
    if at == libc::MAP_FAILED {
        -std::io::Error::last_os_error().raw_os_error().unwrap() as isize
    } else {
        at as isize
    }
}

fn advise(ctx: usize, advice: i32) -> isize {
    let ret = unsafe { libc::madvise(ctx as *mut _, PAGE, advice) };
    if ret == 0 { 0 } else { -std::io::Error::last_os_error().raw_os_error().unwrap() as isize }
}

pub fn cases() -> Vec<Case> {
    let mut all = access();
    all.extend(moves());
    all
}

fn access() -> Vec<Case> {
    vec![
        case!(Linux, "ring/read_only_takes_events_that_come_later", "spec 1.reap.9", |t| {
            let (r, w) = pipe(0);
            let ctx = t.setup(4);
            // Named, so that `other` gets another address: io_cancel looks for that.
            let mut both = [poll(r, libc::POLLIN); 2];
            assert_eq!(t.submit(ctx, &mut both), 2);
            protect(ctx, PAGE, libc::PROT_READ);
            let mut other = poll(r, libc::POLLPRI);
            let list = [&raw mut other];
            assert_eq!(t.submit_at(ctx, 1, list.as_ptr() as usize), 1);
            assert_eq!(t.cancel(ctx, &mut other), EINPROGRESS);
            put(w, b"x");
            assert_eq!(t.reap(ctx, 3).len(), 3);
            assert_eq!((header(ctx).head, header(ctx).tail), (3, 3));
        }),
        case!(Linux, "ring/without_access_events_arrive_all_the_same", "spec 1.reap.10", |t| {
            if t.is_libaio() {
                t.not_applicable("libaio reads the ring, which cannot be read");
            }
            let (fd, (r, w)) = (eventfd(0), pipe(0));
            let ctx = t.setup(4);
            assert_eq!(t.submit(ctx, &mut [with(fd, poll(r, libc::POLLIN))]), 1);
            protect(ctx, PAGE, libc::PROT_NONE);
            let got = answers(t, ctx);
            let unseen = t.decided_for_poll("A6", EINVAL, 0, &got[0]);
            assert_eq!((got, t.destroy(ctx)), ([unseen, EINVAL, EINVAL, EINVAL], EINVAL));
            put(w, b"x");
            assert_eq!(eventfd_count(fd), 1);
            let is_kernels = unseen == EINVAL;
            assert_eq!(t.look(ctx), if is_kernels { EINVAL } else { 1 });
            protect(ctx, PAGE, ALL);
            let left = usize::from(is_kernels);
            assert_eq!((t.reap(ctx, left).len(), t.look(ctx), t.destroy(ctx)), (left, 0, 0));
        }),
        case!(Linux, "ring/unmapped_its_requests_go_on", "spec 1.reap.10, spec 5.10", |t| {
            let (fd, (r, w)) = (eventfd(0), pipe(0));
            let ctx = t.setup(4);
            assert_eq!(t.submit(ctx, &mut [with(fd, poll(r, libc::POLLIN)); 3]), 3);
            unsafe { libc::munmap(ctx as *mut _, PAGE) };
            let got = t.submit_at(ctx, 0, 0);
            assert_eq!((got, t.destroy(ctx)), (t.decided_for_poll("A6", EINVAL, 0, &got), EINVAL));
            put(w, b"x");
            let mut count = 0;
            while count < 3 {
                count += eventfd_count(fd);
            }
            assert_eq!(count, 3);
            let next = t.setup(4);
            assert_ne!(header(next).id, 0, "the index of the lost one is not free");
            done(t, next, 0..4);
            assert_eq!((t.look(next), t.destroy(next)), (4, 0));
        }),
        case!(Linux, "ring/new_ones_work_where_unmapped_ones_were", "spec 1.lookup.1, spec 5.10", |t| {
            let old: Vec<usize> = (0..16).map(|_| t.setup(1)).collect();
            old.iter().for_each(|ctx| _ = unsafe { libc::munmap(*ctx as *mut _, PAGE) });
            let new: Vec<usize> = (0..16).map(|_| t.setup(1)).collect();
            for ctx in new {
                done(t, ctx, 0..3);
                assert_eq!((t.look(ctx), header(ctx).tail, t.destroy(ctx)), (3, 3, 0));
            }
        }),
        case!(Linux, "ring/madv_dontneed_loses_nothing", "spec 1.reap.15", |t| {
            let ctx = t.setup(1);
            done(t, ctx, 0..5);
            assert_eq!(advise(ctx, libc::MADV_DONTNEED), 0);
            assert_eq!((header(ctx).magic, header(ctx).tail), (RING_MAGIC, 5));
            assert!(t.reap(ctx, 5).iter().map(|e| e.data).eq(0..5));
            assert_eq!(t.destroy(ctx), 0);
        }),
        case!(Quirk, "ring/madv_remove_is_enodev", "spec 1.reap.15", |t| {
            let ctx = t.setup(1);
            done(t, ctx, 0..1);
            assert_eq!(advise(ctx, libc::MADV_REMOVE), t.decided("A6", -libc::ENODEV as isize, 0));
            assert_eq!(header(ctx).tail, t.decided("A6", 1, 0));
        }),
    ]
}

fn moves() -> Vec<Case> {
    vec![
        case!(Linux, "ring/moved_events_are_seen_at_the_new_address", "spec 1.reap.12", |t| {
            let (r, w) = pipe(0);
            let ctx = t.setup(64);
            let bytes = 32 + 32 * header(ctx).nr as usize;
            assert_eq!(t.submit(ctx, &mut [poll(r, libc::POLLIN); 60]), 60);
            let target = pages(bytes / PAGE, bytes / PAGE);
            let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
            assert_eq!(unsafe { libc::mremap(ctx as *mut _, bytes, bytes, flags, target) } as usize, target);
            put(w, b"x");
            done(t, target, 0..100);
            assert_eq!(t.reap(target, 160).len(), 160);
            assert_eq!((header(target).head, header(target).tail), (160, 160));
            assert_eq!(t.destroy(target), 0);
        }),
        case!(Linux, "ring/a_stranger_in_its_place_is_einval", "spec 1.reap.12, spec 1.lookup.1", |t| {
            let ctx = t.setup(1);
            let copy = header(ctx);
            let target = pages(1, 1);
            let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
            unsafe {
                libc::mremap(ctx as *mut _, PAGE, PAGE, flags, target);
                let anonymous = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
                libc::mmap(ctx as *mut _, PAGE, ALL, anonymous, -1, 0);
            }
            *ring(ctx) = copy;
            let unseen = t.decided("A6", EINVAL, 0);
            assert_eq!((answers(t, ctx), t.destroy(ctx)), ([unseen, unseen, unseen, EINVAL], EINVAL));
            assert_eq!((header(ctx).magic, t.destroy(target)), (copy.magic, 0));
        }),
        case!(Quirk, "ring/cannot_be_grown", "spec 1.reap.13", |t| {
            let ctx = t.setup(1);
            done(t, ctx, 0..3);
            let grown = remap(ctx, PAGE, 2 * PAGE);
            assert_eq!(grown.min(0), t.decided("A6", EFAULT, 0));
            let ctx = if grown < 0 { ctx } else { grown as usize };
            done(t, ctx, 3..5);
            assert!(t.reap(ctx, 5).iter().map(|e| e.data).eq(0..5));
            assert_eq!(t.destroy(ctx), 0);
        }),
        case!(Quirk, "ring/shrunk_it_works_through_the_calls", "spec 1.reap.14", |t| {
            let ctx = t.setup(100);
            if remap(ctx, 2 * PAGE, PAGE) < 0 {
                t.not_applicable("this kernel moves and shrinks whole rings only");
            }
            for round in 0..5 {
                done(t, ctx, round * 200..round * 200 + 200);
                assert!(t.reap(ctx, 200).iter().map(|e| e.data).eq(round * 200..round * 200 + 200));
            }
            assert_eq!(t.destroy(ctx), 0);
        }),
        case!(Linux, "ring/the_next_one_after_a_shrunk_one_is_whole", "spec 1.reap.14", |t| {
            let ctx = t.setup(100);
            if remap(ctx, 2 * PAGE, PAGE) < 0 {
                t.not_applicable("this kernel moves and shrinks whole rings only");
            }
            assert_eq!(t.destroy(ctx), 0);
            let next = t.setup(100);
            done(t, next, 0..200);
            let last = unsafe { ((next + 32) as *const IoEvent).add(199).read_volatile() };
            assert_eq!((last.data, t.reap(next, 200).len()), (199, 200));
        }),
    ]
}
