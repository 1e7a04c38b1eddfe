//! Elementwise functions, conversions and operators, with NumPy 2's dtypes and broadcasting.
//!
//! Invariant: the arguments of a node have its shape: they were broadcast when it was built. Fused into programs by
//! [`crate::lower`]. Called by programs and `eval`.

use super::{Array, Kind, Node};
use crate::error::{Error, Result};
use crate::grid::{AxisGrid, ChunkGrid};
use crate::region::element_count;
use blockwise_kernels::function::Function;
use blockwise_kernels::program::{Argument, Builder};
use blockwise_kernels::{DType, Scalar};
use num_complex::Complex;
use std::ops;
use std::sync::Arc;

/// An argument of an elementwise function: an array, or a plain number that takes the arrays' dtype (NEP 50).
#[derive(Clone, Debug)]
pub enum Operand {
    /// An array.
    Array(Array),
    /// A number.
    Number(Argument),
}

impl From<Array> for Operand {
    fn from(array: Array) -> Self {
        Self::Array(array)
    }
}

impl From<&Array> for Operand {
    fn from(array: &Array) -> Self {
        Self::Array(array.clone())
    }
}

macro_rules! operand_from {
    ($($t:ty),*) => {$(
        impl From<$t> for Operand {
            fn from(number: $t) -> Self {
                Self::Number(number.into())
            }
        }
    )*};
}
operand_from!(bool, i32, i64, f64, Complex<f64>, Scalar);

/// An elementwise function of arguments.
pub(crate) struct Call {
    pub(crate) function: &'static Function,
    pub(crate) arguments: Vec<Operand>,
}

impl Array {
    /// The function of a NumPy name, such as `hypot` or `where`, of arguments that broadcast.
    ///
    /// # Errors
    /// If there is no such function, it takes other dtypes or another number of arguments, or the shapes do not
    /// broadcast.
    ///
    /// ```
    /// use blockwise_core::{Array, DType};
    /// let x = Array::zeros(&[3, 4], DType::F32)?;
    /// let y = Array::zeros(&[4], DType::I64)?;
    /// let z = Array::call("hypot", [(&x).into(), (&y).into()])?;
    /// assert_eq!((z.shape(), z.dtype()), (vec![3, 4], DType::F64));
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn call(name: &str, arguments: impl IntoIterator<Item = Operand>) -> Result<Self> {
        let function = Function::named(name).ok_or_else(|| Error::Usage {
            message: format!("there is no function {name:?}; `arrayctl functions` lists those there are"),
        })?;
        let arguments: Vec<Operand> = arguments.into_iter().collect();
        let dtype = result_dtype(function, &arguments)?;
        let arrays: Vec<&Self> = arguments
            .iter()
            .filter_map(|argument| match argument {
                Operand::Array(array) => Some(array),
                Operand::Number(_) => None,
            })
            .collect();
        let (grid, names) = common_grid(&arrays)?;
        let shape = grid.shape();
        let arguments = arguments
            .into_iter()
            .map(|argument| match argument {
                Operand::Array(array) if array.shape() != shape => {
                    Ok(Operand::Array(array.broadcast_to(&shape)?))
                }
                other => Ok(other),
            })
            .collect::<Result<_>>()?;
        let kind = Kind::Call(Call { function, arguments });
        Ok(Self { node: Arc::new(Node { dtype, grid, names, kind }) })
    }

    /// The elements converted to another dtype, by C's rules as NumPy's `astype`.
    #[must_use]
    pub fn astype(&self, dtype: DType) -> Self {
        if dtype == self.dtype() {
            return self.clone();
        }
        let (grid, names) = (self.grid().clone(), self.names().to_vec());
        Self { node: Arc::new(Node { dtype, grid, names, kind: Kind::Cast { input: self.clone() } }) }
    }

    /// Whether cutting the array otherwise costs nothing, since its elements follow from their positions or lie in memory.
    fn is_cut_for_nothing(&self) -> bool {
        match &self.node().kind {
            Kind::Constant(_) => true,
            Kind::Source(source) => source.is_in_memory() && source.recut(self.grid()).is_some(),
            Kind::View { input, .. } | Kind::Rechunk { input } | Kind::Cast { input } => {
                input.is_cut_for_nothing()
            }
            _ => false,
        }
    }

    fn unary(&self, name: &str) -> Result<Self> {
        Self::call(name, [self.into()])
    }
}

/// The dtype of a function of these arguments.
fn result_dtype(function: &'static Function, arguments: &[Operand]) -> Result<DType> {
    let mut builder = Builder::new();
    let arguments: Vec<Argument> = arguments
        .iter()
        .map(|argument| match argument {
            Operand::Array(array) => builder.input(array.dtype()).into(),
            Operand::Number(number) => *number,
        })
        .collect();
    let value = builder.call(function, &arguments)?;
    Ok(builder.dtype(value)?)
}

