//! A running stub, and a client so simple that it hides nothing.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use tidegate_origin_stub::{Config, Control, OriginStub};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A stub on free ports, with the clock stopped.
pub(crate) struct Origin {
    pub(crate) addr: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) control: Control,
    pub(crate) shutdown: CancellationToken,
    pub(crate) running: JoinHandle<anyhow::Result<()>>,
}

/// The bytes of a connection until its end.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
    pub(crate) end: End,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum End {
    Closed,
    Reset,
}

pub(crate) fn config() -> Config {
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    Config { listen: any, admin: any, drain_timeout: Duration::from_millis(200), ..Config::default() }
}

pub(crate) async fn origin() -> Origin {
    origin_with(config()).await
}

pub(crate) async fn origin_with(config: Config) -> Origin {
    let stub = OriginStub::load(config).await.unwrap();
    let (addr, admin, control) = (stub.addr(), stub.admin_addr(), stub.control());
    control.stop_clock();
    let shutdown = CancellationToken::new();
    let running = TaskTracker::new().spawn(stub.run(shutdown.clone()));
    Origin { addr, admin, control, shutdown, running }
}

impl Origin {
    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.ask("GET", path, "").await
    }

    /// `headers` are whole lines, each with its CRLF.
    pub(crate) async fn ask(&self, method: &str, path: &str, headers: &str) -> Reply {
        ask(self.addr, method, path, headers, "").await
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.addr).await.unwrap()
    }
}

/// Sends a request on a new connection and reads until it ends.
pub(crate) async fn ask(addr: SocketAddr, method: &str, path: &str, headers: &str, body: &str) -> Reply {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let request =
        format!("{method} {path} HTTP/1.1\r\nHost: origin\r\nConnection: close\r\n{headers}\r\n{body}");
    stream.write_all(request.as_bytes()).await.unwrap();
    let (bytes, end) = drain(&mut stream).await;
    Reply::parse(&bytes, end)
}

pub(crate) async fn drain(stream: &mut TcpStream) -> (Vec<u8>, End) {
    let mut bytes = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("the connection ends in time");
    let end = match read {
        Ok(_) => End::Closed,
        Err(error) if error.kind() == ErrorKind::ConnectionReset => End::Reset,
        Err(error) => panic!("{error}"),
    };
    (bytes, end)
}

/// Much longer than any step takes; reached only when something hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

impl Reply {
    pub(crate) fn parse(bytes: &[u8], end: End) -> Self {
        let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            return Self { status: 0, head: String::new(), body: bytes.to_vec(), end };
        };
        let head = String::from_utf8(bytes[..at].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head, body: bytes[at + 4..].to_vec(), end }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}
