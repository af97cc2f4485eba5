//! An origin that blocks requests below `/cold/` until a measurement releases them, and records when it did.
//!
//! `/cold/{number}` is answered once that number is released: the head and a first part immediately, the rest
//! after a pause. Any other path is answered immediately with the first part alone.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

/// The body of its responses.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Body {
    pub(crate) bytes: usize,
    pub(crate) first: usize,
    /// The pause before the rest of the body.
    pub(crate) pause: Duration,
}

/// The origin; it lives as long as its runtime.
#[derive(Debug)]
pub(crate) struct BlockingOrigin {
    released: watch::Sender<u64>,
    began: Mutex<BTreeMap<u64, Instant>>,
    requests: AtomicU64,
    body: Body,
}

impl BlockingOrigin {
    /// Listens at an address.
    pub(crate) async fn listen(address: SocketAddr, body: Body, tasks: &TaskTracker) -> Result<Arc<Self>> {
        let listener = TcpListener::bind(address).await.context("an address to listen at")?;
        let (released, _) = watch::channel(0);
        let origin = Arc::new(Self { released, began: Mutex::default(), requests: AtomicU64::new(0), body });
        let (accepting, tracker) = (Arc::clone(&origin), tasks.clone());
        tasks.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let origin = Arc::clone(&accepting);
                // A tier that closes its connection has received its response.
                tracker.spawn(async move { origin.serve(stream).await.ok() });
            }
        });
        Ok(origin)
    }

    /// Releases this object, and those before it.
    pub(crate) fn release(&self, number: u64) {
        self.released.send_replace(number);
    }

    /// When the first byte of an object was sent.
    pub(crate) fn began(&self, number: u64) -> Result<Instant> {
        let began = self.began.lock().unwrap_or_else(PoisonError::into_inner);
        began.get(&number).copied().context("an object that was requested")
    }

    /// The number of requests for blocked objects.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    async fn serve(&self, stream: TcpStream) -> Result<()> {
        stream.set_nodelay(true)?;
        let mut stream = BufReader::new(stream);
        loop {
            let Some(path) = path(&mut stream).await? else { return Ok(()) };
            match path.strip_prefix("/cold/").and_then(|number| number.parse().ok()) {
                Some(number) => self.cold(number, stream.get_mut()).await?,
                None => stream.write_all(&response(self.body.first, self.body.first)).await?,
            }
        }
    }

    async fn cold(&self, number: u64, stream: &mut TcpStream) -> Result<()> {
        let Body { bytes, first, pause } = self.body;
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.released.subscribe().wait_for(|released| *released >= number).await?;
        let response = response(bytes, first);
        self.began.lock().unwrap_or_else(PoisonError::into_inner).entry(number).or_insert_with(Instant::now);
        stream.write_all(&response).await?;
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        Ok(stream.write_all(&vec![b'x'; bytes - first]).await?)
    }
}

/// The path of the next request, once its head has arrived.
async fn path(stream: &mut BufReader<TcpStream>) -> Result<Option<String>> {
    let mut path = None;
    let mut line = String::new();
    while stream.read_line(&mut line).await? > 0 {
        if line.trim_end().is_empty() {
            return Ok(path);
        }
        let word = line.split(' ').nth(1).map(str::to_owned);
        path = path.or(word);
        line.clear();
    }
    Ok(None)
}

/// A head, and the first `first` bytes of the body.
fn response(length: usize, first: usize) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\nContent-Length: {length}\r\nCache-Control: max-age=3600\r\n\
         ETag: \"{length}\"\r\n\r\n"
    );
    [head.as_bytes(), &vec![b'x'; first]].concat()
}
