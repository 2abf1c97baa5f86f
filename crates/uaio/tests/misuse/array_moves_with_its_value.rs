//! An array moves when its value moves: no place to read into.
use uaio::{Context, Operation};

fn main() {
    let context = Context::new(1).unwrap();
    let file = std::fs::File::open("/dev/zero").unwrap();
    drop(context.submit(Operation::read(&file, [0u8; 16], 0)));
}
