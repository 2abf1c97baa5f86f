//! A borrowed buffer needs a scope: the ticket could be forgotten, and the buffer be used again.
use uaio::{Context, Operation};

fn main() {
    let context = Context::new(1).unwrap();
    let file = std::fs::File::open("/dev/zero").unwrap();
    let mut buffer = [0u8; 16];
    let ticket = context.submit(Operation::read(&file, &mut buffer[..], 0)).unwrap();
    std::mem::forget(ticket);
    buffer[0] = 1;
}
