//! What a failed case shows: expected, got, where, and its last calls.

use std::fmt;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use serde::Serialize;
use uaio::abi::Iocb;

use crate::trace::Seen;

/// Longer texts of a case are cut: bytes.
const LONGEST: usize = 4000;

/// Why a case failed. Texts are empty where there is nothing to say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Failure {
    pub expected: String,
    pub got: String,
    /// What the assertion adds.
    pub note: String,
    /// File and line of the assertion.
    pub at: String,
    /// Latest last.
    pub calls: Vec<String>,
}

impl Failure {
    /// It did not end.
    pub fn hang(seconds: u64) -> Failure {
        Failure::ended(&format!("it did not end in {seconds} s"))
    }

    /// It died of a signal.
    pub fn death(signal: i32) -> Failure {
        let name = Signal::try_from(signal).map_or("", Signal::as_str);
        Failure::ended(&format!("it died of signal {signal} {name}"))
    }

    fn ended(how: &str) -> Failure {
        Failure { expected: "the case ends".into(), got: how.trim_end().into(), ..Failure::default() }
    }

    /// From the text of a panic: `FILE:LINE`, and in the next lines its message.
    pub fn panic(text: &str) -> Failure {
        let (at, message) = text.split_once('\n').unwrap_or(("", text));
        let (head, sides) = message.split_once("\n  left: ").unwrap_or((message, ""));
        let Some((left, right)) = sides.split_once("\n right: ") else {
            let expected = head.strip_prefix("assertion failed: ");
            let note = if expected.is_some() { "" } else { head };
            let got = if expected.is_some() { "not so" } else { "" };
            return Failure::said(at, expected.unwrap_or_default(), got, note);
        };
        let note = head.split_once(" failed: ").map_or("", |(_, note)| note);
        let other = if head.contains("left != right") { "anything but " } else { "" };
        Failure::said(at, &format!("{other}{}", named(right)), &named(left), note)
    }

    fn said(at: &str, expected: &str, got: &str, note: &str) -> Failure {
        let [at, expected, got, note] = [at, expected, got, note].map(|text| text.trim().to_owned());
        Failure { expected, got, note, at, calls: vec![] }
    }

    /// With what the case had printed, and its last calls.
    pub fn with(mut self, printed: &str, calls: &[Seen]) -> Failure {
        let printed = printed.trim();
        if !printed.is_empty() {
            self.note = [self.note.as_str(), printed].join("\n").trim().to_owned();
        }
        self.calls = calls.iter().map(line).collect();
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calls = self.calls.join("\n");
        let all = [
            ("calls", calls.as_str()),
            ("expected", &self.expected),
            ("got", &self.got),
            ("note", &self.note),
            ("at", &self.at),
        ];
        for (name, text) in all.into_iter().filter(|(_, text)| !text.is_empty()) {
            writeln!(f, "{name:9} {}", text.replace('\n', "\n          "))?;
        }
        Ok(())
    }
}

/// A text of a case, not longer than is good.
pub fn cut(text: &str) -> String {
    match text.char_indices().find(|(at, _)| *at >= LONGEST) {
        Some((at, _)) => format!("{} ...", &text[..at]),
        None => text.to_owned(),
    }
}

/// A negative number that can be an errno, with its name. -1 may as well be what a function of libc returned.
fn named(text: &str) -> String {
    match text.trim().parse().ok().filter(|number| *number != -1).and_then(errno_name) {
        Some(name) => format!("{} ({name})", text.trim()),
        None => text.trim().to_owned(),
    }
}

fn errno_name(result: i64) -> Option<String> {
    let errno = Errno::from_raw((-4095..0).contains(&result).then_some(-result)? as i32);
    (errno != Errno::UnknownErrno).then(|| format!("{errno:?}"))
}

