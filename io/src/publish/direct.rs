//! Writing past the system's cache of files: large objects are written once and, if ever, read much later.
//!
//! The cache would take a copy and, page by page, memory that others hold. What is written here costs no processor, and what
//! other programs have cached stays there; but whoever writes waits for the disk, so a slow one is written by way of the cache,
//! which can wait. Invariants: only whole pages, at whole pages of a file, from aligned memory are written so; where a file
//! system does not take that, nothing is. Called by [`super::object`].

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What addresses, lengths and places in a file are multiples of.
const PAGE_BYTES: usize = 4096;

/// Bytes at once from which it is worth the while.
const LEAST_BYTES: usize = 512 << 10;

/// Bytes after which the disk's speed is known.
const TRIED_BYTES: u64 = 32 << 20;

/// A disk that takes less of each writer is slow. A processor copies several times as much into the cache.
const SLOW_BYTES_PER_SEC: u64 = 200 << 20;

/// How fast an output's disk has been so far.
#[derive(Debug, Default)]
pub(super) struct Direct {
    written_bytes: AtomicU64,
    waited_nanos: AtomicU64,
}

impl Direct {
    /// Writes whole pages of the start of `bytes` where `file`, of `len_bytes`, ends. Says how many bytes those were, which may be
    /// none.
    ///
    /// # Errors
    /// As the system says, but for its not taking such writes.
    pub(super) fn write(&self, file: &mut File, len_bytes: u64, bytes: &[u8]) -> io::Result<usize> {
        let is_aligned =
            len_bytes.is_multiple_of(PAGE_BYTES as u64) && bytes.as_ptr().addr().is_multiple_of(PAGE_BYTES);
        if !is_aligned || !self.takes(bytes.len()) {
            return Ok(0);
        }
        let whole = bytes.len() / PAGE_BYTES * PAGE_BYTES;
        let begun = Instant::now();
        let written = write_pages(file, bytes.get(..whole).unwrap_or_default())?;
        self.note(written as u64, begun.elapsed());
        Ok(written)
    }

    /// Whether so many bytes are written so, if they are aligned.
    pub(super) fn takes(&self, len_bytes: usize) -> bool {
        cfg!(target_os = "linux") && len_bytes >= LEAST_BYTES && !self.is_slow()
    }

    fn note(&self, written_bytes: u64, waited: Duration) {
        self.written_bytes.fetch_add(written_bytes, Ordering::Relaxed);
        let nanos = u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX);
        self.waited_nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    fn is_slow(&self) -> bool {
        let written_bytes = self.written_bytes.load(Ordering::Relaxed);
        let secs = self.waited_nanos.load(Ordering::Relaxed) as f64 / 1e9;
        written_bytes >= TRIED_BYTES && (written_bytes as f64) < secs * SLOW_BYTES_PER_SEC as f64
    }
}

/// Writes `pages`; says how many bytes it took, less than all if the file system does not take such writes.
#[cfg(target_os = "linux")]
fn write_pages(file: &mut File, pages: &[u8]) -> io::Result<usize> {
    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
    let Ok(flags) = fcntl_getfl(&*file) else { return Ok(0) };
    if fcntl_setfl(&*file, flags | OFlags::DIRECT).is_err() {
        return Ok(0);
    }
    let written = write_aligned(file, pages);
    // What follows is no whole page.
    fcntl_setfl(&*file, flags)?;
    written
}

#[cfg(not(target_os = "linux"))]
fn write_pages(_: &mut File, _: &[u8]) -> io::Result<usize> {
    Ok(0)
}

#[cfg(target_os = "linux")]
fn write_aligned(file: &mut File, pages: &[u8]) -> io::Result<usize> {
    use std::io::Write;
    let mut written = 0;
    while let Some(left) = pages.get(written..).filter(|left| !left.is_empty()) {
        match file.write(left) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => break,
            Err(error) => return Err(error),
        }
        if !written.is_multiple_of(PAGE_BYTES) {
            break;
        }
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;
    use blockwise_kernels::BufferPool;
    use std::io::Write;

    #[test]
    fn what_is_written_is_what_was_given_aligned_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let pool = BufferPool::new(1 << 24);
        for (n, (skipped, len)) in
            [(0, 1 << 20), (0, (1 << 20) + 777), (1, 1 << 20), (0, 5000)].into_iter().enumerate()
        {
            let mut buffer = pool.take(len + skipped);
            buffer.iter_mut().enumerate().for_each(|(at, byte)| *byte = (at % 251) as u8);
            let bytes = &buffer[skipped..];
            let path = folder.path().join(n.to_string());
            let mut file = File::create_new(&path).unwrap();
            let direct = Direct::default();
            let written = direct.write(&mut file, 0, bytes).unwrap();
            assert!(
                written <= len && (skipped == 0 && len >= LEAST_BYTES || written == 0),
                "{written} of {len}"
            );
            file.write_all(&bytes[written..]).unwrap();
            // Behind a part of a page.
            let more = direct.write(&mut file, len as u64, bytes).unwrap();
            assert!(more == 0 || len.is_multiple_of(PAGE_BYTES));
            file.write_all(&bytes[more..]).unwrap();
            assert!(std::fs::read(&path).unwrap() == [bytes, bytes].concat());
        }
    }

    #[test]
    fn a_slow_disk_is_left_to_the_cache() {
        let direct = Direct::default();
        direct.note(TRIED_BYTES / 2, Duration::from_secs(1));
        assert!(!direct.is_slow());
        direct.note(TRIED_BYTES / 2, Duration::from_secs(1));
        assert!(direct.is_slow());
        direct.note(100 * TRIED_BYTES, Duration::from_secs(1));
        assert!(!direct.is_slow());
    }
}
