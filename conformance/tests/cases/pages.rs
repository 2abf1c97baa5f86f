//! The errors that the manual pages list are those that the cases meet, and the other way round.

use std::collections::BTreeSet;
use std::path::Path;

const PAGES: [(&str, &[&str]); 5] = [
    ("io_setup", &["io_setup"]),
    ("io_destroy", &["io_destroy"]),
    ("io_submit", &["io_submit"]),
    ("io_cancel", &["io_cancel"]),
    ("io_getevents", &["io_getevents", "io_pgetevents"]),
];

pub type Errors = BTreeSet<(&'static str, String)>;

/// What the ERRORS sections list: a name that follows `.TP`.
fn on_pages() -> Errors {
    let mut all = Errors::new();
    for (page, _) in PAGES {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../docs/man/man2/{page}.2"));
        let text = std::fs::read_to_string(path).unwrap();
        let errors = text.split("\n.SH ERRORS").nth(1).unwrap().split("\n.SH ").next().unwrap();
        for item in errors.split("\n.TP\n").skip(1) {
            let tag = item.lines().next().unwrap();
            let name = tag.strip_prefix(".B ").unwrap_or_else(|| panic!("{page}: '{tag}'"));
            // An event's error has a minus sign.
            if name.starts_with('E') {
                all.insert((page, name.to_string()));
            }
        }
    }
    all
}

/// A call's errno, as a page lists it.
pub fn on_its_page((call, errno): (&'static str, i32)) -> (&'static str, String) {
    let page = PAGES.iter().find(|(_, calls)| calls.contains(&call)).unwrap().0;
    (page, uaio::errno::Errno::from_raw(-(errno as isize)).to_string())
}

pub fn agree_with(met: &Errors) {
    let listed = on_pages();
    let without_case: Vec<_> = listed.difference(met).collect();
    let on_no_page: Vec<_> = met.difference(&listed).collect();
    assert!(without_case.is_empty(), "on a page, but in no case: {without_case:?}");
    assert!(on_no_page.is_empty(), "in a case, but on no page: {on_no_page:?}");
}
