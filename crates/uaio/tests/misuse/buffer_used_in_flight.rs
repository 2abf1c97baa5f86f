//! A buffer that an operation owns cannot be looked at.
use uaio::{Context, Operation};

fn main() {
    let context = Context::new(1).unwrap();
    let file = std::fs::File::open("/dev/zero").unwrap();
    let buffer = vec![0u8; 16];
    let ticket = context.submit(Operation::read(&file, buffer, 0)).unwrap();
    println!("{:?}", buffer);
    ticket.wait();
}
