//! Functions of blocks in index notation: dask's `blockwise`.
//!
//! Every axis has an index, and axes with the same index go together. Invariant: the tasks' axes are the indices of the
//! result that inputs have, in its order, then those that only inputs have, along which blocks are whole. Called by
//! programs and [`Gufunc`](super::Gufunc).

use super::{Array, MapBlocks};
use crate::error::{Error, Result};

impl MapBlocks {
    /// A function of blocks in index notation, one letter for an axis. Letters that two inputs share go block by block;
    /// along letters that the result does not have, blocks are whole; letters that only the result has are in
    /// `new_axes` with their lengths. Typed closures ([`MapBlocks::map`] and its kin) see each block with its own axes,
    /// and give the result's.
    ///
    /// # Errors
    /// If a letter stands twice for one array, the letters of an input are not as many as its axes, lengths of one letter
    /// differ (and are not 1), or a letter of the result has no length.
    ///
    /// ```
    /// use blockwise_core::Array;
    /// use blockwise_core::array::MapBlocks;
    /// use ndarray::{ArrayViewD, Ix2};
    /// let a = Array::from_fn(&[6, 5], |at| (at[0] + at[1]) as f64)?.rechunk([2, 2])?;
    /// let b = Array::from_fn(&[5, 4], |at| (at[0] * at[1]) as f64)?.rechunk([3, 4])?;
    /// let product = MapBlocks::blockwise("ij", [(&a, "ik"), (&b, "kj")], &[])?.map2(
    ///     |_, a: ArrayViewD<'_, f64>, b: ArrayViewD<'_, f64>| {
    ///         let (a, b) = (a.into_dimensionality::<Ix2>(), b.into_dimensionality::<Ix2>());
    ///         a.and_then(|a| Ok(a.dot(&b?))).unwrap_or_default()
    ///     },
    /// )?;
    /// assert_eq!(product.compute::<f64>()?[[2, 3]], 3.0 * (0 * 2 + 1 * 3 + 2 * 4 + 3 * 5 + 4 * 6) as f64);
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn blockwise<'a>(
        result: &str,
        inputs: impl IntoIterator<Item = (&'a Array, &'a str)>,
        new_axes: &[(char, u64)],
    ) -> Result<Self> {
        let letters = |text: &str| text.chars().map(String::from).collect::<Vec<_>>();
        let inputs: Vec<_> =
            inputs.into_iter().map(|(array, indices)| (array.clone(), letters(indices))).collect();
        let lengths: Vec<_> = new_axes.iter().map(|(letter, length)| (letter.to_string(), *length)).collect();
        Ok(Self::indexed(&letters(result), &inputs, &lengths)?.named("blockwise"))
    }

    /// As [`MapBlocks::blockwise`], with indices of any name.
    pub(super) fn indexed(
        result: &[String],
        inputs: &[(Array, Vec<String>)],
        lengths: &[(String, u64)],
    ) -> Result<Self> {
        let fault = |message: String| Err(Error::Usage { message });
        let twice = |indices: &[String]| {
            indices.iter().enumerate().find_map(|(n, own)| indices[..n].contains(own).then(|| own.clone()))
        };
        let mut kept: Vec<&String> =
            result.iter().filter(|index| inputs.iter().any(|(_, own)| own.contains(index))).collect();
        let shared = kept.len();
        for (n, (array, own)) in inputs.iter().enumerate() {
            if own.len() != array.rank() {
                return fault(format!(
                    "input {n} has {} axes, but {} indices ({}); give one for each axis",
                    array.rank(),
                    own.len(),
                    own.join(", ")
                ));
            }
            if let Some(index) = twice(own) {
                return fault(format!("input {n} has the index '{index}' twice; take its diagonal first"));
            }
            for index in own {
                if !kept.contains(&index) {
                    kept.push(index);
                }
            }
        }
        if let Some(index) = twice(result) {
            return fault(format!("the result has the index '{index}' twice"));
        }
        let place = |index: &String| kept.iter().position(|known| *known == index).unwrap_or(0);
        let (mut turned, mut shown) = (Vec::with_capacity(inputs.len()), Vec::with_capacity(inputs.len()));
        for (array, own) in inputs {
            let places: Vec<usize> = own.iter().map(place).collect();
            let mut order: Vec<usize> = (0..own.len()).collect();
            order.sort_by_key(|axis| places.get(*axis));
            let mut array = if order.is_empty() { array.clone() } else { array.transpose(order)? };
            for axis in (0..kept.len()).filter(|axis| !places.contains(axis)) {
                array = array.expand_dims(axis as i64)?;
            }
            turned.push(array);
            shown.push(places);
        }
        let mut map = Self::new(&turned)?.showing(shown);
        if shared < kept.len() {
            map = map.drop_axes((shared..kept.len()).collect::<Vec<_>>())?;
        }
        for (at, index) in result.iter().enumerate().filter(|(_, index)| !kept.contains(index)) {
            let Some((_, length)) = lengths.iter().find(|(known, _)| known == index) else {
                return fault(format!("no input has the index '{index}' of the result; give it a length"));
            };
            map = map.add_axis(at, *length)?;
        }
        Ok(map)
    }
}
