//! POLL: spec 2.

use std::os::fd::AsRawFd;

use super::Case;
use crate::case;
use crate::tools::*;
use uaio::abi::*;

const IN: i64 = libc::POLLIN as i64;
const OUT: i64 = libc::POLLOUT as i64;
const HUP: i64 = libc::POLLHUP as i64;
const ERR: i64 = libc::POLLERR as i64;

pub fn cases() -> Vec<Case> {
    [rules(), masks(), files(), ends()].into_iter().flatten().collect()
}

fn rules() -> Vec<Case> {
    vec![
        case!(Linux, "poll/mask_over_16_bits_and_extra_fields_are_einval", "spec 2.poll.1", |t| {
            let (r, _w) = pipe(0);
            assert_eq!(t.refused(Iocb { buf: 0x1_0001, ..poll(r, 0) }), EINVAL);
            assert_eq!(t.refused(Iocb { offset: 1, ..poll(r, libc::POLLIN) }), EINVAL);
            assert_eq!(t.refused(Iocb { nbytes: 1, ..poll(r, libc::POLLIN) }), EINVAL);
            assert_eq!(t.refused(Iocb { rw_flags: 1, ..poll(r, libc::POLLIN) }), EINVAL);
        }),
        case!(Contract, "poll/ready_at_submit_is_there_at_once_and_filtered", "spec 2.poll.4", |t| {
            let (r, w) = pipe(0);
            put(w, b"x");
            let ctx = t.setup(4);
            assert_eq!(t.submit(ctx, &mut [poll(r, libc::POLLIN | libc::POLLOUT), poll(w, libc::POLLOUT)]), 2);
            let mut events = [IoEvent::default(); 2];
            let now = Some(Timespec::default());
            assert_eq!(t.getevents(ctx, 2, 2, events.as_mut_ptr() as usize, now), 2);
            assert_eq!((events[0].res, events[1].res), (IN, OUT));
        }),
        case!(Contract, "poll/waits_and_fires_once", "spec 2.poll.3, spec 2.poll.5", |t| {
            let (r, w) = pipe(0);
            let ctx = t.setup(4);
            assert_eq!(t.submit(ctx, &mut [poll(r, libc::POLLIN)]), 1);
            assert_eq!(t.look(ctx), 0);
            put(w, b"x");
            let res = t.reap(ctx, 1)[0].res;
            // The kernel gives the waker's whole mask (decision A3).
            assert_eq!(res & IN, IN);
            assert_eq!(t.decided_for_poll("A3", 0x41, IN, &res), res);
            put(w, b"x");
            assert_eq!(t.look(ctx), 0);
        }),
        case!(Linux, "poll/error_and_hangup_need_not_be_asked_for", "spec 2.poll.2", |t| {
            let (r, w) = pipe(0);
            let (r2, w2) = pipe(0);
            let ctx = t.setup(4);
            assert_eq!(t.submit(ctx, &mut [poll(r, 0), poll(w2, 0)]), 2);
            assert_eq!(t.look(ctx), 0);
            unsafe { libc::close(w) };
            assert_eq!(t.reap(ctx, 1)[0].res & HUP, HUP);
            unsafe { libc::close(r2) };
            assert_eq!(t.reap(ctx, 1)[0].res & ERR, ERR);
        }),
        case!(Linux, "poll/files_are_always_ready", "spec 2.poll.7", |t| {
            let file = scratch(libc::O_RDONLY).unwrap();
            let both = libc::POLLIN | libc::POLLOUT;
            for fd in [file.as_raw_fd(), open("/", libc::O_RDONLY), open("/dev/null", libc::O_RDONLY)] {
                assert_eq!(t.one(poll(fd, both)), IN | OUT);
                assert_eq!(t.one(poll(fd, libc::POLLIN)), IN);
            }
        }),
        case!(Quirk, "poll/pty_master_is_einval", "spec 2.poll.8", |t| {
            let fd = open("/dev/ptmx", libc::O_RDWR | libc::O_NOCTTY);
            if fd < 0 {
                t.not_applicable("no /dev/ptmx");
            }
            assert_eq!(t.refused(poll(fd, libc::POLLIN)), EINVAL);
        }),
        case!(Linux, "poll/epoll_and_eventfd_work", "spec 2.poll.10", |t| {
            let (epoll, event) = (unsafe { libc::epoll_create1(0) }, eventfd(0));
            let mut what = libc::epoll_event { events: libc::EPOLLIN as u32, u64: 0 };
            unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, event, &mut what) };
            let ctx = t.setup(4);
            assert_eq!(t.submit(ctx, &mut [poll(epoll, libc::POLLIN), poll(event, libc::POLLIN)]), 2);
            assert_eq!(t.look(ctx), 0);
            put(event, &1u64.to_ne_bytes());
            assert!(t.reap(ctx, 2).iter().all(|e| e.res & IN == IN));
        }),
        case!(Linux, "poll/holds_the_file_after_close", "spec 2.poll.12", |t| {
            let (r, w) = pipe(0);
            let ctx = t.setup(4);
            assert_eq!(t.submit(ctx, &mut [poll(r, libc::POLLIN)]), 1);
            unsafe { libc::close(r) };
            put(w, b"x");
            assert_eq!(t.reap(ctx, 1)[0].res & IN, IN);
        }),
        case!(Linux, "poll/a_thousand_on_one_file_all_fire", "spec 2.poll.3", |t| {
            let (r, w) = pipe(0);
            let ctx = t.setup(1000);
            let mut iocbs: Vec<Iocb> = (0..1000).map(|i| Iocb { data: i, ..poll(r, libc::POLLIN) }).collect();
            assert_eq!(t.submit(ctx, &mut iocbs), 1000);
            put(w, b"x");
            let mut seen: Vec<u64> = t.reap(ctx, 1000).iter().map(|e| e.data).collect();
            seen.sort_unstable();
            assert!(seen.into_iter().eq(0..1000));
        }),
    ]
}

