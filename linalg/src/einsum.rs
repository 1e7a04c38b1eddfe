//! NumPy's `einsum`: sums of products by subscripts, lowered to diagonals, sums, transposes and products of two.
//!
//! Workspace: that of `matmul` for each product of two; arrays are multiplied two at a time, first those whose product is
//! smallest, and what is between is held or spilled.

mod subscripts;

use crate::contract::{Roles, contract};
use blockwise_core::{Array, DType, Error, Result};
use blockwise_kernels::promote::promote;
use subscripts::{Label, Subscripts};

/// Sums of products of the elements of arrays, by NumPy's subscripts: axes with the same letter go together; those that the
/// result does not have are summed over. Without `->` the result has the letters that stand once, in alphabetical order;
/// `...` stands for the axes without a letter.
///
/// # Errors
/// If the subscripts do not fit the arrays.
///
/// ```
/// use blockwise_core::{Array, DType};
/// use blockwise_linalg::einsum;
/// let x = Array::from_fn(&[3, 4], |at| (at[0] + at[1]) as f64)?;
/// assert_eq!(einsum("ij,kj->ik", &[&x, &x])?.shape(), [3, 3]);
/// assert_eq!(einsum("ij->", &[&x])?.compute::<f64>()?[[]], 30.0);
/// # Ok::<(), blockwise_core::Error>(())
/// ```
pub fn einsum(subscripts: &str, arrays: &[&Array]) -> Result<Array> {
    let ranks: Vec<usize> = arrays.iter().map(|array| array.rank()).collect();
    let Subscripts { operands, result } = Subscripts::parse(subscripts, &ranks)?;
    let Some(dtype) = arrays.iter().map(|array| array.dtype()).reduce(promote) else {
        return Err(Error::Usage { message: "einsum needs an array".to_owned() });
    };
    let terms = arrays.iter().zip(operands);
    let mut terms: Vec<Term> =
        terms.map(|(array, labels)| Term::new(&array.astype(dtype), labels)).collect::<Result<_>>()?;
    broadcast(subscripts, &mut terms)?;
    while terms.len() > 1 {
        let (first, second) = cheapest(&terms, &result);
        let b = terms.remove(second);
        let a = terms.remove(first);
        let wanted = needed(&terms, &result);
        let product =
            multiplied(&a.summed(&only(&b, &wanted))?, &b.summed(&only(&a, &wanted))?, &wanted, dtype)?;
        terms.push(product);
    }
    let Some(last) = terms.pop() else {
        return Err(Error::Internal { message: "einsum lost its arrays".to_owned() });
    };
    let last = last.summed(&result)?;
    let order: Vec<usize> =
        result.iter().filter_map(|label| last.labels.iter().position(|own| own == label)).collect();
    // An axis of length 1 that another array has longer was left out; one that none has longer stays.
    last.array.astype(dtype).transpose(order.as_slice())
}

/// An array whose axes have labels, each its own.
#[derive(Clone)]
struct Term {
    array: Array,
    labels: Vec<Label>,
}

impl Term {
    /// An array whose axes are called so; of axes that share a label the diagonal is taken.
    fn new(array: &Array, mut labels: Vec<Label>) -> Result<Self> {
        let mut array = array.with_some_names(vec![None; array.rank()])?;
        while let Some((first, second)) = twins(&labels) {
            let shape = array.shape();
            let (Some(n), Some(m)) = (shape.get(first), shape.get(second)) else { break };
            if n != m {
                let message = format!("einsum: a label stands for axes of {n} and {m} elements of one array");
                return Err(Error::Usage { message });
            }
            let (at, other) = (Array::indices(&shape, first as i64)?, Array::indices(&shape, second as i64)?);
            let is_on = Array::call("equal", [at.into(), other.into()])?;
            let zero = Array::zeros(&[], array.dtype())?;
            let dtype = array.dtype();
            array = Array::call("where", [is_on.into(), (&array).into(), zero.into()])?;
            array = sum(&array, &[second])?.astype(dtype);
            labels.remove(second);
        }
        Ok(Self { array, labels })
    }

    /// Summed over the axes that are not `wanted`.
    fn summed(&self, wanted: &[Label]) -> Result<Self> {
        let lost: Vec<usize> =
            (0..self.labels.len()).filter(|n| !wanted.contains(&self.labels[*n])).collect();
        if lost.is_empty() {
            return Ok(self.clone());
        }
        let labels = self.labels.iter().copied().filter(|label| wanted.contains(label)).collect();
        let dtype = self.array.dtype();
        Ok(Self { array: sum(&self.array, &lost)?.astype(dtype), labels })
    }

    fn length(&self, label: Label) -> Option<u64> {
        let at = self.labels.iter().position(|own| *own == label)?;
        self.array.shape().get(at).copied()
    }

