//! The threads that talk to servers, and waiting for them.
//!
//! Invariants: no thread of a run polls a socket, it waits for one of ours that does; a wait ends soon after the run
//! was cancelled, and its request with it. Called by the remote store.

use crate::error::{Error, Result};
use blockwise_core::Cancellation;
use std::future::Future;
use std::io;
use std::sync::OnceLock;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// Threads that move bytes: TLS at a gigabyte a second each is more than most networks bring.
const THREADS: usize = 2;
/// Threads that look names up, which the system does not do without blocking.
const LOOKUP_THREADS: usize = 4;
/// How often a wait looks whether the run was cancelled.
const LOOK: Duration = Duration::from_millis(50);

/// The runtime of this process, started by the first request.
fn runtime() -> Result<&'static Runtime, io::ErrorKind> {
    static RUNTIME: OnceLock<Result<Runtime, io::ErrorKind>> = OnceLock::new();
    let started = RUNTIME.get_or_init(|| {
        Builder::new_multi_thread()
            .worker_threads(THREADS)
            .max_blocking_threads(LOOKUP_THREADS)
            .thread_name("blockwise-net")
            .enable_all()
            .build()
            .map_err(|error| error.kind())
    });
    started.as_ref().map_err(|kind| *kind)
}

/// Runs `work` on the network's threads and waits for it.
///
/// # Errors
/// [`blockwise_core::Error::Cancelled`]; [`Error::Os`] if the threads cannot be started; [`Error::Remote`] if `work`
/// panics.
pub(super) fn wait<T: Send + 'static>(
    label: &str,
    cancellation: &Cancellation,
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T> {
    let runtime = runtime().map_err(|kind| Error::Os {
        path: label.to_owned(),
        action: "starting the threads of the network",
        source: kind.into(),
    })?;
    let (sender, receiver) = sync_channel(1);
    let task = runtime.spawn(async move {
        let _ = sender.send(work.await); // nobody waits any more: cancelled
    });
    loop {
        match receiver.recv_timeout(LOOK) {
            Ok(result) => return Ok(result),
            Err(RecvTimeoutError::Timeout) if cancellation.is_cancelled() => {
                task.abort();
                return Err(blockwise_core::Error::Cancelled.into());
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                let why = "the network client broke down".to_owned();
                return Err(Error::Remote { url: label.to_owned(), why, remedy: "" });
            }
        }
    }
}
