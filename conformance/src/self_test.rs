//! Cases that try the tool: each ends in another way.

use crate::case;
use crate::case::Case;
use crate::tools::*;
use uaio::abi::*;

pub fn cases() -> Vec<Case> {
    vec![
        case!(Contract, "self_test/passes", "spec 1.1, io_setup(2)", |t| {
            let ctx = t.setup(1);
            assert_eq!(t.destroy(ctx), 0);
        }),
        case!(Contract, "self_test/fails", "spec 4.3, io_cancel(2)", |t| {
            let mut iocb = io(1, 5, 0, 512, 0);
            assert_eq!(t.cancel(0, &mut iocb), EFAULT, "on purpose");
        }),
        case!(Linux, "self_test/does_not_apply", "spec 1.1", |t| t.not_applicable("on purpose")),
        case!(Linux, "self_test/hangs", "spec 3.wait.6", |t| {
            let ctx = t.setup(1);
            let mut event = IoEvent::default();
            t.getevents(ctx, 1, 1, &raw mut event as usize, None);
        }),
        case!(Linux, "self_test/crashes", "spec 1.1", |t| {
            t.setup(1);
            unsafe { std::ptr::write_volatile(BAD as *mut u8, 0) };
        }),
        case!(Quirk, "self_test/fails_in_a_thread", "spec 1.1", |_| {
            std::thread::spawn(|| panic!("on purpose, in a thread")).join().unwrap();
        }),
        case!(Quirk, "self_test/leaves_a_child", "spec 1.1", |_| {
            match unsafe { libc::fork() } {
                0 => loop {
                    unsafe { libc::pause() };
                },
                child => panic!("{child}"),
            }
        }),
    ]
}
