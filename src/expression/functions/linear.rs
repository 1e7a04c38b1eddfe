//! Linear algebra: products of matrices and over named axes, norms.
//!
//! Dimension names follow the axes that stay; what has the same name twice loses it. Called by the function table, and by the
//! operator `@`.

use super::entry::{Entry, entry};
use crate::expression::arguments::Arguments;
use crate::expression::error::{Outcome, Trouble};
use crate::expression::labelled::Labelled;
use crate::expression::value::Value;
use blockwise_core::{Array, Result};
use blockwise_linalg::{self as linalg, Norm};

const FAMILY: &str = "linear algebra";

/// The rows.
pub(super) const TABLE: &[Entry] = &[
    entry(FAMILY, "matmul(a, b, dtype=None)", "products of matrices, the last two axes; as a @ b", |a| {
        let (left, right) = (a.array("a")?, a.array("b")?);
        let Some(dtype) = a.read("dtype", Value::to_dtype)? else { return matmul(&left, &right) };
        product(&left, &right, |left, right| linalg::matmul_as(left, right, dtype))
    }),
    entry(FAMILY, "dot(a, b)", "products over the last axis of a and the last but one of b", |a| {
        product(&a.array("a")?, &a.array("b")?, linalg::dot)
    }),
    entry(FAMILY, "inner(a, b)", "products over the last axis of each", |a| {
        product(&a.array("a")?, &a.array("b")?, linalg::inner)
    }),
    entry(FAMILY, "outer(a, b)", "every product of an element of a and one of b", |a| {
        product(&a.array("a")?, &a.array("b")?, |a, b| a.outer(b))
    }),
    entry(FAMILY, "vdot(a, b)", "the sum of all products, elements of a conjugated", |a| {
        product(&a.array("a")?, &a.array("b")?, |a, b| a.vdot(b))
    }),
    entry(
        FAMILY,
        "tensordot(a, b, axes=2)",
        "products over pairs of axes: as many last ones of a and first ones of b, or [axes of a, axes of b]",
        tensordot,
    ),
    entry(
        FAMILY,
        "einsum(subscripts, *operands)",
        "sums of products by subscripts, such as 'ij,jk->ik'",
        einsum,
    ),
    entry(FAMILY, "gram(x)", "products of all pairs of columns: x.T conjugated @ x, in one pass", |a| {
        let x = a.array("x")?;
        Ok(Labelled::from(linalg::gram(&x.array)?).into())
    }),
    entry(
        FAMILY,
        "norm(x, ord=None, axis=None, keepdims=False)",
        "norms of vectors (one axis) and matrices (two): a number, inf, -inf, 'fro' or 'nuc'",
        norm,
    ),
    entry(FAMILY, "cholesky(a)", "the lower triangular factor of a positive definite matrix", |a| {
        of_matrix(a, linalg::cholesky)
    }),
    entry(FAMILY, "inv(a)", "the inverse of a square matrix; to solve, use solve", |a| {
        of_matrix(a, linalg::inv)
    }),
    entry(FAMILY, "pinv(a)", "the pseudo-inverse of a matrix", |a| of_matrix(a, |a| linalg::pinv(a, None))),
    entry(FAMILY, "svdvals(a)", "the singular values of a matrix, largest first", |a| {
        of_matrix(a, linalg::svdvals)
    }),
    entry(FAMILY, "solve(a, b)", "x with a @ x = b, for a vector b or a matrix of columns", |a| {
        solution(a, linalg::solve)
    }),
    entry(
        FAMILY,
        "solve_triangular(a, b, lower=False)",
        "x with a @ x = b, where the upper (or lower) half of a counts",
        |a| {
            let lower = a.flag("lower")?;
            solution(a, |a, b| linalg::solve_triangular(a, b, lower))
        },
    ),
];

/// What is made of one matrix; positions along its axes mean nothing in it.
fn of_matrix(arguments: &Arguments, of: impl Fn(&Array) -> Result<Array>) -> Outcome<Value> {
    Ok(Labelled::from(of(&arguments.array("a")?.array)?).into())
}

fn solution(arguments: &Arguments, of: impl Fn(&Array, &Array) -> Result<Array>) -> Outcome<Value> {
    Ok(Labelled::from(of(&arguments.array("a")?.array, &arguments.array("b")?.array)?).into())
}

/// `a @ b`.
pub(in crate::expression) fn matmul(a: &Labelled, b: &Labelled) -> Outcome<Value> {
    product(a, b, linalg::matmul)
}

fn product(a: &Labelled, b: &Labelled, of: impl Fn(&Array, &Array) -> Result<Array>) -> Outcome<Value> {
    Ok(Labelled::merged(of(&a.array, &b.array)?, &[a, b], false).into())
}

fn tensordot(arguments: &Arguments) -> Outcome<Value> {
    let (a, b) = (arguments.array("a")?, arguments.array("b")?);
    let (of_a, of_b) = match arguments.value("axes") {
        Value::List(pair) => match pair.as_slice() {
            [of_a, of_b] => (of_a.to_ints()?, of_b.to_ints()?),
            _ => return Err(Trouble::here("axes are a number, or [axes of a, axes of b]")),
        },
        Value::Nothing => last_and_first(2)?,
        number => last_and_first(number.to_int()?)?,
    };
    product(&a, &b, |a, b| linalg::tensordot(a, b, &of_a, &of_b))
}

/// So many last axes and first axes.
fn last_and_first(count: i64) -> Outcome<(Vec<i64>, Vec<i64>)> {
    if !(0..=32).contains(&count) {
        return Err(Trouble::here("axes are as many as arrays have, at most 32"));
    }
    Ok(((-count..0).collect(), (0..count).collect()))
}

fn einsum(arguments: &Arguments) -> Outcome<Value> {
    let subscripts = arguments.need("subscripts", |value| Ok(value.to_text()?.to_owned()))?;
    let operands: Vec<Labelled> = arguments
        .rest
        .iter()
        .map(|given| given.value.to_array().map_err(|trouble| trouble.or_at(given.at)))
        .collect::<Outcome<_>>()?;
    let arrays: Vec<&Array> = operands.iter().map(|operand| &operand.array).collect();
    Ok(Labelled::from(linalg::einsum(&subscripts, &arrays)?).into())
}

fn norm(arguments: &Arguments) -> Outcome<Value> {
    let x = arguments.array("x")?;
    let axes = arguments.read("axis", Value::to_axes)?;
    let which = match arguments.value("ord") {
        Value::Nothing => Norm::Frobenius,
        Value::Text(name) if name == "fro" => Norm::Frobenius,
        Value::Text(name) if name == "nuc" => Norm::Nuclear,
        Value::Text(name) => {
            let message = format!("there is no norm '{name}'; take 'fro', 'nuc', a number, inf or -inf");
            return Err(Trouble::here(message));
        }
        number => Norm::Power(number.to_real()?),
    };
    let axes = axes.unwrap_or(blockwise_core::array::Axes::All);
    let found = linalg::norm(&x.array, which, axes, arguments.flag("keepdims")?)?;
    Ok(x.with(found).into())
}
