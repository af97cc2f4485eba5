//! An origin whose every response is written by the test: servers in the field break rules that the stub
//! keeps.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use std::sync::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) method: String,
    /// Path and query.
    pub(super) target: String,
    head: String,
    /// Counted from 1 for each path.
    pub(super) number: usize,
    /// Counted from 1 on its connection.
    pub(super) on_connection: usize,
}

impl Asked {
    pub(super) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// A header field, or an empty string.
    pub(super) fn header(&self, name: &str) -> &str {
        let fields = self.head.lines().filter_map(|line| line.split_once(':'));
        fields
            .filter(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .next()
            .unwrap_or_default()
    }

    /// First and last byte of `Range: bytes=a-b`.
    pub(super) fn range(&self) -> Option<(usize, usize)> {
        let (first, last) = self.header("range").strip_prefix("bytes=")?.split_once('-')?;
        Some((first.parse().ok()?, last.parse().unwrap_or(usize::MAX)))
    }
}

/// What the origin does with a request.
#[derive(Debug)]
pub(super) enum Reply {
    /// Sends these bytes and waits for the next request.
    Bytes(Vec<u8>),
    /// Sends these bytes and closes the connection.
    Last(Vec<u8>),
}

/// A response with its length.
pub(super) fn reply(status: u16, fields: &[(&str, &str)], body: &[u8]) -> Reply {
    Reply::Bytes(response(status, fields, body))
}

/// The bytes of a response with its length.
pub(super) fn response(status: u16, fields: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status} Scripted\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in fields {
        head.extend([name, ": ", value, "\r\n"]);
    }
    [head.as_bytes(), b"\r\n", body].concat()
}

/// A running scripted origin.
#[derive(Debug)]
pub(super) struct Scripted {
    pub(super) url: String,
    log: Arc<Mutex<Vec<Asked>>>,
    _task: JoinSet<()>,
}

impl Scripted {
    pub(super) async fn run(script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::run_on(TcpListener::bind("127.0.0.1:0").await.expect("a port"), script)
    }

    pub(super) fn run_on(
        listener: TcpListener,
        script: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (script, log) = (Arc::new(script), Arc::<Mutex<Vec<Asked>>>::default());
        let counts = Arc::<Mutex<HashMap<String, AtomicUsize>>>::default();
        let mut task = JoinSet::new();
        let all = Arc::clone(&log);
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let (script, log, counts) = (Arc::clone(&script), Arc::clone(&all), Arc::clone(&counts));
                connections.spawn(async move { serve(socket, &*script, &log, &counts).await });
            }
        });
        Self { url, log, _task: task }
    }

    /// The requests for a path, in order.
    pub(super) fn seen(&self, path: &str) -> Vec<Asked> {
        self.log.lock().unwrap().iter().filter(|asked| asked.path() == path).cloned().collect()
    }

    /// The number of requests for a path.
    pub(super) fn requests(&self, path: &str) -> usize {
        self.seen(path).len()
    }
}

async fn serve(
    mut socket: TcpStream,
    script: &(impl Fn(&Asked) -> Reply + ?Sized),
    log: &Mutex<Vec<Asked>>,
    counts: &Mutex<HashMap<String, AtomicUsize>>,
) {
    let mut received = Vec::new();
    for on_connection in 1.. {
        let end = loop {
            if let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            match socket.read_buf(&mut received).await {
                Ok(read) if read > 0 => {}
                _ => return,
            }
        };
        let head = String::from_utf8_lossy(&received.drain(..end).collect::<Vec<_>>()).into_owned();
        let mut words = head.split(' ');
        let (method, target) =
            (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
        let path = target.split('?').next().unwrap_or_default().to_owned();
        let number = counts.lock().unwrap().entry(path).or_default().fetch_add(1, Ordering::SeqCst) + 1;
        let asked = Asked { method, target, head, number, on_connection };
        let reply = script(&asked);
        log.lock().unwrap().push(asked);
        let (bytes, is_last) = match reply {
            Reply::Bytes(bytes) => (bytes, false),
            Reply::Last(bytes) => (bytes, true),
        };
        if socket.write_all(&bytes).await.is_err() || is_last {
            return;
        }
    }
}

pub(super) const M3U8: (&str, &str) = ("Content-Type", "application/vnd.apple.mpegurl");

/// A live playlist of four segments of 2 s, the first of this number.
pub(super) fn live(first: usize) -> String {
    let mut playlist = format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{first}\n");
    for number in first..first + 4 {
        playlist.extend(["#EXTINF:2.000,\ns", &number.to_string(), ".ts\n"]);
    }
    playlist
}
