//! [`State`]: a partial state of a reduction on its way from the process that made it to the one that combines them.
//!
//! The states that a batch of tasks leaves go to one file, a record each: length, place in the tree, parts (dtype, shape,
//! bytes), CRC-32C. Invariants: a file appears whole; states of one result are read in the order of their tasks, so few wait;
//! however many files there are, few are open at once.
//! Called by [`super::batches`].

use super::fold::Place;
use crate::chunk::Chunk;
use crate::context::TaskContext;
use crate::error::{Error, Result};
use crate::region::byte_count;
use crate::shared::unique_name;
use crate::spill::fault;
use blockwise_kernels::DType;
use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// A state, and where it belongs.
pub(super) struct State {
    /// Position among the stage's outputs.
    pub(super) output: usize,
    /// Position among the folds of the output.
    pub(super) fold: usize,
    pub(super) place: Place,
    pub(super) parts: Vec<Chunk>,
}

/// Bytes of a record before its parts: length, output, fold, result, level, position, parts.
const HEADER_BYTES: usize = 8 + 4 + 4 + 8 + 4 + 8 + 4;
/// Bytes of a dtype's name.
const NAME_BYTES: usize = 16;

/// A record that is not yet read.
pub(super) struct Found {
    pub(super) output: u32,
    pub(super) fold: u32,
    pub(super) place: Place,
    file: usize,
    offset: u64,
    len_bytes: u64,
}

/// Files of states that are open at once: batches may have left thousands, and a process has only so many descriptors.
const MOST_OPEN: usize = 64;

/// The states that batches have left.
pub(super) struct States {
    paths: Vec<PathBuf>,
    /// Those read last, by their position among all, the latest at the end.
    open: Mutex<VecDeque<(usize, Arc<File>)>>,
    /// In the order in which they are to be added.
    pub(super) found: Vec<Found>,
}

/// Writes `states` to a file that appears whole; the bytes that took.
pub(super) fn write(path: &Path, states: &[State]) -> Result<u64> {
    let temporary = path.with_file_name(format!(".{}.tmp", unique_name()));
    let mut written_bytes = 0;
    let written = (|| {
        let mut file = BufWriter::new(File::options().write(true).create_new(true).open(&temporary)?);
        for state in states {
            written_bytes += write_one(&mut file, state)?;
        }
        file.into_inner().map_err(io::IntoInnerError::into_error)?;
        fs::rename(&temporary, path)
    })();
    written.map_err(|source| {
        let _ = fs::remove_file(&temporary); // it may never have been there
        fault(path, "writing", 0, written_bytes, source)
    })?;
    Ok(written_bytes)
}

fn write_one(file: &mut impl Write, state: &State) -> io::Result<u64> {
    let part_bytes = |part: &Chunk| NAME_BYTES + 4 + 8 * part.shape().len() + 8 + part.bytes().len();
    let len_bytes = (HEADER_BYTES + state.parts.iter().map(part_bytes).sum::<usize>() + 4) as u64;
    let mut crc = 0;
    let mut put = |bytes: &[u8]| {
        crc = crc32c::crc32c_append(crc, bytes);
        file.write_all(bytes)
    };
    let (result, level, at) = state.place;
    put(&len_bytes.to_le_bytes())?;
    put(&(state.output as u32).to_le_bytes())?;
    put(&(state.fold as u32).to_le_bytes())?;
    put(&result.to_le_bytes())?;
    put(&level.to_le_bytes())?;
    put(&at.to_le_bytes())?;
    put(&(state.parts.len() as u32).to_le_bytes())?;
    for part in &state.parts {
        let mut name = [0; NAME_BYTES];
        name.iter_mut().zip(part.dtype().name().bytes()).for_each(|(to, byte)| *to = byte);
        put(&name)?;
        put(&(part.shape().len() as u32).to_le_bytes())?;
        part.shape().iter().try_for_each(|length| put(&length.to_le_bytes()))?;
        put(&(part.bytes().len() as u64).to_le_bytes())?;
        put(part.bytes())?;
    }
    file.write_all(&crc.to_le_bytes())?;
    Ok(len_bytes)
}

