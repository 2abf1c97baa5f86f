//! How a context is found: spec 1.

use super::Case;
use super::reaping::{answers, done};
use crate::case;
use crate::case::Run;
use crate::tools::*;
use uaio::abi::*;

/// Addresses that are no context of this process. libaio's io_getevents reads at them: only those that can be read.
fn strangers(t: &Run, ctx: usize) -> Vec<usize> {
    let dead = t.setup(1);
    assert_eq!(t.destroy(dead), 0);
    let text = "a page of the program's".as_ptr() as usize;
    let page = pages(1, 1);
    let mut all = vec![0, ctx + 1, ctx + 8, ctx + 2048, text, page];
    if !t.is_libaio() {
        let unmapped = pages(2, 2);
        unsafe { libc::munmap(unmapped as *mut _, 8192) };
        all.extend([1, usize::MAX, usize::MAX << 12, 1 << 47, unmapped, unmapped + 4094, pages(1, 0), dead]);
    }
    all
}

/// `call` is EINVAL for each of them, and for none is anything done to the context.
fn refuses(t: &Run, call: impl Fn(usize) -> isize) {
    let ctx = t.setup(4);
    done(t, ctx, 0..2);
    for stranger in strangers(t, ctx) {
        assert_eq!(call(stranger), EINVAL, "{stranger:#x}, the context being {ctx:#x}");
    }
    assert_eq!((t.look(ctx), t.destroy(ctx)), (2, 0));
}

pub fn cases() -> Vec<Case> {
    vec![
        case!(Contract, "lookup/io_submit_to_no_context_is_einval", "spec 1.lookup.2, io_submit(2) EINVAL", |t| {
            refuses(t, |ctx| t.submit_at(ctx, 0, 0));
            refuses(t, |ctx| t.submit_at(ctx, 1, BAD));
        }),
        case!(Contract, "lookup/io_getevents_of_no_context_is_einval", "spec 1.lookup.2, spec 3.3", |t| {
            let mut event = IoEvent::default();
            let at = &raw mut event as usize;
            refuses(t, |ctx| t.getevents(ctx, 1, 1, at, None));
            refuses(t, |ctx| t.getevents(ctx, 0, 0, 0, None));
        }),
        case!(Contract, "lookup/io_pgetevents_of_no_context_is_einval", "spec 1.lookup.2, spec 3.3", |t| {
            let mask = 0u64;
            let set = AioSigset { sigmask: &raw const mask as usize, sigsetsize: 8 };
            refuses(t, |ctx| t.pgetevents(ctx, 0, 0, 0, None, &set));
        }),
        case!(Contract, "lookup/io_cancel_in_no_context_is_einval", "spec 1.lookup.2, spec 4.3", |t| {
            let (r, _w) = pipe(0);
            let live = t.setup(1);
            let mut iocbs = [poll(r, libc::POLLIN)];
            assert_eq!(t.submit(live, &mut iocbs), 1);
            let iocb = &raw mut iocbs[0];
            refuses(t, |ctx| t.cancel(ctx, iocb));
            assert_eq!(t.cancel(live, iocb), EINPROGRESS);
        }),
        case!(
            Contract,
            "lookup/io_destroy_of_no_context_is_einval",
            "spec 1.lookup.2, spec 5.2, spec 11.1",
            |t| {
                refuses(t, |ctx| t.destroy(ctx));
            }
        ),
        case!(Linux, "lookup/a_copy_of_the_ring_is_no_context", "spec 1.lookup.1", |t| {
            let ctx = t.setup(1);
            done(t, ctx, 0..1);
            let copy = pages(1, 1);
            unsafe { std::ptr::copy_nonoverlapping(ctx as *const u8, copy as *mut u8, 4096) };
            assert_eq!((answers(t, copy), t.destroy(copy)), ([EINVAL; 4], EINVAL));
            assert_eq!((t.look(ctx), t.destroy(ctx)), (1, 0));
        }),
        case!(Linux, "lookup/no_number_makes_other_memory_a_context", "spec 1.lookup.1", |t| {
            let _many: Vec<usize> = (0..20).map(|_| t.setup(1)).collect();
            let page = pages(1, 1);
            for id in (0..40).chain([1 << 16, 0x7fff_ffff, 0x8000_0000, u32::MAX]) {
                unsafe { (page as *mut u32).write_volatile(id) };
                assert_eq!((answers(t, page), t.destroy(page)), ([EINVAL; 4], EINVAL), "{id}");
            }
        }),
        case!(Linux, "lookup/each_of_many_contexts_is_found", "spec 1.lookup.1", |t| {
            let all: Vec<usize> = (0..200).map(|_| t.setup(1)).collect();
            all.iter().zip(0..).for_each(|(ctx, i)| done(t, *ctx, i..i + 1));
            for (i, ctx) in all.iter().enumerate().step_by(3) {
                assert_eq!((t.reap(*ctx, 1)[0].data, t.destroy(*ctx)), (i as u64, 0));
            }
            for (i, ctx) in all.iter().enumerate().filter(|(i, _)| i % 3 != 0) {
                assert_eq!((t.reap(*ctx, 1)[0].data, t.destroy(*ctx)), (i as u64, 0));
            }
        }),
    ]
}
