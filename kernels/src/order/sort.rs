//! Sorting and ranking of whole lines.
//!
//! Invariant: see [`super`]. Called by core's sort tasks.

use super::key::{Key, Ranked, for_ranked};
use crate::error::check_len;
use crate::lines::panel::{panel_buffer, panel_bytes, panels};
use crate::{DType, KernelError, Lines};

/// Sorts every line of a C-ordered chunk of `shape` along `axis` into `out`, NaN last.
///
/// ```
/// use blockwise_kernels::{DType, Element, order};
/// let x = [3.0_f32, f32::NAN, 1.0, 2.0];
/// let mut out = [0; 16];
/// order::sort(f32::as_bytes(&x), DType::F32, &[4], 0, &mut out)?;
/// assert_eq!(out[..12], *f32::as_bytes(&[1.0, 2.0, 3.0]));
/// # Ok::<(), blockwise_kernels::KernelError>(())
/// ```
///
/// # Errors
/// [`KernelError::Axis`], [`KernelError::Length`], or [`KernelError::Overflow`] (of lines of 2^32 elements, too).
pub fn sort(
    input: &[u8],
    dtype: DType,
    shape: &[usize],
    axis: usize,
    out: &mut [u8],
) -> Result<(), KernelError> {
    fn run<T: Ranked>(input: &[u8], lines: Lines, out: &mut [u8]) -> Result<(), KernelError> {
        let size = size_of::<T>();
        let mut buffer = panel_buffer(lines, size)?;
        let (mut keys, mut spare) = (Vec::<T::Key>::new(), Vec::new());
        for panel in panels(lines, size) {
            panel.gather(input, lines, size, &mut buffer);
            let items: &mut [T] = bytemuck::cast_slice_mut(&mut buffer);
            let items = items.get_mut(..panel.count * lines.len).unwrap_or_default();
            for line in items.chunks_exact_mut(lines.len.max(1)) {
                keys.clear();
                keys.extend(line.iter().map(|item| item.key()));
                T::Key::sort(&mut keys, &mut spare);
                for (item, key) in line.iter_mut().zip(&keys) {
                    *item = T::value(*key);
                }
            }
            panel.scatter(bytemuck::cast_slice(items), out, lines, size);
        }
        Ok(())
    }
    let lines = Lines::new(shape, axis)?;
    check_len("the input of a sort", input.len(), lines.elements(), dtype.size())?;
    check_len("the output of a sort", out.len(), lines.elements(), dtype.size())?;
    for_ranked!(dtype, run(input, lines, out))
}

/// Writes, as `int64`, the places along `axis` at which the sorted elements of every line are found, plus `origin`;
/// equal elements in the order they come.
///
/// # Errors
/// As [`sort`].
pub fn argsort(
    input: &[u8],
    dtype: DType,
    shape: &[usize],
    axis: usize,
    origin: i64,
    out: &mut [u8],
) -> Result<(), KernelError> {
    fn run<T: Ranked>(input: &[u8], lines: Lines, origin: i64, out: &mut [u8]) -> Result<(), KernelError> {
        let size = size_of::<T>();
        let mut buffer = panel_buffer(lines, size)?;
        let (mut entries, mut spare) = (Vec::<(T::Key, u32)>::new(), Vec::new());
        let mut places = Vec::<i64>::new();
        for panel in panels(lines, size) {
            panel.gather(input, lines, size, &mut buffer);
            let items: &[T] = bytemuck::cast_slice(&buffer);
            places.clear();
            for line in items[..panel.count * lines.len].chunks_exact(lines.len.max(1)) {
                entries.clear();
                entries.extend((0_u32..).zip(line).map(|(place, item)| (item.tied(), place)));
                T::Key::sort_entries(&mut entries, &mut spare);
                places.extend(entries.iter().map(|entry| i64::from(entry.1) + origin));
            }
            panel.scatter(bytemuck::cast_slice(&places), out, lines, 8);
        }
        Ok(())
    }
    let lines = Lines::new(shape, axis)?;
    check_len("the input of a sort", input.len(), lines.elements(), dtype.size())?;
    check_len("the places of a sort", out.len(), lines.elements(), 8)?;
    for_ranked!(dtype, run(input, lines, origin, out))
}

/// Bytes that [`sort`] (`places` false) or [`argsort`] use beside input and output.
///
/// # Errors
/// [`KernelError::Axis`], [`KernelError::Overflow`].
pub fn sort_scratch_bytes(
    dtype: DType,
    shape: &[usize],
    axis: usize,
    places: bool,
) -> Result<usize, KernelError> {
    let lines = Lines::new(shape, axis)?;
    let complex = dtype.kind() == 'c';
    let key = if complex { dtype.size() + dtype.size() / 2 } else { dtype.size() };
    let entry = if places { (key + 4).next_multiple_of(key.min(8)) } else { key };
    let panel = panel_bytes(lines, dtype.size());
    let out = if places { panel / dtype.size() * 8 } else { 0 };
    Ok(panel.saturating_add(out).saturating_add(lines.len.saturating_mul(2 * entry)))
}
