//! What a batch left cannot be overlooked.
#![deny(unused_must_use)]
use uaio::{Context, Operation};

fn main() {
    let context = Context::new(1).unwrap();
    let file = std::fs::File::open("/dev/zero").unwrap();
    context.submit_all((0..4).map(|i| Operation::read(&file, vec![0u8; 16], i)));
}
