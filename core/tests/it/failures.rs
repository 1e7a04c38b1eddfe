//! Failures, panics and cancellation end a run with the task named and nothing left running.

use crate::support::{ReadFault, Stubborn, plan_within, resources};
use blockwise_core::context::Observer;
use blockwise_core::exec;
use blockwise_core::memory::MemoryArray;
use blockwise_core::plan::{CopyOptions, plan_copy};
use blockwise_core::{Cancellation, ChunkGrid, Error, Event, Fault, Sink, Source, Unobserved};
use std::sync::Arc;

fn ends(fault: Option<ReadFault>) -> (Arc<dyn Source>, Arc<dyn Sink>) {
    let grid = ChunkGrid::regular(&[40, 40], &[4, 40]).unwrap();
    let elements: Vec<u32> = (0..1600).collect();
    let source = Stubborn { fault, ..Stubborn::new(grid, &elements) };
    let output = ChunkGrid::regular(&[40, 40], &[40, 4]).unwrap();
    let sink = MemoryArray::zeros("out", source.inner_dtype(), output).unwrap();
    (Arc::new(source), Arc::new(sink))
}

impl Stubborn {
    fn inner_dtype(&self) -> blockwise_kernels::DType {
        Source::dtype(self)
    }
}

fn run(fault: ReadFault, budget_bytes: u64) -> Error {
    let (source, sink) = ends(Some(fault));
    let (plan, resources) = plan_within(&source, &sink, budget_bytes, 3);
    exec::run(&plan, &resources, &Unobserved, &Cancellation::new()).unwrap_err()
}

#[test]
fn an_error_names_its_chunk() {
    for budget_bytes in [2_000, 1 << 20] {
        let error = run(
            |index| if index[0] == 7 { Err(Error::Usage { message: "bad".into() }) } else { Ok(()) },
            budget_bytes,
        );
        assert_eq!(error.to_string(), "read of stubborn, chunk [7, 0] [28:32, 0:40]: bad");
        assert_eq!(error.fault(), Fault::Usage);
    }
}

#[test]
fn a_panic_is_an_error_with_its_chunk() {
    let error =
        run(|index| if index[0] == 3 { panic!("closure broke at {index:?}") } else { Ok(()) }, 1 << 20);
    let text = error.to_string();
    assert!(text.contains("chunk [3, 0]") && text.contains("closure broke at [3, 0]"), "{text}");
}

#[test]
fn a_budget_that_cannot_work_is_refused_with_one_that_does() {
    let (source, sink) = ends(None);
    let refused = plan_copy(source, sink, &resources(100, 2), &CopyOptions::default());
    let Err(Error::OverBudget { needed_bytes, budget_bytes, .. }) = refused else { panic!("not refused") };
    assert_eq!(budget_bytes, 100);
    // One piece of each kind: an input chunk and the piece cut from it.
    assert!((640..=1600).contains(&needed_bytes), "{needed_bytes}");
}

#[test]
fn temporary_files_respect_the_limit() {
    let (source, sink) = ends(None);
    let resources = blockwise_core::plan::Resources { spill_limit_bytes: Some(1000), ..resources(2_000, 1) };
    let plan = plan_copy(source, sink, &resources, &CopyOptions::default()).unwrap();
    assert!(plan.summary().temporary_bytes > 6_400);
    let error = exec::run(&plan, &resources, &Unobserved, &Cancellation::new()).unwrap_err();
    assert!(matches!(error, Error::NoSpace { free_bytes: 1000, .. }), "{error}");
}

/// Writes into the temporary file of this process in `folder` whenever a first stage ends, `times` times.
#[cfg(target_os = "linux")]
struct Damage {
    folder: std::path::PathBuf,
    times: std::sync::atomic::AtomicUsize,
}

#[cfg(target_os = "linux")]
impl Observer for Damage {
    fn observe(&self, event: &Event<'_>) {
        use std::os::unix::fs::FileExt;
        use std::sync::atomic::Ordering::SeqCst;
        if !matches!(event, Event::StageFinished { stage: 0 })
            || self.times.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_err()
        {
            return;
        }
        // The file has no name any more, but its descriptor has one.
        let mut open = std::fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().path());
        let prefix = self.folder.join(".blockwise-spill-").to_string_lossy().into_owned();
        let is_spill = |fd: &std::path::PathBuf| {
            std::fs::read_link(fd).is_ok_and(|path| path.to_string_lossy().starts_with(&prefix))
        };
        let spill = open.find(is_spill).expect("a temporary file is open");
        let file = std::fs::OpenOptions::new().write(true).open(spill).unwrap();
        file.write_all_at(b"damage", 40).unwrap();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn what_a_damaged_temporary_file_held_is_computed_again_once() {
    let elements: Vec<u32> = (0..1600).collect();
    for (times, survives) in [(0, true), (1, true), (2, false)] {
        let folder = tempfile::tempdir().unwrap();
        let (source, _) = ends(None);
        let output = ChunkGrid::regular(&[40, 40], &[40, 4]).unwrap();
        let sink = Arc::new(MemoryArray::zeros("out", source.dtype(), output).unwrap());
        let spill_folder = folder.path().to_owned();
        let resources = blockwise_core::plan::Resources { spill_folder, ..resources(2_000, 2) };
        let plan = plan_copy(source, Arc::clone(&sink) as Arc<dyn Sink>, &resources, &CopyOptions::default())
            .unwrap();
        assert!(plan.summary().temporary_bytes > 0);
        let damage = Damage { folder: folder.path().to_owned(), times: times.into() };
        let outcome = exec::run(&plan, &resources, &damage, &Cancellation::new());
        match outcome {
            Ok(_) => assert!(survives && sink.to_elements::<u32>().unwrap() == elements),
            Err(error) => {
                assert!(!survives && error.to_string().contains("checksum"), "{times}: {error}");
            }
        }
    }
}

struct CancelAtFirstRead(Cancellation);

impl Observer for CancelAtFirstRead {
    fn observe(&self, event: &Event<'_>) {
        if matches!(event, Event::ChunkRead { .. }) {
            self.0.cancel();
        }
    }
}

#[test]
fn cancellation_stops_the_run() {
    let (source, sink) = ends(None);
    let (plan, resources) = plan_within(&source, &sink, 1 << 20, 2);
    let cancellation = Cancellation::new();
    let outcome = exec::run(&plan, &resources, &CancelAtFirstRead(cancellation.clone()), &cancellation);
    assert!(matches!(outcome, Err(Error::Cancelled)));
}
