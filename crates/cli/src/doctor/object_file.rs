//! What a program or library says about AIO: symbols and code.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

use object::elf::{EM_X86_64, FileHeader64, PF_X, SHT_DYNSYM, SHT_SYMTAB, Sym64};
use object::read::elf::{FileHeader, ProgramHeader, Rela, SectionHeader, SectionTable, Sym};
use object::read::{ReadCache, ReadRef};
use object::{Endianness, FileKind};

use super::code::{self, Instruction, Targets};

type Header = FileHeader64<Endianness>;

/// libaio's functions by which a program does something.
const FUNCTIONS: [&str; 9] = [
    "io_setup",
    "io_destroy",
    "io_submit",
    "io_cancel",
    "io_getevents",
    "io_pgetevents",
    "io_queue_init",
    "io_queue_run",
    "io_queue_release",
];
/// Go's functions that make a system call of a given number.
const GO: [&[u8]; 8] = [
    b"syscall.Syscall",
    b"syscall.Syscall6",
    b"syscall.RawSyscall",
    b"syscall.RawSyscall6",
    b"golang.org/x/sys/unix.Syscall",
    b"golang.org/x/sys/unix.Syscall6",
    b"internal/runtime/syscall.Syscall6",
    b"runtime/internal/syscall.Syscall6",
];
/// A text that everything has inside that is linked with uaio.
const OURS: &[u8] = b"UAIO_MAX_NR";

/// One 64-bit ELF file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectFile {
    /// libaio's functions that it takes from elsewhere, with their version: "io_submit@LIBAIO_0.1".
    pub imports: BTreeSet<String>,
    /// It takes libc's `syscall` from elsewhere.
    pub imports_syscall: bool,
    /// It has libaio's functions for others.
    pub is_libaio: bool,
    /// uaio is linked into it.
    pub is_ours: bool,
    /// Made by the Go compiler, whose system calls are instructions of the program's own.
    pub is_go: bool,
    pub instructions: Vec<Instruction>,
    /// AIO calls made by calling `syscall`, or what Go has in its place.
    pub called: BTreeSet<&'static str>,
}

/// Reads it; None when it is not such a file, or cannot be read.
pub fn read(path: &Path) -> Option<ObjectFile> {
    let data = ReadCache::new(File::open(path).ok()?);
    if FileKind::parse(&data).ok()? != FileKind::Elf64 {
        return None;
    }
    examine(&data)
}

fn examine<'d, R: ReadRef<'d>>(data: R) -> Option<ObjectFile> {
    let header = Header::parse(data).ok()?;
    let endian = header.endian().ok()?;
    let mut object = ObjectFile::default();
    let mut targets = Targets::default();
    // Without section headers there are no names, but there is code.
    if let Ok(sections) = header.sections(endian, data) {
        object.is_go = is_go(&sections, endian);
        let _ = object.take_symbols(&sections, endian, data);
        targets = targets_of(&sections, endian, data, object.is_go).unwrap_or_default();
    }
    let segments = header.program_headers(endian, data).ok()?;
    let parts = segments.iter().filter_map(|segment| Some((segment, segment.data(endian, data).ok()?)));
    let mut code = Vec::new();
    for (segment, bytes) in parts {
        object.is_ours |= contains(bytes, OURS);
        if segment.p_flags(endian).contains(PF_X) {
            code.push((bytes, segment.p_vaddr(endian)));
        }
    }
    for (bytes, address) in &code {
        object.instructions.extend(code::instructions(bytes, *address, header.e_machine(endian)));
    }
    if header.e_machine(endian) == EM_X86_64 {
        code.iter().for_each(|(bytes, address)| targets.add_stubs(bytes, *address));
        let calls = code.iter().flat_map(|(bytes, address)| code::called(bytes, *address, &targets, object.is_go));
        object.called = calls.collect();
    }
    Some(object)
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    let starts = bytes.iter().enumerate().filter(|(_, byte)| **byte == text[0]);
    starts.into_iter().any(|(at, _)| bytes[at..].starts_with(text))
}

fn is_go<'d, R: ReadRef<'d>>(sections: &SectionTable<'d, Header, R>, endian: Endianness) -> bool {
    [&b".note.go.buildid"[..], b".go.buildinfo"]
        .iter()
        .any(|name| sections.section_by_name(endian, name).is_some())
}

/// Where `syscall` is reached: through words that the loader fills in, or, in Go, as functions of the program's own.
fn targets_of<'d, R: ReadRef<'d>>(
    sections: &SectionTable<'d, Header, R>,
    endian: Endianness,
    data: R,
    go: bool,
) -> object::read::Result<Targets> {
    let mut targets = Targets::default();
    let symbols = sections.symbols(endian, data, if go { SHT_SYMTAB } else { SHT_DYNSYM })?;
    let named = |symbol: &Sym64<Endianness>, names: &[&[u8]]| {
        symbol.name(endian, symbols.strings()).is_ok_and(|name| names.contains(&name))
    };
    if go {
        let own = symbols.iter().filter(|symbol| named(symbol, &GO));
        targets.entries = own.map(|symbol| symbol.st_value(endian)).collect();
        return Ok(targets);
    }
    let syscall =
        symbols.enumerate().find(|(_, symbol)| symbol.is_undefined(endian) && named(symbol, &[b"syscall"]));
    let Some((index, _)) = syscall else { return Ok(targets) };
    for section in sections.iter() {
        let Some((relocations, _)) = section.rela(endian, data)? else { continue };
        let own = relocations.iter().filter(|relocation| relocation.r_sym(endian, false) as usize == index.0);
        targets.slots.extend(own.map(|relocation| relocation.r_offset(endian)));
    }
    Ok(targets)
}

impl ObjectFile {
    fn take_symbols<'d, R: ReadRef<'d>>(
        &mut self,
        sections: &SectionTable<'d, Header, R>,
        endian: Endianness,
        data: R,
    ) -> object::read::Result<()> {
        let symbols = sections.symbols(endian, data, SHT_DYNSYM)?;
        let versions = sections.versions(endian, data)?;
        for (index, symbol) in symbols.enumerate() {
            let name = String::from_utf8_lossy(symbol.name(endian, symbols.strings())?).into_owned();
            if !symbol.is_undefined(endian) {
                self.is_libaio |= name == "io_submit";
                continue;
            }
            self.imports_syscall |= name == "syscall";
            if FUNCTIONS.contains(&name.as_str()) {
                let version = versions.as_ref().and_then(|all| {
                    let version = all.version(all.version_index(endian, index).index()).ok()??;
                    Some(String::from_utf8_lossy(version.name()).into_owned())
                });
                self.imports.insert(version.map_or(name.clone(), |version| format!("{name}@{version}")));
            }
        }
        Ok(())
    }

    /// Whether the preload library sees any of its calls.
    pub fn is_seen(&self) -> bool {
        !self.imports.is_empty() || self.by_syscall()
    }

    /// By libc's `syscall`.
    pub fn by_syscall(&self) -> bool {
        self.imports_syscall && !self.is_go && !self.called.is_empty()
    }

    /// Whether it makes AIO calls that nobody sees.
    pub fn is_unseen(&self) -> bool {
        !self.instructions.is_empty() || self.is_go && !self.called.is_empty()
    }
}
