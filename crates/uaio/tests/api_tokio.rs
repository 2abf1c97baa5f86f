//! The tokio integration: tasks are woken by the runtime, without a thread of the library's.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::time::Duration;

use uaio::{Context, Engine, Operation};

fn threads_named(name: &str) -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    tasks.filter(|t| std::fs::read_to_string(t.path().join("comm")).is_ok_and(|c| c.trim() == name)).count()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn the_runtime_wakes_and_then_a_thread_takes_over() {
    for engine in [Engine::Uring, Engine::Threads] {
        let Ok(context) = Context::builder().engine(engine).eventfd().build() else { continue };
        let (r, mut w) = std::io::pipe().unwrap();
        let r = OwnedFd::from(r);
        let (first, second) = runtime().block_on(async {
            uaio::tokio::drive(&context).unwrap();
            let read = context.submit(Operation::read(&r, vec![0u8; 8], 0)).unwrap();
            let writer = async {
                tokio::time::sleep(Duration::from_millis(20)).await;
                w.write_all(b"first").unwrap();
            };
            let (first, ()) = tokio::join!(read, writer);
            assert_eq!(threads_named("uaio-wake"), 0);
            (first.ok().unwrap(), context.submit(Operation::read(&r, vec![0u8; 8], 0)).unwrap())
        });
        assert_eq!(first, (5, b"first".to_vec()));
        // That runtime is gone, and its task with it.
        w.write_all(b"second").unwrap();
        let second = runtime().block_on(async { tokio::time::timeout(Duration::from_secs(90), second).await });
        assert_eq!(second.unwrap().buffer, b"second");
    }
}

#[test]
fn many_tasks_share_a_context() {
    let context = std::sync::Arc::new(Context::builder().eventfd().build().unwrap());
    let file = std::sync::Arc::new(tempfile::tempfile_in("/var/tmp").unwrap());
    runtime().block_on(async {
        uaio::tokio::drive(&context).unwrap();
        let tasks: Vec<_> = (0..32u64)
            .map(|i| {
                let (context, file) = (context.clone(), file.clone());
                tokio::spawn(async move {
                    context
                        .submit(Operation::write(&file, vec![i as u8; 100], i * 100))
                        .unwrap()
                        .await
                        .ok()
                        .unwrap();
                    let read = context.submit(Operation::read(&file, Vec::with_capacity(100), i * 100)).unwrap();
                    assert_eq!(read.await.ok().unwrap(), (100, vec![i as u8; 100]));
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let context = std::sync::Arc::into_inner(context).unwrap();
        assert!(context.close().await.is_empty());
    });
}

#[test]
fn a_context_without_eventfd_is_refused() {
    let context = Context::new(1).unwrap();
    let refused = runtime().block_on(async { uaio::tokio::drive(&context).unwrap_err() });
    assert_eq!(refused.kind(), std::io::ErrorKind::InvalidInput);
}
