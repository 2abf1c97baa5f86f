//! A completion that the script holds back, where the library thread cannot get its file: what was performed once is not
//! performed again.
// What the test calls is its own process's limit.
#![allow(clippy::undocumented_unsafe_blocks)]

use uaio::{Context, Operation};

/// The soft limit on descriptors, which the library's table has too.
fn limit_descriptors(soft: u64) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) }, 0);
    limit.rlim_cur = soft;
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }, 0);
}

#[test]
fn a_write_is_performed_once() {
    let file = tempfile::tempfile_in("/var/tmp").unwrap();
    let context = Context::builder().capacity(4).faults("any:delay 1ms".parse().unwrap()).build().unwrap();
    let write = |at| context.submit(Operation::write(&file, b"12345678".to_vec(), at)).unwrap().wait().result;
    assert_eq!(write(0), Ok(8));
    limit_descriptors(0);
    assert_eq!(write(0), Ok(8));
    limit_descriptors(1024);
    assert_eq!(file.metadata().unwrap().len(), 8);
}
