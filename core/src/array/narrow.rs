//! Quantiles over all elements of arrays that no task can hold: passes over the array that narrow the ranks down.
//!
//! Each pass reads the array once and holds a table of counts for every rank: nothing is sorted, and nothing goes to disk.
//! Invariant: results are those of one selection among all elements, bit by bit. Called by the quantiles of [`Array`].

use super::states::States;
use super::tasks::joined;
use super::{Array, BlockInput};
use crate::block::blocks;
use crate::error::Result;
use crate::grid::{AxisGrid, ChunkGrid};
use blockwise_kernels::order::{Narrowing, Quantile};
use blockwise_kernels::{Buffer, DType, Scalar};

impl Array {
    /// The quantiles over all axes, as an array of `shape`, which has one element for each.
    pub(super) fn narrowed(&self, quantile: &Quantile, shape: &[u64]) -> Result<Self> {
        let narrowing = Narrowing::new(quantile.clone());
        let (passes, target_bytes) = (narrowing.passes(), narrowing.target_bytes());
        // The tasks see the targets along an axis of their own.
        let targets_axis = AxisGrid::regular(target_bytes as u64, target_bytes as u64)?;
        let own = joined(self.grid(), self.dtype().size() as u64)?;
        let tasks = ChunkGrid::from_axes(own.axes().iter().cloned().chain([targets_axis]).collect())?;
        let input: BlockInput = (&self.expand_dims(-1)?).into();
        let mut targets = Self::full(&[target_bytes as u64], Scalar::zero(DType::U8))?;
        for pass in 0..passes {
            for _ in 0..self.rank() {
                targets = targets.expand_dims(0)?;
            }
            let is_last = pass + 1 == passes;
            let (adding, combining, finishing) = (narrowing.clone(), narrowing.clone(), narrowing.clone());
            let states = States {
                name: "quantile",
                bytes: narrowing.state_bytes(pass) as u64,
                // The list of tables, or what is mixed.
                scratch_bytes: 4 * target_bytes as u64,
                add: Box::new(move |_, inputs, state| {
                    let [block, targets] = blocks(inputs)?;
                    Ok(adding.add(pass, targets.bytes, block.bytes, state)?)
                }),
                combine: Box::new(move |into, from| Ok(combining.combine(into, from)?)),
                finish: Box::new(move |state, out| {
                    if !is_last {
                        return Ok(finishing.narrow(pass, state, out.bytes_mut())?);
                    }
                    let mut targets = Buffer::zeroed(target_bytes);
                    finishing.narrow(pass, state, &mut targets)?;
                    Ok(finishing.finish(&targets, out.bytes_mut())?)
                }),
            };
            let (dtype, wanted) = match is_last {
                true => (quantile.output_dtype(), shape.to_vec()),
                false => (DType::U8, vec![target_bytes as u64]),
            };
            let inputs = vec![input.clone(), (&targets).into()];
            targets = states.reduce_blocks(inputs, tasks.clone(), dtype, &wanted)?;
        }
        Ok(targets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Session;
    use blockwise_kernels::order::QuantileMethod;

    #[test]
    fn passes_give_what_one_selection_gives() {
        let x = Array::from_fn(&[40, 50, 7], |at| {
            let n = at[0] * 7919 + at[1] * 104_729 + at[2] * 31;
            if n % 97 == 5 { f64::NAN } else { (n % 1009) as f64 * 0.37 - 100.0 }
        });
        let x = x.unwrap().rechunk([9, 50, 3]).unwrap();
        let session = Session::with_budget(64 << 20);
        for skip_nan in [true, false] {
            let levels = [0.0, 0.31, 0.5, 1.0];
            let quantile = Quantile::new(DType::F64, &levels, QuantileMethod::Linear, skip_nan).unwrap();
            let found = session.compute::<f64>(&x.narrowed(&quantile, &[4]).unwrap()).unwrap();
            let whole = match skip_nan {
                true => x.nanquantile(levels, .., QuantileMethod::Linear),
                false => x.quantile(levels, .., QuantileMethod::Linear),
            };
            let expected = session.compute::<f64>(&whole.unwrap()).unwrap();
            assert_eq!(found.mapv(f64::to_bits), expected.mapv(f64::to_bits));
        }
        let small = x.astype(DType::F32);
        let median = Quantile::median(DType::F32, true).unwrap();
        let found = session.compute::<f32>(&small.narrowed(&median, &[]).unwrap()).unwrap();
        assert_eq!(found, session.compute::<f32>(&small.nanmedian(..).unwrap()).unwrap());
    }
}
