//! Viewers: a small HTTP/1.1 client that shows what client libraries hide: when each byte arrived, and
//! whether a body was complete.

use std::net::SocketAddr;

use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::PATIENCE;
use crate::tiers::Tier;
use crate::tls::ViewerTls;

/// A request to one address, before it is sent.
#[derive(Debug, Clone)]
pub struct Viewer {
    addr: SocketAddr,
    host: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    small_buffer: bool,
    proxied: Option<Vec<u8>>,
    tls: Option<ViewerTls>,
}

/// Many viewers, spread over several tiers.
#[derive(Debug, Clone)]
pub struct Viewers {
    count: usize,
    addrs: Vec<SocketAddr>,
    headers: Vec<(String, String)>,
}

/// The response that a viewer received.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status; 0 where the connection closed before there was one.
    pub status: u16,
    /// The header fields.
    pub headers: HeaderMap,
    /// The bytes of the body that arrived.
    pub body: Vec<u8>,
    /// Whether the body ended as its framing declared.
    pub whole: bool,
    /// When the first byte of the body arrived, or the head where there was no body.
    pub first_byte: Instant,
    /// Informational heads before the response.
    pub informational: Vec<u16>,
}

/// A connection that is read step by step.
#[derive(Debug)]
pub struct Connection {
    stream: Box<dyn Transport>,
    buffer: Vec<u8>,
    method: String,
    head: Option<(u16, HeaderMap)>,
}

/// A connection with or without TLS.
trait Transport: AsyncRead + AsyncWrite + Send + Unpin + std::fmt::Debug {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + std::fmt::Debug> Transport for T {}

/// A viewer of the listener at `addr`.
pub fn viewer(addr: impl Into<SocketAddr>) -> Viewer {
    Viewer {
        addr: addr.into(),
        host: "live.example".to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
        small_buffer: false,
        proxied: None,
        tls: None,
    }
}

/// `count` viewers, spread evenly over `tiers`.
pub fn viewers(count: usize, tiers: &[&Tier]) -> Viewers {
    Viewers { count, addrs: tiers.iter().map(|tier| tier.addr()).collect(), headers: Vec::new() }
}

impl Viewers {
    /// Adds a header field.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// All viewers request `target` simultaneously.
    pub async fn get(&self, target: &str) -> Vec<Response> {
        let mut asking = JoinSet::new();
        for addr in self.addrs.iter().cycle().take(self.count) {
            let (mut viewer, target) = (viewer(*addr), target.to_owned());
            viewer.headers.clone_from(&self.headers);
            asking.spawn(async move { viewer.get(&target).await });
        }
        asking.join_all().await
    }

    /// All viewers request `target` simultaneously, and read nothing yet.
    pub async fn start(&self, target: &str) -> Vec<Connection> {
        let mut starting = JoinSet::new();
        for addr in self.addrs.iter().cycle().take(self.count) {
            let (mut viewer, target) = (viewer(*addr), target.to_owned());
            viewer.headers.clone_from(&self.headers);
            starting.spawn(async move { viewer.start("GET", &target).await });
        }
        starting.join_all().await
    }
}

impl Viewer {
    /// Adds a header field.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Requests another host.
    #[must_use]
    pub fn host(mut self, host: &str) -> Self {
        host.clone_into(&mut self.host);
        self
    }

    /// Adds a body.
    #[must_use]
    pub fn body(mut self, body: &[u8]) -> Self {
        body.clone_into(&mut self.body);
        self
    }

    /// With a receive buffer of a few KiB: unread bytes stay with the server.
    #[must_use]
    pub fn small_buffer(mut self) -> Self {
        self.small_buffer = true;
        self
    }

    /// Sends a PROXY header before all else, as a load balancer does for a client with this address.
    #[must_use]
    pub fn proxied_for(mut self, address: &str) -> Self {
        let family = if address.contains(':') { "TCP6" } else { "TCP4" };
        self.proxied = Some(format!("PROXY {family} {address} {address} 4711 443\r\n").into_bytes());
        self
    }

    /// Uses TLS.
    #[must_use]
    pub fn tls(mut self, tls: &ViewerTls) -> Self {
        self.tls = Some(tls.clone());
        self
    }

    /// GET.
    pub async fn get(&self, target: &str) -> Response {
        self.ask("GET", target).await
    }

