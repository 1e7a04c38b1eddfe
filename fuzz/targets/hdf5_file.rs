//! HDF5 files (NetCDF-4 too): structures, indexes of chunks, filters.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(init: blockwise_fuzz::unwind_as_usual(), |data: &[u8]| {
    blockwise_fuzz::read_as_file(data);
});
