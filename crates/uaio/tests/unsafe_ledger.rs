//! `docs/unsafe.md` names every file that has `unsafe` in it, and how much: more of it, or a new file, is a decision that this
//! test makes visible. `UNSAFE_LEDGER=write` puts the numbers of the files that the page names right.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const CRATES: [&str; 5] = ["uaio", "preload", "libaio", "cli", "aiocp"];

/// Blocks; functions, implementations and traits.
type Count = (usize, usize);

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// What follows each word `unsafe` outside of comments and attributes.
fn count(text: &str) -> Count {
    let code = text.lines().map(str::trim_start).filter(|line| !line.starts_with("//") && !line.starts_with("#"));
    let code: Vec<&str> = code.map(|line| line.split(" // ").next().unwrap_or_default()).collect();
    let code = code.join(" ");
    let mut count = (0, 0);
    for (at, word) in code.match_indices("unsafe") {
        let whole = !code[..at].ends_with(|c: char| c.is_alphanumeric() || "_\"`".contains(c));
        let rest = code[at + word.len()..].trim_start();
        let names = ["fn ", "impl ", "impl<", "trait ", "extern "];
        match rest {
            _ if !whole => {}
            _ if rest.starts_with('{') => count.0 += 1,
            _ if names.iter().any(|name| rest.starts_with(name)) => {
                // A type is no code.
                count.1 += usize::from(!rest.starts_with("fn ("));
            }
            _ => {}
        }
    }
    count
}

/// The page's rows: `| file | blocks | others | …`.
fn row(line: &str) -> Option<(&str, Count)> {
    let mut cells = line.split('|').map(str::trim).skip(1);
    let file = cells.next()?.strip_prefix('`')?.strip_suffix('`')?;
    Some((file, (cells.next()?.parse().ok()?, cells.next()?.parse().ok()?)))
}

fn write(page: &Path, text: &str, found: &BTreeMap<String, Count>) {
    let put = |line: &str| match row(line).and_then(|(file, _)| Some((file, found.get(file)?))) {
        Some((file, (blocks, others))) => {
            let rest = line.splitn(5, '|').nth(4).unwrap_or_default();
            format!("| `{file}` | {blocks} | {others} |{rest}\n")
        }
        None => format!("{line}\n"),
    };
    std::fs::write(page, text.lines().map(put).collect::<String>()).unwrap();
}

#[test]
fn the_ledger_tells_all_of_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = root.join("docs/unsafe.md");
    // The crate by itself comes without the page.
    let Ok(text) = std::fs::read_to_string(&page) else { return };
    let mut files = Vec::new();
    CRATES.iter().for_each(|name| sources(&root.join("crates").join(name).join("src"), &mut files));
    let name = |path: &Path| path.strip_prefix(root.join("crates")).unwrap().to_string_lossy().into_owned();
    let counted = files.iter().map(|path| (name(path), count(&std::fs::read_to_string(path).unwrap())));
    let found: BTreeMap<String, Count> = counted.filter(|(_, count)| *count != (0, 0)).collect();
    if std::env::var_os("UNSAFE_LEDGER").is_some_and(|value| value == "write") {
        return write(&page, &text, &found);
    }
    let told: BTreeMap<String, Count> =
        text.lines().filter_map(row).map(|(file, count)| (file.to_owned(), count)).collect();
    let news: Vec<_> = found.iter().filter(|(file, count)| told.get(*file) != Some(count)).collect();
    let gone: Vec<_> = told.keys().filter(|file| !found.contains_key(*file)).collect();
    assert!(news.is_empty() && gone.is_empty(), "docs/unsafe.md must say {news:?}, and not name {gone:?}");
}

#[test]
fn what_is_counted() {
    let text = "unsafe { 1 } // unsafe { 2 }\n/// unsafe { 3 }\nunsafe fn f(g: unsafe fn (u8)) {}\nunsafe impl Send for X {}\n";
    assert_eq!(count(text), (1, 2));
    assert_eq!(count("#[allow(unsafe_code)]\nunsafe extern \"C\" fn f() { not_unsafe {} }\n"), (0, 1));
}
