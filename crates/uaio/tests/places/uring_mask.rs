//! Kernels without each thing of io_uring that we use, by the test switch `UAIO_URING_MASK`.

use uaio::abi::IOCB_CMD_PREAD;

use crate::common::*;
use crate::{has_ring, job};

/// What is masked, and whether the engine does without it.
const MASKS: [(&str, bool); 12] = [
    ("", true),
    ("nodrop", false),
    ("ext_arg", false),
    ("cqe_skip", true),
    ("readv", false),
    ("writev", false),
    ("fsync", false),
    ("poll_add", false),
    ("async_cancel", false),
    ("ring256", true),
    ("ring256,ring64,ring16,cqe_skip", true),
    ("ring256,ring64,ring16,ring4", false),
];

#[test]
fn without_any_of_it_the_engine_works_or_gives_way() {
    const TEST: &str = "uring_mask::without_any_of_it_the_engine_works_or_gives_way";
    for (mask, works) in MASKS {
        let expected = if works { "yes" } else { "no" };
        let variables = [("UAIO_URING_MASK", mask), ("UAIO_TEST_RING", expected)];
        on_engines_with(&["auto", "uring"], &variables, TEST, || {
            let ctx = setup(1);
            let (r, _w) = pipe();
            let mut byte = 0;
            assert_eq!(submit(ctx, &mut [rw(IOCB_CMD_PREAD, r, &raw mut byte, 1, 0, 1)]), 1);
            let wanted = has_uring() && std::env::var("UAIO_TEST_RING").unwrap() == "yes";
            assert_eq!(has_ring(), wanted, "without {}", std::env::var("UAIO_URING_MASK").unwrap());
            destroy(ctx);
            job();
        });
        if std::env::var_os("UAIO_TEST_BODY").is_some() {
            return;
        }
    }
}
