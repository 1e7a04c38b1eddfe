//! [`JoinedSource`]: an array that lies in several files, one behind the other along an axis, as one source.
//!
//! Invariants: chunks are those of the files, so each is read and decoded once, and none lies in two files; where files are cut
//! otherwise along other axes, boxes reach over these axes whole. Encoded chunks are handed on where all files encode alike and
//! no chunk but the last is cut off. Called by [`super::array`].

use super::files::Files;
use blockwise_core::adapt::{Cast, Unpack, Unpacking};
use blockwise_core::region::byte_count;
use blockwise_core::source::read_region;
use blockwise_core::{AxisGrid, Chunk, ChunkGrid, Region, Source, TaskContext};
use blockwise_io::{Error, NodePath, Result};
use blockwise_kernels::{Buffer, DType};
use std::sync::Arc;

/// How the parts stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// One behind the other along this axis.
    Along(usize),
    /// Each a position of a new first axis.
    Stacked,
}

/// A part as its own file has it.
#[derive(Clone, Debug)]
pub(super) struct PartOf {
    /// Which file.
    pub(super) file: usize,
    /// What makes its elements of one kind with those of the others.
    pub(super) form: Form,
}

/// How the elements of a part are taken.
#[derive(Clone, Debug)]
pub(super) enum Form {
    /// As they are stored: all parts are of one kind.
    AsStored,
    /// As numbers of the common dtype, unpacked if the file packs them.
    Values(Option<Unpacking>),
}

/// An array in several files.
pub(super) struct JoinedSource {
    label: String,
    path: NodePath,
    files: Arc<Files>,
    way: Way,
    parts: Vec<PartOf>,
    /// First chunk of each part along the axis, and the end.
    starts: Vec<u64>,
    dtype: DType,
    grid: ChunkGrid,
    /// Along which axes boxes reach over several chunks of a file.
    boxed: Vec<bool>,
    scratch_bytes: u64,
    held_bytes: u64,
    stored_bytes: Option<u64>,
    is_plain: bool,
    encoding: Option<String>,
}

impl JoinedSource {
    /// The array at `path` in all the files of `parts`, which are of one shape but along the axis; `dtype` is that of the elements
    /// once they are unpacked.
    pub(super) fn new(
        label: String,
        path: NodePath,
        files: Arc<Files>,
        way: Way,
        parts: Vec<PartOf>,
        dtype: DType,
    ) -> Result<Self> {
        let mut sketch = Sketch::default();
        for part in &parts {
            sketch.add(&*opened(&files, part, &path, dtype)?, way)?;
        }
        let boxed = sketch.boxed(way);
        let grid = sketch.grid(way, &boxed)?;
        let is_cut_alike = boxed.iter().all(|boxed| !boxed);
        let passes = way != Way::Stacked && is_cut_alike && sketch.nominal().is_some();
        let encoding = sketch.encoding.clone().flatten().filter(|_| passes);
        let chunk_bytes = byte_count(&grid.largest_chunk(), dtype.size()).unwrap_or(u64::MAX);
        let inner = if is_cut_alike { 0 } else { sketch.chunk_bytes.min(chunk_bytes) };
        Ok(Self {
            starts: sketch.starts(),
            scratch_bytes: sketch.scratch_bytes.saturating_add(inner),
            held_bytes: sketch.held_bytes.saturating_mul(files.open_at_once()),
            stored_bytes: sketch.stored_bytes,
            is_plain: sketch.is_plain,
            label,
            path,
            files,
            way,
            parts,
            dtype,
            grid,
            boxed,
            encoding,
        })
    }

    /// The file of the part that chunk `index` lies in, and what the chunk's index is there.
    fn place(&self, index: &[u64]) -> blockwise_core::Result<(&PartOf, Vec<u64>)> {
        let out_of_range =
            || blockwise_core::Error::Internal { message: format!("{}: no chunk {index:?}", self.label) };
        let axis = match self.way {
            Way::Along(axis) => axis,
            Way::Stacked => 0,
        };
        let at = *index.get(axis).ok_or_else(out_of_range)?;
        let number =
            self.starts.partition_point(|start| *start <= at).checked_sub(1).ok_or_else(out_of_range)?;
        let (part, start) = self.parts.get(number).zip(self.starts.get(number)).ok_or_else(out_of_range)?;
        let mut inner = index.to_vec();
        match self.way {
            Way::Along(_) => inner.iter_mut().skip(axis).take(1).for_each(|at| *at -= start),
            Way::Stacked => drop(inner.remove(0)),
        }
        Ok((part, inner))
    }

