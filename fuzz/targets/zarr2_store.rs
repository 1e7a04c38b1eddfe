//! Zarr v2 arrays: `.zarray`, then a chunk through its codecs.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(init: blockwise_fuzz::unwind_as_usual(), |data: &[u8]| {
    let Some((rank, metadata, chunk)) = blockwise_fuzz::store_parts(data) else { return };
    let names = ["0", "1"].map(|last| format!("{}{last}", "0.".repeat(rank - 1)));
    blockwise_fuzz::read_as_store((".zarray", metadata), chunk, &names);
});
