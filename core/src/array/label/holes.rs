//! Holes: what is zero and does not hang together with what lies beyond the array.
//!
//! They are the components of zeros that reach no side of the array. Called by programs and `eval`.

use super::numbers::of_sides;
use super::records::{OUTSIDE, Records};
use super::{Components, blocks_of};
use crate::array::{Array, Structure};
use crate::error::Result;
use blockwise_kernels::{DType, Scalar};

impl Array {
    /// Where the array is other than zero, or lies in a hole: zeros that cannot be reached from beyond the array by steps of
    /// `structure` from zero to zero: SciPy's `binary_fill_holes`, as `bool`. The structure is as for [`Array::label`], and so is
    /// what it takes: the array is read twice.
    ///
    /// # Errors
    /// As [`Array::label`].
    ///
    /// ```
    /// use blockwise_core::Array;
    /// use blockwise_core::array::Structure;
    /// let ring = Array::from_fn(&[7, 7], |at| at.iter().any(|n| *n == 1 || *n == 5))?.rechunk([3, 4])?;
    /// let filled = ring.binary_fill_holes(&Structure::connected(2, 1))?.compute::<bool>()?;
    /// assert!(filled[[3, 3]] && !filled[[0, 0]] && !filled[[6, 3]]);
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn binary_fill_holes(&self, structure: &Structure) -> Result<Self> {
        let connection = structure.connection(self.rank())?;
        let names = self.names().to_vec();
        if self.is_empty() {
            return Ok(Self::full(&self.shape(), Scalar::zero(DType::Bool))?.renamed(names));
        }
        let zeros = Self::call("logical_not", [self.into()])?.renamed(names);
        // The sides of the array count across axes along which steps lead.
        let leads =
            |axis| connection.steps().iter().any(|step| step.get(axis).is_some_and(|step| *step != 0));
        let open: Vec<bool> = (0..self.rank()).map(leads).collect();
        let records = Records::new(blocks_of(self)?, &connection, false)?;
        let components = Components::new(&zeros, connection, records, Some(open));
        let [joined, _] = components.joined("fill holes: join", |seams| {
            for node in (0..seams.blocks.len()).flat_map(|block| seams.nodes_of(block)).collect::<Vec<_>>() {
                if seams.joined[node] & OUTSIDE != 0 {
                    let leader = seams.leader(node as u32);
                    seams.joined[leader as usize] |= OUTSIDE;
                }
            }
            seams.follow_leaders();
            Ok(0)
        })?;
        components.applied("fill holes", &joined, DType::Bool, |own, numbers, told, out| {
            let told = of_sides(own, numbers, told);
            // Bytes of bool: 1 is true.
            for (filled, number) in out.bytes_mut().iter_mut().zip(numbers) {
                let is_outside = (number | told[(number & !OUTSIDE) as usize]) & OUTSIDE != 0;
                *filled = u8::from(*number == 0 || !is_outside);
            }
        })
    }
}
