//! Elements picked by a mask, whose number only the data tells; and elements replaced.
//!
//! A lazy array has a shape, so a mask is counted first, block by block, in one pass over it; what is picked is then an
//! array like any other, cut where the blocks were. Invariant: the order is C order of the positions, as NumPy's.
//! Called by programs.

use super::{Array, Index, Operand};
use crate::block::{Block, BlockClosure, BlockInfo, blocks, chunks};
use crate::chunk::Chunk;
use crate::error::{Error, Result};
use crate::grid::{AxisGrid, ChunkGrid};
use crate::session::Session;
use blockwise_kernels::{DType, gather};
use std::sync::Arc;

/// The elements of the first input at which the second is true.
fn compress(_info: &BlockInfo<'_>, inputs: &[Block<'_>], outputs: &mut [Chunk]) -> Result<()> {
    let ([elements, mask], [output]) = (blocks(inputs)?, chunks(outputs)?);
    let wanted = gather::count_true(mask.bytes) * elements.dtype.size();
    let found = output.bytes().len();
    if wanted != found {
        // The mask was counted in an earlier run: its source has changed since.
        let message =
            format!("the mask picks {wanted} bytes, {found} when it was counted; do not change its source");
        return Err(Error::Usage { message });
    }
    gather::compress(elements.bytes, mask.bytes, elements.dtype.size(), output.bytes_mut())?;
    Ok(())
}

/// How many elements of a block are true.
fn count_true(_info: &BlockInfo<'_>, inputs: &[Block<'_>], outputs: &mut [Chunk]) -> Result<()> {
    let ([mask], [output]) = (blocks(inputs)?, chunks(outputs)?);
    output.bytes_mut().copy_from_slice(&(gather::count_true(mask.bytes) as u64).to_ne_bytes());
    Ok(())
}

impl Session {
    /// NumPy's `array[mask]` for a mask of bools of the array's shape: one axis, in C order. The mask is counted in a
    /// run of its own; what it picks is lazy.
    ///
    /// # Errors
    /// If the mask holds no bools or has another shape; the first error of a task of the count.
    ///
    /// ```
    /// use blockwise_core::{Array, Session};
    /// let x = Array::arange_i64(0, 10, 1)?;
    /// let even = Array::call("equal", [(&x % 2).into(), 0.into()])?;
    /// let found = Session::with_budget(16 << 20).compress(&x, &even)?;
    /// assert_eq!(found.compute::<i64>()?.into_raw_vec_and_offset().0, [0, 2, 4, 6, 8]);
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn compress(&self, array: &Array, mask: &Array) -> Result<Array> {
        if mask.dtype() != DType::Bool {
            let message =
                format!("a mask is an array of bools, not {}; compare it with something", mask.dtype());
            return Err(Error::Usage { message });
        }
        if mask.shape() != array.shape() {
            return Err(Error::Shape { expected: array.shape(), found: mask.shape() });
        }
        let (flat, mask) = (array.ravel()?, mask.rechunk(array.grid())?.ravel()?);
        let mask = mask.rechunk(flat.grid())?;
        let Some(cuts) = flat.grid().axes().first().cloned() else { return Ok(flat) };
        let counts = self.counts(&mask, &cuts)?;
        // Runs of blocks of which something is picked; the others are left out.
        let (mut runs, mut lengths, mut picked): (Vec<(u64, u64)>, Vec<u64>, Vec<u64>) = Default::default();
        for (block, &count) in (0_u64..).zip(&counts).filter(|(_, count)| **count > 0) {
            let (start, end) = (cuts.start(block), cuts.start(block + 1));
            match runs.last_mut() {
                Some(last) if last.1 == start => last.1 = end,
                _ => runs.push((start, end)),
            }
            lengths.push(end - start);
            picked.push(count);
        }
        if runs.is_empty() {
            return flat.slice(0, ..0);
        }
        let tasks = ChunkGrid::from_axes(vec![AxisGrid::rectilinear(&lengths)?])?;
        let part = |whole: &Array| {
            let slices: Result<Vec<Array>> =
                runs.iter().map(|(start, end)| whole.slice(0, *start as i64..*end as i64)).collect();
            Array::concatenate(&slices?, 0)
        };
        let inputs = vec![(&part(&flat)?).into(), (&part(&mask)?).into()];
        let outputs = vec![(flat.dtype(), ChunkGrid::from_axes(vec![AxisGrid::rectilinear(&picked)?])?)];
        let found = Array::from_blocks(
            Arc::new(BlockClosure::new("elements by mask", 0, compress)),
            inputs,
            tasks,
            vec![Some(0)],
            outputs,
        )?;
        found.into_iter().next().ok_or_else(|| Error::Internal { message: "no output".to_owned() })
    }

