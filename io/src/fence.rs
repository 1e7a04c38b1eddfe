//! The last fence around parsers of files and decoders of others: a panic in one becomes an error.
//!
//! The parsing crates are fuzzed and check their bounds, yet they index slices; a hostile file must not bring the
//! process down. Invariant: only parsing of one file runs inside, whose state is dropped or append-only caches, so
//! nothing half-done is seen afterwards. Called by `hdf5` and `netcdf` wherever those crates are, and by
//! `tiff` for JPEG.

use crate::codec::CodecError;
use crate::error::{Error, Result};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `parse`, which reads the structures of `path`.
pub(crate) fn fenced<T>(path: &str, parse: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(parse)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let message = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
        Err(Error::Corrupt {
            path: path.to_owned(),
            what: format!("the file's structures contradict themselves ({message})"),
            remedy: "; please report this file",
        })
    })
}

/// Runs `decode`, a decoder of somebody else's for bytes from outside.
pub(crate) fn fenced_decoder<T>(
    codec: &'static str,
    decode: impl FnOnce() -> Result<T, CodecError>,
) -> Result<T, CodecError> {
    catch_unwind(AssertUnwindSafe(decode))
        .unwrap_or_else(|_| Err(CodecError::corrupt(codec, "the stream contradicts itself")))
}
