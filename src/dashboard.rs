//! [`Dashboard`]: a page of a run while it goes on, and its numbers for Prometheus, over HTTP on this machine alone.
//!
//! Invariants: it listens on a loopback address and nowhere else; nothing is answered without the token of this run, nor
//! to a request for another host (a page that a name server was made to point here); requests change nothing; a visitor takes
//! one of `MOST_VISITORS` threads for at most `VISIT_TIME` and a few kilobytes. Called by `--dashboard`, and by programs
//! that hold a [`Recorder`].

mod metrics;
mod page;
mod request;

use crate::error::{Error, Result};
use crate::record::Recorder;
use request::{Answer, Refusal};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Visitors that are served at once; more are turned away.
const MOST_VISITORS: usize = 16;
/// Time for a request to arrive and an answer to leave.
const VISIT_TIME: Duration = Duration::from_secs(2);

/// Serves a page of a run until it is dropped.
///
/// | path | what |
/// |---|---|
/// | `/` | the page, which asks for `/live` twice a second |
/// | `/live` | what it shows, as a fragment of HTML with pictures in SVG |
/// | `/metrics` | the run's numbers in Prometheus' text format |
///
/// Every request carries the token: `?token=…`, or a header `Authorization: Bearer …`.
///
/// ```
/// use blockwise::dashboard::Dashboard;
/// use blockwise::record::Recorder;
/// use blockwise_core::{Array, Session};
/// use std::sync::Arc;
/// let recorder = Arc::new(Recorder::new());
/// let dashboard = Dashboard::start("127.0.0.1:0".parse()?, "mean of x", Arc::clone(&recorder))?;
/// println!("{}", dashboard.url()); // http://127.0.0.1:40123/?token=…
/// let session = Session::with_budget(64 << 20).with_observer(recorder);
/// let x = Array::from_fn(&[1000, 1000], |at| at[0] as f32)?;
/// session.compute::<f32>(&x.mean(0)?)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Dashboard {
    address: SocketAddr,
    token: String,
    stop: Arc<AtomicBool>,
    listener: Option<JoinHandle<()>>,
}

impl Dashboard {
    /// Listens on `address`, a loopback one; with port 0 the system chooses a free one.
    ///
    /// # Errors
    /// [`Error::Usage`] if the address is not one of this machine's loopback; [`Error::Os`] if it cannot be listened on,
    /// or if there are no random bytes for a token.
    pub fn start(address: SocketAddr, title: &str, recorder: Arc<Recorder>) -> Result<Self> {
        if !address.ip().is_loopback() {
            let what = "a dashboard is served on this machine alone: give 127.0.0.1:PORT or [::1]:PORT, and reach it \
                        from elsewhere through ssh -L"
                .to_owned();
            return Err(Error::Usage { path: address.to_string(), what });
        }
        let os = |action| move |source| Error::Os { path: address.to_string(), action, source };
        let listener = TcpListener::bind(address).map_err(os("listening"))?;
        let address = listener.local_addr().map_err(os("listening"))?;
        let token = random_text().map_err(os("making a token"))?;
        let stop = Arc::new(AtomicBool::new(false));
        let site = Arc::new(Site {
            hosts: hosts(address),
            token: token.clone(),
            title: title.to_owned(),
            recorder,
            visitors: AtomicUsize::new(0),
        });
        let stopped = Arc::clone(&stop);
        let listener = std::thread::Builder::new()
            .name("dashboard".to_owned())
            .spawn(move || listen(&listener, &site, &stopped))
            .map_err(os("starting a thread"))?;
        Ok(Self { address, token, stop, listener: Some(listener) })
    }

    /// The address that it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The page's address, with the token: whoever knows it sees the run.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/?token={}", self.address, self.token)
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // A visit of our own wakes the listener; without one it would wait on, and so would we.
        if TcpStream::connect_timeout(&self.address, VISIT_TIME).is_ok()
            && let Some(listener) = self.listener.take()
        {
            let _ = listener.join();
        }
    }
}

/// What is served, and to whom.
struct Site {
    /// What a request may call this server.
    hosts: Vec<String>,
    token: String,
    title: String,
    recorder: Arc<Recorder>,
    visitors: AtomicUsize,
}

impl Site {
    /// The answer to a request that was understood.
    fn answer(&self, request: &request::Request) -> Result<Answer, Refusal> {
        if !self.hosts.contains(&request.host) {
            return Err(Refusal::Host);
        }
        if !request.token.as_deref().is_some_and(|token| same(token, &self.token)) {
            return Err(Refusal::Token);
        }
        if !request.is_read {
            return Err(Refusal::Method);
        }
        match request.path.as_str() {
            "/" => Ok(Answer::page(page::frame(&self.title, &self.token))),
            "/live" => Ok(Answer::page(page::live(&self.recorder.snapshot()))),
            "/metrics" => Ok(Answer::metrics(metrics::text(&self.recorder.snapshot()))),
            _ => Err(Refusal::Path),
        }
    }
}

/// The names by which a browser on this machine may ask for a server at `address`.
fn hosts(address: SocketAddr) -> Vec<String> {
    let port = address.port();
    let own = match address.ip() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    vec![format!("{own}:{port}"), format!("localhost:{port}")]
}

/// Whether two texts are the same, in a time that does not tell where they differ.
fn same(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |found, (a, b)| found | (a ^ b)) == 0
}

