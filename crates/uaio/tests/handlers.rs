//! Calls from signal handlers that have interrupted a call, and wrong names beside good calls: nobody waits for ever, nobody
//! gets an error that is not his. The kernel's answers are the same.

// The tests call C the way a program does; what they pass is their own.
#![allow(clippy::undocumented_unsafe_blocks)]

mod common;

use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use common::*;
use uaio::abi::*;
use uaio::entry::*;

const ENGINES: [&str; 5] = ["auto", "inline", "uring", "threads", "kernel"];

static CONTEXT: AtomicUsize = AtomicUsize::new(0);
static READER: AtomicI32 = AtomicI32::new(0);
static WRITER: AtomicI32 = AtomicI32::new(0);
static HANDLED: AtomicU32 = AtomicU32::new(0);
static STUCK: AtomicBool = AtomicBool::new(false);

fn at_signal(signal: i32, handler: extern "C" fn(i32)) {
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as *const () as usize;
        action.sa_flags = libc::SA_RESTART;
        assert_eq!(libc::sigaction(signal, &action, std::ptr::null_mut()), 0);
    }
}

/// One event at most; waits up to `ms` milliseconds for it.
fn look(ctx: usize, least: isize, ms: i64) -> isize {
    let (mut event, time) = (IoEvent::default(), Timespec { sec: ms / 1000, nsec: ms % 1000 * 1_000_000 });
    unsafe { io_getevents(ctx, least, 1, &mut event, &time) }
}

fn submit_one(ctx: usize, mut iocb: Iocb) -> isize {
    let pointer: *mut Iocb = &mut iocb;
    unsafe { io_submit(ctx, 1, &pointer) }
}

extern "C" fn destroys(_: i32) {
    let ret = unsafe { io_destroy(CONTEXT.load(SeqCst)) };
    HANDLED.store(1 + u32::from(ret != 0), SeqCst);
}

/// The cleaning up that a program does on SIGTERM, while its loop looks for events.
#[test]
fn a_handler_destroys_the_context_of_the_io_getevents_that_it_interrupts() {
    let test = "a_handler_destroys_the_context_of_the_io_getevents_that_it_interrupts";
    on_engines(&ENGINES, test, || {
        limit(Duration::from_secs(240));
        at_signal(libc::SIGALRM, destroys);
        for round in 0..200 {
            let ctx = setup(8);
            CONTEXT.store(ctx, SeqCst);
            HANDLED.store(0, SeqCst);
            let me = unsafe { libc::pthread_self() };
            let sender = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_micros(200 + round % 50));
                unsafe { libc::pthread_kill(me, libc::SIGALRM) };
            });
            let last = loop {
                match look(ctx, 0, 0) {
                    0 if HANDLED.load(SeqCst) == 0 => {}
                    other => break other,
                }
            };
            assert!([0, -22, -4].contains(&last), "io_getevents: {last}");
            assert_eq!(HANDLED.load(SeqCst), 1, "io_destroy in the handler");
            assert_eq!(look(ctx, 0, 0), -22);
            sender.join().unwrap();
        }
    });
}

extern "C" fn sets_up_and_destroys(_: i32) {
    let mut ctx = 0;
    let answers = unsafe { [io_setup(8, &mut ctx), io_destroy(ctx)] };
    // The host's quota may be another test's for a moment.
    if answers != [0, 0] && answers[0] != -11 {
        STUCK.store(true, SeqCst);
    }
    HANDLED.fetch_add(1, SeqCst);
}

/// The handler's context is in the memory that the interrupted io_destroy has just let go of.
#[test]
fn a_handler_has_a_life_of_a_context_in_the_middle_of_another() {
    on_engines(&ENGINES, "a_handler_has_a_life_of_a_context_in_the_middle_of_another", || {
        limit(Duration::from_secs(240));
        let alarm = Alarm::new(sets_up_and_destroys);
        let until = Instant::now() + Duration::from_millis(700);
        let mut round = 0;
        while Instant::now() < until {
            Alarm::set(alarm.number(), 1 + round % 40);
            for _ in 0..20 {
                destroy(setup(8));
            }
            round += 1;
        }
        Alarm::set(alarm.number(), 0);
        assert!(!STUCK.load(SeqCst), "after {} handlers", HANDLED.load(SeqCst));
        assert!(engine() == "kernel" || HANDLED.load(SeqCst) > 100, "{} handlers", HANDLED.load(SeqCst));
    });
}

extern "C" fn waits_for_a_poll(_: i32) {
    let (ctx, r, w) = (CONTEXT.load(SeqCst), READER.load(SeqCst), WRITER.load(SeqCst));
    let accepted = submit_one(ctx, poll_in(r, 1));
    let mut byte = [0u8];
    unsafe { libc::write(w, byte.as_ptr().cast(), 1) };
    if accepted == 1 && look(ctx, 1, 20_000) != 1 {
        STUCK.store(true, SeqCst);
    }
    unsafe { libc::read(r, byte.as_mut_ptr().cast(), 1) };
    HANDLED.fetch_add(1, SeqCst);
}

