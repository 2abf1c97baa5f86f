//! Seccomp filters that the program installs itself.

use std::mem::offset_of;

use libc::{c_long, seccomp_data, sock_filter};

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Allow,
    Errno(i32),
    Kill,
}

/// Which threads get the filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// The calling one, and those that it starts.
    Own,
    /// All there are: SECCOMP_FILTER_FLAG_TSYNC.
    All,
}

/// A filter program in the making.
#[derive(Default)]
pub struct Filter(Vec<sock_filter>);

impl Answer {
    fn code(self) -> u32 {
        match self {
            Answer::Allow => libc::SECCOMP_RET_ALLOW,
            Answer::Errno(errno) => libc::SECCOMP_RET_ERRNO | errno as u32,
            Answer::Kill => libc::SECCOMP_RET_KILL_PROCESS,
        }
    }
}

fn load(offset: usize) -> sock_filter {
    sock_filter { code: (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16, jt: 0, jf: 0, k: offset as u32 }
}

/// `test` with `k`; `yes` and `no` instructions are skipped.
fn jump(test: u32, k: u32, yes: u8, no: u8) -> sock_filter {
    sock_filter { code: (libc::BPF_JMP | test | libc::BPF_K) as u16, jt: yes, jf: no, k }
}

fn give(answer: Answer) -> sock_filter {
    sock_filter { code: (libc::BPF_RET | libc::BPF_K) as u16, jt: 0, jf: 0, k: answer.code() }
}

impl Filter {
    /// These calls have this answer.
    pub fn calls(mut self, numbers: &[c_long], answer: Answer) -> Filter {
        self.0.push(load(offset_of!(seccomp_data, nr)));
        for number in numbers {
            self.0.extend([jump(libc::BPF_JEQ, *number as u32, 0, 1), give(answer)]);
        }
        self
    }

    /// The lower half of argument `index` of call `number` is `value`, or (`equal` false) is not.
    pub fn argument(mut self, number: c_long, index: usize, value: u32, equal: bool, answer: Answer) -> Filter {
        self.0.push(load(offset_of!(seccomp_data, nr)));
        self.0.push(jump(libc::BPF_JEQ, number as u32, 0, 3));
        self.0.push(load(offset_of!(seccomp_data, args) + 8 * index));
        self.0.push(jump(libc::BPF_JEQ, value, u8::from(!equal), u8::from(equal)));
        self.0.push(give(answer));
        self
    }

    /// A clone whose flags have none of `flags`, or (`any` true) one of them.
    pub fn clone_flags(mut self, flags: i32, any: bool, answer: Answer) -> Filter {
        self.0.push(load(offset_of!(seccomp_data, nr)));
        self.0.push(jump(libc::BPF_JEQ, libc::SYS_clone as u32, 0, 3));
        self.0.push(load(offset_of!(seccomp_data, args)));
        self.0.push(jump(libc::BPF_JSET, flags as u32, u8::from(!any), u8::from(any)));
        self.0.push(give(answer));
        self
    }

    /// From now on, for ever; every other call has `rest`.
    pub fn install(mut self, rest: Answer, threads: Threads) {
        self.0.push(give(rest));
        let program = libc::sock_fprog { len: self.0.len() as u16, filter: self.0.as_mut_ptr() };
        let flags = if threads == Threads::All { libc::SECCOMP_FILTER_FLAG_TSYNC } else { 0 };
        unsafe {
            assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
            let done = libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &program);
            assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
        }
        // Freeing memory could need a call that is forbidden now.
        std::mem::forget(self);
    }
}
