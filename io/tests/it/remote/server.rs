//! A small HTTP server on the loopback for tests: files of a folder with ranges, S3's listing of a bucket, and
//! failures on demand. One request per connection, one thread each.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What goes wrong with a path.
#[derive(Clone, Copy)]
pub(super) enum Trouble {
    /// The next so many requests get this status.
    Status(u16, usize),
    /// The body ends after half of what was announced.
    Truncated,
    /// The range is ignored.
    WholeForRange,
    /// The answer comes late.
    Late(Duration),
    /// This encoding is said to be the body's.
    Encoded(&'static str),
    /// The length is said to be 2^50, and nothing follows.
    Huge,
}

/// Objects per page of a listing.
const PAGE: usize = 2;

#[derive(Clone)]
pub(super) struct Server {
    pub(super) address: String,
    folder: PathBuf,
    troubles: Arc<Mutex<HashMap<String, Trouble>>>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Serves `folder` until the process ends.
    pub(super) fn start(folder: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            address: listener.local_addr().unwrap().to_string(),
            folder: folder.to_owned(),
            troubles: Arc::default(),
            requests: Arc::default(),
        };
        let own = server.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (server, stream) = (own.clone(), stream.unwrap());
                std::thread::spawn(move || server.answer(stream));
            }
        });
        server
    }

    pub(super) fn trouble(&self, path: &str, trouble: Trouble) {
        self.troubles.lock().unwrap().insert(path.to_owned(), trouble);
    }

    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// What goes wrong with this request of `path`.
    fn trouble_now(&self, path: &str) -> Option<Trouble> {
        let mut troubles = self.troubles.lock().unwrap();
        let trouble = troubles.get_mut(path)?;
        if let Trouble::Status(_, left) = trouble {
            if *left == 0 {
                return None;
            }
            *left -= 1;
        }
        Some(*trouble)
    }

    fn answer(&self, mut stream: TcpStream) {
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        let Some(Ok(first)) = lines.next() else { return };
        let headers: Vec<String> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
        let (method, target) = first.split_once(' ').unwrap();
        let target = target.split(' ').next().unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let path = decoded(path);
        self.requests.lock().unwrap().push(format!("{method} {path}"));
        let trouble = self.trouble_now(&path);
        let mut send = |head: &str, body: &[u8]| {
            let body = if method == "HEAD" { &[] } else { body };
            let head = format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n");
            let _ = stream.write_all(&[head.as_bytes(), body].concat());
        };
        if let Some(Trouble::Late(wait)) = trouble {
            std::thread::sleep(wait);
        }
        if let Some(Trouble::Status(status, _)) = trouble {
            return send(&format!("{status} Trouble\r\nContent-Length: 0"), b"");
        }
        if query.contains("list-type=2") {
            let body = self.listing(&path, query);
            let head = format!("200 OK\r\nContent-Type: application/xml\r\nContent-Length: {}", body.len());
            return send(&head, body.as_bytes());
        }
        let Ok(body) = std::fs::read(self.folder.join(path.trim_start_matches('/'))) else {
            return send("404 Not Found\r\nContent-Length: 5", b"gone\n");
        };
        let whole = body.len();
        let range = headers
            .iter()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("range: bytes=").map(str::to_owned));
        let range = range.filter(|_| !matches!(trouble, Some(Trouble::WholeForRange)));
        let (status, body) = match range {
            None => ("200 OK".to_owned(), body),
            Some(range) => {
                let (from, to) = range.split_once('-').unwrap();
                let (from, to): (usize, usize) = (from.parse().unwrap(), to.parse().unwrap());
                if from >= whole {
                    return send("416 Range Not Satisfiable\r\nContent-Length: 0", b"");
                }
                let end = (to + 1).min(whole);
                let status =
                    format!("206 Partial Content\r\nContent-Range: bytes {from}-{}/{whole}", end - 1);
                (status, body[from..end].to_vec())
            }
        };
        let mut len = body.len();
        let (mut sent, mut more) = (body.as_slice(), String::new());
        match trouble {
            Some(Trouble::Truncated) => sent = &body[..body.len() / 2],
            Some(Trouble::Encoded(name)) => more = format!("\r\nContent-Encoding: {name}"),
            Some(Trouble::Huge) => (len, sent) = (1 << 50, &[]),
            _ => {}
        }
        send(&format!("{status}\r\nContent-Length: {len}{more}"), sent);
    }

    /// S3's ListObjectsV2, by delimiter `/`, a few entries a page.
    fn listing(&self, bucket: &str, query: &str) -> String {
        let value = |name: &str| {
            let found = query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")));
            decoded(&found.unwrap_or_default().replace('+', " "))
        };
        let (prefix, from) = (value("prefix"), value("continuation-token").parse().unwrap_or(0));
        assert_eq!(value("delimiter"), "/");
        let folder = self.folder.join(bucket.trim_matches('/')).join(&prefix);
        let mut entries: Vec<PathBuf> = std::fs::read_dir(folder)
            .map(|all| all.map(|entry| entry.unwrap().path()).collect())
            .unwrap_or_default();
        entries.sort();
        let mut xml = "<?xml version=\"1.0\"?><ListBucketResult>".to_owned();
        for path in entries.iter().skip(from).take(PAGE) {
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                write!(xml, "<CommonPrefixes><Prefix>{prefix}{name}/</Prefix></CommonPrefixes>").unwrap();
            } else {
                let size = path.metadata().unwrap().len();
                write!(xml, "<Contents><Key>{prefix}{name}</Key><Size>{size}</Size><LastModified>2024-01-01T00:00:00.000Z</LastModified><ETag>\"x\"</ETag></Contents>").unwrap();
            }
        }
        if from + PAGE < entries.len() {
            write!(
                xml,
                "<IsTruncated>true</IsTruncated><NextContinuationToken>{}</NextContinuationToken>",
                from + PAGE
            )
            .unwrap();
        }
        xml + "</ListBucketResult>"
    }
}

/// Text without percent signs.
fn decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, after @ ..] = rest {
        rest = after;
        if let (b'%', [high, low, after @ ..]) = (first, after) {
            let digits = [*high, *low];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
            rest = after;
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).unwrap()
}
