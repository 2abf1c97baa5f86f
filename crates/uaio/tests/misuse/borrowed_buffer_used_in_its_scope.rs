//! What a scope has borrowed is nobody else's until the scope ends.
use uaio::{Context, Operation};

fn main() {
    let context = Context::new(1).unwrap();
    let file = std::fs::File::open("/dev/zero").unwrap();
    let mut buffer = [0u8; 16];
    context.scope(|scope| {
        let ticket = scope.submit(Operation::read(&file, &mut buffer[..], 0)).unwrap();
        println!("{:?}", buffer);
        ticket.wait();
    });
}
