//! libaio.h: a C and a C++ program, with our header and the distribution's, linked and run with our library and theirs.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{not_applicable, output, run, stderr, stdout};

const LANGUAGES: [[&str; 3]; 5] = [
    ["cc", "-xc", "-std=gnu99"],
    ["cc", "-xc", "-std=gnu17"],
    ["c++", "-xc++", "-std=gnu++98"],
    ["c++", "-xc++", "-std=gnu++11"],
    ["c++", "-xc++", "-std=gnu++20"],
];

struct Place {
    dir: tempfile::TempDir,
    /// uaio, installed.
    ours: PathBuf,
    /// Where the distribution has its library to link with, if it has.
    theirs: Option<PathBuf>,
}

impl Place {
    fn new() -> Place {
        let dir = tempfile::tempdir_in(std::env::var_os("TMPDIR").unwrap_or_else(|| "/var/tmp".into())).unwrap();
        let ours = dir.path().join("prefix");
        let installed = run(["install".as_ref(), ours.as_os_str()]);
        assert!(installed.status.success(), "{}", stderr(&installed));
        let theirs = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64"];
        let theirs = theirs.map(PathBuf::from).into_iter().find(|dir| dir.join("libaio.so").exists());
        if theirs.is_none() {
            not_applicable("the distribution's libaio.h and libaio.so are not here: apt-get install libaio-dev");
        }
        Place { dir, ours, theirs }
    }

    fn libraries(&self) -> PathBuf {
        self.ours.join("lib/uaio")
    }

    /// Include options for each header that there is.
    fn headers(&self) -> Vec<Vec<String>> {
        let ours = vec![format!("-I{}", self.ours.join("include/uaio").display())];
        [Some(ours), self.theirs.as_ref().map(|_| vec![])].into_iter().flatten().collect()
    }

    /// Compiles, or says that the compiler is missing.
    fn build(&self, language: [&str; 3], name: &str, more: &[String]) -> Option<PathBuf> {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/header.c");
        let program = self.dir.path().join(name);
        let mut compiler = Command::new(language[0]);
        compiler
            .args(["-O1", "-Wall", "-Wextra", "-Werror"])
            .args(&language[1..])
            .arg(source)
            .arg("-o")
            .arg(&program);
        compiler.args(["-xnone"]).args(more);
        if compiler.get_program() == "c++" && Command::new("c++").arg("--version").output().is_err() {
            not_applicable("no C++ compiler");
            return None;
        }
        let out = output(&mut compiler);
        assert!(out.status.success(), "{compiler:?}: {}", stderr(&out));
        Some(program)
    }

    /// What the program prints, with libraries from `path`.
    fn answer(&self, program: &Path, path: Option<&Path>) -> String {
        let mut command = Command::new(program);
        command.arg(self.dir.path().join("file")).env_remove("LD_LIBRARY_PATH");
        if let Some(path) = path {
            command.env("LD_LIBRARY_PATH", path);
        }
        let out = output(&mut command);
        assert!(out.status.success(), "{command:?}: {}", stderr(&out));
        stdout(&out).to_string()
    }
}

fn all_the_same(answers: &[String]) {
    assert!(answers.len() > 1 && answers[0].ends_with("ok\n"), "{answers:?}");
    for answer in answers {
        assert_eq!(*answer, answers[0]);
    }
}

/// Whatever it was compiled and linked with, it runs on ours and on theirs, and its iocbs have the same bytes.
#[test]
fn dynamically_linked() {
    let place = Place::new();
    let link_ours = Some(format!("-L{}", place.libraries().display()));
    let links = [link_ours, place.theirs.as_ref().map(|_| "-O1".into())];
    let mut answers = vec![];
    for language in LANGUAGES {
        for header in place.headers() {
            for link in links.iter().flatten() {
                let more: Vec<String> = header.iter().cloned().chain([link.clone(), "-laio".into()]).collect();
                let Some(program) = place.build(language, "dynamic", &more) else { continue };
                answers.push(place.answer(&program, Some(&place.libraries())));
                let theirs = place.theirs.as_ref().filter(|_| loads_theirs(&program));
                answers.extend(theirs.map(|_| place.answer(&program, None)));
            }
        }
    }
    all_the_same(&answers);
}

