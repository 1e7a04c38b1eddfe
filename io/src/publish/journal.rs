//! The journal: which objects of a payload are finished.
//!
//! One JSON object a line: a header (plan, inputs), an `object` per finished object (key, length, crc32c) or `fill`
//! (nothing is stored because all is fill value), now and then `synced` with how many of them were on the disk for sure
//! when it was written, `done` with the stamp of the complete payload, and `published` with the stamp that it has in its
//! place, before what it replaced is removed. Journals of updates also have the `store` that they change and each `document` on
//! the way to what they write, before and after. Lines are appended at once, so that a killed process loses none; after a power cut those past the last `synced` prove nothing by themselves. Invariant:
//! an object counts as finished only if it is there with its length and, where it was not synced, its checksum.
//! Called by [`super::Publication`], [`super::ObjectFile`] and the sinks.

use super::PublishOptions;
use super::disk::{io_error, sync_filesystem};
use super::place::Stamp;
use super::same_store::StoreState;
use crate::error::{Error, Result};
use crate::store::{ByteStore, RegularFile, Root};
use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long finished objects may stay unsynced. A sync is of the whole file system, so it must be rare.
const SYNC_INTERVAL: Duration = Duration::from_secs(15);
/// Longest line that is taken for one; keys are paths.
const LONGEST_LINE_BYTES: u64 = 1 << 20;
const VERSION: u32 = 2;

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Line {
    Header { version: u32, plan: String, inputs: Vec<String> },
    Object { key: String, len_bytes: u64, crc32c: u32 },
    Fill { key: String },
    Synced { objects: u64 },
    Done { payload: Stamp },
    Published { output: Stamp },
    Store { inode: u64, made_nanos: Option<u128> },
    Document { key: String, before: Option<u32>, after: Option<u32> },
}

/// The journal of a run. Shared by all tasks.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    /// Keys that an earlier run has finished.
    committed: HashSet<Box<str>>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// None once it is closed.
    file: Option<File>,
    objects: u64,
    synced: Instant,
    is_syncing: bool,
    /// A line could not be written whole: what follows it would be lost.
    is_broken: bool,
}

impl Journal {
    pub(super) fn create(path: &Path, options: &PublishOptions) -> Result<Self> {
        Self::create_with(path, options, |_| Ok(HashSet::new()))
    }

    /// Replays the journal at `path`: keeps what is proved, drops the rest.
    pub(super) fn resume(path: &Path, payload: &Path, options: &PublishOptions) -> Result<Self> {
        let replayed = replay(path, |_| Ok(()))?;
        let root = if payload.is_dir() { Some(Root::open(payload, false)?) } else { None };
        // The new journal holds only what was proved, so that a later `synced` cannot vouch for the rest.
        Self::create_with(&path.with_extension("new"), options, |journal| {
            let (mut committed, mut number) = (HashSet::new(), 0);
            replay(path, |line| {
                let must_read = options.verify_resume || number >= replayed.synced;
                let key = match line {
                    Line::Object { key, len_bytes, crc32c }
                        if is_intact(root.as_ref(), key, *len_bytes, *crc32c, must_read)? =>
                    {
                        key
                    }
                    Line::Fill { key }
                        if root.as_ref().is_none_or(|root| root.len(key).is_ok_and(|len| len.is_none())) =>
                    {
                        key
                    }
                    Line::Object { .. } | Line::Fill { .. } => {
                        number += 1;
                        return Ok(());
                    }
                    Line::Header { .. }
                    | Line::Synced { .. }
                    | Line::Done { .. }
                    | Line::Published { .. }
                    | Line::Store { .. }
                    | Line::Document { .. } => return Ok(()),
                };
                number += 1;
                write_line(journal, line).map_err(|error| io_error(path, "write", error, 1 << 10))?;
                committed.insert(key.as_str().into());
                Ok(())
            })?;
            Ok(committed)
        })?
        .renamed(path)
    }

    /// Writes a new journal: header, what `fill` adds, and `synced`.
    fn create_with(
        path: &Path,
        options: &PublishOptions,
        fill: impl FnOnce(&mut BufWriter<File>) -> Result<HashSet<Box<str>>>,
    ) -> Result<Self> {
        let failed = |error| io_error(path, "write", error, 1 << 10);
        let mut writer = BufWriter::new(File::create(path).map_err(failed)?);
        let header =
            Line::Header { version: VERSION, plan: options.plan_key.clone(), inputs: options.inputs.clone() };
        write_line(&mut writer, &header).map_err(failed)?;
        let committed = fill(&mut writer)?;
        let objects = committed.len() as u64;
        if let Some(folder) = path.parent().filter(|_| objects > 0) {
            sync_filesystem(folder)?;
        }
        write_line(&mut writer, &Line::Synced { objects }).map_err(failed)?;
        let file = writer.into_inner().map_err(|error| failed(error.into_error()))?;
        file.sync_all().map_err(failed)?;
        let state =
            State { file: Some(file), objects, synced: Instant::now(), is_syncing: false, is_broken: false };
        Ok(Self { path: path.to_owned(), committed, state: Mutex::new(state) })
    }