impl States {
    /// Looks what there is in `files`.
    ///
    /// # Errors
    /// If one cannot be read or was not written by [`write`].
    pub(super) fn open(files: Vec<PathBuf>) -> Result<Self> {
        let mut states = Self { paths: files, open: Mutex::default(), found: Vec::new() };
        for (number, path) in states.paths.iter().enumerate() {
            let failed = |offset, source| fault(path, "reading", offset, HEADER_BYTES as u64, source);
            let file = File::open(path).map_err(|source| failed(0, source))?;
            let size_bytes = file.metadata().map_err(|source| failed(0, source))?.len();
            let mut offset = 0;
            while offset < size_bytes {
                let mut header = [0; HEADER_BYTES];
                file.read_exact_at(&mut header, offset).map_err(|source| failed(offset, source))?;
                let mut header = Reader(&header);
                let parsed = (|| {
                    let len_bytes = header.u64()?;
                    let (output, fold) = (header.u32()?, header.u32()?);
                    Some((len_bytes, output, fold, (header.u64()?, header.u32()?, header.u64()?)))
                })();
                let sound = parsed.filter(|(len_bytes, ..)| {
                    *len_bytes > HEADER_BYTES as u64
                        && offset.checked_add(*len_bytes).is_some_and(|end| end <= size_bytes)
                });
                let Some((len_bytes, output, fold, place)) = sound else {
                    return Err(damaged(path, offset, 0, 0));
                };
                states.found.push(Found { output, fold, place, file: number, offset, len_bytes });
                offset += len_bytes;
            }
        }
        // Of each result, those of the first tasks first.
        states.found.sort_by_key(|found| {
            let (result, level, at) = found.place;
            (found.output, found.fold, result, u128::from(at) << level.min(64))
        });
        Ok(states)
    }

    /// Reads a state.
    ///
    /// # Errors
    /// If it is not what was written.
    pub(super) fn read(&self, found: &Found, cx: &TaskContext<'_>) -> Result<State> {
        let missing = || Error::Internal { message: "a state of an unknown file".to_owned() };
        let path = self.paths.get(found.file).ok_or_else(missing)?;
        let len = usize::try_from(found.len_bytes)
            .map_err(|_| Error::TooLarge { what: "state", shape: vec![found.len_bytes] })?;
        let mut record = cx.pool().take(len);
        let failed = |source| fault(path, "reading", found.offset, found.len_bytes, source);
        let file = self.opened(found.file, path).map_err(failed)?;
        file.read_exact_at(&mut record, found.offset).map_err(failed)?;
        let broken = |expected, seen| damaged(path, found.offset, expected, seen);
        let (body, crc) = record.split_last_chunk::<4>().ok_or_else(|| broken(0, 0))?;
        let (expected, seen) = (u32::from_le_bytes(*crc), crc32c::crc32c(body));
        if expected != seen {
            return Err(broken(expected, seen));
        }
        let mut reader = Reader(body);
        let parts = (|| {
            reader.take(HEADER_BYTES - 4)?;
            let count = reader.u32()?;
            (0..count).map(|_| read_part(&mut reader, cx)).collect::<Option<Vec<_>>>()
        })();
        let parts = parts.ok_or_else(|| broken(expected, seen))?;
        Ok(State { output: found.output as usize, fold: found.fold as usize, place: found.place, parts })
    }

    /// A file by its position, opened again if many others were read since.
    fn opened(&self, number: usize, path: &Path) -> io::Result<Arc<File>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let known = open.iter().position(|(other, _)| *other == number);
        let file = match known.and_then(|at| open.remove(at)) {
            Some((_, file)) => file,
            None => Arc::new(File::open(path)?),
        };
        if open.len() >= MOST_OPEN {
            open.pop_front();
        }
        open.push_back((number, Arc::clone(&file)));
        Ok(file)
    }
}

