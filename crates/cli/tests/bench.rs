//! `uaio bench`: each job in its smallest form, and the shape of what comes out. No time is asserted.

mod common;

use std::fs;
use std::thread;

use common::{command, run, stderr, stdout, uaio};
use serde_json::Value;

/// All jobs, as the help lists them.
fn jobs() -> Vec<String> {
    let help = run(["bench", "--help"]);
    let text = stdout(&help);
    let lines = text.lines().skip_while(|line| *line != "Jobs:").skip(1);
    lines.map_while(|line| Some(line.strip_prefix("  ")?.split(' ').next()?.to_string())).collect()
}

/// A tiny run; its JSON.
fn bench(args: &[&str]) -> (String, Value) {
    let dir = tempfile::tempdir().unwrap();
    let (json, plot) = (dir.path().join("bench.json"), dir.path().join("bench.svg"));
    let mut command = command(["bench", "--quick", "--pairs", "1", "--json"]);
    command.arg(&json).arg("--plot").arg(&plot).args(args);
    let result = common::output(&mut command);
    assert!(result.status.success(), "{args:?}: {}{}", stdout(&result), stderr(&result));
    let picture = fs::read_to_string(&plot).unwrap();
    assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"), "{picture}");
    (stdout(&result).into(), serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap())
}

/// What every side of every row must have.
fn check(job: &Value) {
    for row in job["rows"].as_array().unwrap() {
        assert!(["per_second", "nanoseconds", "bytes"].contains(&row["unit"].as_str().unwrap()), "{row}");
        assert_eq!(row["sides"][0]["side"], "kernel-aio");
        for side in row["sides"].as_array().unwrap() {
            assert_eq!(side["median"].is_null(), !side["not_measured"].is_null(), "{side}");
            assert_eq!(side["complaints"], Value::Array(vec![]), "{side}");
            assert_eq!(side["samples"].as_array().unwrap().len(), usize::from(!side["median"].is_null()));
        }
    }
}

#[test]
fn each_job_on_each_engine() {
    let jobs = jobs();
    assert!(jobs.len() > 10 && jobs.iter().any(|job| job == "destroy"), "{jobs:?}");
    // The one that takes longest, beside all others.
    let (long, others): (Vec<&String>, Vec<&String>) = jobs.iter().partition(|job| *job == "destroy");
    thread::scope(|scope| {
        for some in [long, others] {
            scope.spawn(|| some.into_iter().for_each(|job| on_each_engine(job)));
        }
    });
}

fn on_each_engine(job: &str) {
    // A thousand kernel contexts take so many times 30 ms to end.
    let kernel = if job == "contexts-alive" { "" } else { "kernel," };
    let engines = format!("auto,{kernel}uring,threads,inline,io_uring,posix");
    let (text, json) = bench(&[job, "--engines", &engines]);
    assert!(text.contains(&format!("{job}: ")) && text.contains("times kernel"), "{text}");
    let all = json["jobs"].as_array().unwrap();
    assert_eq!((all.len(), &all[0]["job"]), (1, &Value::from(job)));
    check(&all[0]);
    check_engines(&all[0], &engines);
}

/// Each side has its place in each row that it has calls for, and `auto` can do what `threads` can.
fn check_engines(job: &Value, engines: &str) {
    for row in job["rows"].as_array().unwrap() {
        let sides = row["sides"].as_array().unwrap();
        let ours = engines.split(',').filter(|engine| !["io_uring", "posix"].contains(engine));
        ours.for_each(|engine| assert!(sides.iter().any(|side| side["side"] == engine), "{engine}: {row}"));
        let measured = |engine: &str| sides.iter().any(|side| side["side"] == engine && !side["median"].is_null());
        assert!(measured("auto") || !measured("threads"), "{row}");
    }
}

#[test]
fn one_engine_alone() {
    let (text, json) = bench(&["setup-destroy", "--engines", "threads"]);
    assert!(text.contains("\nsetup-destroy: ") && text.contains("goals, beside the kernel's AIO"), "{text}");
    let sides = json["jobs"][0]["rows"][0]["sides"].as_array().unwrap();
    let names: Vec<&str> = sides.iter().map(|side| side["side"].as_str().unwrap()).collect();
    assert_eq!(names, ["kernel-aio", "threads"]);
    assert_eq!(sides[1]["goals"][0]["verdict"], "too_few");
    assert!(json["file"].is_string() && json["processors"].as_u64() > Some(0) && json["pairs"] == 1);
}

#[test]
fn the_preload_library_is_on_one_side_of_other_call() {
    let of = |args: &[&str]| {
        let result = common::output(&mut command(args.iter().chain(&["--pairs", "1", "--engines", "inline"])));
        assert!(result.status.success(), "{args:?}: {}{}", stdout(&result), stderr(&result));
        // A side that is not what it should be is not measured, and that is said.
        assert!(!stdout(&result).contains("preload library is"), "{args:?}: {}", stdout(&result));
        assert_eq!(stdout(&result).matches(" ns .. ").count(), 2, "{args:?}: {}", stdout(&result));
    };
    of(&["bench", "other-call", "--quick"]);
    // Where it is loaded already.
    of(&["run", "--", uaio().to_str().unwrap(), "bench", "other-call", "--quick"]);
}

#[test]
fn a_file_that_is_there_is_only_read() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("data");
    fs::write(&file, vec![7; 1 << 20]).unwrap();
    let path = file.to_str().unwrap();
    bench(&["warm-read", "direct-write", "--engines", "inline", "--file", path]);
    assert!(fs::read(&file).unwrap().iter().all(|byte| *byte == 7));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn wrong_usage() {
    for args in [&["bench", "fast"][..], &["bench", "--engines", "off"], &["bench", "--pairs", "0"]] {
        assert_eq!(run(args).status.code(), Some(2), "{args:?}");
    }
    let result = run(["bench", "setup-destroy", "--quick", "--json", "/nonexistent/x"]);
    assert_eq!(result.status.code(), Some(1));
    assert!(stderr(&result).contains("/nonexistent/x: "), "{}", stderr(&result));
}
