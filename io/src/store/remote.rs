//! A folder on a server as a store: HTTP, HTTPS and S3, for reading.
//!
//! Invariants: only a server's word that an object is not there makes it absent, every other failure is an error;
//! nothing is allocated before the length that a server announces was held against a limit; errors name the URL
//! without secrets; a wait ends soon after the run was cancelled. Called by Zarr through [`ByteStore`]; opened by
//! [`crate::open`].
//!
//! Requests run on two threads of their own, whose count is that of the process, not of stores; each waiting reader
//! is one request.

mod client;
mod failure;
mod threads;

use super::{ByteStore, Entry, EntryKind, Visit, check_key, checked_len, join};
use crate::error::{Error, Result};
use blockwise_core::Cancellation;
use blockwise_kernels::{Buffer, BufferPool};
use client::Client;
use failure::Failure;
use futures_util::StreamExt;
use object_store::list::PaginatedListOptions;
use object_store::path::Path;
use object_store::{Attribute, GetOptions, GetRange, ObjectStore};
use std::ops::Range;
use std::sync::Arc;

/// A folder on a server.
///
/// ```no_run
/// use blockwise_core::Cancellation;
/// use blockwise_io::store::{ByteStore, RemoteStore};
/// use blockwise_kernels::BufferPool;
/// let store = RemoteStore::open("https://example.org/sst.zarr", &Cancellation::new())?;
/// let document = store.get("zarr.json", 1 << 20, &BufferPool::new(1 << 20))?;
/// assert!(document.is_some());
/// # Ok::<(), blockwise_io::Error>(())
/// ```
pub struct RemoteStore {
    client: Client,
    cancellation: Cancellation,
}

impl RemoteStore {
    /// The store at `url`: `http://…`, `https://…` or `s3://bucket/folder`. Nothing is asked of the server yet. Waits
    /// for it end when `cancellation` is set.
    ///
    /// Keys, region and endpoint of S3 come from the environment: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`,
    /// `AWS_SESSION_TOKEN`, `AWS_REGION`, `AWS_ENDPOINT_URL`, `AWS_ALLOW_HTTP`, `AWS_SKIP_SIGNATURE`.
    ///
    /// # Errors
    /// [`Error::Refused`] for other schemes and for URLs with secrets in them.
    pub fn open(url: &str, cancellation: &Cancellation) -> Result<Self> {
        Ok(Self { client: client::client(url)?, cancellation: cancellation.clone() })
    }

    fn url(&self, key: &str) -> String {
        if key.is_empty() { self.client.label.clone() } else { format!("{}/{key}", self.client.label) }
    }

    /// The path of `key` as the server knows it.
    fn path(&self, key: &str) -> Result<Path> {
        check_key(&self.client.label, key)?;
        let whole = if key.is_empty() { self.client.prefix.clone() } else { join(&self.client.prefix, key) };
        Path::parse(&whole)
            .map_err(|_| Error::UnsafePath { path: self.url(key), why: "no server takes this name" })
    }

    /// The object `key`, or the part of it that is `range`.
    fn fetch(
        &self,
        key: &str,
        range: Option<Range<u64>>,
        limit_bytes: u64,
        pool: &BufferPool,
    ) -> Result<Option<Buffer>> {
        let (path, objects, pool) = (self.path(key)?, Arc::clone(&self.client.objects), pool.clone());
        let work = async move { download(&*objects, &path, range, limit_bytes, &pool).await };
        let fetched = threads::wait(&self.client.label, &self.cancellation, work)?;
        fetched.map_or_else(
            |failure| failure.into_error(self.url(key), limit_bytes).map_or(Ok(None), Err),
            |buffer| Ok(Some(buffer)),
        )
    }
}

