//! Squared distances to the nearest zero, one axis after another: lower envelopes of parabolas.
//!
//! A line holds what is known of the axes before, `f(j)`; the result at `i` is the least of `f(j) + (spacing (i - j))²`. The
//! parabolas that are least somewhere are found in one walk and read in another, so a line takes time in proportion to its
//! length. Source: P. Felzenszwalb and D. Huttenlocher, "Distance transforms of sampled functions", Theory of Computing 8 (2012)
//! 415–428.
//!
//! Invariants: infinity stands for no zero so far; with whole numbers in and a spacing of 1 every result is exact below 2^53.
//! Called by core's tasks for whole lines.

use crate::error::{check_len, typed, typed_mut};
use crate::lines::panel::{panel_bytes, panels};
use crate::{BufferPool, KernelError, Lines};

const ITEM_BYTES: usize = size_of::<f64>();
/// Bytes for each element of a line: a vertex, and where its parabola starts to be the least.
const VERTEX_BYTES: usize = size_of::<u32>() + size_of::<f64>();

/// Upper bound on the bytes that [`nearest`] holds beyond input and output.
///
/// # Errors
/// [`KernelError::Axis`], [`KernelError::Overflow`].
pub fn scratch_bytes(shape: &[usize], axis: usize) -> Result<usize, KernelError> {
    let lines = Lines::new(shape, axis)?;
    let panel = if lines.inner > 1 { panel_bytes(lines, ITEM_BYTES).saturating_mul(2) } else { 0 };
    Ok(panel.saturating_add((lines.len.saturating_add(1)).saturating_mul(VERTEX_BYTES)).saturating_add(4096))
}

/// Writes the least of `f(j) + (spacing (i - j))²` for each line along `axis` of a C-ordered chunk of `shape` of `float64`.
///
/// # Errors
/// [`KernelError::Axis`], [`KernelError::Length`], [`KernelError::Overflow`]; [`KernelError::Parameter`] if the spacing is not
/// finite and positive.
///
/// ```
/// use blockwise_kernels::distance::nearest;
/// use blockwise_kernels::{BufferPool, Element};
/// let inf = f64::INFINITY;
/// let mut out = [0; 4 * 8];
/// nearest(f64::as_bytes(&[inf, 0.0, inf, inf]), &[4], 0, 1.0, &mut out, &BufferPool::new(1 << 20))?;
/// let squares: Vec<f64> = out.chunks(8).map(|bytes| f64::from_ne_bytes(bytes.try_into().unwrap())).collect();
/// assert_eq!(squares, [1.0, 0.0, 1.0, 4.0]);
/// # Ok::<(), blockwise_kernels::KernelError>(())
/// ```
pub fn nearest(
    input: &[u8],
    shape: &[usize],
    axis: usize,
    spacing: f64,
    out: &mut [u8],
    pool: &BufferPool,
) -> Result<(), KernelError> {
    let lines = Lines::new(shape, axis)?;
    check_len("the squares", input.len(), lines.elements(), ITEM_BYTES)?;
    check_len("the result", out.len(), lines.elements(), ITEM_BYTES)?;
    if !(spacing.is_finite() && spacing > 0.0) {
        let what = "the distance of neighbours";
        return Err(KernelError::Parameter { what, value: spacing, wanted: "finite and more than 0" });
    }
    if u32::try_from(lines.len).is_err() {
        return Err(KernelError::Overflow { shape: shape.to_vec() });
    }
    let mut envelope = Envelope::new(lines.len, spacing);
    if lines.inner <= 1 {
        let input = typed::<f64>("the squares", input, lines.elements())?;
        let out = typed_mut::<f64>("the result", out, lines.elements())?;
        let length = lines.len.max(1);
        for (from, to) in input.chunks_exact(length).zip(out.chunks_exact_mut(length)) {
            envelope.run(from, to);
        }
        return Ok(());
    }
    let mut from = pool.take(panel_bytes(lines, ITEM_BYTES));
    let mut to = pool.take(panel_bytes(lines, ITEM_BYTES));
    for panel in panels(lines, ITEM_BYTES) {
        panel.gather(input, lines, ITEM_BYTES, &mut from);
        let results: &mut [f64] = bytemuck::cast_slice_mut(&mut to);
        let results = results.get_mut(..panel.count * lines.len).unwrap_or_default();
        let own: &[f64] = bytemuck::cast_slice(&from);
        for (from, to) in own.chunks_exact(lines.len.max(1)).zip(results.chunks_exact_mut(lines.len.max(1))) {
            envelope.run(from, to);
        }
        panel.scatter(bytemuck::cast_slice(results), out, lines, ITEM_BYTES);
    }
    Ok(())
}

