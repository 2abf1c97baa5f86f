//! What a program or library says about AIO: symbols and code.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

use object::elf::{FileHeader64, PF_X, SHT_DYNSYM};
use object::read::elf::{FileHeader, ProgramHeader, SectionTable, Sym};
use object::read::{ReadCache, ReadRef};
use object::{Endianness, FileKind};

use super::code::{self, Instruction};

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
    /// AIO calls whose number is given to a function, maybe `syscall`.
    pub arguments: BTreeSet<&'static str>,
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
    // Without section headers there are no names, but there is code.
    if let Ok(sections) = header.sections(endian, data) {
        object.is_go = is_go(&sections, endian);
        let _ = object.take_symbols(&sections, endian, data);
    }
    for segment in header.program_headers(endian, data).ok()? {
        let Ok(bytes) = segment.data(endian, data) else { continue };
        object.is_ours |= bytes.windows(OURS.len()).any(|window| window == OURS);
        if segment.p_flags(endian).contains(PF_X) {
            object.take_code(bytes, segment.p_vaddr(endian), header.e_machine(endian));
        }
    }
    Some(object)
}

fn is_go<'d, R: ReadRef<'d>>(sections: &SectionTable<'d, Header, R>, endian: Endianness) -> bool {
    [&b".note.go.buildid"[..], b".go.buildinfo"]
        .iter()
        .any(|name| sections.section_by_name(endian, name).is_some())
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

    fn take_code(&mut self, bytes: &[u8], address: u64, machine: object::elf::Machine) {
        self.instructions.extend(code::instructions(bytes, address, machine));
        self.arguments.extend(code::arguments(bytes, machine, self.is_go));
    }

    /// Whether the preload library sees any of its calls.
    pub fn is_seen(&self) -> bool {
        !self.imports.is_empty() || self.by_syscall()
    }

    /// By libc's `syscall`.
    pub fn by_syscall(&self) -> bool {
        self.imports_syscall && !self.is_go && !self.arguments.is_empty()
    }

    /// Whether it makes AIO calls that nobody sees.
    pub fn is_unseen(&self) -> bool {
        !self.instructions.is_empty() || self.is_go && !self.arguments.is_empty()
    }
}
