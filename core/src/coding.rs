//! How long threads spend in codecs, for those who watch a run.
//!
//! Codecs are called far below a task and without its context, so the account is the thread's own: formats wrap what
//! decodes or encodes, and the executor takes what a thread spent at the end of each stage. Invariant: what is wrapped is
//! no waiting for a device, and does not nest. Called by formats, and by [`crate::exec`].

use std::cell::Cell;
use std::time::Instant;

thread_local! {
    static SPENT: Cell<Spent> = const { Cell::new(Spent { decoding_secs: 0.0, encoding_secs: 0.0 }) };
}

/// Seconds of one thread.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Spent {
    pub(crate) decoding_secs: f64,
    pub(crate) encoding_secs: f64,
}

/// Calls `decode`, whose time counts as this thread's decoding.
///
/// ```
/// let decoded = blockwise_core::coding::decoding(|| b"bytes".to_vec());
/// assert_eq!(decoded, b"bytes");
/// ```
pub fn decoding<T>(decode: impl FnOnce() -> T) -> T {
    timed(decode, |spent| &mut spent.decoding_secs)
}

/// Calls `encode`, whose time counts as this thread's encoding.
pub fn encoding<T>(encode: impl FnOnce() -> T) -> T {
    timed(encode, |spent| &mut spent.encoding_secs)
}

/// Calls `code`, whose time counts as what `part` names.
fn timed<T>(code: impl FnOnce() -> T, part: impl FnOnce(&mut Spent) -> &mut f64) -> T {
    let started = Instant::now();
    let coded = code();
    let mut spent = SPENT.get();
    *part(&mut spent) += started.elapsed().as_secs_f64();
    SPENT.set(spent);
    coded
}

/// What this thread spent since the last call.
pub(crate) fn take() -> Spent {
    SPENT.take()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn each_thread_has_its_own_account() {
        decoding(|| std::thread::sleep(Duration::from_millis(2)));
        encoding(|| ());
        assert_eq!(std::thread::spawn(take).join().unwrap(), Spent::default());
        let spent = take();
        assert!(spent.decoding_secs >= 0.002 && spent.encoding_secs < 0.002, "{spent:?}");
        assert_eq!(take(), Spent::default());
    }
}
