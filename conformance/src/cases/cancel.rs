//! io_cancel: spec 4.

use super::Case;
use crate::case;
use crate::tools::*;
use uaio::abi::*;

pub fn cases() -> Vec<Case> {
    vec![
        case!(Linux, "cancel/bad_iocb_is_efault_before_the_context", "spec 4.1, io_cancel(2) EFAULT", |t| {
            assert_eq!(t.cancel(1, BAD as *mut Iocb), EFAULT);
            assert_eq!(t.cancel(1, std::ptr::null_mut()), EFAULT);
        }),
        case!(Linux, "cancel/key_not_0_is_einval", "spec 4.2", |t| {
            let (r, _w) = pipe(0);
            let ctx = t.setup(1);
            let mut iocbs = [poll(r, libc::POLLIN)];
            assert_eq!(t.submit(ctx, &mut iocbs), 1);
            iocbs[0].key = 1;
            assert_eq!(t.cancel(ctx, &mut iocbs[0]), EINVAL);
            iocbs[0].key = 0;
            assert_eq!(t.cancel(ctx, &mut iocbs[0]), EINPROGRESS);
        }),
        case!(
            Contract,
            "cancel/bad_context_or_no_such_request_is_einval",
            "spec 4.3, spec 4.4, io_cancel(2) EINVAL",
            |t| {
                let (r, _w) = pipe(0);
                let ctx = t.setup(4);
                let mut iocbs = [poll(r, libc::POLLIN)];
                assert_eq!(t.submit(ctx, &mut iocbs), 1);
                let mut copy = iocbs[0];
                assert_eq!(t.cancel(ctx, &mut copy), EINVAL);
                assert_eq!(t.cancel(ctx + 8, &mut iocbs[0]), EINVAL);
                assert_eq!(t.cancel(t.setup(1), &mut iocbs[0]), EINVAL);
            }
        ),
        case!(
            Linux,
            "cancel/poll_is_einprogress_and_an_event_with_res_0",
            "spec 4.5, spec 4.7, spec 6.resfd.6, spec 11.3",
            |t| {
                let (r, _w) = pipe(0);
                let fd = eventfd(0);
                let ctx = t.setup(1);
                let mut iocbs =
                    [Iocb { data: 9, flags: IOCB_FLAG_RESFD, resfd: fd as u32, ..poll(r, libc::POLLIN) }];
                assert_eq!(t.submit(ctx, &mut iocbs), 1);
                assert_eq!(t.cancel(ctx, &mut iocbs[0]), EINPROGRESS);
                assert_eq!(t.cancel(ctx, &mut iocbs[0]), EINVAL, "twice");
                let event = t.reap(ctx, 1)[0];
                assert_eq!((event.data, event.obj, event.res), (9, &raw const iocbs[0] as u64, 0));
                assert_eq!(eventfd_count(fd), 1);
                assert_eq!(t.look(ctx), 0);
            }
        ),
        case!(Linux, "cancel/result_is_never_touched", "spec 4.6, spec 11.3", |t| {
            let (r, _w) = pipe(0);
            let ctx = t.setup(1);
            let mut iocbs = [poll(r, libc::POLLIN)];
            assert_eq!(t.submit(ctx, &mut iocbs), 1);
            let bad = BAD as *mut IoEvent;
            assert_eq!(unsafe { (t.calls.io_cancel)(ctx, &mut iocbs[0], bad) }, EINPROGRESS);
        }),
        case!(Linux, "cancel/done_requests_reads_and_fsyncs_are_einval", "spec 4.4, spec 11.4", |t| {
            let null = open("/dev/null", libc::O_RDONLY);
            let ctx = t.setup(4);
            let mut iocbs = [io(0, null, 0, 0, 0)];
            assert_eq!(t.submit(ctx, &mut iocbs), 1);
            assert_eq!(t.cancel(ctx, &mut iocbs[0]), EINVAL);
            t.reap(ctx, 1);
            assert_eq!(t.cancel(ctx, &mut iocbs[0]), EINVAL);
        }),
        case!(Linux, "cancel/the_same_iocb_twice_in_flight_is_cancelled_twice", "spec 4.8", |t| {
            let (r, _w) = pipe(0);
            let ctx = t.setup(4);
            let mut iocb = poll(r, libc::POLLIN);
            let list = [&raw mut iocb, &raw mut iocb];
            assert_eq!(t.submit_at(ctx, 2, list.as_ptr() as usize), 2);
            assert_eq!(t.cancel(ctx, &mut iocb), EINPROGRESS);
            assert_eq!(t.reap(ctx, 1).len(), 1);
            assert_eq!(t.cancel(ctx, &mut iocb), EINPROGRESS);
            assert_eq!(t.reap(ctx, 1).len(), 1);
            assert_eq!(t.cancel(ctx, &mut iocb), EINVAL);
        }),
        case!(Linux, "cancel/races_with_the_event_and_one_of_them_wins", "spec 4.5", |t| {
            let ctx = t.setup(4);
            for _ in 0..300 {
                let (r, w) = pipe(0);
                let mut iocbs = [poll(r, libc::POLLIN)];
                assert_eq!(t.submit(ctx, &mut iocbs), 1);
                let writer = std::thread::spawn(move || put(w, b"x"));
                let answer = t.cancel(ctx, &mut iocbs[0]);
                assert!([EINPROGRESS, EINVAL].contains(&answer), "{answer}");
                assert_eq!(t.reap(ctx, 1).len(), 1);
                writer.join().unwrap();
                assert_eq!(t.look(ctx), 0);
                unsafe { (libc::close(r), libc::close(w)) };
            }
        }),
    ]
}