/// A call as strace(1) would show it.
fn line(call: &Seen) -> String {
    let arguments: Vec<String> =
        call.arguments.iter().enumerate().map(|(i, a)| argument(call.name, i, *a)).collect();
    let result = match call.result {
        None => "has not returned".into(),
        Some(-1) => "= -1 (EPERM)".into(),
        Some(result) => format!("= {}", named(&result.to_string())),
    };
    let iocb = call.iocb.as_ref().map_or_else(String::new, |iocb| format!("\n  iocb: {}", request(iocb)));
    format!("{}({}) {result}{iocb}", call.name, arguments.join(", "))
}

/// Numbers in decimal, addresses in hexadecimal.
fn argument(call: &str, index: usize, value: usize) -> String {
    match (call, index) {
        ("io_setup", 0) => (value as u32).to_string(),
        ("io_submit", 1) | ("io_getevents" | "io_pgetevents", 1 | 2) => (value as isize).to_string(),
        _ if value == 0 && index > 0 => "NULL".into(),
        _ => format!("{value:#x}"),
    }
}

fn request(iocb: &Iocb) -> String {
    const NAMES: [&str; 9] = ["PREAD", "PWRITE", "FSYNC", "FDSYNC", "4", "POLL", "NOOP", "PREADV", "PWRITEV"];
    let name = NAMES.get(usize::from(iocb.opcode)).map_or_else(|| iocb.opcode.to_string(), |name| (*name).into());
    let Iocb { buf, nbytes, offset, .. } = *iocb;
    let mut text = format!("{name} fd {}, buf {buf:#x}, nbytes {nbytes}, offset {offset}", iocb.fildes as i32);
    let more = [
        ("key", u64::from(iocb.key)),
        ("rw_flags", u64::from(iocb.rw_flags)),
        ("reqprio", iocb.reqprio as u16 as u64),
        ("reserved2", iocb.reserved2),
        ("flags", u64::from(iocb.flags)),
        ("resfd", u64::from(iocb.resfd)),
        ("data", iocb.data),
    ];
    for (name, value) in more.into_iter().filter(|(_, value)| *value != 0) {
        text.push_str(&format!(", {name} {value:#x}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_of_an_assertion() {
        let text = "a.rs:7\nassertion `left == right` failed: io_setup(1)\n  left: -22\n right: 0";
        let failure = Failure::panic(text);
        assert_eq!((failure.at.as_str(), failure.note.as_str()), ("a.rs:7", "io_setup(1)"));
        assert_eq!((failure.got.as_str(), failure.expected.as_str()), ("-22 (EINVAL)", "0"));
    }

    #[test]
    fn other_panics() {
        let failure = Failure::panic("a.rs:7\nassertion `left != right` failed\n  left: 3\n right: 3");
        assert_eq!((failure.got.as_str(), failure.expected.as_str()), ("3", "anything but 3"));
        let failure = Failure::panic("a.rs:7\nassertion failed: n > 2");
        assert_eq!((failure.got.as_str(), failure.expected.as_str()), ("not so", "n > 2"));
        assert_eq!(Failure::panic("a.rs:7\nno room").note, "no room");
    }

    #[test]
    fn calls_are_readable() {
        let iocb = Iocb { opcode: 1, fildes: 5, nbytes: 512, flags: 1, ..Iocb::default() };
        let call = Seen { name: "io_submit", arguments: vec![4096, 1, 0], result: Some(-14), iocb: Some(iocb) };
        let expected = "io_submit(0x1000, 1, NULL) = -14 (EFAULT)\n  iocb: PWRITE fd 5, buf 0x0, nbytes 512, offset 0, flags 0x1";
        assert_eq!(line(&call), expected);
        assert!(line(&Seen { result: None, iocb: None, ..call }).ends_with(") has not returned"));
    }

    #[test]
    fn long_texts_are_cut() {
        assert_eq!(cut(&"é".repeat(LONGEST)).chars().count(), LONGEST / 2 + 4);
        assert_eq!(cut("short"), "short");
    }
}
