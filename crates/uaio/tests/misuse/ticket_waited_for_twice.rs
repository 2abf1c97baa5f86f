//! The buffer is given back once.
use uaio::{Context, Operation};

fn main() {
    let context = Context::new(1).unwrap();
    let file = std::fs::File::open("/dev/zero").unwrap();
    let ticket = context.submit(Operation::read(&file, vec![0u8; 16], 0)).unwrap();
    let first = ticket.wait();
    let second = ticket.wait();
    drop((first, second));
}
