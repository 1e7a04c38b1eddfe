//! Publications that end well, badly, and in the middle.

use super::*;
use std::io::Write;

fn options(plan: &str) -> PublishOptions {
    PublishOptions { plan_key: plan.to_owned(), ..PublishOptions::default() }
}

fn resuming(plan: &str) -> PublishOptions {
    PublishOptions { resume: true, ..options(plan) }
}

fn begin(out: &Path, options: &PublishOptions) -> Publication {
    Publication::begin(out, options).unwrap().unwrap()
}

/// Names in a folder.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    names.into_iter().map(|name| name.into_string().unwrap()).collect()
}

#[test]
fn nothing_is_visible_before_the_commit() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.zarr");
    let run = begin(&out, &options("p"));
    run.partial().put("a/c/0", b"zero").unwrap();
    run.partial().put_unlisted("zarr.json", b"{}").unwrap();
    let mut shard = run.partial().object("a/c/1").unwrap();
    shard.reserve(4).unwrap();
    shard.append(b"inner").unwrap();
    assert_eq!(shard.len_bytes(), 9);
    assert!(shard.fill_reserved(b"toolong").is_err());
    shard.fill_reserved(b"indx").unwrap();
    assert_eq!(shard.commit().unwrap(), 9);
    assert!(!out.exists());
    run.commit().unwrap();
    assert_eq!(names(folder.path()), ["out.zarr"]);
    assert_eq!(names(&out.join("a/c")), ["0", "1"]);
    assert_eq!(fs::read(out.join("a/c/1")).unwrap(), b"indxinner");
}

#[test]
fn one_publishes_what_several_write() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.zarr");
    let run = begin(&out, &PublishOptions { is_shared: true, ..options("p") });
    let partial = run.folder().to_owned();
    let other = Publication::join(&out, &partial).unwrap();
    assert!(run.partial().is_shared() && other.partial().is_shared());
    run.partial().put("c/0", b"own").unwrap();
    other.partial().put("c/1", b"theirs").unwrap();
    other.partial().put("c/0", b"own").unwrap(); // twice is harmless
    other.partial().sync().unwrap();
    other.commit().unwrap();
    assert!(!out.exists(), "who joins publishes nothing");
    // A worker that is killed leaves what is no object; one that goes on after the end writes nowhere.
    fs::write(partial.join("out.zarr/c/.2.killed.tmp"), b"half").unwrap();
    let slow = Publication::join(&out, &partial).unwrap();
    run.commit().unwrap();
    assert_eq!(
        (names(folder.path()), names(&out.join("c"))),
        (vec!["out.zarr".to_owned()], vec!["0".to_owned(), "1".to_owned()])
    );
    assert!(slow.partial().put("c/3", b"late").is_err());
    let late = Publication::join(&out, &partial).unwrap();
    assert_eq!(late.partial().put("c/3", b"late").unwrap(), 0);
    late.partial().sync().unwrap();
    assert!(!partial.exists());
    assert_eq!(names(&out.join("c")), ["0", "1"]);
}

#[test]
fn an_existing_output_is_refused_or_replaced_whole() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.zarr");
    let run = begin(&out, &options("p"));
    run.partial().put_unlisted("zarr.json", b"old").unwrap();
    run.partial().put("old", b"old").unwrap();
    run.commit().unwrap();
    assert!(matches!(Publication::begin(&out, &options("p")), Err(Error::Exists { .. })));
    let replace = PublishOptions { overwrite: true, ..options("p") };
    let run = begin(&out, &replace);
    run.partial().put_unlisted("zarr.json", b"new").unwrap();
    assert_eq!(fs::read(out.join("zarr.json")).unwrap(), b"old");
    run.commit().unwrap();
    assert_eq!(names(&out), ["zarr.json"]);
    assert_eq!(names(folder.path()), ["out.zarr"]);

    // What appears while the run is under way is not replaced unasked.
    let late = folder.path().join("late.nc");
    let run = begin(&late, &options("p"));
    fs::write(run.partial().payload_path(), b"ours").unwrap();
    fs::write(&late, b"theirs").unwrap();
    assert!(matches!(run.commit(), Err(Error::Exists { .. })));
    assert_eq!(fs::read(&late).unwrap(), b"theirs");
}

#[test]
fn folders_that_are_no_stores_are_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    fs::create_dir(&home).unwrap();
    fs::write(home.join("thesis.tex"), b"x").unwrap();
    let replace = PublishOptions { overwrite: true, ..options("p") };
    assert!(matches!(Publication::begin(&home, &replace), Err(Error::Refused { .. })));
    let missing = Publication::begin(&folder.path().join("no/such/out.zarr"), &replace);
    assert!(matches!(missing, Err(Error::NotFound { .. })));
    assert!(matches!(Publication::begin(Path::new("/"), &replace), Err(Error::Usage { .. })));
}

