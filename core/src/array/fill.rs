//! NaN filled from neighbours along an axis: the last element before, the next one after, or the line between both.
//!
//! Invariants: elements that are not NaN stay as they are; nothing is filled from beyond the ends. Called by programs and `eval`.

use super::{Array, Axis};
use crate::error::Result;
use blockwise_kernels::DType;
use blockwise_kernels::scan::ScanOp;

impl Array {
    /// The array with NaN along `axis` as the last element before that is none; with a `limit`, at most that many in a row.
    ///
    /// # Errors
    /// If there is no such axis.
    ///
    /// ```
    /// use blockwise_core::Array;
    /// let x = Array::from_fn(&[5], |at| if at[0] % 4 == 1 { at[0] as f64 } else { f64::NAN })?;
    /// let filled = x.forward_filled(0, Some(2))?.compute::<f64>()?;
    /// assert!(filled[[0]].is_nan() && filled[[4]].is_nan());
    /// assert_eq!((filled[[2]], filled[[3]]), (1.0, 1.0));
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn forward_filled(&self, axis: impl Into<Axis>, limit: Option<u64>) -> Result<Self> {
        let axis = axis.into().resolve(self.names())?;
        if !matches!(self.dtype().kind(), 'f' | 'c') || self.is_empty() {
            return Ok(self.clone());
        }
        let filled = self.scan(ScanOp::Last, axis, false)?;
        let extent = self.grid().axes()[axis].extent();
        let Some(limit) = limit.filter(|limit| *limit < extent) else { return Ok(filled) };
        // How far the element that is taken lies back.
        let here = self.along(axis, &Self::arange_i64(0, i64::try_from(extent).unwrap_or(i64::MAX), 1)?)?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let nowhere = limit.saturating_neg().saturating_sub(1);
        let known = Self::call("where", [self.is_null()?.into(), nowhere.into(), (&here).into()])?;
        let back = here.try_sub(known.cummax(axis)?)?;
        let is_near = Self::call("less_equal", [back.into(), limit.into()])?;
        Self::call("where", [is_near.into(), filled.into(), self.into()])
    }

    /// As [`Array::forward_filled`], from the next element behind.
    ///
    /// # Errors
    /// If there is no such axis.
    pub fn backward_filled(&self, axis: impl Into<Axis>, limit: Option<u64>) -> Result<Self> {
        let axis = axis.into().resolve(self.names())?;
        self.flip(axis)?.forward_filled(axis, limit)?.flip(axis)
    }

    /// The array with NaN along `axis` as what lies on the line between the elements before and behind, where `positions`, one for
    /// each, say how far these are apart; with a `limit`, at most that many in a row are filled. NaN at both ends stays.
    ///
    /// # Errors
    /// If there is no such axis, or there are not as many positions.
    ///
    /// ```
    /// use blockwise_core::Array;
    /// let x = Array::from_fn(&[4], |at| if at[0] % 3 == 0 { at[0] as f64 } else { f64::NAN })?;
    /// let positions = Array::from_fn(&[4], |at| (at[0] * at[0]) as f64)?;
    /// let filled = x.filled_between(0, &positions, None)?.compute::<f64>()?;
    /// assert_eq!((filled[[1]], filled[[2]]), (1.0 / 3.0, 4.0 / 3.0));
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn filled_between(
        &self,
        axis: impl Into<Axis>,
        positions: &Self,
        limit: Option<u64>,
    ) -> Result<Self> {
        let axis = axis.into().resolve(self.names())?;
        if !matches!(self.dtype().kind(), 'f' | 'c') || self.is_empty() {
            return Ok(self.clone());
        }
        let here = self.along(axis, &positions.astype(DType::F64))?;
        let missing = self.is_null()?;
        let known = Self::call("where", [(&missing).into(), f64::NAN.into(), (&here).into()])?;
        let before = self.forward_filled(axis, None)?;
        let (from, to) = (known.forward_filled(axis, limit)?, known.backward_filled(axis, None)?);
        let weight = here.try_sub(&from)?.try_div(to.try_sub(&from)?)?;
        let rise = self.backward_filled(axis, None)?.try_sub(&before)?;
        let between = before.try_add(rise.try_mul(weight)?)?.astype(self.dtype());
        Self::call("where", [missing.into(), between.into(), self.into()])
    }

    /// `numbers`, one for each position along `axis`, as an array that meets this one there.
    pub(super) fn along(&self, axis: usize, numbers: &Self) -> Result<Self> {
        let mut along = numbers.with_some_names(vec![None; numbers.rank()])?;
        for _ in axis + 1..self.rank() {
            along = along.expand_dims(-1)?;
        }
        Ok(along)
    }
}
