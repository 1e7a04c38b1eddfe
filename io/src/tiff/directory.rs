//! The directories of a TIFF file: one a page, tables of tags with numbers or texts, in classic TIFF and BigTIFF.
//!
//! Invariants: every table is held against the file's length before it is read, and all of them together read no more bytes than the
//! file has, so a file whose tables overlap costs no more memory than one whose do not; a chain of pages that comes back to itself is
//! an error. The format is Adobe's TIFF 6.0; BigTIFF as libtiff describes it. Called by [`super::open_file`].

use crate::error::{Error, Result};
use crate::store::RegularFile;
use std::collections::HashSet;

/// Entries of one directory that are looked at.
const MOST_ENTRIES: u64 = 4096;

/// The entries of a page.
pub(super) struct Directory {
    entries: Vec<Entry>,
}

/// One tag.
#[derive(Clone, Copy)]
struct Entry {
    tag: u16,
    kind: u16,
    count: u64,
    /// The value, or where it stands.
    place: [u8; 8],
}

/// A file whose directories are being read.
pub(super) struct Tables<'a> {
    file: &'a RegularFile,
    is_big_endian: bool,
    is_big_tiff: bool,
    /// Bytes that tables may still take.
    left_bytes: u64,
    next: u64,
    seen: HashSet<u64>,
}

impl<'a> Tables<'a> {
    /// The tables of a file that begins as TIFF does.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if its header is none.
    pub(super) fn of(file: &'a RegularFile) -> Result<Self> {
        let mut start = [0; 16];
        let len = file.len_bytes().min(16);
        file.read_exact_at(0, start.get_mut(..usize::try_from(len).unwrap_or(16)).unwrap_or_default())?;
        let is_big_endian = start.starts_with(b"MM");
        let mut tables = Self {
            file,
            is_big_endian,
            is_big_tiff: false,
            left_bytes: file.len_bytes(),
            next: 0,
            seen: HashSet::new(),
        };
        tables.is_big_tiff = tables.number(&start, 2, 2) == 43;
        tables.next =
            if tables.is_big_tiff { tables.number(&start, 8, 8) } else { tables.number(&start, 4, 4) };
        if tables.is_big_tiff && (tables.number(&start, 4, 2) != 8 || tables.number(&start, 6, 2) != 0) {
            return Err(tables.corrupt("its header is not BigTIFF's: addresses are not of 8 bytes"));
        }
        Ok(tables)
    }

    /// Whether numbers are stored in the order of bytes that this machine has not.
    pub(super) const fn is_swapped(&self) -> bool {
        self.is_big_endian != cfg!(target_endian = "big")
    }

    /// The directory of the next page; `None` after the last.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if it lies outside of the file, or was there before.
    pub(super) fn next_page(&mut self) -> Result<Option<Directory>> {
        if self.next == 0 {
            return Ok(None);
        }
        if !self.seen.insert(self.next) {
            return Err(self.corrupt(&format!("its chain of pages comes back to byte {}", self.next)));
        }
        let (count_bytes, entry_bytes, next_bytes) = if self.is_big_tiff { (8, 20, 8) } else { (2, 12, 4) };
        let head = self.read(self.next, count_bytes)?;
        let count = self.number(&head, 0, head.len());
        if count > MOST_ENTRIES {
            return Err(self.corrupt(&format!("the page at byte {} has {count} tags", self.next)));
        }
        let start = self.next.saturating_add(count_bytes);
        let body = self.read(start, count * entry_bytes + next_bytes)?;
        let entry_len = if self.is_big_tiff { 20 } else { 12 };
        let (table, rest) = body.split_at(body.len() - if self.is_big_tiff { 8 } else { 4 });
        self.next = self.number(rest, 0, rest.len());
        let entry = |entry: &[u8]| {
            let (tag, kind) = (self.number(entry, 0, 2) as u16, self.number(entry, 2, 2) as u16);
            let (count, value) =
                if self.is_big_tiff { (self.number(entry, 4, 8), 12) } else { (self.number(entry, 4, 4), 8) };
            let mut place = [0; 8];
            for (to, from) in place.iter_mut().zip(entry.get(value..).unwrap_or_default()) {
                *to = *from;
            }
            Entry { tag, kind, count, place }
        };
        Ok(Some(Directory { entries: table.chunks_exact(entry_len).map(entry).collect() }))
    }

