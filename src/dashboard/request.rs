//! One visit: a request's head in, an answer out, the connection closed.
//!
//! Invariants: no more than [`MOST_HEAD_BYTES`] are read, and none after the head; what is answered carries headers that keep
//! browsers from storing it, framing it, or running anything but the page's own script. Called by the listener of
//! [`Dashboard`](super::Dashboard).

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Longest head of a request.
const MOST_HEAD_BYTES: usize = 8 << 10;
/// Most headers of a request.
const MOST_HEADERS: usize = 64;

/// What a request asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Request {
    /// Whether it only wants to read.
    pub(super) is_read: bool,
    /// Whether it wants the headers alone.
    pub(super) is_head: bool,
    /// The path, without the query.
    pub(super) path: String,
    /// What it calls the server; empty if it does not.
    pub(super) host: String,
    /// The token that it carries.
    pub(super) token: Option<String>,
}

impl Request {
    /// The request of a whole head; `None` if it is none.
    fn parse(head: &[u8]) -> Option<Self> {
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut parsed = httparse::Request::new(&mut headers);
        if !matches!(parsed.parse(head), Ok(httparse::Status::Complete(_))) {
            return None;
        }
        let (path, query) = parsed.path?.split_once('?').unwrap_or((parsed.path?, ""));
        let mut request = Self {
            is_read: matches!(parsed.method?, "GET" | "HEAD"),
            is_head: parsed.method? == "HEAD",
            path: path.to_owned(),
            host: String::new(),
            token: query.split('&').find_map(|part| part.strip_prefix("token=")).map(str::to_owned),
        };
        let mut hosts = 0;
        for header in parsed.headers.iter() {
            let value = std::str::from_utf8(header.value).ok()?.trim();
            if header.name.eq_ignore_ascii_case("host") {
                hosts += 1;
                request.host = value.to_ascii_lowercase();
            } else if header.name.eq_ignore_ascii_case("authorization")
                && let Some(token) = value.strip_prefix("Bearer ")
            {
                request.token = Some(token.to_owned());
            }
        }
        (hosts <= 1).then_some(request)
    }
}

/// Why a request is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is no request.
    Malformed,
    /// It is meant for another host.
    Host,
    /// It lacks the token.
    Token,
    /// It wants to change something.
    Method,
    /// It asks for what is not there.
    Path,
}

impl Refusal {
    fn status_and_text(self) -> (&'static str, &'static str) {
        match self {
            Self::Malformed => ("400 Bad Request", "no request\n"),
            Self::Host => ("403 Forbidden", "this server does not go by that name\n"),
            Self::Token => {
                ("403 Forbidden", "the address that the run printed ends in ?token=...: use it whole\n")
            }
            Self::Method => ("405 Method Not Allowed", "there is nothing to change here\n"),
            Self::Path => ("404 Not Found", "there are /, /live and /metrics\n"),
        }
    }
}

/// What is answered.
#[derive(Debug)]
pub(super) struct Answer {
    content_type: &'static str,
    /// What the page's own script is marked with.
    nonce: Option<String>,
    text: String,
}

impl Answer {
    /// HTML.
    pub(super) fn page(text: impl Into<Html>) -> Self {
        let Html { text, nonce } = text.into();
        Self { content_type: "text/html; charset=utf-8", nonce, text }
    }

    /// Prometheus' text format.
    pub(super) fn metrics(text: String) -> Self {
        Self { content_type: "text/plain; version=0.0.4; charset=utf-8", nonce: None, text }
    }
}

/// HTML, and what its script is marked with if it has one.
#[derive(Debug)]
pub(super) struct Html {
    pub(super) text: String,
    pub(super) nonce: Option<String>,
}

/// Reads a request from `stream`, has it answered, and closes it; all within `most`.
pub(super) fn serve(
    mut stream: TcpStream,
    most: Duration,
    answer: impl FnOnce(&Request) -> Result<Answer, Refusal>,
) -> io::Result<()> {
    let until = Instant::now() + most;
    stream.set_write_timeout(Some(most))?;
    let head = read_head(&mut stream, until)?;
    let request = Request::parse(&head);
    let outcome = request.as_ref().map_or(Err(Refusal::Malformed), answer);
    let (status, answer) = match outcome {
        Ok(answer) => ("200 OK", answer),
        Err(refusal) => {
            let (status, text) = refusal.status_and_text();
            (status, Answer { content_type: "text/plain; charset=utf-8", nonce: None, text: text.to_owned() })
        }
    };
    let script = answer.nonce.map_or_else(|| "'none'".to_owned(), |nonce| format!("'nonce-{nonce}'"));
    let headers = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\nCache-Control: no-store\r\n\
         X-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\nReferrer-Policy: no-referrer\r\n\
         Cross-Origin-Resource-Policy: same-origin\r\nContent-Security-Policy: default-src 'none'; script-src {script}; \
         style-src 'unsafe-inline'; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'\r\n\r\n",
        answer.content_type,
        answer.text.len(),
    );
    stream.write_all(headers.as_bytes())?;
    if !request.is_some_and(|request| request.is_head) {
        stream.write_all(answer.text.as_bytes())?;
    }
    stream.flush()
}

/// Everything up to the empty line, or as much as came.
fn read_head(stream: &mut TcpStream, until: Instant) -> io::Result<Vec<u8>> {
    let (mut head, mut part) = (Vec::new(), [0_u8; 1024]);
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        let count = stream.read(&mut part)?;
        head.extend_from_slice(part.get(..count).unwrap_or_default());
        let seen_before = head.len().saturating_sub(count + 3);
        let ended = head.get(seen_before..).is_some_and(|new| new.windows(4).any(|end| end == b"\r\n\r\n"));
        if ended || count == 0 || head.len() > MOST_HEAD_BYTES {
            return Ok(head);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_browsers_request_is_understood() {
        let head = b"GET /live?a=1&token=abc HTTP/1.1\r\nHOST: LocalHost:80\r\nAccept: */*\r\n\r\n";
        let request = Request::parse(head).unwrap();
        assert_eq!((request.path.as_str(), request.host.as_str()), ("/live", "localhost:80"));
        assert_eq!((request.token.as_deref(), request.is_read), (Some("abc"), true));
        assert_eq!(Request::parse(b"GET /live HTTP/1.1\r\nHost: a\r\n"), None, "no end");
    }

    proptest! {
        #[test]
        fn no_head_is_a_panic(bytes: Vec<u8>, path in "[ -~]{0,20}") {
            let _ = Request::parse(&bytes);
            let _ = Request::parse(format!("GET {path} HTTP/1.1\r\nHost: {path}\r\n\r\n").as_bytes());
        }
    }
}
