//! What the elements of every label come to: counts, sums, extremes, extents and centres, in one pass.
//!
//! Invariant: all measures of one [`Measures`] come from one table, which is computed once. Called by programs and `eval`.

use crate::array::order::one;
use crate::array::tasks::joined;
use crate::array::{Array, Index};
use crate::block::{Block, BlockClosure, BlockFold, BlockInfo, blocks, chunks};
use crate::chunk::Chunk;
use crate::error::{Error, Result};
use crate::grid::ChunkGrid;
use blockwise_kernels::{DType, Scalar};
use std::sync::Arc;

/// Fields of a label before those of the axes: how many elements, their sum, the smallest, the largest, and the sum of the squares of what
/// they differ from their mean.
const FIELDS: usize = 5;
/// Fields of an axis: the first position, one past the last, the sum of positions, and that of positions times elements.
const AXIS_FIELDS: usize = 4;

/// Measures of the elements of labels 1 to `count`, an element a label: as SciPy's `sum_labels`, `mean`, `variance`, `minimum`,
/// `maximum`, `center_of_mass` and `find_objects`.
#[derive(Clone, Debug)]
pub struct Measures {
    table: Array,
    rank: usize,
}

impl Array {
    /// Measures of this array's elements by the label that each has in `labels`, from 1 to `count`; what has another one is
    /// left out. Everything is added up in float64.
    ///
    /// # Errors
    /// If the shapes differ, an array is complex, or the table has too many elements: 5 numbers a label, and 4 more an axis.
    ///
    /// ```
    /// use blockwise_core::Array;
    /// let x = Array::arange(0.0, 6.0, 1.0)?.rechunk([4])?;
    /// let labels = x.floor()?.astype(blockwise_core::DType::I32).try_rem(2)?;
    /// let odd = x.measure(&labels, 1)?;
    /// assert_eq!(odd.sums()?.compute::<f64>()?[[0]], 9.0);
    /// assert_eq!(odd.extents()?.compute::<i64>()?.as_slice(), Some(&[1, 6][..]));
    /// assert_eq!(odd.centroids()?.compute::<f64>()?[[0, 0]], 3.0);
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn measure(&self, labels: &Self, count: u64) -> Result<Measures> {
        if self.shape() != labels.shape() {
            return Err(Error::Shape { expected: self.shape(), found: labels.shape() });
        }
        if self.dtype().kind() == 'c' || !matches!(labels.dtype().kind(), 'i' | 'u' | 'b') {
            let message = format!(
                "measures of {} by labels of {}; elements are real numbers and labels are whole ones",
                self.dtype(),
                labels.dtype()
            );
            return Err(Error::Usage { message });
        }
        let rank = self.rank();
        let fields = FIELDS + AXIS_FIELDS * rank;
        let too_large = || Error::TooLarge { what: "table of labels", shape: vec![fields as u64, count] };
        let labels_there = usize::try_from(count).map_err(|_| too_large())?;
        labels_there.checked_mul(fields * size_of::<f64>()).ok_or_else(too_large)?;
        let tasks = joined(self.grid(), 2 * size_of::<f64>() as u64)?;
        let shape = [fields as u64, count];
        if tasks.chunk_count() == 0 || count == 0 {
            return Ok(Measures { table: Self::full(&shape, Scalar::zero(DType::F64))?, rank });
        }
        let run = move |info: &BlockInfo<'_>, inputs: &[Block<'_>], outputs: &mut [Chunk]| {
            let ([values, labels], [out]) = (blocks(inputs)?, chunks(outputs)?);
            let (values, labels) = (values.elements::<f64>(), labels.elements::<i64>());
            let table = out.elements_mut::<f64>().unwrap_or_default();
            table.fill(0.0);
            let (origin, extent) = (info.region.origin(), info.region.shape());
            let items = values.unwrap_or_default().iter().zip(labels.unwrap_or_default());
            add(table, labels_there, items, origin, extent);
            Ok(())
        };
        let inputs = vec![(&self.astype(DType::F64)).into(), (&labels.astype(DType::I64)).into()];
        let [table] = one(Self::from_folded_blocks(
            Arc::new(BlockClosure::new("measures of labels", 0, run)),
            inputs,
            tasks,
            vec![None, None],
            vec![(DType::F64, ChunkGrid::single(&shape)?)],
            (0..rank).collect(),
            Arc::new(Joined { labels: labels_there }),
        )?)?;
        Ok(Measures { table, rank })
    }
}

