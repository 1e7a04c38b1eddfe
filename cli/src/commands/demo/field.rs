//! A field that computes itself: what the demo rechunks.
//!
//! Smooth like a temperature, with noise quantised as instruments do, so that it compresses like real data; a function
//! of the element's index alone, so that it is the same however it is cut. Called by the demo.

use blockwise::core::{Chunk, ChunkGrid, Error, Result, Source, TaskContext};
use blockwise::kernels::{DType, Element};

/// Temperatures in kelvin over (time, latitude, longitude).
pub(super) struct Field {
    grid: ChunkGrid,
}

impl Field {
    /// A field cut along `grid`, which has three axes.
    pub(super) fn over(grid: ChunkGrid) -> Self {
        Self { grid }
    }
}

impl Source for Field {
    fn label(&self) -> &str {
        "the generated field"
    }

    fn dtype(&self) -> DType {
        DType::F32
    }

    fn grid(&self) -> &ChunkGrid {
        &self.grid
    }

    fn read_scratch_bytes(&self) -> u64 {
        let rows: u64 = self.grid.largest_chunk().last().copied().unwrap_or(1);
        rows * 4
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "indexes are small and noise needs few bits"
    )]
    fn read(&self, index: &[u64], cx: &TaskContext<'_>) -> Result<Chunk> {
        let region = self.grid.region(index)?;
        let mut chunk = Chunk::uninit(DType::F32, region.shape(), cx.pool())?;
        let (&[t0, y0, x0], &[nt, ny, nx], &[_, height, width]) =
            (region.origin(), region.shape(), self.grid.shape().as_slice())
        else {
            return Err(Error::Internal { message: "the field has three axes".to_owned() });
        };
        let row_bytes = (nx as usize) * size_of::<f32>();
        let mut row = Vec::with_capacity(nx as usize);
        for (at, bytes) in chunk.bytes_mut().chunks_exact_mut(row_bytes.max(1)).enumerate() {
            let (t, y) = (t0 + at as u64 / ny, y0 + at as u64 % ny);
            let latitude = (y as f32 / height as f32 - 0.5) * std::f32::consts::PI;
            let season = (t as f32 * 0.017).sin() * 8.0;
            let base = 288.0 - 40.0 * latitude.sin().powi(2) + season * latitude.sin();
            row.clear();
            row.extend((x0..x0 + nx).map(|x| {
                let longitude = x as f32 / width as f32 * std::f32::consts::TAU;
                let noise = mixed((t * height + y) * width + x) >> 59; // 0 to 31
                // Steps of 1/64 K are exact in a float of this size.
                ((base + 3.0 * (3.0 * longitude).sin()) * 64.0).round() / 64.0 + noise as f32 / 64.0
            }));
            bytes.copy_from_slice(f32::as_bytes(&row));
        }
        debug_assert_eq!(nt * ny * nx, region.len());
        Ok(chunk)
    }
}

/// splitmix64's finaliser (Steele, Lea, Flood 2014): well-mixed bits of a counter.
const fn mixed(counter: u64) -> u64 {
    let z = counter.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use blockwise::core::Cancellation;
    use blockwise::kernels::BufferPool;

    #[test]
    fn values_do_not_depend_on_the_grid() {
        let (pool, cancellation) = (BufferPool::new(1 << 20), Cancellation::new());
        let cx = TaskContext::new(&pool, &cancellation);
        let whole = Field::over(ChunkGrid::single(&[3, 4, 6]).unwrap()).read(&[0, 0, 0], &cx).unwrap();
        let pieces = Field::over(ChunkGrid::regular(&[3, 4, 6], &[1, 3, 5]).unwrap());
        let corner = pieces.read(&[2, 1, 1], &cx).unwrap();
        assert_eq!(corner.elements::<f32>().unwrap(), &whole.elements::<f32>().unwrap()[71..]);
    }
}