/// The grid and the names of what arrays broadcast to. On each axis the cuts are those of the array with the most
/// elements that has the axis whole: no slivers where grids differ. Of several, one that is stored so.
pub(super) fn common_grid(arrays: &[&Array]) -> Result<(ChunkGrid, Vec<Option<String>>)> {
    let rank = arrays.iter().map(|array| array.rank()).max().unwrap_or(0);
    let mut order: Vec<&Array> = arrays.to_vec();
    order.sort_by_key(|array| {
        (std::cmp::Reverse(element_count(&array.shape()).unwrap_or(u64::MAX)), array.is_cut_for_nothing())
    });
    let (mut axes, mut names) = (Vec::with_capacity(rank), Vec::with_capacity(rank));
    for axis in 0..rank {
        let own = |array: &Array| (axis + array.rank()).checked_sub(rank);
        let mut found: Option<&AxisGrid> = None;
        let mut name = None;
        for &array in &order {
            let Some(at) = own(array) else { continue };
            let Some(cuts) = array.grid().axes().get(at) else { continue };
            name = name.or_else(|| array.names().get(at).cloned().flatten());
            found = match found {
                None => Some(cuts),
                Some(known) if known.extent() == cuts.extent() || cuts.extent() == 1 => Some(known),
                Some(known) if known.extent() == 1 => Some(cuts),
                Some(_) => {
                    let shapes: Vec<Vec<u64>> = arrays.iter().map(|array| array.shape()).collect();
                    let message = format!(
                        "shapes {shapes:?} do not broadcast on axis {axis}: lengths must be equal or 1"
                    );
                    return Err(Error::Usage { message });
                }
            };
        }
        axes.push(found.cloned().map_or_else(|| AxisGrid::regular(1, 1), Ok)?);
        names.push(name);
    }
    drop_repeated(&mut names);
    Ok((ChunkGrid::from_axes(axes)?, names))
}

/// Names are unique within an array; of two equal ones the first stays.
fn drop_repeated(names: &mut [Option<String>]) {
    for n in 1..names.len() {
        let (before, rest) = names.split_at_mut(n);
        if let Some(name) = rest.first_mut()
            && before.contains(name)
        {
            *name = None;
        }
    }
}

macro_rules! methods {
    ($($method:ident: $name:literal, $doc:literal;)*) => {
        impl Array {$(
            #[doc = $doc]
            ///
            /// # Errors
            /// If the function is not defined for the dtype.
            pub fn $method(&self) -> Result<Self> {
                self.unary($name)
            }
        )*}
    };
}
methods! {
    abs: "absolute", "Absolute values.";
    sqrt: "sqrt", "Square roots.";
    exp: "exp", "Exponentials.";
    log: "log", "Natural logarithms.";
    log10: "log10", "Logarithms to base 10.";
    sin: "sin", "Sines of angles in radians.";
    cos: "cos", "Cosines of angles in radians.";
    tan: "tan", "Tangents of angles in radians.";
    square: "square", "Squares.";
    floor: "floor", "The largest whole numbers that are not larger.";
    ceil: "ceil", "The smallest whole numbers that are not smaller.";
    is_nan: "isnan", "Whether elements are NaN.";
    is_finite: "isfinite", "Whether elements are neither infinite nor NaN.";
}

macro_rules! operators {
    ($($op:ident $method:ident $try_method:ident $name:literal;)*) => {
        impl Array {$(
            #[doc = concat!("NumPy's `", $name, "`; what the operator does, with its error returned.")]
            ///
            /// # Errors
            /// If shapes do not broadcast or the dtypes are refused.
            pub fn $try_method(&self, other: impl Into<Operand>) -> Result<Self> {
                Self::call($name, [self.into(), other.into()])
            }
        )*}
        $(
            impl<T: Into<Operand>> ops::$op<T> for &Array {
                type Output = Array;

                #[track_caller]
                fn $method(self, other: T) -> Array {
                    or_panic(self.$try_method(other))
                }
            }

            impl<T: Into<Operand>> ops::$op<T> for Array {
                type Output = Array;

                #[track_caller]
                fn $method(self, other: T) -> Array {
                    or_panic(self.$try_method(other))
                }
            }
        )*
    };
}
operators! {
    Add add try_add "add";
    Sub sub try_sub "subtract";
    Mul mul try_mul "multiply";
    Div div try_div "true_divide";
    Rem rem try_rem "remainder";
    BitAnd bitand try_and "bitwise_and";
    BitOr bitor try_or "bitwise_or";
    BitXor bitxor try_xor "bitwise_xor";
}

impl ops::Neg for &Array {
    type Output = Array;

    #[track_caller]
    fn neg(self) -> Array {
        or_panic(self.unary("negative"))
    }
}

/// Operators cannot return errors: as in ndarray, they panic where the `try_` methods return one.
#[track_caller]
#[expect(clippy::panic, reason = "what an operator does in place of returning an error")]
fn or_panic(outcome: Result<Array>) -> Array {
    match outcome {
        Ok(array) => array,
        Err(error) => panic!("{error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dtypes_and_shapes_are_numpys() {
        let x = Array::zeros(&[3, 1], DType::U8).unwrap().with_names(&["y", "x"]).unwrap();
        let y = Array::zeros(&[5], DType::F32).unwrap();
        let sum = &x + &y;
        assert_eq!((sum.shape(), sum.dtype()), (vec![3, 5], DType::F32));
        assert_eq!(sum.names(), [Some("y".to_owned()), Some("x".to_owned())]);
        assert_eq!((&x * 2).dtype(), DType::U8);
        assert_eq!((&x / 2).dtype(), DType::F64);
        assert!(x.try_add(Array::zeros(&[2, 5], DType::F32).unwrap()).is_err());
        assert!(x.try_add(300).is_err(), "300 is no uint8");
    }
}
