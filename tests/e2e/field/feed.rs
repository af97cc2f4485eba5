//! An origin that serves what a test says, byte by byte: the stub writes correct playlists only.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tidegate_tests::{Running, edge, shield};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A running origin.
pub(super) struct Feed {
    url: String,
    pages: Arc<Mutex<Pages>>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct Pages {
    /// Everything after the status line.
    responses: HashMap<String, Vec<u8>>,
    requests: HashMap<String, usize>,
}

pub(super) const M3U8: &str = "Content-Type: application/vnd.apple.mpegurl\r\n";

impl Feed {
    pub(super) async fn run() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let pages = Arc::<Mutex<Pages>>::default();
        let served = Arc::clone(&pages);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                connections.spawn(serve(socket, Arc::clone(&served)));
            }
        });
        Self { url, pages, _tasks: tasks }
    }

    /// Its URL without a slash at the end.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Serves `body` at `path` from now on. `fields` are lines with their breaks.
    pub(super) fn set(&self, path: &str, fields: &str, body: &[u8]) {
        let head = format!("{fields}Content-Length: {}\r\n\r\n", body.len());
        let response = [head.as_bytes(), body].concat();
        self.pages.lock().unwrap().responses.insert(path.to_owned(), response);
    }

    /// The same in chunks, so that the head does not tell the length.
    pub(super) fn set_chunked(&self, path: &str, fields: &str, body: &[u8]) {
        let mut response = format!("{fields}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
        if !body.is_empty() {
            response.extend_from_slice(format!("{:x}\r\n", body.len()).as_bytes());
            response.extend_from_slice(&[body, b"\r\n"].concat());
        }
        response.extend_from_slice(b"0\r\n\r\n");
        self.pages.lock().unwrap().responses.insert(path.to_owned(), response);
    }

    /// Requests for `path` so far.
    pub(super) fn requests(&self, path: &str) -> usize {
        self.pages.lock().unwrap().requests.get(path).copied().unwrap_or_default()
    }

    /// An edge and a shield in front of it.
    pub(super) async fn tiers(&self) -> (Running, Running) {
        let shield = shield().origin_at(self.url()).run().await;
        let edge = edge().shield(&shield).run().await;
        (edge, shield)
    }
}

async fn serve(mut socket: TcpStream, pages: Arc<Mutex<Pages>>) {
    let mut received = Vec::new();
    loop {
        while let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&received[..end]).into_owned();
            received.drain(..end + 4);
            if socket.write_all(&answer(&head, &pages)).await.is_err() {
                return;
            }
        }
        match socket.read_buf(&mut received).await {
            Ok(read) if read > 0 => {}
            _ => return,
        }
    }
}

fn answer(head: &str, pages: &Mutex<Pages>) -> Vec<u8> {
    let path = head.split(' ').nth(1).and_then(|target| target.split('?').next()).unwrap_or_default();
    let mut pages = pages.lock().unwrap();
    *pages.requests.entry(path.to_owned()).or_default() += 1;
    match pages.responses.get(path) {
        Some(response) => [b"HTTP/1.1 200 OK\r\n", &response[..]].concat(),
        None => b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
    }
}
