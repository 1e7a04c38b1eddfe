//! Numbers what lies above a threshold and hangs together: SciPy's `label`, of an array of any size.
//!
//!     cargo run --release --example label -- SOURCE THRESHOLD DESTINATION [NEIGHBOURS [blocks]] [--memory SIZE]
//!
//! SOURCE is read twice: once to number the components of every block and to join them where blocks meet, once while
//! DESTINATION, a Zarr store, is written. NEIGHBOURS 1, the default, joins along axes alone; 2 also across edges, and so on
//! up to the rank. With `blocks`, every chunk is a block, however small. Prints one line of JSON: seconds, and how many
//! components there are, which is the largest of the stored labels.

#[path = "support/arguments.rs"]
mod arguments;

use blockwise::convert::ArrayOptions;
use blockwise::core::array::Structure;
use blockwise::prelude::*;
use blockwise::store::{StoreOptions, to_zarr};
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (words, session) = arguments::arguments()?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let ([source, threshold, destination], options) =
        words.split_first_chunk().ok_or("give a source, a threshold and a destination")?;
    let neighbours = options.first().map_or(Ok(1), |text| text.parse())?;
    let started = Instant::now();
    let x = blockwise::open(source)?;
    let above = Array::call("greater", [(&x).into(), threshold.parse::<f64>()?.into()])?;
    let structure = Structure::connected(x.rank(), neighbours);
    let found = match options.get(1) {
        Some(&"blocks") => above.label_blocks(&structure)?,
        Some(word) => return Err(format!("'{word}' is no option; 'blocks' is").into()),
        None => above.label(&structure)?,
    };
    let codec = Some(blockwise::codec_text::parse_codec("blosc:zstd:3:shuffle")?);
    let arrays = ArrayOptions { codec, ..ArrayOptions::default() };
    let options = StoreOptions { arrays, ..StoreOptions::default() };
    to_zarr(&session, &[(&found.labels, "")], destination, &options)?;
    let count = session.compute::<i64>(&blockwise::open(destination)?.max(..)?.astype(DType::I64))?;
    let secs = started.elapsed().as_secs_f64();
    println!(r#"{{"secs": {secs:.3}, "check": {count}}}"#);
    Ok(())
}