/// The lower envelope of the parabolas of a line.
struct Envelope {
    spacing: f64,
    /// Of each parabola that is least somewhere, ascending, its vertex.
    vertices: Vec<u32>,
    /// From where on it is.
    starts: Vec<f64>,
}

impl Envelope {
    fn new(len: usize, spacing: f64) -> Self {
        Self { spacing, vertices: Vec::with_capacity(len), starts: Vec::with_capacity(len) }
    }

    fn run(&mut self, line: &[f64], out: &mut [f64]) {
        self.vertices.clear();
        self.starts.clear();
        let square = self.spacing * self.spacing;
        let height = |at: u32| {
            let place = f64::from(at);
            line[at as usize] + square * (place * place)
        };
        for at in 0..line.len() as u32 {
            if line[at as usize] == f64::INFINITY {
                continue;
            }
            let mut start = f64::NEG_INFINITY;
            while let (Some(last), Some(from)) = (self.vertices.last(), self.starts.last()) {
                // Where both are the same.
                start = (height(at) - height(*last)) / (2.0 * square * f64::from(at - last));
                if start > *from {
                    break;
                }
                self.vertices.pop();
                self.starts.pop();
                start = f64::NEG_INFINITY;
            }
            self.vertices.push(at);
            self.starts.push(start);
        }
        if self.vertices.is_empty() {
            out.fill(f64::INFINITY);
            return;
        }
        let mut nth = 0;
        for (at, out) in out.iter_mut().enumerate() {
            while self.starts.get(nth + 1).is_some_and(|start| *start < at as f64) {
                nth += 1;
            }
            let vertex = self.vertices[nth];
            let apart = self.spacing * (at as f64 - f64::from(vertex));
            *out = line[vertex as usize] + apart * apart;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Element;

    #[test]
    fn envelopes_are_the_least_of_all_parabolas() {
        let mut state = 5_u64;
        let mut next = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize
        };
        let pool = BufferPool::new(1 << 20);
        for round in 0..200 {
            let shape = [1 + next() % 5, 1 + next() % 30, 1 + next() % 4];
            let spacing = [1.0, 0.3, 2.5][round % 3];
            let axis = next() % 3;
            let empty = next() % 10;
            let element = |n: usize| if n % 10 < empty { f64::INFINITY } else { (n / 10 % 50) as f64 };
            let x: Vec<f64> = (0..shape.iter().product()).map(|_| element(next())).collect();
            let mut found = vec![0.0_f64; x.len()];
            nearest(f64::as_bytes(&x), &shape, axis, spacing, bytemuck::cast_slice_mut(&mut found), &pool)
                .unwrap();
            let lines = Lines::new(&shape, axis).unwrap();
            for (n, found) in found.iter().enumerate() {
                let (outer, at, inner) =
                    (n / lines.inner / lines.len, n / lines.inner % lines.len, n % lines.inner);
                let parabola = |j: usize| {
                    let apart = spacing * (at as f64 - j as f64);
                    x[(outer * lines.len + j) * lines.inner + inner] + apart * apart
                };
                let wanted = (0..lines.len).map(parabola).fold(f64::INFINITY, f64::min);
                let near = *found == wanted || (found - wanted).abs() <= 1e-12 * wanted;
                assert!(
                    near && (spacing != 1.0 || *found == wanted),
                    "{shape:?} {axis} {n}: {found} {wanted}"
                );
            }
        }
        assert!(nearest(&[], &[0], 0, 0.0, &mut [], &pool).is_err());
    }
}
