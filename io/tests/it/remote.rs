//! Stores on servers: arrays read over HTTP and from S3 equal the local ones, and what a server does wrong is told.
#![expect(clippy::unwrap_used, reason = "tests stop at the first surprise")]

mod server;

use crate::corpus::read_all;
use crate::zarr_write::sample;
use blockwise_core::Cancellation;
use blockwise_io::store::{ByteStore, Entry, EntryKind, RemoteStore, Visit};
use blockwise_io::{Container, Error, Format, MissingChunks, OpenOptions, open};
use blockwise_kernels::{BufferPool, DType};
use server::{Server, Trouble};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Every array that streams: bytes, and whether its description is the same.
fn assert_same(local: &dyn Container, remote: &dyn Container, named: &[&str]) {
    for name in named {
        let path = name.parse().unwrap();
        let (here, there) = (local.array(&path).unwrap(), remote.array(&path).unwrap());
        assert_eq!(format!("{:?}", here.info()), format!("{:?}", there.info()));
        let bytes = |array: &dyn blockwise_io::StoredArray| read_all(&*array.source().unwrap()).unwrap();
        assert_eq!(bytes(&*here), bytes(&*there), "{name}");
    }
}

const ARRAYS: [&str; 4] = ["ocean/packed", "ocean/float", "ocean/time", "ocean/scalar"];

fn open_at(url: &str) -> blockwise_io::Result<std::sync::Arc<dyn Container>> {
    open::open(Path::new(url), &OpenOptions::default())
}

#[test]
fn arrays_over_http_are_the_local_ones() {
    for format in [Format::Zarr2, Format::Zarr3] {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("a b.zarr");
        sample(&out, format);
        let server = Server::start(folder.path());
        server.trouble("/a b.zarr/ocean/float/zarr.json", Trouble::Status(500, 2));
        server.trouble("/a b.zarr/ocean/float/.zarray", Trouble::Status(503, 1));
        server.trouble("/a b.zarr/ocean/time/c/0", Trouble::Late(Duration::from_millis(200)));
        let local = open_at(out.to_str().unwrap()).unwrap();
        let remote = open_at(&format!("http://{}/a%20b.zarr/", server.address)).unwrap();
        assert_eq!(remote.format(), format);
        assert_same(&*local, &*remote, &ARRAYS);
        // By its own URL an array is a store.
        let array = open_at(&format!("http://{}/a%20b.zarr/ocean/time", server.address)).unwrap();
        assert_eq!(array.nodes().unwrap().1.len(), 1);
        assert!(server.requests().iter().all(|line| line.starts_with("GET ") || line.starts_with("HEAD ")));
    }
}

/// A v2 array of three chunks of two bytes at `/a` of a server.
fn small(folder: &Path) -> Server {
    let at = folder.join("a");
    std::fs::create_dir_all(&at).unwrap();
    let document = r#"{"zarr_format": 2, "shape": [6], "chunks": [2], "dtype": "|u1", "compressor": null,
        "fill_value": 7, "order": "C", "filters": null}"#;
    std::fs::write(at.join(".zarray"), document).unwrap();
    std::fs::write(at.join("0"), [1, 2]).unwrap();
    std::fs::write(at.join("2"), [5, 6]).unwrap();
    Server::start(folder)
}

#[test]
fn what_is_missing_is_filled_and_what_fails_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let server = small(folder.path());
    let url = format!("http://{}/a", server.address);
    let read = |missing_chunks| {
        let options = OpenOptions { missing_chunks, ..OpenOptions::default() };
        let container = open::open(Path::new(&url), &options).unwrap();
        let source = container.array(&"".parse().unwrap()).unwrap().source().unwrap();
        assert_eq!(source.dtype(), DType::U8);
        read_all(&*source)
    };
    assert_eq!(read(MissingChunks::Fill).unwrap(), [1, 2, 7, 7, 5, 6]);
    assert!(read(MissingChunks::Error).unwrap_err().contains("the chunk is missing"));
    for (trouble, text) in [
        (Trouble::Truncated, "/a/2: "),
        (Trouble::Status(403, usize::MAX), "the server answered 403 Forbidden"),
        (Trouble::Status(405, usize::MAX), "the server answered 405"),
        (Trouble::Encoded("gzip"), "sends as 'gzip'"),
        (Trouble::Huge, "exceeds the limit"),
    ] {
        server.trouble("/a/2", trouble);
        let error = read(MissingChunks::Fill).unwrap_err();
        assert!(error.contains(text) && error.contains(&url), "{error}");
    }
}