/// Adds elements and their labels, of a block in C order, to a table of `count` labels.
fn add<'a>(
    table: &mut [f64],
    count: usize,
    items: impl Iterator<Item = (&'a f64, &'a i64)>,
    origin: &[u64],
    extent: &[u64],
) {
    let mut place = origin.to_vec();
    for (value, label) in items {
        if let Some(at) =
            label.checked_sub(1).and_then(|at| usize::try_from(at).ok()).filter(|at| *at < count)
        {
            let known = |n: usize| table.get(n * count + at).copied().unwrap_or(0.0);
            let (elements, sum) = (known(0), known(1));
            let is_first = elements == 0.0;
            let mut field = |n: usize, of: &dyn Fn(f64) -> f64| {
                if let Some(slot) = table.get_mut(n * count + at) {
                    *slot = of(*slot);
                }
            };
            let value = *value;
            field(0, &|elements| elements + 1.0);
            field(1, &|sum| sum + value);
            field(2, &|least| if is_first || value < least { value } else { least });
            field(3, &|most| if is_first || value > most { value } else { most });
            // B. P. Welford, "Note on a method for calculating corrected sums of squares and products" (1962).
            let from_mean = match (value.is_finite(), is_first) {
                (false, _) => f64::NAN,
                (true, true) => 0.0,
                (true, false) => value - sum / elements,
            };
            field(4, &|squares| squares + from_mean * from_mean * elements / (elements + 1.0));
            for (axis, position) in place.iter().enumerate() {
                let (first, position) = (FIELDS + axis * AXIS_FIELDS, *position as f64);
                field(first, &|least| if is_first { position } else { least.min(position) });
                field(first + 1, &|most| most.max(position + 1.0));
                field(first + 2, &|sum| sum + position);
                field(first + 3, &|sum| sum + position * value);
            }
        }
        for ((at, start), length) in place.iter_mut().zip(origin).zip(extent).rev() {
            *at += 1;
            if *at < start + length {
                break;
            }
            *at = *start;
        }
    }
}

/// Two tables as one.
struct Joined {
    labels: usize,
}

impl BlockFold for Joined {
    fn combine(&self, into: &mut [Chunk], next: &[Chunk]) -> Result<()> {
        let ([into], [next]) = (into, next) else { return Ok(()) };
        let next = next.elements::<f64>().unwrap_or_default();
        let into = into.elements_mut::<f64>().unwrap_or_default();
        let of_both = |field: usize| -> Vec<(f64, f64)> {
            let both = into.iter().zip(next).skip(field * self.labels).take(self.labels);
            both.map(|(into, next)| (*into, *next)).collect()
        };
        let (counts, sums) = (of_both(0), of_both(1));
        let rows = into.chunks_exact_mut(self.labels).zip(next.chunks_exact(self.labels));
        for (field, (into, next)) in rows.enumerate() {
            let axis_field = field.checked_sub(FIELDS).map(|field| field % AXIS_FIELDS);
            let known = counts.iter().zip(&sums);
            for ((into, next), ((own, others), (own_sum, others_sum))) in into.iter_mut().zip(next).zip(known)
            {
                *into = match (field, axis_field) {
                    _ if *others == 0.0 => *into,
                    _ if *own == 0.0 => *next,
                    (2, _) | (_, Some(0)) => {
                        if *next < *into {
                            *next
                        } else {
                            *into
                        }
                    }
                    (3, _) | (_, Some(1)) => {
                        if *next > *into {
                            *next
                        } else {
                            *into
                        }
                    }
                    // T. F. Chan, G. H. Golub, R. J. LeVeque, "Algorithms for computing the sample variance" (1983).
                    (4, _) => {
                        let apart = others_sum / others - own_sum / own;
                        *into + *next + apart * apart * (own * others / (own + others))
                    }
                    _ => *into + *next,
                };
            }
        }
        Ok(())
    }
}

