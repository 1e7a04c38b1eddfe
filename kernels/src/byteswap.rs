//! Reversal of byte order in place, for files written on, or asked for, the other kind of machine.
//!
//! Invariant: element bytes inside of Blockwise are in the machine's order; swaps happen at the edge, in io, with the
//! unit that [`DType::swap_unit`](crate::DType::swap_unit) gives.

/// A unit that no element type has, or bytes that are no whole number of units. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "cannot swap {len_bytes} bytes in units of {unit_bytes}; units are 1, 2, 4 or 8 bytes and must fill the buffer"
)]
pub struct SwapError {
    /// Bytes in the buffer.
    pub len_bytes: usize,
    /// Bytes of the unit asked for.
    pub unit_bytes: usize,
}

/// Reverses the bytes of every unit of `unit_bytes`: 2, 4 or 8; 1 changes nothing.
///
/// ```
/// let mut bytes = [1, 2, 3, 4];
/// blockwise_kernels::byteswap::swap(&mut bytes, 2)?;
/// assert_eq!(bytes, [2, 1, 4, 3]);
/// # Ok::<(), blockwise_kernels::byteswap::SwapError>(())
/// ```
///
/// # Errors
/// [`SwapError`] for other units and for a length that is no multiple of the unit.
pub fn swap(bytes: &mut [u8], unit_bytes: usize) -> Result<(), SwapError> {
    let len_bytes = bytes.len();
    if !matches!(unit_bytes, 1 | 2 | 4 | 8) || !len_bytes.is_multiple_of(unit_bytes) {
        return Err(SwapError { len_bytes, unit_bytes });
    }
    match unit_bytes {
        2 => bytes
            .as_chunks_mut()
            .0
            .iter_mut()
            .for_each(|u| *u = u16::from_ne_bytes(*u).swap_bytes().to_ne_bytes()),
        4 => bytes
            .as_chunks_mut()
            .0
            .iter_mut()
            .for_each(|u| *u = u32::from_ne_bytes(*u).swap_bytes().to_ne_bytes()),
        8 => bytes
            .as_chunks_mut()
            .0
            .iter_mut()
            .for_each(|u| *u = u64::from_ne_bytes(*u).swap_bytes().to_ne_bytes()),
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_reverses_its_bytes() {
        let original: Vec<u8> = (0..240).collect();
        for unit in [1, 2, 4, 8] {
            let mut bytes = original.clone();
            swap(&mut bytes, unit).unwrap();
            let reversed = original.chunks(unit).flat_map(|c| c.iter().rev().copied());
            assert_eq!(bytes, reversed.collect::<Vec<u8>>(), "{unit}");
            swap(&mut bytes, unit).unwrap();
            assert_eq!(bytes, original);
        }
    }

    #[test]
    fn odd_units_and_lengths_are_refused() {
        for (len, unit) in [(6, 3), (6, 4), (16, 16), (0, 0)] {
            let mut bytes = vec![7; len];
            assert_eq!(swap(&mut bytes, unit), Err(SwapError { len_bytes: len, unit_bytes: unit }));
            assert_eq!(bytes, vec![7; len]);
        }
    }
}