/// Reads an object into memory of `pool`.
async fn download(
    objects: &dyn ObjectStore,
    path: &Path,
    range: Option<Range<u64>>,
    limit_bytes: u64,
    pool: &BufferPool,
) -> Result<Buffer, Failure> {
    let wanted = range.as_ref().map(|range| range.end - range.start);
    let options = GetOptions { range: range.map(GetRange::Bounded), ..GetOptions::default() };
    let answer = objects.get_opts(path, options).await?;
    if let Some(encoding) = answer.attributes.get(&Attribute::ContentEncoding) {
        let encoding = encoding.as_ref();
        if !encoding.is_empty() && encoding != "identity" && encoding != "aws-chunked" {
            return Err(Failure::Encoding(encoding.chars().take(20).collect()));
        }
    }
    let announced = answer.range.end.saturating_sub(answer.range.start);
    if let Some(expected) = wanted.filter(|wanted| *wanted != announced) {
        return Err(Failure::Length { expected, found: announced });
    }
    let len = checked_len(String::new, announced, limit_bytes).map_err(|_| Failure::TooLong(announced))?;
    let mut buffer = pool.take(len);
    let (mut filled, mut stream) = (0_usize, answer.into_stream());
    while let Some(bytes) = stream.next().await {
        let bytes = bytes?;
        let end = filled.saturating_add(bytes.len());
        let Some(place) = buffer.get_mut(filled..end) else {
            return Err(Failure::Length { expected: announced, found: end as u64 });
        };
        place.copy_from_slice(&bytes);
        filled = end;
    }
    if filled != len {
        return Err(Failure::Length { expected: announced, found: filled as u64 });
    }
    Ok(buffer)
}

impl ByteStore for RemoteStore {
    fn label(&self) -> &str {
        &self.client.label
    }

    fn get(&self, key: &str, limit_bytes: u64, pool: &BufferPool) -> Result<Option<Buffer>> {
        self.fetch(key, None, limit_bytes, pool)
    }

    fn get_range(
        &self,
        key: &str,
        offset: u64,
        len_bytes: usize,
        pool: &BufferPool,
    ) -> Result<Option<Buffer>> {
        if len_bytes == 0 {
            // No range of HTTP is empty.
            return Ok(self.len(key)?.map(|_| pool.take(0)));
        }
        let len = len_bytes as u64;
        let end = offset.checked_add(len).ok_or_else(|| Error::Corrupt {
            path: self.url(key),
            what: format!("{len} bytes from {offset} on end beyond 2^64"),
            remedy: "",
        })?;
        self.fetch(key, Some(offset..end), len, pool)
    }

    fn len(&self, key: &str) -> Result<Option<u64>> {
        let (path, objects) = (self.path(key)?, Arc::clone(&self.client.objects));
        let work = async move {
            let options = GetOptions { head: true, ..GetOptions::default() };
            objects.get_opts(&path, options).await.map(|answer| answer.meta.size)
        };
        match threads::wait(&self.client.label, &self.cancellation, work)? {
            Ok(len) => Ok(Some(len)),
            Err(error) => Failure::from(error).into_error(self.url(key), 0).map_or(Ok(None), Err),
        }
    }

    /// S3 lists; plain HTTP has no such thing, which Zarr knows how to do without.
    fn list(&self, folder: &str, visit: &mut dyn FnMut(Entry) -> Result<Visit>) -> Result<()> {
        let Some(pages) = &self.client.pages else {
            return Err(Error::Unsupported {
                path: self.url(folder),
                what: "listing an HTTP server".to_owned(),
                remedy: "; name an array by its own URL",
            });
        };
        let path = self.path(folder)?;
        let prefix = if path.as_ref().is_empty() { String::new() } else { format!("{}/", path.as_ref()) };
        let mut page_token = None;
        loop {
            let (pages, whole) = (Arc::clone(pages), prefix.clone());
            let delimiter = Some("/".into());
            let options = PaginatedListOptions { delimiter, page_token, ..PaginatedListOptions::default() };
            let work = async move {
                let whole = Some(whole.as_str()).filter(|prefix| !prefix.is_empty());
                pages.list_paginated(whole, options).await
            };
            let page = match threads::wait(&self.client.label, &self.cancellation, work)? {
                Ok(page) => page,
                Err(error) => {
                    let absent = || Error::NotFound { path: self.url(folder), hint: String::new() };
                    return Err(Failure::from(error).into_error(self.url(folder), 0).unwrap_or_else(absent));
                }
            };
            // A name that is not below the prefix, or lies deeper, is a server's mistake; an empty one marks a folder.
            let name = |path: &Path| {
                let name = path.as_ref().strip_prefix(prefix.as_str())?;
                (!name.is_empty() && !name.contains('/')).then(|| name.to_owned())
            };
            let folders = page.result.common_prefixes.iter().map(|path| (path, EntryKind::Folder, None));
            let files =
                page.result.objects.iter().map(|meta| (&meta.location, EntryKind::File, Some(meta.size)));
            for (path, kind, len_bytes) in folders.chain(files) {
                let Some(name) = name(path) else { continue };
                if visit(Entry { name, kind, len_bytes })?.is_break() {
                    return Ok(());
                }
            }
            match page.page_token {
                None => return Ok(()),
                token => page_token = token,
            }
        }
    }
}
