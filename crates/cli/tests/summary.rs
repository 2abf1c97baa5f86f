//! `uaio run --summary` and `uaio stat`: numbers of programs that ran, died, or run still.

mod common;

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;

use common::{aiocp, assert_refused, command, output, run, spawn, stderr, stdout, until, wait};
use serde_json::Value;

/// The JSON summary of `uaio run --summary=FILE.json SCRIPT`, with the bundled client as `$1`, and the status.
fn summary_of(dir: &Path, script: &str) -> (Value, std::process::ExitStatus) {
    let file = dir.join("summary.json");
    let option = format!("--summary={}", file.display());
    let client = aiocp();
    let args = ["run", &option, "--", "sh", "-c", script, "sh", client.to_str().unwrap()];
    let result = output(command(args).env("TMPDIR", dir));
    assert_eq!(stderr(&result), "");
    let text = fs::read_to_string(&file).unwrap();
    fs::remove_file(&file).unwrap();
    assert_eq!(fs::read_dir(dir).unwrap().count(), 0, "a directory is left behind");
    (serde_json::from_str(&text).unwrap(), result.status)
}

#[test]
fn the_numbers_of_a_copy() {
    let dir = tempfile::tempdir().unwrap();
    let (summary, status) = summary_of(dir.path(), "exec \"$1\" --size 1M --block 64K --depth 4 >/dev/null");
    assert!(status.success());
    let process = &summary["processes"][0];
    assert_eq!(process["program"], "aiocp");
    assert_eq!(process["engine"], "auto");
    assert_eq!((&process["contexts"]["created"], &process["contexts"]["never_destroyed"]), (&1.into(), &0.into()));
    assert_eq!(process["requests"]["total"], 32);
    assert_eq!(process["requests"]["by_opcode"], serde_json::json!({"PREAD": 16, "PWRITE": 16}));
    let by_engine = process["requests"]["by_engine"].as_object().unwrap();
    assert_eq!(by_engine.values().map(|n| n.as_u64().unwrap()).sum::<u64>(), 32);
    assert_eq!((&process["bytes_read"], &process["bytes_written"]), (&(1 << 20).into(), &(1 << 20).into()));
    assert_eq!((&process["events"]["total"], &process["events"]["never_reaped"]), (&32.into(), &0.into()));
    assert_eq!(process["latency"]["completion"]["count"], 32);
    assert!(process["latency"]["io_submit"]["p50_ns"].as_u64().unwrap() > 0);
}

#[test]
fn every_process_of_the_tree_even_if_killed() {
    let dir = tempfile::tempdir().unwrap();
    let script = "\"$1\" --size 64K >/dev/null; \"$1\" --size 64K --block 4K >/dev/null; kill -KILL $$";
    let (summary, status) = summary_of(dir.path(), script);
    assert_eq!(status.signal(), Some(9));
    let totals: Vec<_> =
        summary["processes"].as_array().unwrap().iter().map(|p| &p["requests"]["total"]).collect();
    assert_eq!(totals, [&Value::from(2), &32.into()]);
}

#[test]
fn no_aio_call() {
    let dir = tempfile::tempdir().unwrap();
    let (summary, _) = summary_of(dir.path(), ":");
    assert_eq!(summary["processes"].as_array().unwrap().len(), 0);
    assert_eq!(stderr(&run(["run", "--summary", "--", "true"])), "uaio: no AIO call was seen\n");
}

#[test]
fn the_table() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("summary.txt");
    let option = format!("--summary={}", file.display());
    let client = aiocp();
    let args = ["run", &option, "--engine", "inline", "--", client.to_str().unwrap(), "--size", "1M"];
    let result = output(command(args).env("TMPDIR", dir.path()));
    assert!(result.status.success(), "{}", stderr(&result));
    let table = fs::read_to_string(&file).unwrap();
    for words in
        ["uaio: aiocp (pid ", "engine inline", "16: 8 PREAD, 8 PWRITE", "16 inline", "1.00 MiB read", "p99.9"]
    {
        assert!(table.contains(words), "{words:?} is not in\n{table}");
    }
    assert!(!table.contains('\x1b'));
}

#[test]
fn stat_reads_a_running_program() {
    for options in [&[][..], &["--summary=/dev/null"]] {
        let client = aiocp();
        let args = [&["run"], options, &["--", client.to_str().unwrap(), "--size", "64G"]].concat();
        let mut child = spawn(command(args).stdout(Stdio::null()).stderr(Stdio::null()));
        let children = format!("/proc/{0}/task/{0}/children", child.id());
        let read = || {
            let children = fs::read_to_string(&children).unwrap_or_default();
            let pid = children.split_whitespace().next().map_or(child.id().to_string(), Into::into);
            let result = run(["stat", "--json", &pid]);
            let seen = result.status.success().then(|| serde_json::from_str::<Value>(stdout(&result)).unwrap());
            // The counters are there while the first io_setup goes on.
            seen.filter(|seen| seen["processes"][0]["contexts"]["created"] != 0)
        };
        let seen = until("a context is counted", read);
        // SIGTERM goes to the program, also through uaio.
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id() as i32), nix::sys::signal::SIGTERM).unwrap();
        assert_eq!(wait(&mut child).signal(), Some(15));
        let seen = seen.unwrap();
        assert_eq!(seen["processes"][0]["program"], "aiocp");
        assert_eq!(seen["processes"][0]["contexts"]["created"], 1);
        assert_eq!(seen["processes"][0]["latency"].is_null(), options.is_empty());
    }
}

#[test]
fn stat_of_others() {
    assert_refused(&run(["stat", "2147483647"]), 1, "there is no process 2147483647");
    let own = std::process::id().to_string();
    assert_refused(&run(["stat", &own]), 1, "does not run over uaio");
    let mut idle = spawn(&mut command(["run", "--", "sleep", "60"]));
    let pid = idle.id().to_string();
    let message = until("the library is loaded", || {
        let result = run(["stat", &pid]);
        stderr(&result).contains("no AIO call yet").then_some(())
    });
    idle.kill().unwrap();
    idle.wait().unwrap();
    message.unwrap();
}
