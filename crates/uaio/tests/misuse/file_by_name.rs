//! A name is no file: it has to be opened.
use uaio::{Context, Operation};

fn main() {
    let context = Context::new(1).unwrap();
    drop(context.submit(Operation::read("name", vec![0u8; 16], 0)));
}
