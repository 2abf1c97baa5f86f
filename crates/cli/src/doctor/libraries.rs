//! Which libraries a program would load, asked of its own loader.

use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The loader's answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Libraries {
    pub all: Vec<Library>,
    /// What it complained about.
    pub complaints: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Library {
    /// As the program asks for it.
    pub name: String,
    /// None: not found.
    pub path: Option<PathBuf>,
}

/// Asks `loader` what `program` would load, with `preload` as LD_PRELOAD. Nothing of the program runs.
pub fn list(loader: &Path, program: &Path, preload: &OsStr) -> io::Result<Libraries> {
    let metadata = loader.metadata()?;
    // A program can name any file as its loader, and this one is about to be run.
    if metadata.uid() != 0 && metadata.uid() != nix::unistd::geteuid().as_raw() {
        return Err(io::Error::other(format!("{} belongs to another user", loader.display())));
    }
    let mut command = Command::new(loader);
    command.arg("--list").arg(program).env("LD_PRELOAD", preload).env("LC_ALL", "C").stdin(Stdio::null());
    let answer = command.output()?;
    // It stops at the first library that is missing. Now that it has shown to be glibc's, it may be asked in the way of
    // ldd(1), which another loader would take for an order to run the program.
    let missing = String::from_utf8_lossy(&answer.stderr).contains("error while loading shared libraries");
    if answer.status.success() || !missing {
        return Ok(Libraries::of(&answer));
    }
    let mut command = Command::new(loader);
    command.arg(program).env("LD_TRACE_LOADED_OBJECTS", "1").env("LD_PRELOAD", preload).env("LC_ALL", "C");
    Ok(Libraries::of(&command.stdin(Stdio::null()).output()?))
}

/// "libaio.so.1 => /usr/lib/libaio.so.1 (0x7f...)", "libx.so => not found", or a path alone.
fn parse(line: &str) -> Option<Library> {
    let line = line.strip_prefix('\t')?;
    let without_address = |text: &str| text.rsplit_once(" (0x").map_or(text, |(path, _)| path).to_string();
    match line.split_once(" => ") {
        Some((name, "not found")) => Some(Library { name: name.into(), path: None }),
        Some((name, path)) => Some(Library { name: name.into(), path: Some(without_address(path).into()) }),
        None => {
            let path = PathBuf::from(without_address(line));
            path.is_absolute().then(|| Library { name: path.display().to_string(), path: Some(path) })
        }
    }
}

/// The directory near `program` that has a file of this name: where programs that bring their libraries keep them.
pub fn beside(program: &Path, name: &str) -> Option<PathBuf> {
    let own = program.canonicalize().ok()?;
    let own = own.parent()?;
    let dirs = ["", "lib", "lib64", "../lib", "../lib64"].map(|dir| own.join(dir));
    dirs.into_iter().find(|dir| dir.join(name).is_file())?.canonicalize().ok()
}

impl Libraries {
    fn of(answer: &Output) -> Libraries {
        let [output, errors] = [&answer.stdout, &answer.stderr].map(|bytes| String::from_utf8_lossy(bytes));
        let missing = |line: &&str| line.contains("not found (required by");
        let complaints = errors.lines().chain(output.lines().filter(missing)).map(String::from).collect();
        Libraries { all: output.lines().filter_map(parse).collect(), complaints }
    }

    /// Whether `library` is among them.
    pub fn has(&self, library: &Path) -> bool {
        self.all.iter().filter_map(|own| own.path.as_ref()?.canonicalize().ok()).any(|own| own == library)
    }

    /// The names of those that are not found.
    pub fn missing(&self) -> Vec<&str> {
        self.all.iter().filter(|library| library.path.is_none()).map(|library| library.name.as_str()).collect()
    }

    /// libaio, by whatever soname.
    pub fn libaio(&self) -> Option<&Library> {
        self.all.iter().find(|library| library.name.starts_with("libaio.so"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_loader() {
        let found = |line| parse(line).map(|library| (library.name, library.path.unwrap_or_default()));
        let libc = found("\tlibc.so.6 => /lib/libc.so.6 (0x00007f0000000000)");
        assert_eq!(libc, Some(("libc.so.6".into(), "/lib/libc.so.6".into())));
        assert_eq!(found("\tlibx.so => not found"), Some(("libx.so".into(), "".into())));
        assert_eq!(found("\tlinux-vdso.so.1 (0x00007fff00000000)"), None);
        assert!(found("\t/lib64/ld-linux-x86-64.so.2 (0x00007f00)").is_some());
    }
}
