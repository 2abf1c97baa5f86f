//! docs/semantics.md is what the rows and cases say.

use uaio_conformance::semantics;

#[test]
fn the_page_is_up_to_date() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/semantics.md");
    let page = std::fs::read_to_string(&path).unwrap_or_default();
    let fresh = semantics::page();
    let differs = page.lines().zip(fresh.lines()).find(|(old, new)| old != new);
    assert!(
        page == fresh,
        "docs/semantics.md is out of date; this writes it:\n  \
        cargo run -p uaio-conformance -- --semantics > docs/semantics.md\nfirst difference: {differs:?}"
    );
}
