//! A number is no file: it may be closed, and another file by the time of the call.
use uaio::{Context, Operation};

fn main() {
    let context = Context::new(1).unwrap();
    drop(context.submit(Operation::read(3, vec![0u8; 16], 0)));
}
