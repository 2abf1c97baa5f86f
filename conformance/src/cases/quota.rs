//! io_setup and aio-max-nr, and the order of its checks: spec 1.

use super::Case;
use crate::case;
use crate::case::Run;
use crate::tools::*;

pub fn cases() -> Vec<Case> {
    [quota(), order()].into_iter().flatten().collect()
}

/// Requests that all contexts together may ask for; a case that needs a usual number ends here without one.
fn max_nr(t: &Run) -> u32 {
    let text = std::fs::read_to_string("/proc/sys/fs/aio-max-nr").unwrap();
    match text.trim().parse() {
        Ok(max) if (1000..4_194_304).contains(&max) => max,
        _ => t.not_applicable(&format!("aio-max-nr is {}", text.trim())),
    }
}

/// io_setup, again and again for a second while others have a share of the kernel's quota.
fn patient(t: &Run, nr_events: u32) -> usize {
    let mut ctx = 0;
    for _ in 0..100 {
        match t.try_setup(nr_events, &mut ctx) {
            0 => return ctx,
            EAGAIN if !t.is_ours() || t.is_kernels() => std::thread::sleep(std::time::Duration::from_millis(10)),
            other => panic!("io_setup({nr_events}): {other}"),
        }
    }
    t.not_applicable("others use the system's quota")
}

fn quota() -> Vec<Case> {
    vec![
        case!(
            Contract,
            "io_setup/shares_that_add_up_to_more_than_the_quota_are_eagain",
            "spec 1.6, io_setup(2) EAGAIN",
            |t| {
                let max = max_nr(t);
                t.setup(60);
                assert_eq!(t.try_setup(max - 59, &mut 0), EAGAIN);
                assert_eq!(t.try_setup(max, &mut 0), EAGAIN);
            }
        ),
        case!(Linux, "io_setup/the_quota_counts_what_was_asked_for_not_the_ring", "spec 1.12", |t| {
            let max = max_nr(t);
            t.setup(60);
            assert_eq!(t.destroy(patient(t, max - 60)), 0);
        }),
        case!(Linux, "io_setup/the_whole_quota_can_be_asked_for", "spec 1.10", |t| {
            assert_eq!(t.destroy(patient(t, max_nr(t))), 0);
        }),
        case!(Linux, "io_setup/destroy_gives_the_share_back_at_once", "spec 1.12, spec 1.13", |t| {
            let share = max_nr(t) / 16;
            for _ in 0..20 {
                let ctx = patient(t, share);
                assert_eq!(t.destroy(ctx), 0);
            }
        }),
        case!(Linux, "io_setup/a_refusal_takes_no_share", "spec 1.12", |t| {
            let max = max_nr(t);
            t.setup(60);
            (0..5).for_each(|_| assert_eq!(t.try_setup(max - 59, &mut 0), EAGAIN));
            assert_eq!(t.destroy(patient(t, max - 60)), 0);
        }),
    ]
}

fn read_only(value: usize) -> *mut usize {
    let page = pages(1, 1) as *mut usize;
    unsafe {
        page.write(value);
        libc::mprotect(page.cast(), 4096, libc::PROT_READ);
    }
    page
}

fn order() -> Vec<Case> {
    vec![
        case!(Linux, "io_setup/bad_pointer_comes_before_every_number", "spec 1.1", |t| {
            for nr in [0, 1, 4_194_305, 0x8000_0000, u32::MAX] {
                assert_eq!(t.try_setup(nr, BAD as *mut usize), EFAULT, "{nr}");
            }
        }),
        case!(Linux, "io_setup/a_pointer_that_ends_in_a_hole_is_efault", "spec 1.1", |t| {
            assert_eq!(t.try_setup(1, (pages(2, 1) + 4092) as *mut usize), EFAULT);
        }),
        case!(Linux, "io_setup/the_pointer_need_not_be_aligned", "spec 1.1", |t| {
            let place = (pages(1, 1) + 3) as *mut usize;
            assert_eq!(t.try_setup(1, place), 0);
            let ctx = unsafe { place.read_unaligned() };
            assert_eq!(t.submit_at(ctx, 0, 0), 0);
        }),
        case!(Linux, "io_setup/a_context_not_zero_comes_before_eagain", "spec 1.2", |t| {
            for nr in [0x8000_0000, 0x8000_0001] {
                let mut ctx = 5;
                assert_eq!((t.try_setup(nr, &mut ctx), ctx), (EINVAL, 5));
            }
        }),
        case!(Linux, "io_setup/a_context_of_which_only_the_upper_half_is_set_is_einval", "spec 1.2", |t| {
            let mut ctx = 1usize << (usize::BITS - 1);
            assert_eq!(t.try_setup(1, &mut ctx), EINVAL);
        }),
        case!(Linux, "io_setup/numbers_come_before_a_pointer_that_cannot_be_written", "spec 1.8", |t| {
            assert_eq!(t.try_setup(0, read_only(0)), EINVAL);
            assert_eq!(t.try_setup(4_194_305, read_only(0)), EINVAL);
            assert_eq!(t.try_setup(0x8000_0000, read_only(0)), EAGAIN);
            assert_eq!(t.try_setup(1, read_only(5)), EINVAL);
            assert_eq!(t.try_setup(1, read_only(0)), EFAULT);
        }),
        case!(Linux, "io_setup/4194304_is_not_too_large_for_einval", "spec 1.3", |t| {
            max_nr(t);
            assert_eq!(t.try_setup(4_194_304, &mut 0), EAGAIN);
        }),
        case!(Linux, "io_setup/the_context_stays_0_when_it_fails", "spec 1.11", |t| {
            let over = max_nr(t) + 1;
            for nr in [0, over, 4_194_305, 0x8000_0000, u32::MAX] {
                let mut ctx = 0;
                assert!(t.try_setup(nr, &mut ctx) < 0);
                assert_eq!(ctx, 0, "{nr}");
            }
        }),
    ]
}
