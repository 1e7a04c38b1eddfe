//! TIFF and BigTIFF files: directories, strips and tiles, their codecs, OME and ImageJ descriptions.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(init: blockwise_fuzz::unwind_as_usual(), |data: &[u8]| {
    blockwise_fuzz::read_as_file(data);
});