    /// All numbers of a tag; none if the page has it not.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if they are no whole numbers, or lie outside of the file.
    pub(super) fn numbers(&mut self, page: &Directory, tag: u16) -> Result<Vec<u64>> {
        let Some((entry, bytes)) = self.value(page, tag)? else { return Ok(Vec::new()) };
        let item = match entry.kind {
            1 if entry.count <= MOST_ENTRIES => 1,
            3 => 2,
            4 | 13 => 4,
            16 | 18 => 8,
            kind => {
                return Err(self.corrupt(&format!("tag {tag} has values of type {kind}, not whole numbers")));
            }
        };
        Ok(bytes.chunks_exact(item).map(|bytes| self.number(bytes, 0, item)).collect())
    }

    /// The first number of a tag.
    ///
    /// # Errors
    /// As [`Tables::numbers`].
    pub(super) fn first(&mut self, page: &Directory, tag: u16) -> Result<Option<u64>> {
        Ok(self.numbers(page, tag)?.first().copied())
    }

    /// The bytes of a tag; none if the page has it not.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if they lie outside of the file.
    pub(super) fn bytes(&mut self, page: &Directory, tag: u16) -> Result<Vec<u8>> {
        Ok(self.value(page, tag)?.map_or_else(Vec::new, |(_, bytes)| bytes))
    }

    /// The text of a tag.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if it lies outside of the file.
    pub(super) fn text(&mut self, page: &Directory, tag: u16) -> Result<Option<String>> {
        let Some((entry, bytes)) = self.value(page, tag)? else { return Ok(None) };
        let text = || String::from_utf8_lossy(&bytes).trim_end_matches('\0').to_owned();
        Ok(matches!(entry.kind, 1 | 2 | 7).then(text))
    }

    /// The quotient that a tag is; `None` if the page has it not.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if it lies outside of the file.
    pub(super) fn ratio(&mut self, page: &Directory, tag: u16) -> Result<Option<f64>> {
        let Some((entry, bytes)) = self.value(page, tag)? else { return Ok(None) };
        let quotient = self.number(&bytes, 0, 4) as f64 / self.number(&bytes, 4, 4) as f64;
        Ok((entry.kind == 5 && bytes.len() >= 8).then_some(quotient))
    }

    /// The bytes of a tag's values.
    fn value(&mut self, page: &Directory, tag: u16) -> Result<Option<(Entry, Vec<u8>)>> {
        let Some(entry) = page.entries.iter().find(|entry| entry.tag == tag).copied() else {
            return Ok(None);
        };
        let item: u64 = match entry.kind {
            1 | 2 | 6 | 7 => 1,
            3 | 8 => 2,
            4 | 9 | 11 | 13 => 4,
            5 | 10 | 12 | 16 | 17 | 18 => 8,
            kind => return Err(self.corrupt(&format!("tag {tag} has values of the unknown type {kind}"))),
        };
        let inline = if self.is_big_tiff { 8 } else { 4 };
        let len = entry.count.checked_mul(item).filter(|len| *len <= self.left_bytes);
        let Some(len) = len else {
            return Err(self
                .corrupt(&format!("tag {tag} has {} values, more than the file has room for", entry.count)));
        };
        if len <= inline {
            let bytes = entry.place.get(..usize::try_from(len).unwrap_or(0)).unwrap_or_default();
            return Ok(Some((entry, bytes.to_vec())));
        }
        let at = self.number(&entry.place, 0, usize::try_from(inline).unwrap_or(8));
        Ok(Some((entry, self.read(at, len)?)))
    }

    /// Bytes of a table.
    fn read(&mut self, offset: u64, len: u64) -> Result<Vec<u8>> {
        let fits = offset.checked_add(len).is_some_and(|end| end <= self.file.len_bytes());
        if !fits || len > self.left_bytes {
            let file = self.file.len_bytes();
            return Err(self.corrupt(&format!(
                "a table of {len} bytes at {offset} lies outside of the file, which has {file}, or over others"
            )));
        }
        self.left_bytes -= len;
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
        self.file.read_exact_at(offset, &mut bytes)?;
        Ok(bytes)
    }

    /// A number of `len` bytes, 0 where there are none.
    fn number(&self, bytes: &[u8], start: usize, len: usize) -> u64 {
        let own = bytes.get(start..start.saturating_add(len)).unwrap_or_default();
        let add = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        if self.is_big_endian { own.iter().fold(0, add) } else { own.iter().rev().fold(0, add) }
    }

    pub(super) fn corrupt(&self, what: &str) -> Error {
        let remedy = "; the file was cut short or damaged: copy or download it again";
        Error::Corrupt { path: self.file.label().to_owned(), what: format!("TIFF: {what}"), remedy }
    }

    pub(super) fn unsupported(&self, what: String, remedy: &'static str) -> Error {
        Error::Unsupported { path: self.file.label().to_owned(), what, remedy }
    }
}
