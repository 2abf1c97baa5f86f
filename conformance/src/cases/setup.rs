//! io_setup: spec 1.

use super::Case;
use crate::case;
use crate::case::Run;
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
            for _ in 0..130 {
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
        case!(Linux, "io_setup/small_numbers_give_the_same_ring", "spec 1.size.2", |t| {
            let least = 4 * possible_cpus();
            let size = |nr: u32| {
                let ctx = t.setup(nr);
                let size = ring(ctx).nr;
                assert_eq!(t.destroy(ctx), 0);
                size
            };
            let smallest = size(1);
            assert_eq!([size(2), size(least - 1), size(least)], [smallest; 3]);
            assert!(size(least * 64) > smallest);
        }),
        case!(Linux, "io_setup/a_submitter_on_one_cpu_gets_the_formulas_room", "spec 1.size.3", |t| {
            stay_on(any_cpus()[0]);
            for nr in [1, 32, 63, 64, 100, 127, 128, 129, 256, 500, 512, 1000, 1024, 2048, 4096, 8192] {
                let ctx = t.setup(nr);
                let (usable, cpus) = (ring(ctx).nr - 1, possible_cpus());
                let batch = (usable / (4 * cpus)).max(1);
                assert_eq!(room(t, ctx), usable / batch * batch, "for {nr}");
                assert_eq!(t.destroy(ctx), 0);
            }
        }),
        case!(Linux, "io_setup/events_reaped_on_other_cpus_leave_room_for_nr_events", "spec 1.size.4", |t| {
            let cpus = any_cpus();
            for nr in [1u32, 64, 500] {
                let ctx = t.setup(nr);
                for round in 0..3 * cpus.len() {
                    stay_on(cpus[round % cpus.len()]);
                    let room = room(t, ctx);
                    assert!(room >= nr, "{room} of {nr}");
                    stay_on(cpus[(round + 1) % cpus.len()]);
                    t.reap(ctx, room as usize);
                }
                assert_eq!(t.destroy(ctx), 0);
            }
        }),
        case!(Linux, "io_setup/a_slot_is_free_as_soon_as_its_event_is_reaped", "spec 1.size.5", |t| {
            stay_on(any_cpus()[0]);
            let null = open("/dev/null", libc::O_RDONLY);
            let ctx = t.setup(1);
            let all = room(t, ctx) as usize;
            t.reap(ctx, all);
            assert_eq!(room(t, ctx) as usize, all, "after all");
            t.reap(ctx, all - 1);
            assert_eq!(
                t.submit(ctx, &mut vec![io(0, null, 0, 0, 0); all - 1]),
                all as isize - 1,
                "after all but one"
            );
            assert_eq!(t.submit(ctx, &mut [io(0, null, 0, 0, 0)]), EAGAIN);
        }),
    ]
}

/// Requests that the context takes before EAGAIN, nobody reaping.
fn room(t: &Run, ctx: usize) -> u32 {
    let null = open("/dev/null", libc::O_RDONLY);
    let mut iocbs = vec![io(0, null, 0, 0, 0); 1000];
    let mut taken = 0;
    loop {
        match t.submit(ctx, &mut iocbs) {
            EAGAIN => break unsafe { _ = libc::close(null) },
            n => taken += n as u32,
        }
    }
    taken
}

/// CPUs that this process may use.
fn any_cpus() -> Vec<usize> {
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    unsafe { libc::sched_getaffinity(0, size_of_val(&set), &mut set) };
    (0..libc::CPU_SETSIZE as usize).filter(|cpu| unsafe { libc::CPU_ISSET(*cpu, &set) }).collect()
}

fn stay_on(cpu: usize) {
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    unsafe {
        libc::CPU_SET(cpu, &mut set);
        assert_eq!(libc::sched_setaffinity(0, size_of_val(&set), &set), 0);
    }
}
