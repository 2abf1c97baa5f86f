//! Any thread may reap, and drop a buffer that nobody wants: a buffer must be Send.
use std::rc::Rc;
use uaio::{Context, IoBuf, Operation};

struct Shared(Rc<[u8]>);

unsafe impl IoBuf for Shared {
    fn io_ptr(&self) -> *const u8 {
        self.0.as_ptr()
    }
    fn io_len(&self) -> usize {
        self.0.len()
    }
}

fn main() {
    let context = Context::new(1).unwrap();
    let file = std::fs::File::open("/dev/null").unwrap();
    drop(context.submit(Operation::write(&file, Shared(Rc::from([0u8; 4])), 0)));
}
