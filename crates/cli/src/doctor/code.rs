//! AIO calls in machine code: the number of one of the six loaded right before a system call.

use std::collections::BTreeSet;

use object::elf::{EM_AARCH64, EM_X86_64, Machine};
use serde::Serialize;

/// How far before a `syscall` instruction its number may be loaded, bytes.
const BEFORE_SYSCALL: usize = 32;
/// How far behind the load of an argument the call may follow, bytes.
const BEFORE_CALL: usize = 64;
/// How many instructions of AArch64 are looked at before a `svc`.
const BEFORE_SVC: usize = 8;

/// No system call has a larger number.
const NUMBERS: u32 = 1024;

const X86_64: [(u32, &str); 6] = [
    (206, "io_setup"),
    (207, "io_destroy"),
    (208, "io_getevents"),
    (209, "io_submit"),
    (210, "io_cancel"),
    (333, "io_pgetevents"),
];
const AARCH64: [(u32, &str); 6] = [
    (0, "io_setup"),
    (1, "io_destroy"),
    (2, "io_submit"),
    (3, "io_cancel"),
    (4, "io_getevents"),
    (292, "io_pgetevents"),
];

/// A system call instruction that makes an AIO call.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Instruction {
    pub call: &'static str,
    /// In the file's own numbering, as objdump(1) shows it.
    pub address: u64,
}

fn name_of(number: u32, names: &[(u32, &'static str)]) -> Option<&'static str> {
    names.iter().find(|(own, _)| *own == number).map(|(_, name)| *name)
}

/// The AIO calls by instructions of its own in `code`, which lies at `address`.
pub fn instructions(code: &[u8], address: u64, machine: Machine) -> Vec<Instruction> {
    match machine {
        EM_X86_64 => syscalls(code, address),
        EM_AARCH64 => supervisor_calls(code, address),
        _ => Vec::new(),
    }
}

/// `mov $NUMBER,%eax` and soon `syscall`.
fn syscalls(code: &[u8], address: u64) -> Vec<Instruction> {
    let found = positions(code, 0x0f).filter(|at| code.get(at + 1) == Some(&0x05));
    let call = |at: usize| {
        let call = name_of(number_before(&code[at.saturating_sub(BEFORE_SYSCALL)..at])?, &X86_64)?;
        Some(Instruction { call, address: address + at as u64 })
    };
    found.filter_map(call).collect()
}

/// The number that was loaded last: an immediate that could be one.
fn number_before(code: &[u8]) -> Option<u32> {
    let loads = code.windows(5).enumerate().rev().filter_map(|(at, bytes)| {
        let modrm = at > 0 && code[at - 1] == 0xc7 && bytes[0] == 0xc0;
        (bytes[0] == 0xb8 || modrm).then(|| immediate(bytes))
    });
    loads.into_iter().find(|number| *number < NUMBERS)
}

/// The four bytes behind the first.
fn immediate(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[1], bytes[2], bytes[3], bytes[4]])
}

/// `mov x8, #NUMBER` and soon `svc #0`.
fn supervisor_calls(code: &[u8], address: u64) -> Vec<Instruction> {
    const SVC: u32 = 0xd400_0001;
    let words: Vec<u32> = code.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect();
    let number =
        |word: u32| [0xd280_0008, 0x5280_0008].contains(&(word & 0xffe0_001f)).then_some(word >> 5 & 0xffff);
    let svc = words.iter().enumerate().filter(|(_, word)| **word == SVC);
    svc.filter_map(|(at, _)| {
        let number = words[at.saturating_sub(BEFORE_SVC)..at].iter().rev().find_map(|word| number(*word))?;
        Some(Instruction { call: name_of(number, &AARCH64)?, address: address + 4 * at as u64 })
    })
    .collect()
}

/// Where a function is reached: libc's `syscall`, or those of a Go program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Targets {
    /// Words of memory that hold its address: calls go through them.
    pub slots: BTreeSet<u64>,
    /// Its code, or code that only jumps there.
    pub entries: BTreeSet<u64>,
}

impl Targets {
    /// Adds the stubs of the procedure linkage table: a jump through a slot, maybe behind an `endbr64` or a prefix.
    pub fn add_stubs(&mut self, code: &[u8], address: u64) {
        for at in positions(code, 0xff).filter(|at| code.get(at + 1) == Some(&0x25)) {
            let stub = address + at as u64;
            if target(code, at + 1, address).is_some_and(|slot| self.slots.contains(&slot)) {
                self.entries.extend([0, 1, 4, 5].map(|before| stub - before));
            }
        }
    }
}