    /// The journal of a process that writes for another: what it says is lost.
    pub(super) fn of_nobody() -> Result<Self> {
        let path = PathBuf::from("/dev/null");
        let opened = File::options().write(true).open(&path);
        let file = opened.map_err(|error| io_error(&path, "open", error, 0))?;
        // As if a sync were under way, so that none is begun.
        let file = Some(file);
        let state = State { file, objects: 0, synced: Instant::now(), is_syncing: true, is_broken: false };
        Ok(Self { path, committed: HashSet::new(), state: Mutex::new(state) })
    }

    fn renamed(mut self, path: &Path) -> Result<Self> {
        fs::rename(&self.path, path).map_err(|error| io_error(&self.path, "rename", error, 0))?;
        self.path = path.to_owned();
        Ok(self)
    }

    /// Whether an earlier run has finished the object `key`.
    #[must_use]
    pub fn is_committed(&self, key: &str) -> bool {
        self.committed.contains(key)
    }

    /// Objects that an earlier run has finished.
    #[must_use]
    pub fn committed_count(&self) -> u64 {
        self.committed.len() as u64
    }

    /// Whether nothing is finished.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.state().objects == 0
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is a file and counters, valid between any two statements, so a poisoned lock is still good.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the object `key` stands under its name with `len_bytes` bytes. Every quarter of a minute the caller
    /// also waits for the disk.
    ///
    /// # Errors
    /// If the journal cannot be written.
    pub fn record(&self, key: &str, len_bytes: u64, crc32c: u32) -> Result<()> {
        self.append(&Line::Object { key: key.to_owned(), len_bytes, crc32c })
    }

    /// Notes that nothing is stored for `key` because all of it is fill value.
    ///
    /// # Errors
    /// If the journal cannot be written.
    pub fn record_fill(&self, key: &str) -> Result<()> {
        self.append(&Line::Fill { key: key.to_owned() })
    }

    fn append(&self, line: &Line) -> Result<()> {
        let is_due = {
            let mut state = self.state();
            self.write(&mut state, line)?;
            state.objects += 1;
            state.synced.elapsed() >= SYNC_INTERVAL && !state.is_syncing
        };
        if is_due { self.sync() } else { Ok(()) }
    }

    fn write(&self, state: &mut State, line: &Line) -> Result<()> {
        let Some(file) = state.file.as_mut().filter(|_| !state.is_broken) else {
            let message = format!("{} could not be written before", self.path.display());
            return Err(blockwise_core::Error::Internal { message }.into());
        };
        write_line(file, line).map_err(|error| {
            state.is_broken = true;
            io_error(&self.path, "write", error, 1 << 10)
        })
    }

    /// Brings what is finished to the disk and notes that it is there.
    ///
    /// # Errors
    /// If that fails.
    pub fn sync(&self) -> Result<()> {
        let objects = {
            let mut state = self.state();
            state.is_syncing = true;
            state.objects
        };
        // Objects that others finish meanwhile are not counted: they may have come too late for this sync.
        let synced = self.path.parent().map_or(Ok(()), sync_filesystem);
        let mut state = self.state();
        state.is_syncing = false;
        state.synced = Instant::now();
        synced?;
        self.write(&mut state, &Line::Synced { objects })?;
        self.sync_lines(&state)
    }

    fn sync_lines(&self, state: &State) -> Result<()> {
        let synced = state.file.as_ref().map_or(Ok(()), File::sync_data);
        synced.map_err(|error| io_error(&self.path, "sync", error, 0))
    }

    /// Notes that the payload is complete. All of it must be on the disk.
    pub(super) fn finish(&self, payload: Stamp) -> Result<()> {
        let mut state = self.state();
        let objects = state.objects;
        self.write(&mut state, &Line::Synced { objects })?;
        self.write(&mut state, &Line::Done { payload })?;
        self.sync_lines(&state)
    }

    /// Notes that the payload is in its place, so that whatever is left in the partial folder is of no use.
    pub(super) fn published(&self, output: Stamp) -> Result<()> {
        let mut state = self.state();
        self.write(&mut state, &Line::Published { output })?;
        self.sync_lines(&state)
    }