    /// A box of several chunks of one file.
    fn gathered(
        &self,
        source: &dyn Source,
        index: &[u64],
        cx: &TaskContext<'_>,
    ) -> blockwise_core::Result<Chunk> {
        let own = source.grid();
        let own_axis = |axis: usize| match self.way {
            Way::Along(_) => axis,
            Way::Stacked => axis + 1,
        };
        let ranges = own.axes().iter().enumerate().zip(index).map(|((axis, cuts), at)| {
            let is_boxed = self.boxed.get(own_axis(axis)).copied().unwrap_or(false);
            if is_boxed { 0..cuts.extent() } else { cuts.start(*at)..cuts.start(at + 1) }
        });
        let (origin, shape) = ranges.map(|range| (range.start, range.end - range.start)).unzip();
        read_region(source, &Region::new(origin, shape)?, cx)
    }
}

/// The array at `path` in the file of `part`, as all parts have it.
pub(super) fn opened(files: &Files, part: &PartOf, path: &NodePath, dtype: DType) -> Result<Arc<dyn Source>> {
    let source = files.source(part.file, path)?;
    let source = match &part.form {
        Form::Values(Some(rule)) => Cast::over(Unpack::over(source, rule.clone())?, dtype),
        Form::Values(None) => Cast::over(source, dtype),
        Form::AsStored => source,
    };
    if source.dtype() != dtype {
        let (path, what) =
            (source.label().to_owned(), format!("elements are {} now, and were {dtype}", source.dtype()));
        return Err(Error::Corrupt { path, what, remedy: "; was the file changed while it was read?" });
    }
    Ok(source)
}

/// What is known of parts while they are looked at one by one.
#[derive(Default)]
struct Sketch {
    /// Cuts of the first part.
    first: Option<ChunkGrid>,
    /// Which of its axes others cut otherwise; the one along which parts are joined apart.
    differs: Vec<bool>,
    /// Lengths of the chunks along the axis, all parts behind one another; chunks of each part.
    lengths: Vec<u64>,
    counts: Vec<u64>,
    /// How each part that is not empty is cut along the axis: elements, and how long chunks are meant to be.
    cuts: Vec<(u64, Option<u64>)>,
    scratch_bytes: u64,
    chunk_bytes: u64,
    held_bytes: u64,
    stored_bytes: Option<u64>,
    is_plain: bool,
    /// What all so far have; none yet; or not one.
    encoding: Option<Option<String>>,
}

impl Sketch {
    fn add(&mut self, source: &dyn Source, way: Way) -> Result<()> {
        let grid = source.grid();
        let is_first = self.first.is_none();
        let first = self.first.get_or_insert_with(|| grid.clone());
        if is_first {
            (self.is_plain, self.stored_bytes) = (true, Some(0));
            self.differs = vec![false; grid.rank()];
        }
        let joined = match way {
            Way::Along(axis) => Some(axis),
            Way::Stacked => None,
        };
        for (axis, (own, known)) in grid.axes().iter().zip(first.axes()).enumerate() {
            if Some(axis) == joined {
                continue;
            }
            if own.extent() != known.extent() || grid.rank() != first.rank() {
                let what = format!("its shape is {:?} now", grid.shape());
                let remedy = "; was the file changed while it was read?";
                return Err(Error::Corrupt { path: source.label().to_owned(), what, remedy });
            }
            if own != known
                && let Some(differs) = self.differs.get_mut(axis)
            {
                *differs = true;
            }
        }
        match joined.and_then(|axis| grid.axes().get(axis)) {
            Some(axis) => {
                self.lengths.extend((0..axis.count()).map(|at| axis.length(at)));
                self.counts.push(axis.count());
                if axis.extent() > 0 {
                    self.cuts.push((axis.extent(), axis.regular_chunk()));
                }
            }
            None => {
                self.lengths.push(1);
                self.counts.push(1);
            }
        }
        let chunk_bytes = byte_count(&grid.largest_chunk(), source.dtype().size()).unwrap_or(u64::MAX);
        self.chunk_bytes = self.chunk_bytes.max(chunk_bytes);
        self.scratch_bytes = self.scratch_bytes.max(source.read_scratch_bytes());
        self.held_bytes = self.held_bytes.max(source.held_bytes());
        self.stored_bytes =
            self.stored_bytes.zip(source.stored_bytes()).map(|(all, own)| all.saturating_add(own));
        self.is_plain &= source.is_plain();
        let own = source.encoding().map(str::to_owned);
        self.encoding = Some(match self.encoding.take() {
            None => own,
            Some(known) => known.filter(|known| own.as_ref() == Some(known)),
        });
        Ok(())
    }

