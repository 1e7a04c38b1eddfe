//! What earlier runs left beside a destination: their partial folders, and which of them a run can go on with.
//!
//! Invariants: a payload is gone on with only if it is the one that the journal speaks of: after an output was exchanged for
//! another, what lies in the partial folder is the old one, whatever the journal says is finished. Nothing is removed but what
//! is an unfinished payload of the same plan, or what a run had replaced and recorded to be published. The caller holds the
//! destination's lock. Called by [`super::Publication`].

use super::disk::{exists, io_error, remove_all, rename_new};
use super::journal::{self, Summary};
use super::place::{REPLACED_NAME, Stamp};
use super::{JOURNAL_NAME, PublishOptions, SEPARATOR, file_name, update};
use crate::error::{Error, Result};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What there is to go on with.
pub(super) enum Resumable {
    Nothing,
    Unfinished(PathBuf),
    Published(PathBuf),
}

/// What the payload in a partial folder is.
enum Payload {
    /// The run's own.
    Own,
    /// The run's own is in its place, as it was put there.
    InPlace,
    /// It was put in its place, and there is another output now.
    WasInPlace,
    /// Something else than the complete payload that the journal speaks of; the old output, if the run was killed when it had
    /// just replaced it.
    Foreign,
}

impl Payload {
    fn of(summary: &Summary, payload: Option<Stamp>, destination: Option<Stamp>) -> Self {
        let Some(done) = summary.done else { return Self::Own };
        if destination.is_some() && (destination == Some(done) || destination == summary.published) {
            return Self::InPlace;
        }
        if summary.published.is_some() {
            return Self::WasInPlace;
        }
        // Workers of a run that was killed may still write into their payload.
        if payload.is_some_and(|payload| payload.is_same(done)) { Self::Own } else { Self::Foreign }
    }
}

/// The partial folder of an earlier run with the same plan; of several, the one that got furthest.
pub(super) fn find_resumable(destination: &Path, options: &PublishOptions) -> Result<Resumable> {
    let mut best: Option<(u64, PathBuf)> = None;
    let mut other = None;
    let at_place = Stamp::of(destination)?;
    for folder in partial_folders(destination)? {
        let Some(summary) = journal::summary(&folder.join(JOURNAL_NAME))? else {
            remove_unbegun(&folder);
            continue;
        };
        if summary.plan == update::PLAN {
            continue;
        }
        let is_same_plan = summary.plan == options.plan_key;
        let is_same = is_same_plan && summary.inputs == options.inputs;
        let payload = Stamp::of(&folder.join(file_name(destination)?))?;
        match Payload::of(&summary, payload, at_place) {
            Payload::InPlace if is_same => return Ok(Resumable::Published(folder)),
            Payload::InPlace | Payload::WasInPlace => remove_partial(&folder)?,
            Payload::Foreign => tracing::warn!(
                "{} holds what an interrupted run was about to remove when it had replaced it; nothing goes on with it, delete it if you do not need it",
                folder.display()
            ),
            Payload::Own if !is_same => other = Some((folder, is_same_plan)),
            Payload::Own => match &best {
                Some((most, _)) if *most >= summary.objects => remove_partial(&folder)?,
                _ => {
                    if let Some((_, worse)) = best.replace((summary.objects, folder)) {
                        remove_partial(&worse)?;
                    }
                }
            },
        }
    }
    match (best, other) {
        (Some((_, folder)), _) => Ok(Resumable::Unfinished(folder)),
        (None, None) => Ok(Resumable::Nothing),
        (None, Some((folder, is_same_plan))) => Err(other_run(destination, &folder, is_same_plan)),
    }
}

fn other_run(destination: &Path, folder: &Path, is_same_plan: bool) -> Error {
    let folder = folder.display();
    let what = if is_same_plan {
        format!(
            "an input changed after the interrupted run in {folder} had begun to read it; delete that folder to start afresh"
        )
    } else {
        format!(
            "the interrupted run in {folder} read other inputs or wrote another output; repeat its arguments, or delete that folder to start afresh"
        )
    };
    Error::Refused { path: destination.display().to_string(), what }
}

/// Brings back the output that a run had moved away and not yet replaced, where a file system cannot exchange two names.
pub(super) fn restore_replaced(destination: &Path) -> Result<()> {
    for folder in partial_folders(destination)? {
        let (replaced, payload) = (folder.join(REPLACED_NAME), folder.join(file_name(destination)?));
        // With the payload gone it was replaced, and what stands or does not stand there now is someone's wish.
        if exists(&replaced)? && exists(&payload)? && rename_new(&replaced, destination)? {
            tracing::warn!("{} is back where an interrupted run had moved it from", destination.display());
        }
    }
    Ok(())
}

/// Removes the folder of a run that was stopped before its journal had a line: nothing is in it but perhaps the beginning of
/// that. Others stay, such as those of other versions.
fn remove_unbegun(folder: &Path) {
    let journal = folder.join(JOURNAL_NAME);
    let is_torn = match fs::metadata(&journal) {
        Ok(found) if found.len() <= 1 << 20 => fs::read(&journal).is_ok_and(|text| !text.contains(&b'\n')),
        Ok(_) => false,
        Err(error) => error.kind() == ErrorKind::NotFound,
    };
    let Ok(mut entries) = fs::read_dir(folder) else { return };
    let is_alone = entries.all(|entry| entry.is_ok_and(|entry| entry.file_name() == JOURNAL_NAME));
    if is_torn && is_alone {
        // What cannot be removed does no harm where it is.
        let _ = fs::remove_file(&journal);
        let _ = fs::remove_dir(folder);
    }
}

/// Removes a partial folder, the journal last: without it nobody could tell what the rest is.
pub(super) fn remove_partial(folder: &Path) -> Result<()> {
    let failed = |error| io_error(folder, "list", error, 0);
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(failed)?,
    };
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        if entry.file_name() == JOURNAL_NAME {
            continue;
        }
        if entry.file_type().map_err(failed)?.is_dir() {
            remove_all(&path)?;
        } else {
            fs::remove_file(&path).map_err(|error| io_error(&path, "remove", error, 0))?;
        }
    }
    remove_all(folder)
}

/// The partial folders that earlier runs left for `destination`.
pub(super) fn partial_folders(destination: &Path) -> Result<Vec<PathBuf>> {
    let Some(parent) = destination.parent() else { return Ok(Vec::new()) };
    let mut prefix = file_name(destination)?;
    prefix.push(SEPARATOR);
    let failed = |error| io_error(parent, "list", error, 0);
    let mut folders = Vec::new();
    for entry in fs::read_dir(parent).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        if name.as_encoded_bytes().starts_with(prefix.as_encoded_bytes()) {
            folders.push(parent.join(name));
        }
    }
    Ok(folders)
}
