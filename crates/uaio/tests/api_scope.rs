//! Borrowed buffers: every way out of a scope waits.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use uaio::{Context, Engine, Operation, Readiness};

fn pipe() -> (File, File) {
    let (r, w) = std::io::pipe().unwrap();
    (File::from(OwnedFd::from(r)), File::from(OwnedFd::from(w)))
}

fn contexts() -> impl Iterator<Item = Context> {
    [Engine::Uring, Engine::Threads].into_iter().filter_map(|e| Context::builder().engine(e).build().ok())
}

#[test]
fn borrowed_buffers_come_back_filled() {
    for context in contexts() {
        let file = tempfile::tempfile_in("/var/tmp").unwrap();
        let text = String::from("borrowed text");
        let (mut a, mut b) = ([0u8; 8], [0u8; 8]);
        let written =
            context.scope(|s| s.submit(Operation::write(&file, text.as_str(), 0)).unwrap().wait().result);
        assert_eq!(written, Ok(13));
        context.scope(|s| {
            drop(s.submit(Operation::read(&file, &mut a[..], 0)).unwrap());
            std::mem::forget(s.submit(Operation::read(&file, &mut b[..], 8)).unwrap());
        });
        assert_eq!((&a, &b[..5]), (b"borrowed", &b" text"[..]));
    }
}

#[test]
fn several_threads_submit_in_one_scope() {
    for context in contexts() {
        let file = tempfile::tempfile_in("/var/tmp").unwrap();
        let data: Vec<u8> = (0..64u32 * 512).map(|i| (i / 512) as u8).collect();
        context.scope(|s| {
            std::thread::scope(|threads| {
                for part in 0..4 {
                    let (file, data) = (&file, &data);
                    threads.spawn(move || {
                        for block in (part..64).step_by(4) {
                            let piece = &data[block * 512..][..512];
                            let ticket = s.submit(Operation::write(file, piece, block as u64 * 512)).unwrap();
                            assert_eq!(ticket.wait().result, Ok(512));
                        }
                    });
                }
            });
        });
        let mut back = vec![0u8; data.len()];
        context.scope(|s| {
            for (block, piece) in back.chunks_mut(512).enumerate() {
                drop(s.submit(Operation::read(&file, piece, block as u64 * 512)).unwrap());
            }
        });
        assert!(back == data);
    }
}

#[test]
fn return_waits_for_what_is_in_flight() {
    for context in contexts() {
        let (r, mut w) = pipe();
        let mut buf = [0u8; 4];
        std::thread::scope(|threads| {
            threads.spawn(move || {
                std::thread::sleep(Duration::from_millis(30));
                w.write_all(b"late").unwrap();
            });
            context.scope(|s| drop(s.submit(Operation::read(&r, &mut buf[..], 0)).unwrap()));
        });
        assert_eq!(&buf, b"late");
    }
}

#[test]
fn a_panic_cancels_and_waits() {
    for context in contexts() {
        let (r, _w) = pipe();
        let mut buf = [0u8; 4];
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            context.scope(|s| {
                let _read = s.submit(Operation::read(&r, &mut buf[..], 0)).unwrap();
                std::mem::forget(s.submit(Operation::poll(&r, Readiness::IN)).unwrap());
                panic!("on purpose");
            })
        }));
        assert!(panicked.is_err());
        assert_eq!(context.in_flight(), 0);
        let failed: Result<(), std::io::Error> = context.scope(|s| {
            s.submit(Operation::write(&r, &b"not open for writing"[..], 0))?.wait().result?;
            Ok(())
        });
        assert_eq!(failed.unwrap_err().raw_os_error(), Some(libc::EBADF));
    }
}