/// The interrupted thread may hold the ring of a context for which a library thread has an event.
#[test]
fn a_handler_that_waits_gets_its_event_whatever_it_has_interrupted() {
    let test = "a_handler_that_waits_gets_its_event_whatever_it_has_interrupted";
    on_engines(&["auto", "uring", "threads", "kernel"], test, || {
        let (busy, stop) = (setup(64), AtomicBool::new(false));
        CONTEXT.store(setup(8), SeqCst);
        let (r, w) = pipe();
        READER.store(r, SeqCst);
        WRITER.store(w, SeqCst);
        at_signal(libc::SIGUSR1, waits_for_a_poll);
        let zero = std::fs::File::open("/dev/zero").unwrap();
        let me = unsafe { libc::pthread_self() };
        std::thread::scope(|s| {
            let stop = &stop;
            // Requests that a library thread ends.
            s.spawn(move || {
                let (r, w) = pipe();
                while !stop.load(SeqCst) {
                    submit_one(busy, poll_in(r, 2));
                    let mut byte = [0u8];
                    unsafe { libc::write(w, byte.as_ptr().cast(), 1) };
                    std::thread::sleep(Duration::from_micros(50));
                    unsafe { libc::read(r, byte.as_mut_ptr().cast(), 1) };
                }
            });
            s.spawn(move || {
                while !stop.load(SeqCst) {
                    let before = HANDLED.load(SeqCst);
                    unsafe { libc::pthread_kill(me, libc::SIGUSR1) };
                    while HANDLED.load(SeqCst) == before && !stop.load(SeqCst) {
                        std::thread::sleep(Duration::from_micros(50));
                    }
                }
            });
            let (mut buffer, until) = ([0u8; 512], Instant::now() + Duration::from_secs(2));
            while Instant::now() < until && !STUCK.load(SeqCst) {
                submit_one(busy, rw(IOCB_CMD_PREAD, zero.as_raw_fd(), buffer.as_mut_ptr(), 512, 0, 3));
                while look(busy, 0, 0) > 0 {}
            }
            stop.store(true, SeqCst);
        });
        assert!(!STUCK.load(SeqCst), "after {} handlers", HANDLED.load(SeqCst));
        assert!(HANDLED.load(SeqCst) > 10);
    });
}

#[test]
fn a_wrong_name_disturbs_no_good_call() {
    on_engines(&ENGINES, "a_wrong_name_disturbs_no_good_call", || {
        let (ctx, stop) = (setup(8), AtomicBool::new(false));
        // Begins as the ring of context 0 does.
        let page = Box::new(Page([0; 4096]));
        let wrong = page.0.as_ptr() as usize;
        std::thread::scope(|s| {
            let stop = &stop;
            s.spawn(move || {
                while !stop.load(SeqCst) {
                    assert_eq!(unsafe { io_destroy(wrong) }, -22);
                }
            });
            let until = Instant::now() + Duration::from_millis(300);
            while Instant::now() < until {
                assert_eq!(look(ctx, 0, 0), 0);
            }
            stop.store(true, SeqCst);
        });
        destroy(ctx);
    });
}

/// One instruction after the other: a SIGTRAP after each, of which one calls io_destroy.
#[cfg(target_arch = "x86_64")]
mod step {
    use std::arch::asm;
    use std::sync::OnceLock;

    use super::*;

    /// Every so many instructions.
    const STRIDE: usize = 89;
    /// A sleep that nobody ends.
    const LIMIT_MS: usize = 4000;
    /// In EFLAGS.
    const TRAP: i64 = 0x100;

    static STEPS: AtomicUsize = AtomicUsize::new(0);
    static AT: AtomicUsize = AtomicUsize::new(0);
    static BEGUN: OnceLock<Instant> = OnceLock::new();
    /// Since then, in milliseconds.
    static LAST: AtomicUsize = AtomicUsize::new(0);

    fn now_ms() -> usize {
        BEGUN.get().unwrap().elapsed().as_millis() as usize
    }

    extern "C" fn trap(_: i32, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
        if STEPS.fetch_add(1, SeqCst) + 1 == AT.load(SeqCst) {
            let context: &mut libc::ucontext_t = unsafe { &mut *context.cast() };
            context.uc_mcontext.gregs[libc::REG_EFL as usize] &= !TRAP;
            LAST.store(now_ms(), SeqCst);
            destroys(0);
        }
    }

    /// io_getevents for an event that never comes, destroyed at instruction `at`, if it has so many.
    fn destroyed_at(at: usize, ms: i64) -> isize {
        let ctx = setup(4);
        CONTEXT.store(ctx, SeqCst);
        HANDLED.store(0, SeqCst);
        STEPS.store(0, SeqCst);
        AT.store(at, SeqCst);
        unsafe { asm!("pushfq", "or qword ptr [rsp], {trap}", "popfq", trap = const TRAP) };
        let answer = look(ctx, 1, ms);
        unsafe { asm!("pushfq", "and qword ptr [rsp], {rest}", "popfq", rest = const !TRAP) };
        if HANDLED.load(SeqCst) == 0 {
            destroy(ctx);
        }
        answer
    }

    #[test]
    fn a_handler_destroys_the_context_at_any_instruction_of_io_getevents() {
        let test = "step::a_handler_destroys_the_context_at_any_instruction_of_io_getevents";
        on_engines(&["inline"], test, || {
            limit(Duration::from_secs(240));
            BEGUN.get_or_init(Instant::now);
            let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
            action.sa_sigaction = trap as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO;
            assert_eq!(unsafe { libc::sigaction(libc::SIGTRAP, &action, std::ptr::null_mut()) }, 0);
            assert_eq!(destroyed_at(usize::MAX, 1), 0);
            let all = STEPS.load(SeqCst);
            for at in (all / 3..all).step_by(STRIDE) {
                let begun = now_ms();
                let answer = destroyed_at(at, LIMIT_MS as i64);
                let (handled, last) = (HANDLED.load(SeqCst), LAST.load(SeqCst));
                if handled == 0 || last - begun >= LIMIT_MS {
                    // It has slept already.
                    return eprintln!("{at} of {all} instructions");
                }
                assert_eq!((answer, handled), (-22, 1), "destroyed at instruction {at} of {all}");
                assert!(
                    now_ms() - last < LIMIT_MS / 2,
                    "destroyed at instruction {at} of {all}: nobody has woken it"
                );
            }
        });
    }
}
