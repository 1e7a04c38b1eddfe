//! What the floors of arithmetic share: work on all threads, without a plan or a pool.

pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Runs `part` as often as there are parts, each on the next free thread.
pub(crate) fn on_all_threads(parts: usize, part: impl Fn() -> Outcome<()> + Sync) -> Outcome<()> {
    let threads = std::thread::available_parallelism()?.get();
    let taken = std::sync::atomic::AtomicUsize::new(0);
    let work = || -> Outcome<()> {
        while taken.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < parts {
            part()?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| "a thread panicked")?)
    })
}