    /// Along which axes of the joined array boxes reach over several chunks.
    fn boxed(&self, way: Way) -> Vec<bool> {
        match way {
            Way::Stacked => std::iter::once(false).chain(self.differs.iter().copied()).collect(),
            Way::Along(_) => self.differs.clone(),
        }
    }

    fn grid(&self, way: Way, boxed: &[bool]) -> Result<ChunkGrid> {
        let of_files = self.first.as_ref().map(|grid| grid.axes().to_vec()).unwrap_or_default();
        let along = match self.nominal() {
            Some(chunk) => AxisGrid::regular(self.lengths.iter().sum(), chunk)?, // lengths that were counted in memory
            None => joined_axis(&self.lengths)?,
        };
        let mut axes = of_files;
        match way {
            Way::Along(axis) => axes.iter_mut().skip(axis).take(1).for_each(|own| *own = along.clone()),
            Way::Stacked => axes.insert(0, along),
        }
        for (axis, _) in axes.iter_mut().zip(boxed).filter(|(_, boxed)| **boxed) {
            *axis = AxisGrid::regular(axis.extent(), axis.extent())?;
        }
        Ok(ChunkGrid::from_axes(axes)?)
    }

    /// The length that chunks along the axis are meant to have, if it is one and none but the last is cut off.
    fn nominal(&self) -> Option<u64> {
        let (last, others) = self.cuts.split_last()?;
        let chunk = last.1?;
        others
            .iter()
            .all(|(extent, own)| *own == Some(chunk) && extent.is_multiple_of(chunk))
            .then_some(chunk)
    }

    /// The first chunk of each part along the axis, and the end.
    fn starts(&self) -> Vec<u64> {
        let mut next = 0;
        let mut starts: Vec<u64> = self
            .counts
            .iter()
            .map(|count| {
                let start = next;
                next += count;
                start
            })
            .collect();
        starts.push(next);
        starts
    }
}

/// Chunks of these lengths; regular if all but a shorter last one are of one length.
fn joined_axis(lengths: &[u64]) -> Result<AxisGrid> {
    let chunk = lengths.first().copied().unwrap_or(1);
    let is_regular = match lengths.split_last() {
        Some((last, others)) => *last <= chunk && others.iter().all(|length| *length == chunk),
        None => true,
    };
    if is_regular {
        return Ok(AxisGrid::regular(lengths.iter().sum(), chunk)?);
    }
    Ok(AxisGrid::rectilinear(lengths)?)
}

impl Source for JoinedSource {
    fn label(&self) -> &str {
        &self.label
    }

    fn dtype(&self) -> DType {
        self.dtype
    }

    fn grid(&self) -> &ChunkGrid {
        &self.grid
    }

    fn read_scratch_bytes(&self) -> u64 {
        self.scratch_bytes
    }

    fn read(&self, index: &[u64], cx: &TaskContext<'_>) -> blockwise_core::Result<Chunk> {
        let expected = self.grid.region(index)?;
        let (part, inner) = self.place(index)?;
        let source = opened(&self.files, part, &self.path, self.dtype)?;
        let chunk = if self.boxed.contains(&true) {
            self.gathered(&*source, &inner, cx)?
        } else {
            source.read(&inner, cx)?
        };
        let found = match self.way {
            Way::Along(_) => chunk.shape().to_vec(),
            Way::Stacked => std::iter::once(1).chain(chunk.shape().iter().copied()).collect(),
        };
        if found != expected.shape() {
            return Err(blockwise_core::Error::Shape { expected: expected.shape().to_vec(), found });
        }
        Chunk::new(self.dtype, found, chunk.into_buffer())
    }

    fn stored_bytes(&self) -> Option<u64> {
        self.stored_bytes
    }

    fn is_plain(&self) -> bool {
        self.is_plain
    }

    fn held_bytes(&self) -> u64 {
        self.held_bytes
    }

    fn encoding(&self) -> Option<&str> {
        self.encoding.as_deref()
    }

    fn read_encoded(&self, index: &[u64], cx: &TaskContext<'_>) -> blockwise_core::Result<Option<Buffer>> {
        let (part, inner) = self.place(index)?;
        opened(&self.files, part, &self.path, self.dtype)?.read_encoded(&inner, cx)
    }
}