fn masks() -> Vec<Case> {
    vec![
        case!(Linux, "poll/each_bit_over_16_is_einval", "spec 2.poll.1", |t| {
            let ((r, _w), ctx) = (pipe(0), t.setup(4));
            for bit in 16..64 {
                assert_eq!(t.submit(ctx, &mut [Iocb { buf: 1 << bit, ..poll(r, 0) }]), EINVAL, "bit {bit}");
            }
            for extra in [Iocb { offset: -1, ..poll(r, 0) }, Iocb { nbytes: 1 << 62, ..poll(r, 0) }] {
                assert_eq!(t.submit(ctx, &mut [extra]), EINVAL);
            }
        }),
        case!(Linux, "poll/all_16_bits_are_taken", "spec 2.poll.1, spec 2.poll.4", |t| {
            let null = open("/dev/null", libc::O_RDWR);
            let ready = libc::POLLIN | libc::POLLOUT | libc::POLLRDNORM | libc::POLLWRNORM;
            assert_eq!(t.one(poll(null, -1)), ready as i64);
            assert_eq!(t.one(poll(null, libc::POLLRDNORM)), libc::POLLRDNORM as i64);
        }),
        case!(Linux, "poll/hangup_and_error_at_submit_are_there_at_once", "spec 2.poll.2, spec 2.poll.4", |t| {
            let ((r, w), (r2, w2), ctx) = (pipe(0), pipe(0), t.setup(4));
            unsafe { (libc::close(w), libc::close(r2)) };
            assert_eq!(
                t.submit(ctx, &mut [poll(r, 0), poll(w2, 0), poll(r, libc::POLLIN), poll(w2, libc::POLLOUT)]),
                4
            );
            let mut events = [IoEvent::default(); 4];
            let now = Some(Timespec::default());
            assert_eq!(t.getevents(ctx, 4, 4, events.as_mut_ptr() as usize, now), 4);
            assert_eq!(events.map(|e| e.res), [HUP, ERR, HUP, OUT | ERR]);
        }),
        case!(Linux, "poll/what_was_not_asked_for_does_not_fire_it", "spec 2.poll.4, poll(2)", |t| {
            let ((a, b), ctx) = (socket_pair(), t.setup(4));
            put(b, b"x");
            assert_eq!(t.submit(ctx, &mut [poll(a, libc::POLLPRI), poll(a, 0), poll(a, libc::POLLRDHUP)]), 3);
            assert_eq!(t.look(ctx), 0);
            unsafe { libc::shutdown(b, libc::SHUT_WR) };
            let event = t.reap(ctx, 1)[0];
            assert_eq!(event.res & libc::POLLRDHUP as i64, libc::POLLRDHUP as i64);
        }),
        case!(Linux, "poll/woken_for_something_else_it_waits_on", "spec 2.poll.5, poll(2)", |t| {
            let ((a, b), ctx) = (socket_pair(), t.setup(4));
            assert_eq!(t.submit(ctx, &mut [Iocb { data: 1, ..poll(a, libc::POLLRDHUP) }]), 1);
            put(b, b"x");
            std::thread::sleep(std::time::Duration::from_millis(20));
            assert_eq!(t.look(ctx), 0);
            unsafe { libc::shutdown(b, libc::SHUT_WR) };
            assert_eq!(t.reap(ctx, 1)[0].data, 1);
        }),
        case!(Contract, "poll/room_in_a_full_pipe_fires_pollout", "spec 2.poll.5, poll(2)", |t| {
            let ((r, w), ctx) = (pipe(libc::O_NONBLOCK), t.setup(4));
            let data = vec![0u8; 1 << 20];
            assert!(unsafe { libc::write(w, data.as_ptr().cast(), data.len()) } > 0);
            assert_eq!((t.submit(ctx, &mut [poll(w, libc::POLLOUT)]), t.look(ctx)), (1, 0));
            let mut back = vec![0u8; 1 << 20];
            assert!(unsafe { libc::read(r, back.as_mut_ptr().cast(), back.len()) } > 0);
            assert_eq!(t.reap(ctx, 1)[0].res & OUT, OUT);
        }),
    ]
}

