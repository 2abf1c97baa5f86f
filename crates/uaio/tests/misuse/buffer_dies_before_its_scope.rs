//! The scope waits at its end: a buffer that is gone by then cannot be used.
use uaio::{Context, Operation};

fn main() {
    let context = Context::new(1).unwrap();
    let file = std::fs::File::open("/dev/zero").unwrap();
    context.scope(|scope| {
        let mut buffer = [0u8; 16];
        drop(scope.submit(Operation::read(&file, &mut buffer[..], 0)).unwrap());
    });
}
