//! Every Zarr case of the corpus: good ones bit-exact, bad ones refused.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests stop at the first surprise")]

use crate::corpus::{Case, cases, read_all, sha256};
use blockwise_io::store::Root;
use blockwise_io::{Container, ElementType, MissingChunks, NodePath, OpenOptions, zarr};
use blockwise_kernels::DType;
use std::sync::Arc;

fn open(case: &Case, missing_chunks: MissingChunks) -> blockwise_io::Result<Arc<dyn Container>> {
    let options = OpenOptions { missing_chunks, ..OpenOptions::default() };
    zarr::open(Arc::new(Root::open(&case.path, false)?), &options)
}

fn read(case: &Case, missing_chunks: MissingChunks) -> Result<(DType, Vec<u8>), String> {
    let text = |error: blockwise_io::Error| error.to_string();
    let container = open(case, missing_chunks).map_err(text)?;
    let node: NodePath = case.node.parse().map_err(text)?;
    let array = container.array(&node).map_err(text)?;
    let info = array.info();
    if info.element_type == ElementType::Text {
        let texts = array.read_texts(64 << 20).map_err(text)?;
        return Err(format!("read as texts: {texts:?}")).filter_texts();
    }
    let source = array.source().map_err(text)?;
    let bytes = read_all(&*source)?;
    Ok((source.dtype(), bytes))
}

/// A case whose texts were read although it is bad.
trait FilterTexts {
    fn filter_texts(self) -> Self;
}

impl<T> FilterTexts for Result<T, String> {
    fn filter_texts(self) -> Self {
        if let Err(texts) = &self {
            panic!("{texts}");
        }
        self
    }
}

fn check_good(case: &Case) -> Result<(), String> {
    let (dtype, bytes) = read(case, MissingChunks::Fill)?;
    let expected = |ok: bool, what: &str| if ok { Ok(()) } else { Err(format!("wrong {what}")) };
    expected(dtype.name() == case.text("dtype"), "dtype")?;
    expected(sha256(&bytes) == case.text("sha256"), "values")?;
    let container = open(case, MissingChunks::Fill).map_err(|error| error.to_string())?;
    let node: NodePath = case.node.parse().unwrap();
    let array = container.array(&node).unwrap();
    let info = array.info();
    expected(Some(info.shape.clone()) == case.lengths("shape"), "shape")?;
    let (_, arrays) = container.nodes().map_err(|error| error.to_string())?;
    expected(arrays.iter().any(|info| info.path == node), "tree")?;
    let outer = info.shard_shape.clone().or_else(|| info.chunk_shape.clone());
    expected(outer == case.lengths("chunks"), "chunks")?;
    let (stored, total) = array.stored_chunks().map_err(|error| error.to_string())?;
    expected(stored <= total && (array.stored_bytes().unwrap() > 0) == (stored > 0), "counts")?;
    if case.has("strict") {
        let strict = read(case, MissingChunks::Error);
        expected(strict.is_err_and(|error| error.contains("missing")), "answer to a missing chunk")?;
    }
    Ok(())
}

#[test]
fn good_cases_are_exact() {
    let Some(cases) = cases(&["zarr2", "zarr3"]) else { return };
    let good: Vec<&Case> = cases.iter().filter(|case| case.is_good()).collect();
    let mut failures = Vec::new();
    let (mut exact, mut refused) = (0, Vec::new());
    for case in &good {
        match check_good(case) {
            Ok(()) => exact += 1,
            Err(error) if case.has("optional") && error.contains("not supported") => refused.push(&case.id),
            Err(error) => failures.push(format!("{} ({}): {error}", case.id, case.text("why"))),
        }
    }
    println!("{exact} of {} good cases exact, optional ones refused: {refused:?}", good.len());
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(exact >= 140, "{exact}");
}

#[test]
fn bad_cases_are_refused() {
    let Some(cases) = cases(&["zarr2", "zarr3"]) else { return };
    let bad: Vec<&Case> = cases.iter().filter(|case| !case.is_good()).collect();
    let mut failures = Vec::new();
    for case in &bad {
        match read(case, MissingChunks::Fill) {
            Err(error) => println!("{}: {error}", case.id),
            Ok((_, bytes)) if case.has("either") && sha256(&bytes) == case.record["alt"]["sha256"] => {}
            Ok(_) => failures.push(format!("{} ({}) was read", case.id, case.text("why"))),
        }
    }
    println!("{} bad cases", bad.len());
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(bad.len() >= 118, "{}", bad.len());
}
