//! The lower bound for a cached response: `floor ADDRESS FOLDER`. `cargo xtask bench hit` measures it beside
//! the caches; the difference is the cost of their other work.
//!
//! It accepts connections, reads and parses the head (httparse), looks the path up (moka), and writes a
//! constant head with the body in one vectored write. It checks nothing and never evicts anything. The
//! objects are the files of FOLDER, at their paths in it.

use std::cell::RefCell;
use std::io::{ErrorKind, IoSlice};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use moka::sync::Cache;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

/// The bytes of a response.
#[derive(Debug)]
struct Object {
    head: Vec<u8>,
    body: Vec<u8>,
}

type Objects = Cache<String, Arc<Object>, ahash::RandomState>;

/// More than any head in this measurement.
const HEAD_MAX: usize = 16 * 1024;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; HEAD_MAX]);
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().context("an address to listen at")?;
    let folder = arguments.next().context("a folder with objects")?;
    let objects = Cache::builder().max_capacity(10_000).build_with_hasher(ahash::RandomState::new());
    load(Path::new(&folder), "", &objects)?;
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address.parse()?)?;
    let listener: TcpListener = socket.listen(4096)?;
    let tasks = TaskTracker::new();
    loop {
        let (stream, _) = listener.accept().await?;
        let objects = objects.clone();
        // A viewer that leaves ends the connection, which is not an error.
        tasks.spawn(async move { serve(stream, &objects).await.ok() });
    }
}

/// Loads all files of a folder and its subfolders.
fn load(folder: &Path, path: &str, objects: &Objects) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let path = format!("{path}/{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            load(&entry.path(), &path, objects)?;
        } else {
            objects.insert(path, Arc::new(Object::of(std::fs::read(entry.path())?)));
        }
    }
    Ok(())
}

impl Object {
    /// With a head as long as Tidegate's.
    fn of(body: Vec<u8>) -> Self {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.apple.mpegurl\r\nContent-Length: {}\r\n\
             Cache-Control: max-age=86400\r\nETag: \"6a02b1c5-433\"\r\nLast-Modified: Mon, 23 Nov 2026 00:00:00 GMT\r\n\
             Date: Mon, 23 Nov 2026 00:00:00 GMT\r\nAge: 10\r\nCache-Status: edge-1; hit; ttl=86390\r\nVia: 1.1 edge-1\r\n\
             X-Cache: HIT\r\nServer-Timing: edge-1;dur=0\r\nAccept-Ranges: bytes\r\nAccess-Control-Allow-Origin: *\r\n\r\n",
            body.len()
        );
        Self { head: head.into_bytes(), body }
    }
}

async fn serve(stream: TcpStream, objects: &Objects) -> Result<()> {
    stream.set_nodelay(true)?;
    loop {
        stream.readable().await?;
        let object = BUFFER.with_borrow_mut(|buffer| match stream.try_read(buffer) {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(read) => Ok(buffer.get(..read).and_then(|head| find(head, objects))),
            Err(error) => Err(error),
        });
        match object {
            Ok(object) => write(&stream, &*object.context("a path that is there")?).await?,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Finds the requested object. Heads that arrive in several reads are not supported.
fn find(head: &[u8], objects: &Objects) -> Option<Arc<Object>> {
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut request = httparse::Request::new(&mut fields);
    request.parse(head).ok()?.is_complete().then_some(())?;
    objects.get(request.path?)
}

async fn write(stream: &TcpStream, object: &Object) -> Result<()> {
    let mut done = 0;
    let all = object.head.len() + object.body.len();
    while done < all {
        let head = object.head.get(done..).unwrap_or_default();
        let body = object.body.get(done.saturating_sub(object.head.len())..).unwrap_or_default();
        match stream.try_write_vectored(&[IoSlice::new(head), IoSlice::new(body)]) {
            Ok(written) => done += written,
            Err(error) if error.kind() == ErrorKind::WouldBlock => stream.writable().await?,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
