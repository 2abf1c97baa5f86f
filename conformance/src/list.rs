//! What there is: cases, and rows with their cases.

use serde_json::json;

use crate::case::Case;
use crate::needs_process::needs_process;
use crate::options::Format;
use crate::rows::{self, Known};

/// The cases, one a line.
pub fn cases(cases: &[Case], format: Format) -> String {
    if format == Format::Json {
        let list: Vec<_> = cases.iter().map(described).collect();
        return serde_json::to_string_pretty(&list).expect("texts") + "\n";
    }
    cases.iter().map(|case| format!("{:68} {:9} {}\n", case.name, case.level.name(), case.source)).collect()
}

fn described(case: &Case) -> serde_json::Value {
    json!({
        "name": case.name,
        "level": case.level,
        "rows": case.rows().collect::<Vec<_>>(),
        "source": case.source,
        "needs_process": needs_process(case.name),
    })
}

/// The rows, each with the cases that state it.
pub fn rows(cases: &[Case], format: Format) -> String {
    let rows = rows::all();
    if format == Format::Json {
        let known = |known| if known == Known::Tried { "tried" } else { "read" };
        let list: Vec<_> = rows
            .iter()
            .map(|row| {
                json!({ "id": row.id, "says": row.says, "known": known(row.known),
                    "without_case": row.without_case, "cases": stating(cases, row.id) })
            })
            .collect();
        return serde_json::to_string_pretty(&list).expect("texts") + "\n";
    }
    let line = |row: &rows::Row| {
        let names = stating(cases, row.id);
        let none = row.without_case.map_or_else(|| "-".to_owned(), |why| format!("- ({why})"));
        let names = if names.is_empty() { none } else { names.join("\n              ") };
        format!("{:13} {names}\n", row.id)
    };
    rows.iter().map(line).collect()
}

/// Names of the cases that state a row.
pub fn stating<'a>(cases: &'a [Case], row: &str) -> Vec<&'a str> {
    cases.iter().filter(|case| case.rows().any(|id| id == row)).map(|case| case.name).collect()
}
