//! The one product that all others are made of: over several axes, blocked, of stacks of matrices of any rank.
//!
//! The task array has an axis for each of batch, rows, inner and columns; a task multiplies one block of each factor, and the
//! results of tasks along the inner axes are added up in core's fixed tree. Invariant: tasks depend on the factors alone, so
//! results have the same bits whatever the threads, the budget and the order of arrival. Called by the products of this crate.

mod task;
#[cfg(test)]
mod tests;
pub(crate) mod tiles;

use blockwise_core::array::BlockInput;
use blockwise_core::block::{BlockFold, BlockFunction};
use blockwise_core::{Array, ChunkGrid, DType, Error, Result};
use std::sync::Arc;
use task::{FloatProduct, IntegerProduct, Sizes};
pub(crate) use task::{Sum, Summed};

/// What the axes of two factors are: the first has batch, rows and inner ones, the second batch, inner and columns, each
/// group in order. Batch axes are of equal length in both, or of length 1 in one; inner ones are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Roles {
    pub(crate) batch: usize,
    pub(crate) rows: usize,
    pub(crate) inner: usize,
    pub(crate) columns: usize,
}

impl Roles {
    fn of_a(self) -> usize {
        self.batch + self.rows + self.inner
    }

    fn of_b(self) -> usize {
        self.batch + self.inner + self.columns
    }
}

/// The product of `a` and `b`, computed in `dtype` (which is the result's): its axes are the batch ones, the rows and the
/// columns.
pub(crate) fn contract(a: &Array, b: &Array, roles: Roles, dtype: DType) -> Result<Array> {
    if a.rank() != roles.of_a() || b.rank() != roles.of_b() {
        return Err(Error::Internal { message: format!("a product of {a:?} and {b:?} as {roles:?}") });
    }
    let names = names(a, b, roles);
    // Products of halves are exact in float32, so are sums of many; what is neither 0 nor 1 is no truth value.
    let computed = match dtype {
        DType::F16 | DType::BF16 | DType::Bool => DType::F32,
        other => other,
    };
    let (a, b) = (a.astype(computed), b.astype(computed));
    let product = if roles.rows == 0 && roles.columns == 0 {
        inner(&a, &b, roles, computed)?
    } else {
        blocked(&a, &b, roles, computed, tiles::tasks(&a, &b, roles)?)?
    };
    let product = if dtype == DType::Bool {
        Array::call("not_equal", [product.into(), 0.0.into()])?
    } else {
        product.astype(dtype)
    };
    product.with_some_names(names)
}

/// Products without rows and columns: what is multiplied and summed need not be brought together.
fn inner(a: &Array, b: &Array, roles: Roles, dtype: DType) -> Result<Array> {
    let product = a.try_mul(b)?;
    if roles.inner == 0 {
        return Ok(product);
    }
    let axes: Vec<usize> = (roles.batch..roles.batch + roles.inner).collect();
    Ok(product.sum(axes.as_slice())?.astype(dtype))
}

/// Products by blocks: a task for each box of `tasks`, whose axes are batch, rows, inner and columns.
fn blocked(a: &Array, b: &Array, roles: Roles, dtype: DType, tasks: ChunkGrid) -> Result<Array> {
    let Roles { batch, rows, inner, columns } = roles;
    // Every input has all axes of the tasks, of length 1 where it has none.
    let (mut wide_a, mut wide_b) = (a.clone(), b.clone());
    for _ in 0..columns {
        wide_a = wide_a.expand_dims(-1)?;
    }
    for _ in 0..rows {
        wide_b = wide_b.expand_dims(i64::try_from(batch).unwrap_or(0))?;
    }
    let kept = |axis: &usize| *axis < batch + rows || *axis >= batch + rows + inner;
    let result_axes: Vec<usize> = (0..tasks.rank()).filter(kept).collect();
    let grid = ChunkGrid::from_axes(
        result_axes.iter().filter_map(|axis| tasks.axes().get(*axis).cloned()).collect(),
    )?;
    if tasks.chunk_count() == 0 {
        return Array::zeros(&grid.shape(), dtype);
    }
    let sizes = Sizes { batch, rows, inner, columns };
    let (function, fold): (Arc<dyn BlockFunction>, Arc<dyn BlockFold>) = match (dtype.kind(), dtype.size()) {
        ('f', 4) => (Arc::new(FloatProduct::<f32>::new(sizes)), Arc::new(Sum::<f32>::default())),
        ('f', 8) => (Arc::new(FloatProduct::<f64>::new(sizes)), Arc::new(Sum::<f64>::default())),
        ('c', 8) => (
            Arc::new(FloatProduct::<num_complex::Complex32>::new(sizes)),
            Arc::new(Sum::<num_complex::Complex32>::default()),
        ),
        ('c', 16) => (
            Arc::new(FloatProduct::<num_complex::Complex64>::new(sizes)),
            Arc::new(Sum::<num_complex::Complex64>::default()),
        ),
        // What wraps has the same bits with a sign and without.
        ('i' | 'u', 1) => (Arc::new(IntegerProduct::<u8>::new(sizes)), Arc::new(Sum::<u8>::default())),
        ('i' | 'u', 2) => (Arc::new(IntegerProduct::<u16>::new(sizes)), Arc::new(Sum::<u16>::default())),
        ('i' | 'u', 4) => (Arc::new(IntegerProduct::<u32>::new(sizes)), Arc::new(Sum::<u32>::default())),
        ('i' | 'u', 8) => (Arc::new(IntegerProduct::<u64>::new(sizes)), Arc::new(Sum::<u64>::default())),
        _ => return Err(Error::Usage { message: format!("no products of {dtype}") }),
    };
    let inputs: Vec<BlockInput> = vec![(&wide_a).into(), (&wide_b).into()];
    let index_axes = result_axes.into_iter().map(Some).collect();
    let folded = (batch + rows..batch + rows + inner).collect();
    let results =
        Array::from_folded_blocks(function, inputs, tasks, index_axes, vec![(dtype, grid)], folded, fold)?;
    one(results)
}

/// The only result of a function of blocks.
pub(crate) fn one(results: Vec<Array>) -> Result<Array> {
    let mut results = results.into_iter();
    results.next().ok_or_else(|| Error::Internal { message: "a function without results".to_owned() })
}

/// Dimension names of the result; of two equal ones neither stays but for a batch axis, which is one.
fn names(a: &Array, b: &Array, roles: Roles) -> Vec<Option<String>> {
    let Roles { batch, rows, inner, .. } = roles;
    let of = |array: &Array, axis: usize| array.names().get(axis).cloned().flatten();
    let batch_names = (0..batch).map(|axis| of(a, axis).or_else(|| of(b, axis)));
    let row_names = (batch..batch + rows).map(|axis| of(a, axis));
    let column_names = (batch + inner..b.rank()).map(|axis| of(b, axis));
    let mut names: Vec<Option<String>> = batch_names.chain(row_names).chain(column_names).collect();
    for n in 1..names.len() {
        let (before, rest) = names.split_at_mut(n);
        if let Some(name) = rest.first_mut()
            && let Some(twin) = before.iter_mut().find(|known| known.is_some() && *known == name)
        {
            (*twin, *name) = (None, None);
        }
    }
    names
}