    /// Notes which store an update changes. Written before [`finish`](Self::finish).
    pub(super) fn store(&self, store: &StoreState) -> Result<()> {
        let mut state = self.state();
        let (inode, made_nanos) = (store.inode, store.made_nanos);
        self.write(&mut state, &Line::Store { inode, made_nanos })?;
        for (key, (before, after)) in &store.documents {
            let (key, before, after) = (key.clone(), *before, *after);
            self.write(&mut state, &Line::Document { key, before, after })?;
        }
        Ok(())
    }

    /// Closes the file. Nothing can be noted any more.
    pub(super) fn close(&self) {
        self.state().file = None;
    }
}

/// What a journal says, without looking at objects.
#[derive(Default)]
pub(super) struct Summary {
    /// Whether the first line is a whole header of this version.
    has_header: bool,
    /// The plan key.
    pub(super) plan: String,
    /// What identifies the inputs.
    pub(super) inputs: Vec<String>,
    /// Objects listed.
    pub(super) objects: u64,
    /// The complete payload, when it was still in the partial folder.
    pub(super) done: Option<Stamp>,
    /// The payload in its place.
    pub(super) published: Option<Stamp>,
    /// The store that an update changes.
    pub(super) store: Option<StoreState>,
    /// Objects that were on the disk for sure.
    synced: u64,
}

/// The summary of the journal at `path`; `None` if there is none with a whole header.
pub(super) fn summary(path: &Path) -> Result<Option<Summary>> {
    let summary = match replay(path, |_| Ok(())) {
        Err(Error::NotFound { .. }) => return Ok(None),
        other => other?,
    };
    Ok(Some(summary).filter(|summary| summary.has_header))
}

/// Calls `visit` with every line up to the first that is torn.
fn replay(path: &Path, mut visit: impl FnMut(&Line) -> Result<()>) -> Result<Summary> {
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            Error::NotFound { path: path.display().to_string(), hint: String::new() }
        }
        _ => io_error(path, "read", error, 0),
    };
    let mut reader = BufReader::new(File::open(path).map_err(failed)?);
    let mut summary = Summary::default();
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        reader.by_ref().take(LONGEST_LINE_BYTES).read_until(b'\n', &mut bytes).map_err(failed)?;
        let whole = bytes.strip_suffix(b"\n").and_then(|line| serde_json::from_slice::<Line>(line).ok());
        let Some(line) = whole else { return Ok(summary) };
        match &line {
            Line::Header { version: VERSION, plan, inputs } if !summary.has_header => {
                summary.has_header = true;
                (summary.plan, summary.inputs) = (plan.clone(), inputs.clone());
            }
            Line::Header { .. } => return Ok(summary),
            _ if !summary.has_header => return Ok(summary),
            Line::Object { .. } | Line::Fill { .. } => summary.objects += 1,
            Line::Synced { objects } => summary.synced = *objects,
            Line::Done { payload } => summary.done = Some(*payload),
            Line::Published { output } => summary.published = Some(*output),
            Line::Store { inode, made_nanos } => {
                let documents = BTreeMap::new();
                summary.store = Some(StoreState { inode: *inode, made_nanos: *made_nanos, documents });
            }
            Line::Document { key, before, after } => {
                if let Some(store) = &mut summary.store {
                    store.documents.insert(key.clone(), (*before, *after));
                }
            }
        }
        visit(&line)?;
    }
}

fn write_line(writer: &mut impl Write, line: &Line) -> std::io::Result<()> {
    let mut bytes = serde_json::to_vec(line)?;
    bytes.push(b'\n');
    writer.write_all(&bytes)
}

/// Whether the object is there as it was written.
fn is_intact(root: Option<&Root>, key: &str, len_bytes: u64, crc32c: u32, must_read: bool) -> Result<bool> {
    let Some(root) = root else { return Ok(false) };
    let Some(file) = root.file(key)? else { return Ok(false) };
    if file.len_bytes() != len_bytes {
        return Ok(false);
    }
    Ok(!must_read || crc_of(&file)? == crc32c)
}

fn crc_of(file: &RegularFile) -> Result<u32> {
    let mut piece = vec![0; 1 << 20];
    let (mut crc, mut at) = (0, 0);
    while at < file.len_bytes() {
        let len = usize::try_from(file.len_bytes() - at).unwrap_or(usize::MAX).min(piece.len());
        let piece = piece.get_mut(..len).unwrap_or_default();
        file.read_exact_at(at, piece)?;
        crc = crc32c::crc32c_append(crc, piece);
        at += len as u64;
    }
    Ok(crc)
}
