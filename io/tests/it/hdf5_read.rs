//! HDF5 and NetCDF-4 files of the corpus: good ones bit by bit, bad ones refused.

#![expect(clippy::unwrap_used, reason = "tests stop at the first surprise")]

use crate::corpus::{Case, cases, read_all, sha256};
use blockwise_core::{Fault, Source, StoreFault};
use blockwise_io::{ElementType, Error, MissingChunks, NodePath, OpenOptions, open};
use serde_json::Value;
use std::sync::Arc;

fn source_of(case: &Case, missing_chunks: MissingChunks) -> Result<Arc<dyn Source>, Error> {
    let container = open::open(&case.path, &OpenOptions { missing_chunks, ..OpenOptions::default() })?;
    let (groups, _) = container.nodes()?;
    assert!(groups.first().is_some_and(|root| root.path.is_root()));
    let path: NodePath = case.node.parse()?;
    let array = container.array(&path)?;
    if let ElementType::FixedBytes { .. } = array.info().element_type {
        // Strings of fixed length stream as bytes; the corpus takes them for unsupported.
        return Err(Error::Refused { path: case.path.display().to_string(), what: "strings".to_owned() });
    }
    let (stored, _) = array.stored_chunks()?;
    assert!(stored > 0 || array.stored_bytes()? == 0);
    array.source()
}

/// What differs between `source` and the values that `record` states.
fn difference(source: &dyn Source, record: &Value) -> Option<String> {
    let shape: Vec<u64> = record["shape"].as_array()?.iter().filter_map(Value::as_u64).collect();
    if source.grid().shape() != shape || Some(source.dtype().name()) != record["dtype"].as_str() {
        return Some(format!("{:?} of {}", source.grid().shape(), source.dtype()));
    }
    match read_all(source) {
        Err(error) => Some(error),
        Ok(bytes) if Some(sha256(&bytes).as_str()) == record["sha256"].as_str() => None,
        Ok(_) => Some("other values".to_owned()),
    }
}

/// What is wrong with how `case` was read, if anything.
fn fault_of(case: &Case) -> Option<String> {
    match (case.is_good(), source_of(case, MissingChunks::Fill)) {
        (true, Err(error)) if case.has("optional") && error.fault() == Fault::BadInput => None,
        (true, Err(error)) => Some(format!("refused: {error}")),
        (true, Ok(source)) => {
            if case.has("strict") {
                let source = source_of(case, MissingChunks::Error).unwrap();
                assert!(read_all(&*source).unwrap_err().contains("missing"), "{}", case.id);
            }
            let wrong = difference(&*source, &case.record)?;
            let is_other_view = case.has("alt") && difference(&*source, &case.record["alt"]).is_none();
            (!is_other_view).then_some(wrong)
        }
        (false, Err(error)) => {
            let text = error.to_string();
            let names_file = text.contains(case.path.to_str()?);
            (!names_file).then(|| format!("the error names no file: {text}"))
        }
        (false, Ok(source)) => match read_all(&*source) {
            Err(_) => None,
            Ok(_) if case.has("either") => difference(&*source, &case.record["alt"]),
            Ok(_) if case.has("optional_ok") => None,
            Ok(_) => Some("read without an error".to_owned()),
        },
    }
}

#[test]
fn corpus() {
    let Some(cases) = cases(&["hdf5", "netcdf4"]) else { return };
    assert!(cases.len() > 100, "{} cases", cases.len());
    let wrong: Vec<String> =
        cases.iter().filter_map(|case| Some(format!("{}: {}", case.id, fault_of(case)?))).collect();
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}
