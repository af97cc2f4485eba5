//! One GET on a connection that is kept, and everything that can be wrong with the answer.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;

/// A player gives up on a request that takes longer.
const DEADLINE: Duration = Duration::from_secs(20);

/// What can be wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Trouble {
    /// There was no connection.
    #[error("no connection")]
    Refused,
    /// The connection ended before there was an answer.
    #[error("no answer")]
    Closed,
    /// Any status but 200.
    #[error("status {0}")]
    Status(u16),
    /// The body ended before its framing said so.
    #[error("broken body")]
    Broken,
    /// It was not there whole before its deadline.
    #[error("too late")]
    Late,
    /// It is no playlist.
    #[error("no playlist")]
    Malformed,
    /// The playlist is older than one that the viewer has seen.
    #[error("went back")]
    Backward,
}

/// A viewer's one connection.
#[derive(Debug)]
pub(super) struct Fetch {
    server: SocketAddr,
    client: Client<HttpConnector, Empty<Bytes>>,
}

impl Fetch {
    pub(super) fn new(server: SocketAddr) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(1).build(connector);
        Self { server, client }
    }

    /// The body of a playlist.
    pub(super) async fn text(&self, path: &str) -> Result<String, (Trouble, String)> {
        let mut body = Vec::new();
        self.read(path, |piece| body.extend_from_slice(piece)).await?;
        String::from_utf8(body).map_err(|error| (Trouble::Malformed, error.to_string()))
    }

    /// Reads a segment to its end and keeps nothing of it.
    pub(super) async fn drain(&self, path: &str) -> Result<(), (Trouble, String)> {
        self.read(path, |_piece| {}).await
    }

    async fn read(&self, path: &str, take: impl FnMut(&[u8])) -> Result<(), (Trouble, String)> {
        let answer = tokio::time::timeout(DEADLINE, self.whole(path, take)).await;
        answer.unwrap_or_else(|_late| Err((Trouble::Late, format!("after {} s", DEADLINE.as_secs()))))
    }

    async fn whole(&self, path: &str, mut take: impl FnMut(&[u8])) -> Result<(), (Trouble, String)> {
        let request = Request::get(format!("http://{}{path}", self.server)).body(Empty::new());
        let answer = self.client.request(request.expect("a request")).await.map_err(|error| {
            let kind = if error.is_connect() { Trouble::Refused } else { Trouble::Closed };
            (kind, chain(&error))
        })?;
        if answer.status() != StatusCode::OK {
            let told = ["proxy-status", "cache-status"].map(|name| {
                let value = answer.headers().get(name).and_then(|value| value.to_str().ok());
                value.unwrap_or_default().to_owned()
            });
            return Err((Trouble::Status(answer.status().as_u16()), told.join(" ")));
        }
        let promised = answer.headers().get(header::CONTENT_LENGTH);
        let promised = promised.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        let (mut body, mut got) = (answer.into_body(), 0_u64);
        while let Some(frame) = body.frame().await {
            let frame =
                frame.map_err(|error| (Trouble::Broken, format!("after {got} bytes: {}", chain(&error))))?;
            if let Ok(piece) = frame.into_data() {
                got += piece.len() as u64;
                take(&piece);
            }
        }
        match promised {
            Some(promised) if promised != got => Err((Trouble::Broken, format!("{got} bytes of {promised}"))),
            _ => Ok(()),
        }
    }
}

/// An error with its causes, in one line.
fn chain(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
