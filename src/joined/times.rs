//! Times of several files, counted from one date.
//!
//! Each file may count from a date of its own (`days since` its first); joined, all count as the first does. Invariants: instants
//! stay what they are, to the microsecond; whole numbers stay whole where all are. Called by [`super::array`].

use super::files::Files;
use super::summary::{numbers, values, whole};
use crate::cf::time::TimeUnits;
use crate::cf::{unpacked_attributes, unpacking_of};
use crate::error::Result;
use blockwise_core::memory::MemoryArray;
use blockwise_core::{ChunkGrid, Source};
use blockwise_io::{ArrayInfo, ElementType};
use blockwise_kernels::{DType, Scalar};
use std::sync::Arc;

/// The elements of `first` of the files in `order`, one behind the other along the first axis, counted by the first of `units`;
/// the others are those of the files. `info` becomes the description of the result. Or why there is none.
///
/// # Errors
/// If a file cannot be read, or a time is too far away.
pub(super) fn recounted(
    files: &Files,
    first: &ArrayInfo,
    order: &[usize],
    units: &[TimeUnits],
    info: &mut ArrayInfo,
) -> Result<Result<Arc<dyn Source>, String>> {
    let Some((to, from)) = units.split_first() else { return Ok(Err("no file counts time".to_owned())) };
    let mut all: Vec<f64> = Vec::new();
    for (number, from) in order.iter().zip(from) {
        let array = files.file(*number)?.container.array(&first.path)?;
        let source = values(array.source()?, array.info())?;
        let Some(bytes) = whole(&*source)? else {
            return Ok(Err(format!(
                "{} counts from another date, and too many to count anew",
                files.name(*number)
            )));
        };
        let times = from.decode(&numbers(&bytes, source.dtype())?)?;
        all.extend(times.instants.iter().map(|at| at.map_or(f64::NAN, |instant| to.number(instant))));
        if all.len() as u64 > super::summary::MOST_ELEMENTS {
            return Ok(Err("files count from different dates, and too many to count anew".to_owned()));
        }
    }
    let is_integer =
        matches!(&first.element_type, ElementType::Number(dtype) if matches!(dtype.kind(), 'i' | 'u'));
    // Beyond this a double does not say every whole number.
    let are_whole = all.iter().all(|number| number.fract() == 0.0 && number.abs() < 9.0e15);
    let grid = ChunkGrid::single(&info.shape)?;
    let label = files.name(0);
    if let Some(rule) = unpacking_of(first)? {
        info.attributes = unpacked_attributes(&ArrayInfo { fill_value: None, ..first.clone() }, &rule)?;
    }
    info.chunk_shape = Some(info.shape.iter().map(|length| (*length).max(1)).collect());
    let source: Arc<dyn Source> = if is_integer && are_whole {
        let whole: Vec<i64> = all.iter().map(|number| *number as i64).collect();
        (info.element_type, info.fill_value) = (ElementType::Number(DType::I64), None);
        Arc::new(MemoryArray::from_elements(label, grid, &whole)?)
    } else {
        (info.element_type, info.fill_value) =
            (ElementType::Number(DType::F64), Some(Scalar::from(f64::NAN)));
        Arc::new(MemoryArray::from_elements(label, grid, &all)?)
    };
    Ok(Ok(source))
}