    /// Any method, on a new connection.
    pub async fn ask(&self, method: &str, target: &str) -> Response {
        let mut connection = self.start(method, target).await;
        tokio::time::timeout(PATIENCE, connection.response(method)).await.expect("a response in time")
    }

    /// Sends the request and reads nothing yet.
    pub async fn start(&self, method: &str, target: &str) -> Connection {
        let mut request = format!("{method} {target} HTTP/1.1\r\nhost: {}\r\n", self.host);
        for (name, value) in &self.headers {
            request.extend([name, ": ", value, "\r\n"]);
        }
        if !self.body.is_empty() {
            request.extend(["content-length: ", &self.body.len().to_string(), "\r\n"]);
        }
        request.push_str("\r\n");
        let mut bytes = request.into_bytes();
        bytes.extend_from_slice(&self.body);
        let socket = TcpSocket::new_v4().expect("a socket");
        if self.small_buffer {
            socket.set_recv_buffer_size(4096).expect("a small buffer");
        }
        let mut stream = socket.connect(self.addr).await.expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        if let Some(header) = &self.proxied {
            stream.write_all(header).await.expect("an open connection");
        }
        let stream: Box<dyn Transport> = match &self.tls {
            Some(tls) => Box::new(tls.handshake(stream).await.expect("a handshake")),
            None => Box::new(stream),
        };
        let mut connection = Connection::on(stream, &bytes).await;
        method.clone_into(&mut connection.method);
        connection
    }

    /// Sends bytes unchanged, and reads until the connection ends.
    pub async fn raw(&self, bytes: &[u8]) -> Vec<u8> {
        let mut connection = Connection::open(self.addr, bytes).await;
        let mut all = Vec::new();
        // A reset ends the reading, too.
        let _end =
            tokio::time::timeout(PATIENCE, connection.stream.read_to_end(&mut all)).await.expect("an end");
        all
    }
}

impl Connection {
    /// Connects and sends.
    pub async fn open(addr: SocketAddr, bytes: &[u8]) -> Self {
        let stream = TcpStream::connect(addr).await.expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        Self::on(Box::new(stream), bytes).await
    }

    /// Sends over a connection that is open.
    pub async fn over(stream: TcpStream, bytes: &[u8]) -> Self {
        Self::on(Box::new(stream), bytes).await
    }

    async fn on(mut stream: Box<dyn Transport>, bytes: &[u8]) -> Self {
        // The server may have refused already; its response is read below.
        let _refused = stream.write_all(bytes).await;
        let _refused = stream.flush().await;
        Self { stream, buffer: Vec::new(), method: "GET".to_owned(), head: None }
    }

    /// Sends more.
    pub async fn send(&mut self, bytes: &[u8]) {
        let _refused = self.stream.write_all(bytes).await;
        let _refused = self.stream.flush().await;
    }

    /// Reads one response.
    pub async fn response(&mut self, method: &str) -> Response {
        let mut informational = Vec::new();
        let (status, headers) = loop {
            match self.head().await {
                Some((status, _)) if (100..200).contains(&status) => informational.push(status),
                Some(head) => break head,
                None => break (0, HeaderMap::new()),
            }
        };
        self.after(method, status, headers, informational).await
    }

    /// Reads until the head and `len` bytes after it have arrived; they remain to be read. False if they
    /// never arrive.
    pub async fn begins(&mut self, len: usize) -> bool {
        let there = async {
            if self.head.is_none() {
                self.head = Some(self.head().await?);
            }
            while self.buffer.len() < len {
                self.more().await.then_some(())?;
            }
            Some(())
        };
        tokio::time::timeout(PATIENCE, there).await.expect("a beginning in time").is_some()
    }

    /// Reads the response to its end, from the position that [`Connection::begins`] reached.
    pub async fn rest(&mut self) -> Response {
        let method = self.method.clone();
        let read = async {
            match self.head.take() {
                Some((status, headers)) => self.after(&method, status, headers, Vec::new()).await,
                None => self.response(&method).await,
            }
        };
        tokio::time::timeout(PATIENCE, read).await.expect("a response in time")
    }

    async fn after(
        &mut self,
        method: &str,
        status: u16,
        headers: HeaderMap,
        informational: Vec<u16>,
    ) -> Response {
        let mut response = Response {
            status,
            headers,
            body: Vec::new(),
            whole: false,
            first_byte: Instant::now(),
            informational,
        };
        if status != 0 {
            self.body(method, &mut response).await;
        }
        response
    }

