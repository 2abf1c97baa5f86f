//! A small store that keeps fixed-size records with a checksum, and what it does when the disk fails it: a context with
//! `Builder::faults` gives it EIO, short writes, corrupted reads and completions out of order, the same ones each time.
//!
//! `cargo run --example store_under_faults`; `cargo test --example store_under_faults` is the same as a test.

use std::fs::File;
use std::io::{Error, ErrorKind, Result};

use uaio::{Context, Operation};

const RECORD: usize = 512;
const RECORDS: u64 = 64;

/// Faults, and what the store must make of them.
const SCRIPTS: [(&str, &str); 5] = [
    ("", "good"),
    ("seed=3; write:short 40%; read:short 40%; submit:short 20%", "good"),
    ("reorder 5ms; any:delay 1ms 10%", "good"),
    ("write:EIO nth=10", "write failed"),
    ("read:corrupt nth=7", "record is damaged"),
];

struct Store {
    file: File,
    context: Context,
}

impl Store {
    /// Writes all records; each may need several writes.
    fn fill(&self) -> Result<()> {
        let mut tickets = Vec::new();
        for number in 0..RECORDS {
            tickets
                .push((number, self.context.submit(Operation::write(&self.file, record(number), place(number)))?));
        }
        for (number, ticket) in tickets {
            let (mut written, mut rest) = failed("write", ticket.wait().ok())?;
            let mut at = place(number);
            while written < rest.len() {
                rest.drain(..written);
                at += written as u64;
                let again = self.context.submit(Operation::write(&self.file, rest, at))?;
                (written, rest) = failed("write", again.wait().ok())?;
            }
        }
        failed("fsync", self.context.submit(Operation::fsync(&self.file))?.wait().result)?;
        Ok(())
    }

    /// Reads one record, however many reads that takes.
    fn get(&self, number: u64) -> Result<Vec<u8>> {
        let mut record = Vec::new();
        while record.len() < RECORD {
            let at = place(number) + record.len() as u64;
            let piece = vec![0; RECORD - record.len()];
            let (bytes, piece) =
                failed("read", self.context.submit(Operation::read(&self.file, piece, at))?.wait().ok())?;
            if bytes == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            record.extend_from_slice(&piece[..bytes]);
        }
        check(&record).then_some(record).ok_or_else(|| Error::other("record is damaged"))
    }
}

fn failed<T, E: std::fmt::Display>(what: &str, result: std::result::Result<T, E>) -> Result<T> {
    result.map_err(|e| Error::other(format!("{what} failed: {e}")))
}

fn place(number: u64) -> u64 {
    number * RECORD as u64
}

fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(17, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)))
}

fn record(number: u64) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..RECORD - 8).map(|i| (number as usize * 7 + i) as u8).collect();
    bytes.extend(sum(&bytes).to_le_bytes());
    bytes
}

fn check(record: &[u8]) -> bool {
    let (bytes, stored) = record.split_at(RECORD - 8);
    sum(bytes).to_le_bytes() == *stored
}

/// Fills a store on a disk with such faults, and reads it back.
fn life(faults: &str) -> Result<()> {
    let path = std::env::temp_dir().join(format!("uaio-store-{}", std::process::id()));
    let file = File::options().read(true).write(true).create(true).truncate(true).open(&path)?;
    std::fs::remove_file(&path)?;
    let context = Context::builder().capacity(RECORDS as u32).faults(faults.parse()?).build()?;
    let store = Store { file, context };
    store.fill()?;
    for number in 0..RECORDS {
        assert_eq!(store.get(number)?, record(number), "the store gave back something else");
    }
    Ok(())
}

fn main() {
    for (script, expected) in SCRIPTS {
        let said = life(script).map_or_else(|why| why.to_string(), |()| "good".into());
        println!("{:60} {said}", if script.is_empty() { "no faults" } else { script });
        assert!(said.starts_with(expected), "expected: {expected}");
    }
}

#[test]
fn the_store_copes_or_says_so() {
    main();
}