    fn drop_axis(&mut self, label: Label) -> Result<()> {
        if let Some(at) = self.labels.iter().position(|own| *own == label) {
            self.array = self.array.squeeze(at as i64)?;
            self.labels.remove(at);
        }
        Ok(())
    }
}

/// Sums; of halves in `float32`, of bools "any".
fn sum(array: &Array, axes: &[usize]) -> Result<Array> {
    match array.dtype() {
        DType::Bool => array.any(axes),
        DType::F16 | DType::BF16 => array.astype(DType::F32).sum(axes),
        _ => array.sum(axes),
    }
}

fn twins(labels: &[Label]) -> Option<(usize, usize)> {
    (0..labels.len()).find_map(|n| Some((labels[..n].iter().position(|own| *own == labels[n])?, n)))
}

/// Leaves out axes of length 1 that are longer in another array; an error if lengths differ otherwise.
fn broadcast(subscripts: &str, terms: &mut [Term]) -> Result<()> {
    let labels: Vec<Label> = terms.iter().flat_map(|term| term.labels.clone()).collect();
    for label in labels {
        let longest = terms.iter().filter_map(|term| term.length(label)).find(|length| *length != 1);
        let Some(longest) = longest else { continue };
        for term in terms.iter_mut() {
            match term.length(label) {
                Some(1) => term.drop_axis(label)?,
                Some(length) if length != longest => {
                    let message = format!(
                        "einsum '{subscripts}': a label stands for axes of {longest} and of {length} elements"
                    );
                    return Err(Error::Usage { message });
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// The labels that other terms or the result need.
fn needed(terms: &[Term], result: &[Label]) -> Vec<Label> {
    terms.iter().flat_map(|term| &term.labels).chain(result).copied().collect()
}

/// What of a term's partner, or of what comes later, may be wanted of it.
fn only(other: &Term, wanted: &[Label]) -> Vec<Label> {
    other.labels.iter().chain(wanted).copied().collect()
}

/// The positions of the two terms whose product has the fewest elements, the first before the second.
fn cheapest(terms: &[Term], result: &[Label]) -> (usize, usize) {
    let mut best: Option<(f64, (usize, usize))> = None;
    for second in 1..terms.len() {
        for first in 0..second {
            let (a, b) = (&terms[first], &terms[second]);
            let others: Vec<Term> = terms
                .iter()
                .enumerate()
                .filter(|(n, _)| *n != first && *n != second)
                .map(|(_, term)| term.clone())
                .collect();
            let wanted = needed(&others, result);
            let mut labels: Vec<Label> =
                only(a, &b.labels).into_iter().filter(|l| wanted.contains(l)).collect();
            labels.sort_unstable();
            labels.dedup();
            let length = |label: &Label| a.length(*label).or_else(|| b.length(*label)).unwrap_or(1) as f64;
            let size = labels.iter().map(length).product::<f64>();
            if best.as_ref().is_none_or(|(least, _)| size < *least) {
                best = Some((size, (first, second)));
            }
        }
    }
    best.map_or((0, 1), |(_, pair)| pair)
}

/// The product of two terms, summed over what both have and nobody wants.
fn multiplied(a: &Term, b: &Term, wanted: &[Label], dtype: DType) -> Result<Term> {
    let both = |label: &&Label| a.labels.contains(label) && b.labels.contains(label);
    let pick = |term: &Term, keep: &dyn Fn(&Label) -> bool| -> Vec<Label> {
        term.labels.iter().copied().filter(|label| keep(label)).collect()
    };
    let batch = pick(a, &|label| both(&label) && wanted.contains(label));
    let inner = pick(a, &|label| both(&label) && !wanted.contains(label));
    let rows = pick(a, &|label| !both(&label));
    let columns = pick(b, &|label| !both(&label));
    let ordered = |term: &Term, groups: [&[Label]; 3]| {
        let labels = groups.concat();
        let order: Vec<usize> =
            labels.iter().filter_map(|label| term.labels.iter().position(|own| own == label)).collect();
        term.array.transpose(order.as_slice())
    };
    let labels = [batch.as_slice(), &rows, &columns].concat();
    if inner.is_empty() {
        // No sums: the products alone, which what comes after takes as they are made.
        let (mut left, mut right) = (
            ordered(a, [&batch, &rows, &[]])?.astype(dtype),
            ordered(b, [&batch, &columns, &[]])?.astype(dtype),
        );
        for _ in &columns {
            left = left.expand_dims(-1)?;
        }
        for _ in &rows {
            right = right.expand_dims(batch.len() as i64)?;
        }
        return Ok(Term { array: left.try_mul(right)?, labels });
    }
    let roles = Roles { batch: batch.len(), rows: rows.len(), inner: inner.len(), columns: columns.len() };
    let left = ordered(a, [&batch, &rows, &inner])?;
    let right = ordered(b, [&batch, &inner, &columns])?;
    Ok(Term { array: contract(&left, &right, roles, dtype)?, labels })
}