/// The AIO calls that are made by calling one of `targets` with their number as the first argument, which is `%edi`
/// for C and `%eax` for Go.
pub fn called(code: &[u8], address: u64, targets: &Targets, go: bool) -> BTreeSet<&'static str> {
    let load = if go { 0xb8 } else { 0xbf };
    let direct = [0xe8, 0xe9].into_iter().flat_map(|opcode| positions(code, opcode));
    let direct =
        direct.filter(|at| target(code, *at, address).is_some_and(|entry| targets.entries.contains(&entry)));
    let through = positions(code, 0xff).filter(|at| matches!(code.get(at + 1), Some(0x15 | 0x25)));
    let through =
        through.filter(|at| target(code, at + 1, address).is_some_and(|slot| targets.slots.contains(&slot)));
    let call = |at: usize| name_of(loaded(&code[at.saturating_sub(BEFORE_CALL)..at], load)?, &X86_64);
    direct.chain(through).filter_map(call).collect()
}

/// What was loaded last by `load` and could be a number of a system call.
fn loaded(code: &[u8], load: u8) -> Option<u32> {
    let loads = code.windows(5).rev().filter(|bytes| bytes[0] == load).map(immediate);
    loads.into_iter().find(|number| *number < NUMBERS)
}

/// The address that the four bytes behind `at` are relative to their end.
fn target(code: &[u8], at: usize, address: u64) -> Option<u64> {
    let distance = immediate(code.get(at..at + 5)?) as i32;
    (address + at as u64 + 5).checked_add_signed(distance.into())
}

fn positions(code: &[u8], byte: u8) -> impl Iterator<Item = usize> {
    code.iter().enumerate().filter(move |(_, own)| **own == byte).map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(code: &[u8], machine: Machine) -> Vec<(&'static str, u64)> {
        instructions(code, 0x1000, machine).into_iter().map(|found| (found.call, found.address)).collect()
    }

    #[test]
    fn x86_64() {
        let submit = [0x90, 0xb8, 0xd1, 0, 0, 0, 0x49, 0x89, 0xca, 0x0f, 0x05];
        assert_eq!(calls(&submit, EM_X86_64), [("io_submit", 0x1009)]);
        let setup = [0x48, 0xc7, 0xc0, 0xce, 0, 0, 0, 0x0f, 0x05];
        assert_eq!(calls(&setup, EM_X86_64), [("io_setup", 0x1007)]);
        let other = [0xb8, 0xd1, 0, 0, 0, 0xb8, 1, 0, 0, 0, 0x0f, 0x05];
        assert!(calls(&other, EM_X86_64).is_empty(), "the last load counts");
        let far = [&submit[..9], &[0x90; BEFORE_SYSCALL], &submit[9..]].concat();
        assert!(calls(&far, EM_X86_64).is_empty());
    }

    #[test]
    fn aarch64() {
        let words = |words: [u32; 3]| words.map(u32::to_le_bytes).concat();
        assert_eq!(calls(&words([0xd280_0048, 0xaa00_03e1, 0xd400_0001]), EM_AARCH64), [("io_submit", 0x1008)]);
        assert_eq!(calls(&words([0x5280_2488, 0, 0xd400_0001]), EM_AARCH64), [("io_pgetevents", 0x1008)]);
        assert!(calls(&words([0xd280_07e8, 0, 0xd400_0001]), EM_AARCH64).is_empty());
    }

    #[test]
    fn first_arguments() {
        let mut targets = Targets { slots: [0x3000].into(), entries: BTreeSet::new() };
        // At 0x2000: endbr64; jmp *0x3000(%rip)
        targets.add_stubs(&[0xf3, 0x0f, 0x1e, 0xfa, 0xff, 0x25, 0xf6, 0x0f, 0, 0], 0x2000);
        assert!(targets.entries.contains(&0x2000) && targets.entries.contains(&0x2004));
        let seen = |code: &[u8], go| called(code, 0x1000, &targets, go).into_iter().collect::<Vec<_>>();
        // mov $209,%edi; xor %eax,%eax; call 0x2000
        let call = [0xbf, 0xd1, 0, 0, 0, 0x31, 0xc0, 0xe8, 0xf4, 0x0f, 0, 0];
        assert_eq!(seen(&call, false), ["io_submit"]);
        assert!(seen(&call, true).is_empty() && seen(&call[..8], false).is_empty());
        // mov $206,%edi; call *0x3000(%rip)
        assert_eq!(seen(&[0xbf, 0xce, 0, 0, 0, 0xff, 0x15, 0xf5, 0x1f, 0, 0], false), ["io_setup"]);
        let elsewhere = [0xbf, 0xd1, 0, 0, 0, 0xe8, 0, 0, 0, 0];
        assert!(seen(&elsewhere, false).is_empty(), "another function");
        let another_number = [0xbf, 0xd1, 0, 0, 0, 0xbf, 0xca, 0, 0, 0, 0xe8, 0xf1, 0x0f, 0, 0];
        assert!(seen(&another_number, false).is_empty(), "the last load counts");
        assert_eq!(seen(&[0xb8, 0xce, 0, 0, 0, 0xe8, 0xf6, 0x0f, 0, 0], true), ["io_setup"]);
    }
}