fn files() -> Vec<Case> {
    vec![
        case!(Contract, "poll/a_timer_fires", "spec 2.poll.5, timerfd_create(2)", |t| {
            let (timer, ctx) = (unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, 0) }, t.setup(4));
            let mut time: libc::itimerspec = unsafe { std::mem::zeroed() };
            time.it_value.tv_nsec = 20_000_000;
            unsafe { libc::timerfd_settime(timer, 0, &time, std::ptr::null_mut()) };
            assert_eq!(t.submit(ctx, &mut [poll(timer, libc::POLLIN)]), 1);
            assert_eq!(t.reap(ctx, 1)[0].res & IN, IN);
        }),
        case!(Contract, "poll/a_child_that_ends_fires", "spec 2.poll.5, pidfd_open(2)", |t| {
            let (ctx, (r, w)) = (t.setup(4), pipe(0));
            let child = unsafe { libc::fork() };
            if child == 0 {
                let mut byte = 0u8;
                unsafe {
                    libc::close(w);
                    libc::read(r, (&raw mut byte).cast(), 1);
                    libc::_exit(0)
                }
            }
            let pidfd = unsafe { libc::syscall(libc::SYS_pidfd_open, child, 0) } as i32;
            if pidfd < 0 {
                t.not_applicable("no pidfd_open");
            }
            assert_eq!((t.submit(ctx, &mut [poll(pidfd, libc::POLLIN)]), t.look(ctx)), (1, 0));
            put(w, b"x");
            assert_eq!(t.reap(ctx, 1)[0].res & IN, IN);
            unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
        }),
        case!(Contract, "poll/a_connection_fires_the_listener", "spec 2.poll.5, accept(2)", |t| {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let ctx = t.setup(4);
            assert_eq!((t.submit(ctx, &mut [poll(listener.as_raw_fd(), libc::POLLIN)]), t.look(ctx)), (1, 0));
            let _peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            assert_eq!(t.reap(ctx, 1)[0].res & IN, IN);
        }),
        case!(Linux, "poll/an_epoll_that_is_ready_is_there_at_once", "spec 2.poll.10, spec 2.poll.4", |t| {
            let (epoll, event) = (unsafe { libc::epoll_create1(0) }, eventfd(0));
            let mut what = libc::epoll_event { events: libc::EPOLLIN as u32, u64: 0 };
            unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, event, &mut what) };
            put(event, &1u64.to_ne_bytes());
            let ctx = t.setup(4);
            assert_eq!((t.submit(ctx, &mut [poll(epoll, libc::POLLIN)]), t.look(ctx)), (1, 1));
        }),
        case!(Linux, "poll/files_need_no_mode", "spec 2.poll.7", |t| {
            let (write, ctx) = (scratch(libc::O_WRONLY).unwrap(), t.setup(4));
            assert_eq!(t.one_in(ctx, poll(write.as_raw_fd(), libc::POLLIN)), IN);
            assert_eq!(t.one_in(ctx, poll(open("/dev/null", libc::O_WRONLY), libc::POLLIN)), IN);
            let memory = unsafe { libc::memfd_create(c"case".as_ptr(), 0) };
            assert_eq!(t.one_in(ctx, poll(memory, libc::POLLIN | libc::POLLOUT)), IN | OUT);
        }),
        case!(Quirk, "poll/a_terminal_that_is_not_ready_is_einval", "spec 2.poll.8, pty(7)", |t| {
            let (master, slave) = terminal();
            assert_eq!(
                (t.refused(poll(master, libc::POLLIN)), t.refused(poll(slave, libc::POLLIN))),
                (EINVAL, EINVAL)
            );
            assert_eq!((t.refused(poll(master, 0)), t.refused(poll(slave, libc::POLLPRI))), (EINVAL, EINVAL));
        }),
        case!(
            Quirk,
            "poll/a_terminal_that_is_ready_is_there_at_once",
            "spec 2.poll.8, spec 2.poll.4, pty(7)",
            |t| {
                let (master, slave) = terminal();
                assert_eq!((t.one(poll(master, libc::POLLOUT)), t.one(poll(slave, libc::POLLOUT))), (OUT, OUT));
                put(master, b"line\n");
                // The kernel may be woken between the first look and the last: then it gives the whole mask (decision A3).
                assert_eq!(
                    (t.one(poll(slave, libc::POLLIN)) & IN, t.one(poll(master, libc::POLLIN)) & IN),
                    (IN, IN)
                );
            }
        ),
        case!(Quirk, "poll/a_fifo_open_for_both_that_is_not_ready_is_einval", "spec 2.poll.8, fifo(7)", |t| {
            let (r, _w) = pipe(0);
            let both = open(&format!("/proc/self/fd/{r}"), libc::O_RDWR);
            assert_eq!(t.refused(poll(both, libc::POLLIN)), EINVAL);
            assert_eq!(t.one(poll(both, libc::POLLOUT | libc::POLLIN)), OUT);
            put(both, b"x");
            assert_eq!(t.one(poll(both, libc::POLLIN)), IN);
        }),
    ]
}