#[test]
fn lengths_and_ranges_are_held_against_what_comes() {
    let folder = tempfile::tempdir().unwrap();
    let server = small(folder.path());
    let (pool, cancellation) = (BufferPool::new(1 << 20), Cancellation::new());
    let store = RemoteStore::open(&format!("http://{}/a", server.address), &cancellation).unwrap();
    std::fs::write(folder.path().join("a/x#1"), b"0123456789").unwrap();
    let range = |offset, len| {
        store.get_range("x#1", offset, len, &pool).map(|found| found.map(|bytes| bytes.to_vec()))
    };
    assert_eq!(store.len("x#1").unwrap(), Some(10));
    assert_eq!(store.len("none").unwrap(), None);
    assert_eq!(range(3, 4).unwrap().unwrap(), b"3456");
    assert_eq!(range(3, 0).unwrap().unwrap(), b"");
    assert!(store.get_range("none", 0, 1, &pool).unwrap().is_none());
    assert!(matches!(range(8, 4), Err(Error::Corrupt { .. })));
    assert!(matches!(range(10, 1), Err(Error::Corrupt { .. })));
    assert!(matches!(range(u64::MAX, 1), Err(Error::Corrupt { .. })));
    assert!(matches!(store.get("x#1", 9, &pool), Err(Error::Limit { limit: 9, .. })));
    assert!(matches!(store.get("../secret", 9, &pool), Err(Error::UnsafePath { .. })));
    let listed = store.list("", &mut |_| Ok(Visit::Continue(())));
    assert!(matches!(listed, Err(Error::Unsupported { .. })));
    server.trouble("/a/x#1", Trouble::WholeForRange);
    assert!(matches!(range(3, 4), Err(Error::Unsupported { .. })));
}

#[test]
fn waiting_ends_when_the_run_is_cancelled() {
    let folder = tempfile::tempdir().unwrap();
    let server = small(folder.path());
    server.trouble("/a/0", Trouble::Late(Duration::from_secs(20)));
    let (pool, cancellation) = (BufferPool::new(1 << 20), Cancellation::new());
    let store = RemoteStore::open(&format!("http://{}/a", server.address), &cancellation).unwrap();
    let (flag, started) = (cancellation.clone(), Instant::now());
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        flag.cancel();
    });
    let error = store.get("0", 10, &pool).unwrap_err();
    assert!(
        matches!(&error, Error::Core(error) if matches!(**error, blockwise_core::Error::Cancelled)),
        "{error}"
    );
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn what_is_no_store_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let Err(error) = open_at(&format!("http://{}/x.nc", server.address)) else { panic!("nothing is there") };
    assert!(matches!(error, Error::NotFound { .. }) && error.to_string().contains("only Zarr"), "{error}");
    // A port that was free a moment ago.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let Err(error) = open_at(&format!("http://{address}/x")) else { panic!("nobody answers there") };
    assert!(matches!(error, Error::Remote { .. }) && error.to_string().contains("refused"), "{error}");
}

/// Set where this test runs itself again with the environment that S3 is configured by.
const CHILD: &str = "BLOCKWISE_TEST_S3";

#[test]
fn arrays_from_s3_are_the_local_ones() {
    let Some(local) = std::env::var_os(CHILD) else {
        for format in [Format::Zarr2, Format::Zarr3] {
            let folder = tempfile::tempdir().unwrap();
            let out = folder.path().join("bucket/data/a b.zarr");
            std::fs::create_dir_all(out.parent().unwrap()).unwrap();
            sample(&out, format);
            let server = Server::start(folder.path());
            let status = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "remote::arrays_from_s3_are_the_local_ones"])
                .env(CHILD, &out)
                .env("AWS_ENDPOINT_URL", format!("http://{}", server.address))
                .envs([("AWS_ALLOW_HTTP", "true"), ("AWS_REGION", "eu-central-1")])
                .envs([("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "geheim")])
                .output()
                .unwrap();
            let text = String::from_utf8_lossy(&status.stdout).into_owned();
            assert!(status.status.success() && text.contains("1 passed"), "{text}");
            assert!(server.requests().len() > 20);
        }
        return;
    };
    let local = open::open(Path::new(&local), &OpenOptions::default()).unwrap();
    let remote = open_at("s3://bucket/data/a b.zarr").unwrap();
    let names = |container: &dyn Container| format!("{:?}", container.nodes().unwrap());
    assert_eq!(names(&*local), names(&*remote));
    assert_same(&*local, &*remote, &ARRAYS);
    let (path, pool) = (ARRAYS[0].parse().unwrap(), BufferPool::new(1 << 20));
    let (here, there) = (local.array(&path).unwrap(), remote.array(&path).unwrap());
    assert_eq!(here.stored_chunks().unwrap(), there.stored_chunks().unwrap());
    assert_eq!(here.stored_bytes().unwrap(), there.stored_bytes().unwrap());

    let store = RemoteStore::open("s3://bucket/data", &Cancellation::new()).unwrap();
    let mut entries = Vec::new();
    let mut note = |entry: Entry| {
        entries.push((entry.name, entry.kind));
        Ok(Visit::Continue(()))
    };
    store.list("", &mut note).unwrap();
    store.list("nowhere", &mut note).unwrap();
    assert_eq!(entries, [("a b.zarr".to_owned(), EntryKind::Folder)]);
    assert!(store.get("a b.zarr/none", 10, &pool).unwrap().is_none());
}
