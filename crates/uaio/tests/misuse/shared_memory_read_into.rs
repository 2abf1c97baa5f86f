//! What others may be looking at cannot be read into.
use std::sync::Arc;
use uaio::{Context, Operation};

fn main() {
    let context = Context::new(1).unwrap();
    let file = std::fs::File::open("/dev/zero").unwrap();
    let buffer: Arc<[u8]> = Arc::from([0u8; 16]);
    drop(context.submit(Operation::read(&file, buffer, 0)));
}
