//! Which libraries a program would load, asked of its own loader.

use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

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
    let [output, errors] =
        [answer.stdout, answer.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let missing = |line: &&str| line.contains("not found (required by");
    let complaints = errors.lines().chain(output.lines().filter(missing));
    Ok(Libraries {
        all: output.lines().filter_map(parse).collect(),
        complaints: complaints.map(String::from).collect(),
    })
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

impl Libraries {
    /// Whether `library` is among them.
    pub fn has(&self, library: &Path) -> bool {
        self.all.iter().filter_map(|own| own.path.as_ref()?.canonicalize().ok()).any(|own| own == library)
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
