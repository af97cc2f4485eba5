//! An origin that sends bytes as they are, and keeps what it received.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A running origin; it ends when it is dropped.
pub(super) struct RawOrigin {
    addr: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    _serving: JoinSet<()>,
}

impl RawOrigin {
    /// An origin that answers each request without a body by `response` of its target.
    pub(super) async fn run(response: impl Fn(&str) -> Vec<u8> + Clone + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("an address");
        let heads = Arc::default();
        let mut serving = JoinSet::new();
        let kept = Arc::clone(&heads);
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(connection(stream, Arc::clone(&kept), response.clone()));
            }
        });
        Self { addr, heads, _serving: serving }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The heads of the requests that arrived.
    pub(super) fn heads(&self) -> Vec<String> {
        self.heads.lock().expect("no panic").clone()
    }
}

async fn connection(
    mut stream: TcpStream,
    heads: Arc<Mutex<Vec<String>>>,
    response: impl Fn(&str) -> Vec<u8>,
) {
    let mut received = Vec::new();
    loop {
        let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") else {
            match stream.read_buf(&mut received).await {
                Ok(0) | Err(_) => return,
                Ok(_) => continue,
            }
        };
        let head = String::from_utf8_lossy(&received[..end + 4]).into_owned();
        received.drain(..end + 4);
        let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
        heads.lock().expect("no panic").push(head);
        if stream.write_all(&response(&target)).await.is_err() {
            return;
        }
    }
}
