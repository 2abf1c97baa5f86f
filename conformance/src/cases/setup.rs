//! io_setup: spec 1.

use super::Case;
use crate::case;
use crate::tools::*;
use uaio::abi::RING_MAGIC;

pub fn cases() -> Vec<Case> {
    vec![
        case!(Contract, "io_setup/bad_pointer_is_efault", "spec 1.1, io_setup(2) EFAULT", |t| {
            assert_eq!(t.try_setup(1, BAD as *mut usize), EFAULT);
            assert_eq!(t.try_setup(0, BAD as *mut usize), EFAULT);
        }),
        case!(Contract, "io_setup/zero_events_is_einval", "spec 1.2, io_setup(2) EINVAL", |t| {
            let mut ctx = 0;
            assert_eq!((t.try_setup(0, &mut ctx), ctx), (EINVAL, 0));
        }),
        case!(
            Contract,
            "io_setup/context_not_zero_is_einval_and_stays",
            "spec 1.2, spec 1.11, io_setup(2) EINVAL",
            |t| {
                let mut ctx = 5;
                assert_eq!((t.try_setup(1, &mut ctx), ctx), (EINVAL, 5));
            }
        ),
        case!(Linux, "io_setup/over_4194304_is_einval_before_eagain", "spec 1.3, spec 1.9", |t| {
            for nr in [4194305, 0x7fff_ffff, 0xffff_ffff] {
                assert_eq!(t.try_setup(nr, &mut 0), EINVAL, "{nr}");
            }
        }),
        case!(Quirk, "io_setup/numbers_whose_double_wraps_are_eagain", "spec 1.4, spec 1.9", |t| {
            assert_eq!(t.try_setup(0x8000_0000, &mut 0), EAGAIN);
            assert_eq!(t.try_setup(0x8000_0001, &mut 0), EAGAIN);
        }),
        case!(Contract, "io_setup/over_the_quota_is_eagain", "spec 1.4, spec 1.10, io_setup(2) EAGAIN", |t| {
            let max: u64 = std::fs::read_to_string("/proc/sys/fs/aio-max-nr").unwrap().trim().parse().unwrap();
            if max >= 4194304 {
                t.not_applicable("the quota is above the largest context");
            }
            assert_eq!(t.try_setup(max as u32 + 1, &mut 0), EAGAIN);
        }),
        case!(Linux, "io_setup/read_only_pointer_is_efault_and_leaves_nothing", "spec 1.8", |t| {
            let page = pages(1, 1);
            unsafe { libc::mprotect(page as *mut _, 4096, libc::PROT_READ) };
            for _ in 0..100 {
                assert_eq!(t.try_setup(600, page as *mut usize), EFAULT);
            }
        }),
        case!(Linux, "io_setup/ring_has_the_kernels_size", "spec 1.size.1", |t| {
            for nr in [1u32, 8, 32, 63, 100, 128, 129, 256, 500, 1024] {
                let ctx = t.setup(nr);
                let slots = nr.max(4 * possible_cpus()) * 2 + 2;
                let bytes = (32 + 32 * slots).div_ceil(4096) * 4096;
                assert_eq!(ring(ctx).nr, (bytes - 32) / 32, "for {nr}");
                assert_eq!(t.destroy(ctx), 0);
            }
        }),
        case!(Linux, "io_setup/ring_header_is_as_programs_expect_it", "spec 0.12, spec 0.13", |t| {
            let ctx = t.setup(1);
            let r = ring(ctx);
            assert_eq!((r.magic, r.compat_features, r.incompat_features, r.header_length), (RING_MAGIC, 1, 0, 32));
            assert_eq!((r.id, r.head, r.tail), (0, 0, 0));
            assert_eq!(ctx % 4096, 0);
        }),
        case!(Linux, "io_setup/lowest_free_index_is_used_again", "spec 1.14", |t| {
            let all: Vec<usize> = (0..10).map(|_| t.setup(1)).collect();
            let ids: Vec<u32> = all.iter().map(|ctx| ring(*ctx).id).collect();
            assert_eq!(ids, (0..10).collect::<Vec<u32>>());
            assert_eq!((t.destroy(all[6]), t.destroy(all[3])), (0, 0));
            assert_eq!((ring(t.setup(1)).id, ring(t.setup(1)).id), (3, 6));
        }),
        case!(Contract, "io_setup/at_least_nr_events_requests_are_taken", "spec 1.size.4, io_setup(2)", |t| {
            let null = open("/dev/null", libc::O_RDONLY);
            for nr in [1usize, 31, 64, 128, 1000] {
                let ctx = t.setup(nr as u32);
                let mut iocbs = vec![io(0, null, 0, 0, 0); nr];
                let mut sent = 0;
                while sent < nr {
                    let n = t.submit(ctx, &mut iocbs[sent..]);
                    assert!(n > 0, "{n} after {sent} of {nr}");
                    sent += n as usize;
                }
                assert_eq!(t.destroy(ctx), 0);
            }
        }),
        case!(Linux, "io_setup/more_than_asked_for_fit", "spec 1.size.3", |t| {
            let null = open("/dev/null", libc::O_RDONLY);
            let ctx = t.setup(1);
            let mut iocbs = vec![io(0, null, 0, 0, 0); 100];
            assert_eq!(t.submit(ctx, &mut iocbs), 100);
        }),
        case!(Linux, "io_setup/a_slot_is_held_until_the_event_is_reaped", "spec 1.size.5", |t| {
            let null = open("/dev/null", libc::O_RDONLY);
            let ctx = t.setup(1);
            let mut iocbs = vec![io(0, null, 0, 0, 0); 1000];
            let room = t.submit(ctx, &mut iocbs);
            assert!(room > 0 && room < 1000);
            assert_eq!(t.submit(ctx, &mut iocbs), EAGAIN);
            t.reap(ctx, room as usize);
            assert!(t.submit(ctx, &mut iocbs) > 0);
        }),
    ]
}
