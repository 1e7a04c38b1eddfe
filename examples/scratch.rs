//! scratch
use blockwise_core::array::*;
use blockwise_core::{Array, Cancellation, Session, Source, TaskContext};
use std::time::Instant;
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).unwrap();
    let container = blockwise_io::open::open(path.as_ref(), &blockwise_io::OpenOptions::default())?;
    let (_, arrays) = container.nodes()?;
    let info = arrays
        .iter()
        .filter(|i| !i.is_coordinate && !i.shape.is_empty())
        .max_by_key(|i| i.shape.iter().product::<u64>())
        .unwrap();
    let source = container.array(&info.path)?.source()?;
    let x = Array::from_source(source.clone());
    println!("{x:?}");
    let session =
        Session::with_budget(std::env::args().nth(2).map_or(2 << 30, |s| s.parse::<u64>().unwrap() << 20));
    let red = |n: &str, a: Axes| x.reduce(Reduce::named(n, 0.0).unwrap(), a, false).unwrap();
    let chain = (((&x - 273.0) * 1.8 + 32.0).exp()?.log()?.sqrt()? + 1.0).std(..)?;
    let sets: Vec<(&str, Vec<Array>)> = vec![
        ("mean0", vec![red("mean", 0.into())]),
        ("chainstd", vec![chain]),
        (
            "five",
            vec![
                red("mean", Axes::All),
                red("std", Axes::All),
                red("min", Axes::All),
                red("max", Axes::All),
                red("mean", 0.into()),
            ],
        ),
        ("anom_std", vec![(&x - red("mean", 0.into())).std(..)?]),
    ];
    for round in 0..2 {
        let t = Instant::now();
        let pool = blockwise_kernels::BufferPool::new(1 << 30);
        let c = Cancellation::new();
        let next = std::sync::atomic::AtomicU64::new(0);
        std::thread::scope(|s| {
            for _ in 0..2 {
                s.spawn(|| {
                    loop {
                        let n = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        let Some(index) = source.grid().index_at(n) else { break };
                        source.read(&index, &TaskContext::new(&pool, &c)).unwrap();
                    }
                });
            }
        });
        println!("{round} decode {:.3}", t.elapsed().as_secs_f64());
        for (name, set) in &sets {
            let t = Instant::now();
            session.compute_many(set)?;
            println!("{round} {name} {:.3}", t.elapsed().as_secs_f64());
        }
    }
    Ok(())
}