#[test]
fn two_runs_do_not_write_one_output() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.zarr");
    let first = begin(&out, &options("p"));
    let error = Publication::begin(&out, &options("p")).unwrap_err();
    assert!(error.to_string().contains("is writing this output"), "{error}");
    assert_eq!(first.abandon(), None);
    assert_eq!(names(folder.path()), Vec::<String>::new());
}

#[test]
fn a_killed_run_is_resumed_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.zarr");
    let run = begin(&out, &options("p"));
    for key in ["c/0", "c/1", "c/2", "c/3"] {
        run.partial().put(key, format!("chunk {key}").as_bytes()).unwrap();
    }
    run.partial().journal().record_fill("c/4").unwrap();
    let payload = run.partial().payload_path().to_owned();
    let torn = run.partial().object("c/5").unwrap();
    std::mem::forget(torn); // a kill leaves the temporary
    drop(run);
    let journal = payload.with_file_name(JOURNAL_NAME);
    fs::File::options().append(true).open(journal).unwrap().write_all(b"{\"object\":{\"key\":\"c/6").unwrap();
    fs::write(payload.join("c/1"), b"CHUNK c/1").unwrap(); // as long, but other bytes
    fs::write(payload.join("c/2"), b"").unwrap(); // what a power cut leaves
    fs::remove_file(payload.join("c/3")).unwrap();

    let other = Publication::begin(&out, &resuming("another plan"));
    assert!(matches!(other, Err(Error::Refused { .. })));
    let run = begin(&out, &resuming("p"));
    let finished = |run: &Publication| {
        ["c/0", "c/1", "c/2", "c/3", "c/4", "c/5", "c/6"].map(|key| run.partial().is_committed(key))
    };
    assert_eq!(finished(&run), [true, false, false, false, true, false, false]);
    assert_eq!(names(&payload.join("c")), ["0", "1", "2"]);
    run.partial().put("c/1", b"chunk c/1").unwrap();
    let left = run.abandon().unwrap();
    assert_eq!(left, payload.parent().unwrap());

    // What was proved and synced before is now believed by its length.
    let run = begin(&out, &resuming("p"));
    assert_eq!(finished(&run), [true, true, false, false, true, false, false]);
    drop(run);
    fs::write(payload.join("c/0"), b"CHUNK c/0").unwrap();
    let run = begin(&out, &resuming("p"));
    assert_eq!(finished(&run)[..2], [true, true]);
    drop(run);
    let run = begin(&out, &PublishOptions { verify_resume: true, ..resuming("p") });
    assert_eq!(finished(&run)[..2], [false, true]);
    run.commit().unwrap();
    assert_eq!(names(folder.path()), ["out.zarr"]);
}

/// Publishes what was written, but does not clean up.
fn killed_after_the_rename(run: &Publication) {
    let Shared { folder, payload, journal, .. } = &*run.partial.shared;
    journal.finish(Stamp::of_present(payload).unwrap()).unwrap();
    place::put(payload, &run.destination, folder, run.before, run.overwrite).unwrap();
}

#[test]
fn what_a_run_replaced_is_never_gone_on_with() {
    let replace = PublishOptions { overwrite: true, ..options("p") };
    let again = PublishOptions { overwrite: true, ..resuming("p") };
    let write = |out: &Path, options: &PublishOptions, text: &[u8]| {
        let run = begin(out, options);
        run.partial().put_unlisted("zarr.json", b"{}").unwrap();
        run.partial().put("c/0", text).unwrap();
        run
    };
    for is_noted in [false, true] {
        for is_replaced in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let out = folder.path().join("out.zarr");
            write(&out, &options("p"), b"old").commit().unwrap();
            let run = write(&out, &replace, b"new");
            let (partial, journal) = (run.folder().to_owned(), run.partial.clone());
            killed_after_the_rename(&run);
            drop(run);
            if is_noted {
                journal.journal().published(Stamp::of_present(&out).unwrap()).unwrap();
            }
            assert_eq!(fs::read(partial.join("out.zarr/c/0")).unwrap(), b"old");
            fs::remove_dir_all(&out).unwrap();
            if is_replaced {
                write(&out, &options("another"), b"theirs").commit().unwrap();
            }
            let run = begin(&out, &again);
            assert!(!run.partial().is_committed("c/0") && run.folder() != partial);
            // What the run was sure to have replaced is gone; else it is for people to judge.
            assert_eq!(partial.exists(), !is_noted);
            run.partial().put_unlisted("zarr.json", b"{}").unwrap();
            run.partial().put("c/0", b"new").unwrap();
            run.commit().unwrap();
            assert_eq!(fs::read(out.join("c/0")).unwrap(), b"new");
        }
    }
}