impl Measures {
    fn field(&self, field: usize) -> Result<Array> {
        self.table.index(&[Index::At(field as i64)])
    }

    /// A field of every axis, along a new last axis.
    fn of_axes(&self, field: impl Fn(usize) -> Result<Array>) -> Result<Array> {
        let fields =
            (0..self.rank).map(|axis| field(FIELDS + axis * AXIS_FIELDS)).collect::<Result<Vec<_>>>()?;
        if fields.is_empty() {
            let count = self.table.shape().get(1).copied().unwrap_or(0);
            return Array::full(&[count, 0], Scalar::zero(DType::F64));
        }
        Array::stack(&fields, -1)
    }

    /// How many elements each label has, as `int64`.
    ///
    /// # Errors
    /// None but for what the graph itself refuses; so all of these.
    pub fn counts(&self) -> Result<Array> {
        Ok(self.field(0)?.astype(DType::I64))
    }

    /// The sums of elements.
    ///
    /// # Errors
    /// As [`Measures::counts`].
    pub fn sums(&self) -> Result<Array> {
        self.field(1)
    }

    /// The means of elements; NaN where there are none.
    ///
    /// # Errors
    /// As [`Measures::counts`].
    pub fn means(&self) -> Result<Array> {
        self.field(1)?.try_div(self.field(0)?)
    }

    /// The variances of elements: the means of the squares of what they differ from their mean; NaN where there are none.
    ///
    /// # Errors
    /// As [`Measures::counts`].
    ///
    /// ```
    /// use blockwise_core::{Array, DType};
    /// let x = Array::arange(0.0, 6.0, 1.0)?.rechunk([4])?;
    /// let variances = x.measure(&Array::ones(&[6], DType::U8)?, 1)?.variances()?;
    /// assert_eq!(variances.compute::<f64>()?[[0]], 35.0 / 12.0);
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn variances(&self) -> Result<Array> {
        self.field(4)?.try_div(self.field(0)?)
    }

    /// The smallest elements, 0 where there are none.
    ///
    /// # Errors
    /// As [`Measures::counts`].
    pub fn minima(&self) -> Result<Array> {
        self.field(2)
    }

    /// The largest elements, 0 where there are none.
    ///
    /// # Errors
    /// As [`Measures::counts`].
    pub fn maxima(&self) -> Result<Array> {
        self.field(3)
    }

    /// For every label and axis the first position and one past the last, as `int64`: a row of a label, its axes, both.
    ///
    /// # Errors
    /// As [`Measures::counts`].
    pub fn extents(&self) -> Result<Array> {
        let both = |field| Array::stack(&[self.field(field)?, self.field(field + 1)?], -1);
        let fields =
            (0..self.rank).map(|axis| both(FIELDS + axis * AXIS_FIELDS)).collect::<Result<Vec<_>>>()?;
        if fields.is_empty() {
            let count = self.table.shape().get(1).copied().unwrap_or(0);
            return Array::full(&[count, 0, 2], Scalar::zero(DType::I64));
        }
        Ok(Array::stack(&fields, 1)?.astype(DType::I64))
    }

    /// The mean positions of each label's elements: a row of a label, its axes.
    ///
    /// # Errors
    /// As [`Measures::counts`].
    pub fn centroids(&self) -> Result<Array> {
        self.of_axes(|first| self.field(first + 2)?.try_div(self.field(0)?))
    }

    /// The mean positions, each element counting as much as it is: a row of a label, its axes.
    ///
    /// # Errors
    /// As [`Measures::counts`].
    pub fn centers_of_mass(&self) -> Result<Array> {
        self.of_axes(|first| self.field(first + 3)?.try_div(self.field(1)?))
    }
}