fn read_part(reader: &mut Reader<'_>, cx: &TaskContext<'_>) -> Option<Chunk> {
    let name = std::str::from_utf8(reader.take(NAME_BYTES)?).ok()?;
    let dtype: DType = name.trim_end_matches('\0').parse().ok()?;
    let rank = reader.u32()?;
    let shape = (0..rank).map(|_| reader.u64()).collect::<Option<Vec<u64>>>()?;
    let len_bytes = reader.u64()?;
    if byte_count(&shape, dtype.size()) != Some(len_bytes) {
        return None;
    }
    let bytes = reader.take(usize::try_from(len_bytes).ok()?)?;
    let mut chunk = Chunk::uninit(dtype, &shape, cx.pool()).ok()?;
    chunk.bytes_mut().copy_from_slice(bytes);
    Some(chunk)
}

fn damaged(path: &Path, offset: u64, expected: u32, found: u32) -> Error {
    Error::SpillDamaged { path: path.display().to_string(), offset, expected, found }
}

/// What is left of a record.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (own, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(own)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Cancellation;
    use blockwise_kernels::{Buffer, BufferPool};

    #[test]
    fn many_files_are_not_open_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let (pool, cancellation) = (BufferPool::new(1 << 20), Cancellation::new());
        let cx = TaskContext::new(&pool, &cancellation);
        let count = 3 * MOST_OPEN as u64;
        let paths: Vec<PathBuf> = (0..count).map(|n| folder.path().join(n.to_string())).collect();
        for (at, path) in paths.iter().enumerate() {
            let part =
                |level| Chunk::new(DType::U8, vec![at as u64 + level], Buffer::zeroed(at + level as usize));
            let state = |result: u64| State {
                output: 0,
                fold: 0,
                place: (result, 0, at as u64),
                parts: vec![part(result).unwrap()],
            };
            write(path, &[state(0), state(1)]).unwrap();
        }
        let states = States::open(paths).unwrap();
        for found in &states.found {
            let (result, _, at) = found.place;
            assert_eq!(states.read(found, &cx).unwrap().parts[0].shape(), [at + result]);
            assert!(states.open.lock().unwrap().len() <= MOST_OPEN);
        }
    }

    #[test]
    fn states_come_back_in_the_order_of_their_tasks() {
        let folder = tempfile::tempdir().unwrap();
        let (pool, cancellation) = (BufferPool::new(1 << 20), Cancellation::new());
        let cx = TaskContext::new(&pool, &cancellation);
        let state = |place, bytes: usize| {
            let flat = Chunk::new(DType::U8, vec![bytes as u64], Buffer::zeroed(bytes)).unwrap();
            let square = Chunk::new(DType::F64, vec![2, 1], Buffer::zeroed(16)).unwrap();
            State { output: 1, fold: 2, place, parts: vec![flat, square] }
        };
        let (one, other) = (folder.path().join("0"), folder.path().join("1"));
        write(&one, &[state((7, 0, 9), 3), state((7, 2, 1), 0)]).unwrap();
        write(&other, &[state((7, 3, 0), 100)]).unwrap();
        let states = States::open(vec![one.clone(), other]).unwrap();
        let places: Vec<Place> = states.found.iter().map(|found| found.place).collect();
        assert_eq!(places, [(7, 3, 0), (7, 2, 1), (7, 0, 9)]);
        let read = states.read(&states.found[2], &cx).unwrap();
        assert_eq!((read.output, read.fold, read.parts[0].shape()), (1, 2, &[3][..]));
        assert_eq!((read.parts[1].dtype(), read.parts[1].shape()), (DType::F64, &[2, 1][..]));
        let mut bytes = fs::read(&one).unwrap();
        bytes[HEADER_BYTES + NAME_BYTES + 20] ^= 1;
        fs::write(&one, &bytes).unwrap();
        let states = States::open(vec![one.clone()]).unwrap();
        let first = states.found.iter().find(|found| found.offset == 0).unwrap();
        assert!(matches!(states.read(first, &cx), Err(Error::SpillDamaged { .. })));
        fs::write(&one, &bytes[..bytes.len() - 1]).unwrap();
        assert!(States::open(vec![one]).is_err(), "torn");
    }
}
