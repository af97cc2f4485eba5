//! One GET, and every error that its response can have.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::client::legacy::{self, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::playlist::Malformed;

/// The source of a viewer's objects: an edge, or a script in tests.
pub(crate) trait Fetch: Send + Sync {
    /// The whole body at `path`.
    fn text(&self, path: &str) -> impl Future<Output = Result<String, ViewerError>> + Send;

    /// Reads the body at `path` to its end and discards it; returns its length.
    fn drain(&self, path: &str) -> impl Future<Output = Result<u64, ViewerError>> + Send;
}

/// Why an object did not arrive, or is invalid.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ViewerError {
    #[error("the request failed: {}", chain(.0))]
    Request(#[source] legacy::Error),
    #[error("status {0}")]
    Status(StatusCode),
    #[error("the body broke off: {}", chain(.0))]
    Body(#[source] hyper::Error),
    #[error("the body has {got} bytes, Content-Length says {expected}")]
    Length { expected: u64, got: u64 },
    #[error("the body is longer than {0} bytes")]
    TooLong(u64),
    #[error("no complete answer within {} s", .0.as_secs())]
    Deadline(Duration),
    #[error("not a URL of this server: {0}")]
    Uri(String),
    #[error("the playlist is not UTF-8")]
    Encoding(#[source] std::string::FromUtf8Error),
    #[error("the playlist is malformed: {0}")]
    Playlist(#[from] Malformed),
    #[error("a multivariant playlist where a media playlist belongs")]
    Nested,
    #[error("the playlist went back from segment {seen} to {now}")]
    WentBack { seen: u64, now: u64 },
}

impl ViewerError {
    /// The kind of error, as a label.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Request(_) => "request",
            Self::Status(_) => "status",
            Self::Body(_) => "body",
            Self::Length { .. } => "length",
            Self::TooLong(_) => "too_long",
            Self::Deadline(_) => "deadline",
            Self::Uri(_) => "uri",
            Self::Encoding(_) | Self::Playlist(_) | Self::Nested => "playlist",
            Self::WentBack { .. } => "went_back",
        }
    }
}

/// One connection to one server, kept alive between requests.
#[derive(Debug)]
pub(crate) struct Client {
    server: SocketAddr,
    client: legacy::Client<HttpConnector, Empty<Bytes>>,
}

impl Client {
    pub(crate) fn new(server: SocketAddr) -> Self {
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(1)
            .build_http();
        Self { server, client }
    }

    /// Sends the request; returns the body of a 200 and its announced length.
    async fn open(&self, path: &str) -> Result<(Incoming, Option<u64>), ViewerError> {
        let request = Request::get(format!("http://{}{path}", self.server))
            .body(Empty::new())
            .map_err(|_invalid| ViewerError::Uri(path.to_owned()))?;
        let response = self.client.request(request).await.map_err(ViewerError::Request)?;
        if response.status() != StatusCode::OK {
            return Err(ViewerError::Status(response.status()));
        }
        let length = response.headers().get(header::CONTENT_LENGTH);
        let length = length.and_then(|value| value.to_str().ok()).and_then(|value| value.parse().ok());
        Ok((response.into_body(), length))
    }

    /// Reads a body of at most `max` bytes to its end, passing each chunk to `take`.
    async fn read(
        &self,
        path: &str,
        max: u64,
        mut take: impl FnMut(&[u8]) + Send,
    ) -> Result<u64, ViewerError> {
        let (mut body, expected) = self.open(path).await?;
        let mut got: u64 = 0;
        while let Some(frame) = body.frame().await {
            let Ok(chunk) = frame.map_err(ViewerError::Body)?.into_data() else { continue };
            got += chunk.len() as u64;
            if got > max {
                return Err(ViewerError::TooLong(max));
            }
            take(&chunk);
        }
        match expected {
            Some(expected) if expected != got => Err(ViewerError::Length { expected, got }),
            _ => Ok(got),
        }
    }
}

impl Fetch for Client {
    async fn text(&self, path: &str) -> Result<String, ViewerError> {
        let mut text = BytesMut::new();
        let reading = self.read(path, PLAYLIST_BYTES_MAX, |chunk| text.extend_from_slice(chunk));
        tokio::time::timeout(DEADLINE, reading)
            .await
            .map_err(|_elapsed| ViewerError::Deadline(DEADLINE))??;
        String::from_utf8(text.into()).map_err(ViewerError::Encoding)
    }

    async fn drain(&self, path: &str) -> Result<u64, ViewerError> {
        let reading = self.read(path, SEGMENT_BYTES_MAX, |_chunk| {});
        tokio::time::timeout(DEADLINE, reading).await.map_err(|_elapsed| ViewerError::Deadline(DEADLINE))?
    }
}

/// An error with its causes, in one line.
fn chain(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

const DEADLINE: Duration = Duration::from_secs(20);
const IDLE: Duration = Duration::from_mins(1);
const PLAYLIST_BYTES_MAX: u64 = 1 << 20;
const SEGMENT_BYTES_MAX: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio_util::task::TaskTracker;

    use super::*;

    /// An edge that sends one fixed response on one connection.
    async fn edge_that_answers(answer: &'static str) -> Client {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = Client::new(listener.local_addr().unwrap());
        TaskTracker::new().spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let _read = socket.read(&mut request).await.unwrap();
            socket.write_all(answer.as_bytes()).await.unwrap();
        });
        client
    }

    #[tokio::test]
    async fn a_whole_body_is_read_and_measured() {
        let edge = edge_that_answers("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await;
        assert_eq!(edge.drain("/a.ts").await.unwrap(), 5);
        let edge =
            edge_that_answers("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n")
                .await;
        assert_eq!(edge.text("/a.m3u8").await.unwrap(), "hi");
    }

    #[tokio::test]
    async fn a_broken_body_is_an_error_with_any_framing() {
        let edge = edge_that_answers("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello").await;
        assert_eq!(edge.drain("/a.ts").await.unwrap_err().reason(), "body");
        let edge =
            edge_that_answers("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n").await;
        assert_eq!(edge.drain("/a.ts").await.unwrap_err().reason(), "body");
    }

    #[tokio::test]
    async fn only_a_200_counts() {
        let edge = edge_that_answers("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n").await;
        assert_eq!(edge.drain("/a.ts").await.unwrap_err().to_string(), "status 502 Bad Gateway");
    }

    #[tokio::test]
    async fn a_refused_connection_says_so() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let edge = Client::new(listener.local_addr().unwrap());
        drop(listener);
        let error = edge.text("/a.m3u8").await.unwrap_err();
        assert_eq!(error.reason(), "request");
        assert!(error.to_string().contains("refused"), "{error}");
    }
}
