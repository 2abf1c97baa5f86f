//! O_APPEND and RWF_APPEND, and the order of a batch: spec 2.

use std::os::fd::AsRawFd;

use super::Case;
use crate::case;
use crate::case::Run;
use crate::direct::{Direct, direct, filled};
use crate::tools::*;
use uaio::abi::*;

const WRITE: u16 = IOCB_CMD_PWRITE;

pub fn cases() -> Vec<Case> {
    vec![
        case!(
            Contract,
            "direct/appends_of_a_batch_lie_one_behind_another",
            "spec 2.data.16, spec 2.done.3, open(2) O_APPEND",
            |t| {
                append_batch(t, &direct(t, libc::O_RDWR | libc::O_APPEND), |iocb| iocb);
            }
        ),
        case!(
            Contract,
            "direct/rwf_appends_of_a_batch_lie_one_behind_another",
            "spec 2.data.16, spec 2.done.3, pwritev2(2)",
            |t| {
                append_batch(t, &direct(t, libc::O_RDWR), |iocb| Iocb { rw_flags: RWF_APPEND, ..iocb });
            }
        ),
        case!(Contract, "direct/appends_with_an_offset_inside_overwrite_nothing", "spec 2.data.16", |t| {
            append_batch(t, &direct(t, libc::O_RDWR | libc::O_APPEND), |iocb| Iocb { offset: 4096, ..iocb });
        }),
        case!(
            Contract,
            "direct/appends_by_several_threads_are_all_there",
            "spec 2.data.16, open(2) O_APPEND",
            |t| {
                let d = direct(t, libc::O_RDWR | libc::O_APPEND);
                let (calls, fd, ctx) = (t.calls, d.fd, t.setup(64));
                let threads: Vec<_> = (1..=4u8)
                    .map(|byte| {
                        std::thread::spawn(move || {
                            let page = filled(1, byte);
                            let mut iocbs = [io(WRITE, fd, page, 4096, 0); 8];
                            let list: Vec<*mut Iocb> = iocbs.iter_mut().map(|i| i as *mut Iocb).collect();
                            unsafe { (calls.io_submit)(ctx, 8, list.as_ptr()) }
                        })
                    })
                    .collect();
                assert!(threads.into_iter().all(|thread| thread.join().unwrap() == 8));
                assert!(t.reap(ctx, 32).iter().all(|e| e.res == 4096));
                assert_eq!(d.size(), 8192 + 32 * 4096);
                let count = |byte: u8| (0..32).filter(|i| d.holds(8192 + i * 4096, &[byte; 4096])).count();
                assert_eq!([count(1), count(2), count(3), count(4)], [8; 4]);
            }
        ),
        case!(Linux, "direct/noappend_overrides_o_append", "spec 2.data.17, pwritev2(2)", |t| {
            let d = direct(t, libc::O_RDWR | libc::O_APPEND);
            let write = io(WRITE, d.fd, filled(1, 7), 4096, 4096);
            assert_eq!(t.one(Iocb { rw_flags: RWF_NOAPPEND, ..write }), 4096);
            assert_eq!((d.size(), d.holds(4096, &[7; 4096]), d.holds(0, &[b'a'; 4096])), (8192, true, true));
        }),
        case!(Contract, "rw/appends_of_a_batch_lie_one_behind_another", "spec 2.data.16, open(2) O_APPEND", |t| {
            let (by_file, by_flag) =
                (scratch(libc::O_RDWR | libc::O_APPEND).unwrap(), scratch(libc::O_RDWR).unwrap());
            for (file, rw_flags) in [(by_file, 0), (by_flag, RWF_APPEND)] {
                let ctx = t.setup(16);
                let text: Vec<[u8; 5]> = (1..=16).map(|byte| [byte; 5]).collect();
                let mut iocbs: Vec<Iocb> = text
                    .iter()
                    .map(|s| Iocb { rw_flags, ..io(WRITE, file.as_raw_fd(), s.as_ptr() as usize, 5, 100) })
                    .collect();
                assert_eq!(t.submit(ctx, &mut iocbs), 16);
                assert!(t.reap(ctx, 16).iter().all(|e| e.res == 5));
                let mut back = vec![0u8; 8192 + 80];
                std::os::unix::fs::FileExt::read_exact_at(&file, &mut back, 0).unwrap();
                assert!(back[..8192].iter().all(|b| *b == b'a'));
                assert_eq!(back[8192..], *text.concat(), "one thread's are in order");
            }
        }),
        case!(Quirk, "rw/buffered_requests_of_a_batch_are_done_in_order", "spec 2.done.6, decision A2", |t| {
            let (file, ctx, mut seen) = (scratch(libc::O_RDWR).unwrap(), t.setup(32), [0u8; 32]);
            let mut iocbs: Vec<Iocb> = (0..32)
                .map(|i| match i % 2 {
                    0 => io(WRITE, file.as_raw_fd(), [b"x", b"y"][i / 2 % 2].as_ptr() as usize, 1, 0),
                    _ => io(IOCB_CMD_PREAD, file.as_raw_fd(), &raw mut seen[i] as usize, 1, 0),
                })
                .collect();
            assert_eq!(t.submit(ctx, &mut iocbs), 32);
            assert!(t.reap(ctx, 32).iter().all(|e| e.res == 1));
            assert!((0..32).filter(|i| i % 2 == 1).all(|i| seen[i] == [b'x', b'y'][i / 2 % 2]), "{seen:?}");
        }),
    ]
}

/// Eight pages with bytes 1 to 8 are appended in one batch: they lie one behind another.
fn append_batch(t: &Run, d: &Direct, change: impl Fn(Iocb) -> Iocb) {
    let ctx = t.setup(8);
    let text: Vec<usize> = (1..=8).map(|byte| filled(1, byte)).collect();
    let mut iocbs: Vec<Iocb> = text.iter().map(|page| change(io(WRITE, d.fd, *page, 4096, 0))).collect();
    assert_eq!(t.submit(ctx, &mut iocbs), 8);
    assert_eq!(d.size(), 8192 + 8 * 4096, "on return");
    assert!(t.reap(ctx, 8).iter().all(|e| e.res == 4096));
    assert!(d.holds(0, &[b'a'; 8192]), "what was there");
    let mut first: Vec<u8> =
        (0..8).filter_map(|i| (1..=8).find(|byte| d.holds(8192 + i * 4096, &[*byte; 4096]))).collect();
    first.sort_unstable();
    assert_eq!(first, [1, 2, 3, 4, 5, 6, 7, 8]);
}
