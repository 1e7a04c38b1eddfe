//! Models of the buffer pool: threads in every order that `shuttle` comes to, thousands of them.
//!
//! Run with the feature `shuttle`, by `make test` shortly and by `make faults` longer: `BLOCKWISE_SCHEDULES` says how many orders each
//! model is tried in. A failure prints the order; `shuttle::replay` repeats it.

#![expect(clippy::unwrap_used, reason = "helpers of tests, outside of test functions")]

use blockwise_kernels::BufferPool;
use shuttle::{check_pct, check_random, thread};

/// Tries `model` in random orders of its threads, and in orders with few changes of thread, which find what random ones seldom do.
fn try_orders(model: impl Fn() + Send + Sync + Copy + 'static) {
    let orders = std::env::var("BLOCKWISE_SCHEDULES").map_or(4000, |text| text.parse().unwrap());
    check_random(model, orders / 2);
    check_pct(model, orders / 2, 3);
}

/// Live and retained bytes stay within the limit while live ones alone do, whatever the order of taking and giving back; no buffer is
/// handed out twice.
#[test]
fn the_pool_keeps_its_limit() {
    try_orders(|| {
        const LIMIT_BYTES: usize = 3 * 4096;
        let pool = BufferPool::new(LIMIT_BYTES);
        thread::scope(|scope| {
            for n in 1..=3_u8 {
                let pool = &pool;
                scope.spawn(move || {
                    for len_bytes in [4096, 1024 * usize::from(n), 2048] {
                        let mut buffer = pool.take(len_bytes);
                        buffer.fill(n);
                        thread::yield_now();
                        assert!(buffer.iter().all(|byte| *byte == n), "another thread has this memory too");
                        // Each of two reads is true at its time; together they are where nothing comes between.
                        assert!(pool.live_bytes() <= LIMIT_BYTES);
                        assert!(pool.retained_bytes() <= LIMIT_BYTES);
                        drop(buffer);
                    }
                });
            }
            scope.spawn(|| pool.release_retained());
        });
        assert_eq!(pool.live_bytes(), 0);
        assert!(pool.retained_bytes() <= LIMIT_BYTES);
        pool.release_retained();
        assert_eq!(pool.retained_bytes(), 0);
    });
}

/// Where live bytes pass the limit, nothing beyond it is kept of what comes back.
#[test]
fn what_was_beyond_the_limit_is_not_kept() {
    try_orders(|| {
        let pool = BufferPool::new(4096);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let buffer = pool.take(4096);
                    thread::yield_now();
                    drop(buffer);
                    assert!(pool.retained_bytes() <= 4096);
                });
            }
        });
        assert_eq!((pool.live_bytes(), pool.retained_bytes()), (0, 4096));
    });
}

/// What is set aside makes room for itself, and gives it back once.
#[test]
fn what_is_set_aside_counts() {
    try_orders(|| {
        let pool = BufferPool::new(8192);
        drop(pool.take(4096));
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let table = pool.set_aside(4096);
                    thread::yield_now();
                    assert!(pool.live_bytes() >= 4096);
                    drop(table);
                });
            }
            scope.spawn(|| drop(pool.take(4096)));
        });
        assert_eq!(pool.live_bytes(), 0);
        assert!(pool.retained_bytes() <= 8192);
    });
}