/// The master and the slave of a pseudo-terminal.
fn terminal() -> (i32, i32) {
    let (mut master, mut slave) = (0, 0);
    let null = std::ptr::null_mut();
    let ret = unsafe { libc::openpty(&mut master, &mut slave, null, std::ptr::null(), std::ptr::null()) };
    assert_eq!(ret, 0);
    (master, slave)
}

fn ends() -> Vec<Case> {
    vec![
        case!(Linux, "poll/a_pipe_that_only_it_holds_takes_one_write_more", "spec 2.poll.13", |t| {
            let ((r, w), ctx) = (pipe(0), t.setup(4));
            unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
            assert_eq!(t.submit(ctx, &mut [poll(r, libc::POLLIN)]), 1);
            unsafe { libc::close(r) };
            put(w, b"x");
            assert_eq!(t.reap(ctx, 1)[0].res & IN, IN);
            // The kernel, and our library thread, let go of the file after they have given the event.
            let broken = || unsafe { libc::write(w, b"x".as_ptr().cast(), 1) } == -1;
            assert!((0..1000).any(|_| {
                std::thread::sleep(std::time::Duration::from_millis(1));
                broken()
            }));
            assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(libc::EPIPE));
        }),
        case!(Linux, "poll/cancelled_it_is_an_event_with_0", "spec 2.poll.14", |t| {
            let ((r, w), ctx, event) = (pipe(0), t.setup(4), eventfd(libc::EFD_NONBLOCK));
            let mut iocb = Iocb { flags: IOCB_FLAG_RESFD, resfd: event as u32, data: 5, ..poll(r, libc::POLLIN) };
            assert_eq!(t.submit_at(ctx, 1, [&raw mut iocb as usize].as_ptr() as usize), 1);
            assert_eq!(t.cancel(ctx, &raw mut iocb), EINPROGRESS);
            let done = t.reap(ctx, 1)[0];
            assert_eq!((done.data, done.obj, done.res), (5, &raw const iocb as u64, 0));
            let mut ready = libc::pollfd { fd: event, events: libc::POLLIN, revents: 0 };
            assert_eq!(unsafe { libc::poll(&mut ready, 1, 10_000) }, 1);
            put(w, b"x");
            assert_eq!((t.look(ctx), eventfd_count(event)), (0, 1));
        }),
        case!(Linux, "poll/cancelled_it_has_0_though_it_is_ready_at_once", "spec 2.poll.14", |t| {
            let ctx = t.setup(4);
            for _ in 0..200 {
                let (r, w) = pipe(0);
                let mut iocb = poll(r, libc::POLLIN);
                assert_eq!(t.submit_at(ctx, 1, [&raw mut iocb as usize].as_ptr() as usize), 1);
                assert_eq!(t.cancel(ctx, &raw mut iocb), EINPROGRESS);
                put(w, b"x");
                assert_eq!(t.reap(ctx, 1)[0].res, 0);
                unsafe { (libc::close(r), libc::close(w)) };
            }
        }),
        case!(Linux, "poll/destroyed_it_signals_its_eventfd", "spec 2.poll.14", |t| {
            let ((r, _w), ctx, event) = (pipe(0), t.setup(4), eventfd(libc::EFD_NONBLOCK));
            let iocb = Iocb { flags: IOCB_FLAG_RESFD, resfd: event as u32, ..poll(r, libc::POLLIN) };
            assert_eq!(t.submit(ctx, &mut [iocb; 3]), 3);
            assert_eq!((t.destroy(ctx), eventfd_count(event)), (0, 3));
        }),
        case!(Linux, "poll/each_of_several_gets_what_it_asked_for", "spec 2.poll.3, spec 2.poll.4", |t| {
            let ((a, b), ctx) = (socket_pair(), t.setup(8));
            let asked = [libc::POLLIN, libc::POLLOUT, libc::POLLIN | libc::POLLOUT, libc::POLLRDHUP];
            let mut data = 0..;
            let mut iocbs = asked.map(|mask| Iocb { data: data.next().unwrap(), ..poll(a, mask) });
            assert_eq!(t.submit(ctx, &mut iocbs), 4);
            let mut now: Vec<(u64, i64)> = t.reap(ctx, 2).iter().map(|e| (e.data, e.res)).collect();
            now.sort_unstable();
            assert_eq!((now, t.look(ctx)), (vec![(1, OUT), (2, OUT)], 0));
            put(b, b"x");
            assert_eq!((t.reap(ctx, 1)[0].data, t.look(ctx)), (0, 0));
            unsafe { libc::close(b) };
            assert_eq!(t.reap(ctx, 1)[0].data, 3);
        }),
    ]
}