    /// Reads a head; `None` where the connection closes before it is complete.
    pub async fn head(&mut self) -> Option<(u16, HeaderMap)> {
        let end = loop {
            match self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                Some(end) => break end,
                None => self.more().await.then_some(())?,
            }
        };
        let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
        Some(parse_head(&String::from_utf8_lossy(&head)))
    }

    /// Reads the bytes that have arrived, or the next ones; empty at the end.
    pub async fn some(&mut self) -> Vec<u8> {
        if self.buffer.is_empty() {
            self.more().await;
        }
        std::mem::take(&mut self.buffer)
    }

    /// Waits for the end, and returns whether the peer announced it: with TLS, only the peer can do so.
    pub async fn closes_cleanly(&mut self) -> bool {
        let end = async {
            let mut rest = [0; 1024];
            loop {
                match self.stream.read(&mut rest).await {
                    Ok(0) => return true,
                    Ok(_) => {}
                    Err(_) => return false,
                }
            }
        };
        tokio::time::timeout(PATIENCE, end).await.expect("an end in time")
    }

    /// Reads at most `len` bytes of those that have arrived, or of the next ones.
    pub async fn at_most(&mut self, len: usize) -> Vec<u8> {
        if self.buffer.is_empty() {
            let mut piece = vec![0; len];
            let read = self.stream.read(&mut piece).await.unwrap_or_default();
            piece.truncate(read);
            return piece;
        }
        self.buffer.drain(..len.min(self.buffer.len())).collect()
    }

    async fn body(&mut self, method: &str, response: &mut Response) {
        if method == "HEAD" || matches!(response.status, 204 | 304) {
            response.whole = true;
            return;
        }
        if self.buffer.is_empty() && response.length() != Some(0) {
            self.more().await;
        }
        response.first_byte = Instant::now();
        let chunked = response.header("transfer-encoding") == "chunked";
        response.whole = match (chunked, response.length()) {
            (true, _) => self.chunks(&mut response.body).await,
            (false, Some(length)) => self.take(length, &mut response.body).await,
            (false, None) => {
                while self.more().await {}
                response.body = std::mem::take(&mut self.buffer);
                true
            }
        };
    }

    async fn chunks(&mut self, body: &mut Vec<u8>) -> bool {
        loop {
            let Some(line) = self.line().await else { return false };
            let Ok(size) = usize::from_str_radix(line.trim(), 16) else { return false };
            if size == 0 {
                return self.line().await.is_some();
            }
            if !self.take(size, body).await || self.line().await.is_none() {
                return false;
            }
        }
    }

    async fn line(&mut self) -> Option<String> {
        let end = loop {
            match self.buffer.windows(2).position(|two| two == b"\r\n") {
                Some(end) => break end,
                None => self.more().await.then_some(())?,
            }
        };
        let line: Vec<u8> = self.buffer.drain(..end + 2).collect();
        Some(String::from_utf8_lossy(&line).trim_end().to_owned())
    }

    async fn take(&mut self, mut length: usize, body: &mut Vec<u8>) -> bool {
        loop {
            let here = length.min(self.buffer.len());
            body.extend_from_slice(&self.buffer[..here]);
            self.buffer.drain(..here);
            length -= here;
            if length == 0 {
                return true;
            }
            if !self.more().await {
                return false;
            }
        }
    }

    async fn more(&mut self) -> bool {
        self.buffer.reserve(64 * 1024);
        self.stream.read_buf(&mut self.buffer).await.is_ok_and(|read| read > 0)
    }
}

impl Response {
    /// A header field, or an empty string.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Content-Length.
    pub fn length(&self) -> Option<usize> {
        self.header("content-length").parse().ok()
    }

    /// Asserts that the response is complete and has this status and body.
    #[track_caller]
    pub fn is(&self, status: u16, body: &[u8]) {
        assert_eq!(self.status, status, "{}", self.text());
        assert!(self.whole, "the body broke off after {} bytes", self.body.len());
        assert!(self.body == body, "{} bytes that differ from the {} expected", self.body.len(), body.len());
    }
}

fn parse_head(head: &str) -> (u16, HeaderMap) {
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).unwrap_or_default();
    let mut headers = HeaderMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a field name");
        headers.append(name, HeaderValue::from_str(value.trim()).expect("a field value"));
    }
    (status, headers)
}
