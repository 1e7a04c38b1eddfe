//! The journal of an interrupted run, as `--resume` reads it back: lines of JSON that say what is done.
#![no_main]

use blockwise_io::publish::{Publication, PublishOptions};
use libfuzzer_sys::fuzz_target;

fuzz_target!(init: blockwise_fuzz::unwind_as_usual(), |data: &[u8]| {
    let folder = blockwise_fuzz::scratch();
    let out = folder.path().join("out.zarr");
    let options = PublishOptions { resume: true, plan_key: "p".to_owned(), ..PublishOptions::default() };
    let Ok(Some(run)) = Publication::begin(&out, &options) else { return };
    if run.partial().put("c/0", b"chunk").is_err() {
        return;
    }
    let payload = run.partial().payload_path().to_owned();
    if run.abandon().is_none() {
        return;
    }
    let journal = payload.with_file_name("journal.jsonl");
    let Ok(mut text) = std::fs::read(&journal) else { return };
    // Half of the inputs go on after a sound beginning.
    match data.split_first() {
        Some((0..128, rest)) => text.extend_from_slice(rest),
        Some((_, rest)) => text = rest.to_vec(),
        None => return,
    }
    if std::fs::write(&journal, text).is_err() {
        return;
    }
    if let Ok(Some(run)) = Publication::begin(&out, &options) {
        for key in ["c/0", "c/1", "../out", ""] {
            let _ = run.partial().is_committed(key);
        }
        let _ = run.abandon();
    }
    assert!(!out.exists(), "a journal alone publishes nothing but a whole output");
});
