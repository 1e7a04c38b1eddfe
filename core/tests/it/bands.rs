//! Reductions that take chunks band by band: the same bits as from whole chunks, every band read once, and nothing of a chunk
//! whose bands cannot all be read.

use crate::support::resources;
use blockwise_core::grid::AxisGrid;
use blockwise_core::memory::MemoryArray;
use blockwise_core::{Array, Chunk, ChunkGrid, DType, Error, Result, Session, Source, TaskContext};
use proptest::prelude::*;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// What was read.
#[derive(Default)]
struct Reads {
    chunks: AtomicU64,
    bands: Mutex<Vec<Vec<u64>>>,
}

/// An array whose chunks can be read in bands; `failing`: this band cannot.
struct Banded {
    inner: MemoryArray,
    elements: Vec<f32>,
    reads: Arc<Reads>,
    failing: Option<Vec<u64>>,
}

/// Its bands.
struct Bands {
    inner: MemoryArray,
    reads: Arc<Reads>,
    failing: Option<Vec<u64>>,
}

impl Banded {
    fn new(grid: ChunkGrid) -> Self {
        let count = grid.shape().iter().product::<u64>();
        let mixed = |n: u64| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f32 / 1e4 - 800.0;
        let elements: Vec<f32> = (0..count).map(mixed).collect();
        let inner = MemoryArray::from_elements("banded", grid, &elements).unwrap();
        Self { inner, elements, reads: Arc::default(), failing: None }
    }
}

impl Source for Banded {
    fn label(&self) -> &str {
        "banded"
    }
    fn dtype(&self) -> DType {
        DType::F32
    }
    fn grid(&self) -> &ChunkGrid {
        Source::grid(&self.inner)
    }
    fn read_scratch_bytes(&self) -> u64 {
        0
    }
    fn banded(&self, axis: usize, bands: &AxisGrid) -> Option<Arc<dyn Source>> {
        let mut axes = self.grid().axes().to_vec();
        axes[axis] = axes[axis].refined_by(bands);
        let grid = ChunkGrid::from_axes(axes).ok()?;
        let inner = MemoryArray::from_elements("bands", grid, &self.elements).ok()?;
        Some(Arc::new(Bands { inner, reads: Arc::clone(&self.reads), failing: self.failing.clone() }))
    }
    fn read(&self, index: &[u64], cx: &TaskContext<'_>) -> Result<Chunk> {
        self.reads.chunks.fetch_add(1, Ordering::Relaxed);
        self.inner.read(index, cx)
    }
}

impl Source for Bands {
    fn label(&self) -> &str {
        "banded"
    }
    fn dtype(&self) -> DType {
        DType::F32
    }
    fn grid(&self) -> &ChunkGrid {
        Source::grid(&self.inner)
    }
    fn read_scratch_bytes(&self) -> u64 {
        0
    }
    fn read(&self, index: &[u64], cx: &TaskContext<'_>) -> Result<Chunk> {
        if self.failing.as_deref() == Some(index) {
            return Err(Error::Usage { message: "this band is damaged".to_owned() });
        }
        self.reads.bands.lock().unwrap().push(index.to_vec());
        self.inner.read(index, cx)
    }
}

fn results(x: &Array, axes: &[i64]) -> Vec<Array> {
    let doubled = x.try_mul(2.0).unwrap().sqrt().unwrap();
    vec![
        x.mean(axes.to_vec()).unwrap(),
        x.std(axes.to_vec()).unwrap(),
        x.max(axes.to_vec()).unwrap(),
        doubled.nansum(axes.to_vec()).unwrap(),
        x.argmin(axes[0]).unwrap().astype(DType::F64),
    ]
}

fn bits(session: &Session, arrays: &[Array]) -> Vec<Vec<u64>> {
    let found = session.compute_many(arrays).unwrap();
    let bits = |array: &Arc<MemoryArray>| {
        let wide = Array::from_source(Arc::clone(array) as Arc<dyn Source>).astype(DType::F64);
        session.compute::<f64>(&wide).unwrap().iter().map(|x| x.to_bits()).collect()
    };
    found.iter().map(bits).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn bands_give_the_bits_of_chunks(
        (rows, chunk) in (1_u64..40).prop_flat_map(|rows| (Just(rows), 1..=rows)),
        (columns, wide) in (1_u64..1500).prop_flat_map(|columns| (Just(columns), 1..=columns)),
        lead in 1_u64..3,
        axes in prop_oneof![Just(vec![0_i64]), Just(vec![1]), Just(vec![2]), Just(vec![1, 2]), Just(vec![0, 1, 2])],
        alone in any::<bool>(),
    ) {
        let grid = ChunkGrid::regular(&[lead, rows, columns], &[1, chunk, wide]).unwrap();
        let source = Banded::new(grid);
        let session = Session::new(resources(64 << 20, 2));
        let plain = Array::from_source(Arc::new(
            MemoryArray::from_elements("plain", Source::grid(&source.inner).clone(), &source.elements).unwrap(),
        ));
        let banded = Array::from_source(Arc::new(source));
        let take = |x: &Array| {
            let all = results(x, &axes);
            if alone { vec![all[0].clone()] } else { all }
        };
        prop_assert_eq!(bits(&session, &take(&banded)), bits(&session, &take(&plain)));
    }
}

#[test]
fn each_band_is_read_once_and_no_chunk_whole() {
    let source = Banded::new(ChunkGrid::regular(&[32, 3000], &[16, 1500]).unwrap());
    let reads = Arc::clone(&source.reads);
    let x = Array::from_source(Arc::new(source));
    let mean = x.mean(0).unwrap();
    Session::new(resources(64 << 20, 1)).compute::<f32>(&mean).unwrap();
    assert_eq!(reads.chunks.load(Ordering::Relaxed), 0);
    let bands = reads.bands.lock().unwrap().clone();
    assert_eq!(bands.len(), 2 * 2 * 4);
    let of_first: Vec<u64> = bands.iter().filter(|at| at[0] < 4 && at[1] == 0).map(|at| at[0]).collect();
    assert_eq!(of_first, [0, 1, 2, 3]);
    // All elements of one cell: columns of tiles come before rows, so that only whole chunks give the same bits.
    Session::new(resources(64 << 20, 1)).compute::<f32>(&x.mean(..).unwrap()).unwrap();
    assert_eq!(reads.chunks.load(Ordering::Relaxed), 4);
}

#[test]
fn a_chunk_with_a_damaged_band_is_an_error_that_names_it() {
    let source = Banded::new(ChunkGrid::regular(&[32, 1500], &[16, 1500]).unwrap());
    let x = Array::from_source(Arc::new(Banded { failing: Some(vec![6, 0]), ..source }));
    let error = Session::new(resources(64 << 20, 2)).compute::<f32>(&x.sum(0).unwrap()).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("read of banded") && text.contains("[1, 0]") && text.contains("damaged"), "{text}");
}
