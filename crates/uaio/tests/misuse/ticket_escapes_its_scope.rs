//! A scope's ticket cannot leave the scope.
use uaio::{Context, Operation};

fn main() {
    let context = Context::new(1).unwrap();
    let file = std::fs::File::open("/dev/zero").unwrap();
    let mut buffer = [0u8; 16];
    let ticket = context.scope(|scope| scope.submit(Operation::read(&file, &mut buffer[..], 0)).unwrap());
    ticket.wait();
}