/// The distribution may have the library under the soname libaio.so.1t64 alone.
fn loads_theirs(program: &Path) -> bool {
    !stdout(&output(Command::new("ldd").arg(program).env_remove("LD_LIBRARY_PATH"))).contains("not found")
}

#[test]
fn statically_linked() {
    let place = Place::new();
    let ours = place.libraries().join("libaio.a").display().to_string();
    let theirs = place.theirs.as_ref().map(|dir| dir.join("libaio.a").display().to_string());
    let mut answers = vec![];
    for language in LANGUAGES {
        for header in place.headers() {
            for archive in [Some(&ours), theirs.as_ref()].into_iter().flatten() {
                for whole in [None, Some("-static")] {
                    let more = header.iter().cloned().chain([archive.clone()]).chain(whole.map(String::from));
                    let Some(program) = place.build(language, "static", &more.collect::<Vec<_>>()) else {
                        continue;
                    };
                    answers.push(place.answer(&program, None));
                }
            }
        }
    }
    all_the_same(&answers);
}

#[test]
fn by_pkg_config() {
    if Command::new("pkg-config").arg("--version").output().is_err() {
        return not_applicable("no pkg-config");
    }
    let place = Place::new();
    let moved = place.dir.path().join("moved");
    std::fs::rename(&place.ours, &moved).unwrap();
    let ask = |options: &[&str]| {
        let path = moved.join("lib/uaio/pkgconfig");
        let out = output(Command::new("pkg-config").args(options).arg("libaio").env("PKG_CONFIG_PATH", path));
        stdout(&out).split_whitespace().map(PathBuf::from).collect::<Vec<_>>()
    };
    assert_eq!(ask(&["--modversion"]), [PathBuf::from("0.3.113")]);
    let words = ask(&["--cflags", "--libs"]);
    let path = |option: &str| {
        let found = words.iter().find_map(|word| word.to_str().unwrap().strip_prefix(option).map(PathBuf::from));
        found.unwrap_or_else(|| panic!("{words:?}")).canonicalize().unwrap()
    };
    assert_eq!(path("-I"), moved.join("include/uaio").canonicalize().unwrap());
    assert_eq!(path("-L"), moved.join("lib/uaio").canonicalize().unwrap());
    assert!(words.contains(&"-laio".into()), "{words:?}");
}

/// Without the preload the quota is the host's, or UAIO_MAX_NR; but not in a set-user-ID program.
#[test]
fn variables_count_except_in_a_set_user_id_program() {
    let place = Place::new();
    let source = place.dir.path().join("quota.c");
    std::fs::write(&source, QUOTA).unwrap();
    let program = place.dir.path().join("quota");
    let mut compiler = Command::new("cc");
    compiler.arg(format!("-I{}", place.ours.join("include/uaio").display())).arg(&source).arg("-o").arg(&program);
    let out = output(compiler.arg(place.libraries().join("libaio.a")));
    assert!(out.status.success(), "{}", stderr(&out));
    let got = |max: Option<&str>| {
        let mut command = Command::new(&program);
        command.env_remove("UAIO_MAX_NR");
        stdout(&output(command.envs(max.map(|max| ("UAIO_MAX_NR", max))))).to_string()
    };
    let host: u32 = std::fs::read_to_string("/proc/sys/fs/aio-max-nr").unwrap().trim().parse().unwrap();
    let enough = if host >= 65536 { "0 0\n" } else { "-11 -11\n" };
    assert_eq!((got(None).as_str(), got(Some("5")).as_str()), (enough, "-11 -11\n"));
    if nix::sys::statvfs::statvfs(&program).unwrap().flags().contains(nix::sys::statvfs::FsFlags::ST_NOSUID) {
        return not_applicable("this file system ignores set-user-ID");
    }
    let other = nix::unistd::Uid::from_raw(65534);
    if nix::unistd::chown(&program, Some(other), None).is_err() {
        return not_applicable("only root gives files away");
    }
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o4755)).unwrap();
    std::fs::set_permissions(place.dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    assert_eq!(got(Some("5")), enough);
}

const QUOTA: &str = r#"
#include <libaio.h>
#include <stdio.h>
int main(void) {
    io_context_t one = NULL, two = NULL;
    int first = io_setup(6, &one);
    printf("%d %d\n", first, io_setup(60000, &two));
    return 0;
}
"#;
