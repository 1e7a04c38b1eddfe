//! Adds the arrays of one store to those of the same names in another, along a dimension: a day more, a tile more.
//!
//!     cargo run --example append -- MORE STORE.zarr DIMENSION [START]
//!
//! MORE is of any format. Arrays without the dimension are left as they are. With START, a position along the dimension,
//! the arrays replace what is stored from there on instead of following it.

use blockwise::io::OpenOptions;
use blockwise::prelude::*;
use blockwise::store::{append_to_zarr, to_zarr_region};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let [more, store, dimension, rest @ ..] = given.as_slice() else {
        return Err("give MORE STORE.zarr DIMENSION [START]".into());
    };
    let opened = more.parse::<Location>()?.open(&OpenOptions::default())?;
    let mut arrays = Vec::new();
    for info in &opened.arrays {
        if info.dimension_names.iter().flatten().any(|name| name == dimension) {
            // As stored: packed numbers stay packed.
            arrays.push((blockwise::open_as_stored(&opened.label(&info.path))?, info.path.to_string()));
        }
    }
    let arrays: Vec<(&Array, &str)> = arrays.iter().map(|(array, name)| (array, name.as_str())).collect();
    let session = Session::with_budget(64 << 20);
    let report = match rest {
        [] => append_to_zarr(&session, &arrays, store, dimension.as_str())?,
        [start, ..] => {
            let start: u64 = start.parse()?;
            let (array, _) = arrays.first().ok_or("no array has that dimension")?;
            let axis = array.names().iter().position(|name| name.as_ref() == Some(dimension));
            let count = axis.and_then(|axis| array.shape().get(axis).copied()).unwrap_or(0);
            to_zarr_region(&session, &arrays, store, &[(dimension.as_str().into(), start..start + count)])?
        }
    };
    println!("{} arrays, {} bytes written", arrays.len(), report.bytes_written);
    Ok(())
}