    /// How many elements of every block of a flat mask are true.
    fn counts(&self, mask: &Array, cuts: &AxisGrid) -> Result<Vec<u64>> {
        let blocks = cuts.count();
        let ones = ChunkGrid::regular(&[blocks], &[1])?;
        let counted = Array::from_blocks(
            Arc::new(BlockClosure::new("count of a mask", 0, count_true)),
            vec![mask.into()],
            mask.grid().clone(),
            vec![Some(0)],
            vec![(DType::U64, ones)],
        )?;
        let counted = counted.first().ok_or_else(|| Error::Internal { message: "no output".to_owned() })?;
        Ok(self.compute::<u64>(counted)?.into_raw_vec_and_offset().0)
    }

    /// NumPy's `nonzero`: for every axis, the positions along it of the elements that are not zero.
    ///
    /// # Errors
    /// The first error of a task of the count.
    pub fn nonzero(&self, array: &Array) -> Result<Vec<Array>> {
        let mask = array.astype(DType::Bool);
        let along = |axis: usize| {
            // Positions cost nothing to cut: as the array is.
            self.compress(&Array::indices(&array.shape(), axis)?.rechunk(array.grid())?, &mask)
        };
        (0..array.rank()).map(along).collect()
    }

    /// NumPy's `flatnonzero`: positions in C order of the elements that are not zero.
    ///
    /// # Errors
    /// The first error of a task of the count.
    pub fn flat_nonzero(&self, array: &Array) -> Result<Array> {
        let flat = array.ravel()?.astype(DType::Bool);
        self.compress(&Array::indices(&flat.shape(), 0)?.rechunk(flat.grid())?, &flat)
    }
}

impl Array {
    /// The array with what `index` selects replaced by `values`, which broadcast to the selection: NumPy's
    /// `x[index] = values`, as a new array. An array of values needs steps of 1 or -1.
    ///
    /// # Errors
    /// If the index does not fit, values do not broadcast, or an array of values meets a larger step.
    ///
    /// ```
    /// use blockwise_core::Array;
    /// let x = Array::arange_i64(0, 5, 1)?.assign(&[(1..3).into()], 9)?;
    /// assert_eq!(x.compute::<i64>()?.into_raw_vec_and_offset().0, [0, 9, 9, 3, 4]);
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn assign(&self, index: &[Index], values: impl Into<Operand>) -> Result<Self> {
        let selection = self.selections(index)?;
        match values.into() {
            Operand::Number(number) => {
                let inside = self.inside(&selection)?.rechunk(self.grid())?;
                let chosen = Self::call("where", [inside.into(), Operand::Number(number), self.into()])?;
                Ok(chosen.astype(self.dtype()).renamed(self.names().to_vec()))
            }
            Operand::Array(values) => {
                let values = values.astype(self.dtype());
                let shape: Vec<u64> = selection.iter().filter(|s| !s.is_dropped).map(|s| s.count).collect();
                let mut values = values.broadcast_to(&shape)?;
                for (axis, s) in selection.iter().enumerate() {
                    if s.is_dropped {
                        values = values.expand_dims(axis as i64)?;
                    } else if s.step < 0 {
                        values = values.flip(axis)?;
                    }
                    if s.step.unsigned_abs() != 1 && s.count > 1 {
                        let message = format!(
                            "an array cannot be assigned to every {}th element of axis {axis}; use a mask and where",
                            s.step
                        );
                        return Err(Error::Usage { message });
                    }
                }
                self.framed(values, &selection)
            }
        }
    }

    /// `values` where the selection is, this array around it.
    fn framed(&self, values: Self, selection: &[super::index::AxisSelection]) -> Result<Self> {
        let mut framed = values;
        // From the last axis to the first: each frames what is whole along the later ones.
        for (axis, s) in selection.iter().enumerate().rev() {
            let low = if s.step > 0 { s.start } else { s.start + 1 - s.count };
            let mut items: Vec<Index> = Vec::with_capacity(selection.len());
            for s in &selection[..axis] {
                let low = if s.step > 0 { s.start } else { s.start + 1 - s.count };
                items.push((low as i64..(low + s.count) as i64).into());
            }
            let around = |range: std::ops::Range<u64>| {
                let mut items = items.clone();
                items.push((range.start as i64..range.end as i64).into());
                self.index(&items)
            };
            let extent = self.grid().axes()[axis].extent();
            let parts = [around(0..low)?, framed, around(low + s.count..extent)?];
            framed = Self::concatenate(&parts, axis)?;
        }
        Ok(framed.rechunk(self.grid())?.renamed(self.names().to_vec()))
    }

    /// Whether each element is among the selected.
    fn inside(&self, selection: &[super::index::AxisSelection]) -> Result<Self> {
        let mut inside: Option<Self> = None;
        for (axis, s) in selection.iter().copied().enumerate() {
            let extent = self.grid().axes()[axis].extent();
            let along = Self::from_fn(&[extent], move |at| s.contains(at.first().copied().unwrap_or(0)))?;
            let items: Vec<Index> =
                (0..self.rank()).map(|n| if n == axis { Index::from(..) } else { Index::NewAxis }).collect();
            let along = along.index(&items)?;
            inside = Some(match inside {
                None => along,
                Some(before) => Self::call("logical_and", [before.into(), along.into()])?,
            });
        }
        inside.map_or_else(|| Self::ones(&[], DType::Bool), Ok)
    }
}