#[test]
fn what_appears_during_a_run_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.zarr");
    let replace = |resume| PublishOptions { overwrite: true, resume, ..options("p") };
    let run = begin(&out, &replace(false));
    run.partial().put("c/0", b"new").unwrap();
    fs::create_dir(&out).unwrap();
    fs::write(out.join("thesis.tex"), b"x").unwrap();
    let error = run.commit().unwrap_err();
    assert!(error.to_string().contains("appeared or changed"), "{error}");
    assert_eq!(fs::read(out.join("thesis.tex")).unwrap(), b"x");
    fs::remove_dir_all(&out).unwrap();
    begin(&out, &replace(true)).commit().unwrap();
    assert_eq!((names(folder.path()), names(&out)), (vec!["out.zarr".to_owned()], vec!["c".to_owned()]));
}

#[test]
fn an_output_that_was_moved_away_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.nc");
    fs::write(&out, b"old").unwrap();
    let run = begin(&out, &PublishOptions { overwrite: true, ..options("p") });
    fs::write(run.partial().payload_path(), b"new").unwrap();
    // Killed between the two renames of a file system that cannot exchange names.
    fs::rename(&out, run.folder().join(place::REPLACED_NAME)).unwrap();
    drop(run);
    assert!(matches!(Publication::begin(&out, &options("p")), Err(Error::Exists { .. })));
    assert_eq!(fs::read(&out).unwrap(), b"old");
}

#[test]
fn a_changed_input_is_not_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.zarr");
    let of = |input: &str| PublishOptions { inputs: vec![input.to_owned()], ..resuming("p") };
    let run = begin(&out, &of("before"));
    run.partial().put("c/0", b"old").unwrap();
    drop(run);
    let error = Publication::begin(&out, &of("after")).unwrap_err();
    assert!(error.to_string().contains("an input changed"), "{error}");
    assert!(begin(&out, &of("before")).partial().is_committed("c/0"));
}

#[test]
fn a_run_killed_after_the_rename_was_published() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.nc");
    for overwrite in [false, true] {
        let run = begin(&out, &PublishOptions { overwrite, ..options("p") });
        fs::write(run.partial().payload_path(), b"whole").unwrap();
        killed_after_the_rename(&run);
        drop(run);
        assert_eq!(names(folder.path()).len(), 2);
        let resumed = Publication::begin(&out, &PublishOptions { overwrite, ..resuming("p") }).unwrap();
        assert!(resumed.is_none());
        assert_eq!(names(folder.path()), ["out.nc"]);
    }
    // Killed before the rename: there is work left, but nothing to write.
    let out = folder.path().join("other.nc");
    let run = begin(&out, &options("p"));
    fs::write(run.partial().payload_path(), b"whole").unwrap();
    run.partial.journal().finish(Stamp::of_present(run.partial().payload_path()).unwrap()).unwrap();
    drop(run);
    begin(&out, &resuming("p")).commit().unwrap();
    assert_eq!(fs::read(&out).unwrap(), b"whole");
}

#[test]
fn resuming_without_an_earlier_run_starts_afresh() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.zarr");
    let run = begin(&out, &resuming("p"));
    run.partial().put("c/0", b"x").unwrap();
    drop(run);
    // Those of runs that were stopped before their journals had a line go; others are not ours to judge.
    let other = |name: &str, journal: &str| {
        let other = folder.path().join(name);
        fs::create_dir(&other).unwrap();
        fs::write(other.join(JOURNAL_NAME), journal).unwrap();
        other
    };
    let unbegun = folder.path().join("out.zarr.partial-0");
    fs::create_dir(&unbegun).unwrap();
    let torn = other("out.zarr.partial-1", "{\"header\":{\"vers");
    let foreign = other("out.zarr.partial-2", "{\"another\":\"version\"}\n");
    let holding = other("out.zarr.partial-3", "");
    fs::write(holding.join("data"), b"x").unwrap();
    assert!(begin(&out, &resuming("p")).partial().is_committed("c/0"));
    assert_eq!([&unbegun, &torn, &foreign, &holding].map(|path| path.exists()), [false, false, true, true]);
}

#[test]
fn a_link_is_written_through() {
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk");
    fs::create_dir(&disk).unwrap();
    fs::write(disk.join("data.npy"), b"old").unwrap();
    let out = folder.path().join("out.npy");
    std::os::unix::fs::symlink(disk.join("data.npy"), &out).unwrap();
    let run = begin(&out, &PublishOptions { overwrite: true, ..options("p") });
    fs::write(run.partial().payload_path(), b"new").unwrap();
    run.commit().unwrap();
    assert!(out.is_symlink());
    assert_eq!(fs::read(disk.join("data.npy")).unwrap(), b"new");
}

#[test]
fn keys_stay_below_the_payload() {
    let folder = tempfile::tempdir().unwrap();
    let run = begin(&folder.path().join("out.zarr"), &options("p"));
    for key in ["../x", "/x", "a//b", "a/."] {
        assert!(matches!(run.partial().object(key), Err(Error::UnsafePath { .. })), "{key}");
    }
}