/// 128 random bits as hexadecimal digits.
fn random_text() -> io::Result<String> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn listen(listener: &TcpListener, site: &Arc<Site>, stop: &AtomicBool) {
    for visit in listener.incoming() {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = visit else {
            // Out of descriptors, as a rule: they are the run's before they are ours.
            std::thread::sleep(Duration::from_millis(100));
            continue;
        };
        if site.visitors.fetch_add(1, Ordering::SeqCst) >= MOST_VISITORS {
            site.visitors.fetch_sub(1, Ordering::SeqCst);
            continue;
        }
        let served = Arc::clone(site);
        let visitor = std::thread::Builder::new().name("dashboard-visit".to_owned()).spawn(move || {
            // A visitor who leaves early is no fault of the run's.
            let _ = request::serve(stream, VISIT_TIME, |request| served.answer(request));
            served.visitors.fetch_sub(1, Ordering::SeqCst);
        });
        if visitor.is_err() {
            site.visitors.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use blockwise_core::{Event, Observer};
    use std::io::{Read, Write};
    use std::time::Instant;

    fn dashboard() -> (Dashboard, Arc<Recorder>) {
        let recorder = Arc::new(Recorder::new());
        recorder.observe(&Event::StageStarted { stage: 0, name: "<copy> \"a\"", chunks: 4, bytes: 32 });
        let address = "127.0.0.1:0".parse().unwrap();
        (Dashboard::start(address, "<title>", Arc::clone(&recorder)).unwrap(), recorder)
    }

    /// Status and text of what is answered to `head`.
    fn ask(dashboard: &Dashboard, head: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(dashboard.address()).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        let status = answer.split(' ').nth(1).map_or(0, |code| code.parse().unwrap());
        (status, answer)
    }

    fn get(dashboard: &Dashboard, path: &str) -> (u16, String) {
        let (host, token) = (dashboard.address(), &dashboard.token);
        ask(dashboard, &format!("GET {path}?token={token} HTTP/1.1\r\nHost: {host}\r\n\r\n"))
    }

    #[test]
    fn the_token_opens_page_fragment_and_metrics() {
        let (dashboard, recorder) = dashboard();
        let (status, page) = get(&dashboard, "/");
        assert!(status == 200 && page.contains("&lt;title&gt;") && page.contains("script-src 'nonce-"));
        assert!(!page.contains("<title>&lt;title&gt;\"") && !page.contains("http://cdn"));
        assert!(get(&dashboard, "/live").1.contains("&lt;copy&gt; &quot;a&quot;"));
        recorder.observe(&Event::ChunkWritten { stage: 0, bytes: 8, stored_bytes: 5, secs: 0.1 });
        let (status, metrics) = get(&dashboard, "/metrics");
        assert_eq!(status, 200);
        assert!(metrics.contains("blockwise_written_bytes_total 8\n"), "{metrics}");
        assert!(metrics.contains("blockwise_stage_done_bytes{stage=\"0\",name=\"<copy> \\\"a\\\"\"} 8\n"));
        assert!(get(&dashboard, "/live").1.contains("25"), "a quarter is done");
    }

    #[test]
    fn nobody_else_is_answered() {
        let (dashboard, _recorder) = dashboard();
        let (host, port, token) = (dashboard.address(), dashboard.address().port(), dashboard.token.clone());
        let status = |head: String| ask(&dashboard, &head).0;
        assert_eq!(status(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")), 403);
        assert_eq!(status(format!("GET /?token= HTTP/1.1\r\nHost: {host}\r\n\r\n")), 403);
        assert_eq!(status(format!("GET /?token={token}0 HTTP/1.1\r\nHost: {host}\r\n\r\n")), 403);
        for other in [format!("evil.example:{port}"), "localhost".to_owned(), "127.0.0.1".to_owned()] {
            assert_eq!(status(format!("GET /?token={token} HTTP/1.1\r\nHost: {other}\r\n\r\n")), 403);
        }
        assert_eq!(status(format!("GET /?token={token} HTTP/1.1\r\n\r\n")), 403, "no host");
        let twice = format!("GET /?token={token} HTTP/1.1\r\nHost: {host}\r\nHost: evil.example\r\n\r\n");
        assert_eq!(status(twice), 400);
        assert_eq!(status(format!("POST /?token={token} HTTP/1.1\r\nHost: {host}\r\n\r\n")), 405);
        assert_eq!(status(format!("GET /etc?token={token} HTTP/1.1\r\nHost: {host}\r\n\r\n")), 404);
        assert_eq!(status("\u{0}\u{1}\r\n\r\n".to_owned()), 400);
        assert_eq!(status(format!("GET /{} HTTP/1.1\r\n", "a".repeat(20_000))), 400, "a long head");
        let bearer = format!(
            "GET /metrics HTTP/1.1\r\nHost: localhost:{port}\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        assert_eq!(status(bearer), 200);
        let elsewhere = Dashboard::start("0.0.0.0:0".parse().unwrap(), "", Arc::new(Recorder::new()));
        assert!(matches!(elsewhere, Err(Error::Usage { .. })));
    }

    #[test]
    fn silent_visitors_keep_nobody_out_for_long() {
        let (dashboard, _recorder) = dashboard();
        let silent: Vec<_> =
            (0..MOST_VISITORS).map(|_| TcpStream::connect(dashboard.address()).unwrap()).collect();
        let started = Instant::now();
        while get(&dashboard, "/metrics").0 != 200 {
            assert!(started.elapsed() < VISIT_TIME * 3);
            std::thread::sleep(Duration::from_millis(50));
        }
        drop(silent);
        let started = Instant::now();
        drop(dashboard);
        assert!(started.elapsed() < VISIT_TIME);
    }
}
