//! What an array of a file holds, in brief: enough to tell whether two files hold the same, and in which order they follow.
//!
//! Invariants: chunks are read one by one, in order; the result does not depend on how the array is cut. Called by [`super::axis`]
//! and [`super::array`].

use crate::cf;
use crate::cf::time::TimeUnits;
use blockwise_core::adapt::Unpack;
use blockwise_core::digest::Digest;
use blockwise_core::{Cancellation, Source, TaskContext};
use blockwise_io::{ArrayInfo, ElementType, Error, Result, StoredArray};
use blockwise_kernels::strided::copy_region;
use blockwise_kernels::{BufferPool, DType, cast};
use std::sync::Arc;

/// Elements of arrays of several axes that are compared.
pub(super) const MOST_ELEMENTS: u64 = 1 << 20;

/// Bytes of texts that are compared.
const MOST_TEXT_BYTES: u64 = 8 << 20;

/// What an array holds.
#[derive(Clone, Debug)]
pub(super) struct Summary {
    /// Equal for equal elements.
    pub(super) content: String,
    /// First and last number; none of texts, of nothing, and of more than one axis.
    pub(super) ends: Option<(f64, f64)>,
    /// Whether each number is above the one before; below, `false`; neither, or one number alone, `None`.
    pub(super) ascends: Option<bool>,
    /// Whether numbers neither ascend nor descend.
    pub(super) is_unordered: bool,
}

/// The values of an array, with packing undone.
pub(super) fn values(source: Arc<dyn Source>, info: &ArrayInfo) -> Result<Arc<dyn Source>> {
    let refused = |what: String| Error::Refused { path: source.label().to_owned(), what };
    match cf::unpacking_of(info).map_err(|error| refused(error.to_string()))? {
        Some(rule) => Ok(Unpack::over(Arc::clone(&source), rule)?),
        None => Ok(source),
    }
}

/// What `array` holds; `None` if it is large and of several axes, or its elements do not stream. Numbers that are equal count as equal
/// whatever their type; times are counted by the first of `units` in place of the second, which are theirs.
pub(super) fn summary(
    array: &dyn StoredArray,
    units: Option<&(TimeUnits, TimeUnits)>,
) -> Result<Option<Summary>> {
    let info = array.info();
    let mut content = Digest::default();
    content.add(&info.shape);
    let unordered = |content: &Digest| Summary {
        content: content.to_string(),
        ends: None,
        ascends: None,
        is_unordered: true,
    };
    match &info.element_type {
        ElementType::Text => {
            content.add(&array.read_texts(MOST_TEXT_BYTES)?.texts);
            return Ok(Some(unordered(&content)));
        }
        ElementType::Other(_) => return Ok(None),
        _ => {}
    }
    let source = values(array.source()?, info)?;
    if source.grid().rank() > 1 {
        let Some(bytes) = whole(&*source)? else { return Ok(None) };
        add(&mut content, &bytes, source.dtype(), units)?;
        return Ok(Some(unordered(&content)));
    }
    let mut walk = Walk { ends: None, ascends: None, is_unordered: false };
    each_chunk(&*source, |_, _, bytes| {
        add(&mut content, bytes, source.dtype(), units)?.into_iter().for_each(|number| walk.step(number));
        Ok(())
    })?;
    let Walk { ends, ascends, is_unordered } = walk;
    Ok(Some(Summary { content: content.to_string(), ends, ascends, is_unordered }))
}

/// Takes in elements, and gives them as doubles.
fn add(
    content: &mut Digest,
    bytes: &[u8],
    dtype: DType,
    units: Option<&(TimeUnits, TimeUnits)>,
) -> Result<Vec<f64>> {
    let mut doubles = numbers(bytes, dtype)?;
    if let Some((to, from)) = units {
        let times = from.decode(&doubles).map_err(|error| Error::Usage { message: error.to_string() })?;
        doubles = times.instants.iter().map(|at| at.map_or(f64::NAN, |instant| to.number(instant))).collect();
    }
    // Beyond this a double does not say every whole number.
    let are_exact =
        dtype.kind() != 'c' && doubles.iter().all(|number| number.abs() < 9.0e15 || !number.is_finite());
    if are_exact || units.is_some() {
        // Zeros of both signs are one number.
        doubles.iter().for_each(|number| content.add_bytes(&(number + 0.0).to_ne_bytes()));
    } else {
        content.add_bytes(bytes);
    }
    Ok(doubles)
}

/// Numbers as they come by.
struct Walk {
    ends: Option<(f64, f64)>,
    ascends: Option<bool>,
    is_unordered: bool,
}

impl Walk {
    fn step(&mut self, number: f64) {
        let Some((_, last)) = &mut self.ends else {
            self.ends = Some((number, number));
            return;
        };
        let rises = number > *last;
        let falls = number < *last;
        self.is_unordered |= !(rises || falls) || self.ascends.is_some_and(|ascends| ascends != rises);
        self.ascends = Some(rises);
        *last = number;
    }
}

/// Elements of `dtype` as doubles; complex ones by their real parts, since nothing orders them.
pub(super) fn numbers(bytes: &[u8], dtype: DType) -> Result<Vec<f64>> {
    let mut doubles = vec![0_u8; bytes.len() / dtype.size() * size_of::<f64>()];
    cast(&mut doubles, DType::F64, bytes, dtype)
        .map_err(|error| blockwise_core::Error::Internal { message: error.to_string() })?;
    let (doubles, _) = doubles.as_chunks();
    Ok(doubles.iter().copied().map(f64::from_ne_bytes).collect())
}

/// All elements in C order; `None` if they are many.
pub(super) fn whole(source: &dyn Source) -> Result<Option<Vec<u8>>> {
    let shape = source.grid().shape();
    let elements = shape.iter().try_fold(1_u64, |count, length| count.checked_mul(*length));
    if elements.is_none_or(|elements| elements > MOST_ELEMENTS) {
        return Ok(None);
    }
    let (shape, item_bytes) = (narrow(&shape), source.dtype().size());
    let mut all = vec![0; shape.iter().product::<usize>() * item_bytes];
    each_chunk(source, |origin, own, bytes| {
        let zero = vec![0; own.len()];
        copy_region(&mut all, &shape, &narrow(origin), bytes, &narrow(own), &zero, &narrow(own), item_bytes)
            .map_err(|error| blockwise_core::Error::Internal { message: error.to_string() }.into())
    })?;
    Ok(Some(all))
}

/// Lengths of what was counted to fit memory.
pub(super) fn narrow(lengths: &[u64]) -> Vec<usize> {
    lengths.iter().map(|length| usize::try_from(*length).unwrap_or(usize::MAX)).collect()
}

/// Reads every chunk in order: where it starts, its shape and its bytes.
fn each_chunk(source: &dyn Source, mut take: impl FnMut(&[u64], &[u64], &[u8]) -> Result<()>) -> Result<()> {
    let (pool, cancellation) = (BufferPool::new(0), Cancellation::new());
    let context = TaskContext::new(&pool, &cancellation);
    for index in source.grid().indices() {
        let origin = source.grid().region(&index)?.origin().to_vec();
        let chunk = source.read(&index, &context)?;
        take(&origin, chunk.shape(), chunk.bytes())?;
    }
    Ok(())
}
