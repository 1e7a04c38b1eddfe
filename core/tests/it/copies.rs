//! Copies between random grids under random budgets equal their input and stay within the budget.

use crate::support::{Resumed, Stubborn, plan_within, resources};
use blockwise_core::exec::run;
use blockwise_core::memory::MemoryArray;
use blockwise_core::plan::{CopyOptions, plan_copy};
use blockwise_core::{AxisGrid, Cancellation, ChunkGrid, Error, Sink, Source, Unobserved};
use blockwise_kernels::DType;
use proptest::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

fn axis(extent: u64, chunk: u64, irregular: bool) -> AxisGrid {
    if !irregular || extent == 0 {
        return AxisGrid::regular(extent, chunk).unwrap();
    }
    let (mut lengths, mut left, mut n) = (Vec::new(), extent, chunk);
    while left > 0 {
        lengths.push(n.min(left));
        left -= n.min(left);
        n = n % 3 + 1;
    }
    AxisGrid::rectilinear(&lengths).unwrap()
}

fn grid(extents: &[u64], chunks: &[u64], irregular: bool) -> ChunkGrid {
    ChunkGrid::from_axes(extents.iter().zip(chunks).map(|(e, c)| axis(*e, *c, irregular)).collect()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
    #[test]
    fn every_copy_is_exact_and_within_budget(
        extents in proptest::collection::vec(0_u64..14, 0..5),
        chunks in proptest::collection::vec((1_u64..15, 1_u64..15, 1_u64..4), 5),
        irregular in any::<bool>(),
        budget_bytes in prop_oneof![0_u64..600, 600_u64..200_000],
        threads in 1_usize..4,
        scratch_bytes in 0_u64..50,
    ) {
        let rank = extents.len();
        let pick = |f: &dyn Fn(&(u64, u64, u64)) -> u64| chunks[..rank].iter().map(f).collect::<Vec<_>>();
        let count = extents.iter().product::<u64>() as u32;
        let elements: Vec<u32> = (0..count).collect();
        let stubborn = Stubborn { scratch_bytes, ..Stubborn::new(grid(&extents, &pick(&|c| c.0), irregular), &elements) };
        let stubborn = Arc::new(stubborn);
        let source: Arc<dyn Source> = Arc::clone(&stubborn) as Arc<dyn Source>;
        let inner = ChunkGrid::regular(&extents, &pick(&|c| c.1)).unwrap();
        let shards = ChunkGrid::regular(&extents, &pick(&|c| c.1 * c.2)).unwrap();
        let array = MemoryArray::zeros("out", source.dtype(), inner).unwrap().with_commit_grid(shards);
        let array = Arc::new(array);
        let sink: Arc<dyn Sink> = Arc::clone(&array) as Arc<dyn Sink>;
        let (plan, resources) = plan_within(&source, &sink, budget_bytes, threads);
        let report = run(&plan, &resources, &Unobserved, &Cancellation::new()).unwrap();
        prop_assert_eq!(array.to_elements::<u32>().unwrap(), elements);
        prop_assert!(report.peak_reserved_bytes <= resources.budget_bytes);
        prop_assert_eq!(stubborn.reads.load(Ordering::Relaxed), source.grid().chunk_count(), "each input is read once");
        prop_assert_eq!(report.bytes_read, plan.summary().bytes_read);
    }

    #[test]
    fn a_resumed_copy_does_the_rest_only(
        extents in proptest::collection::vec(1_u64..14, 1..4),
        chunks in proptest::collection::vec((1_u64..15, 1_u64..15, 1_u64..4), 3),
        budget_bytes in prop_oneof![0_u64..600, 600_u64..200_000],
    ) {
        let rank = extents.len();
        let pick = |f: &dyn Fn(&(u64, u64, u64)) -> u64| chunks[..rank].iter().map(f).collect::<Vec<_>>();
        let elements: Vec<u32> = (1..=extents.iter().product::<u64>() as u32).collect();
        let input = ChunkGrid::regular(&extents, &pick(&|c| c.0)).unwrap();
        let source: Arc<dyn Source> = Arc::new(Stubborn::new(input, &elements));
        let inner = ChunkGrid::regular(&extents, &pick(&|c| c.1)).unwrap();
        let shards = ChunkGrid::regular(&extents, &pick(&|c| c.1 * c.2)).unwrap();
        let committed: fn(&[u64]) -> bool = |index| index.iter().sum::<u64>() % 2 == 0;
        let array = MemoryArray::zeros("out", source.dtype(), inner.clone()).unwrap().with_commit_grid(shards.clone());
        let resumed = Arc::new(Resumed { inner: array, committed, writes: AtomicU64::new(0) });
        let sink: Arc<dyn Sink> = Arc::clone(&resumed) as Arc<dyn Sink>;
        let (plan, resources) = plan_within(&source, &sink, budget_bytes, 2);
        run(&plan, &resources, &Unobserved, &Cancellation::new()).unwrap();
        // What was committed is untouched (zero here), all else equals the input.
        let found = resumed.inner.to_elements::<u32>().unwrap();
        let mut todo = 0;
        for shard in shards.indices() {
            let region = shards.region(&shard).unwrap();
            for index in inner.indices().filter(|i| region.contains(&inner.region(i).unwrap())) {
                todo += u64::from(!committed(&shard));
                let first = inner.region(&index).unwrap();
                let at = first.origin().iter().zip(&extents).fold(0, |at, (o, e)| at * e + o) as usize;
                prop_assert_eq!(found[at], if committed(&shard) { 0 } else { elements[at] });
            }
        }
        prop_assert_eq!(resumed.writes.load(Ordering::Relaxed), todo);
    }
}

#[test]
fn a_contiguous_source_is_read_along_the_output() {
    let elements: Vec<u32> = (0..64 * 64).collect();
    let source = MemoryArray::from_elements("in", ChunkGrid::single(&[64, 64]).unwrap(), &elements).unwrap();
    let grid = ChunkGrid::regular(&[64, 64], &[8, 64]).unwrap();
    let sink = Arc::new(MemoryArray::zeros("out", DType::U32, grid).unwrap());
    // A quarter of the array as budget: the source must not be read whole.
    let resources = resources(64 * 64, 1);
    let plan =
        plan_copy(Arc::new(source), Arc::clone(&sink) as Arc<dyn Sink>, &resources, &CopyOptions::default())
            .unwrap();
    assert_eq!(plan.summary().temporary_bytes, 0);
    run(&plan, &resources, &Unobserved, &Cancellation::new()).unwrap();
    assert_eq!(sink.to_elements::<u32>().unwrap(), elements);
}

#[test]
fn shapes_and_dtypes_must_agree() {
    let array = |shape: &[u64], dtype| {
        Arc::new(MemoryArray::zeros("a", dtype, ChunkGrid::single(shape).unwrap()).unwrap())
    };
    let (a, b) = (array(&[3], DType::F32), array(&[4], DType::F32));
    let plan = plan_copy(a.clone(), b, &resources(1000, 1), &CopyOptions::default());
    assert!(matches!(plan.err(), Some(Error::Shape { .. })));
    let c = array(&[3], DType::F64);
    assert!(matches!(
        plan_copy(a, c, &resources(1000, 1), &CopyOptions::default()).err(),
        Some(Error::Usage { .. })
    ));
}
