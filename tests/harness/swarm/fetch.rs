//! One GET on a persistent connection, and every error that its response can have.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;

use super::playlist::resolve;

/// Players follow a few redirects.
const REDIRECTS_MAX: usize = 5;
/// A player gives up on a request that takes longer.
const DEADLINE: Duration = Duration::from_secs(20);

/// An error in a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum ViewerError {
    /// There was no connection.
    #[error("no connection")]
    Refused,
    /// The connection closed before there was a response.
    #[error("no response")]
    Closed,
    /// Any status but 200.
    #[error("status {0}")]
    Status(u16),
    /// The body ended before its framing allowed it.
    #[error("broken body")]
    Broken,
    /// The response was not complete before its deadline.
    #[error("too late")]
    Late,
    /// The body is not a playlist.
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

    /// The body of a playlist, and the path at which it is.
    pub(super) async fn text(&self, path: &str) -> Result<(String, String), (ViewerError, String)> {
        let mut body = Vec::new();
        let place = self.read(path, |piece| body.extend_from_slice(piece)).await?;
        let text = String::from_utf8(body).map_err(|error| (ViewerError::Malformed, error.to_string()))?;
        Ok((text, place))
    }

    /// Reads a segment to its end and discards it.
    pub(super) async fn drain(&self, path: &str) -> Result<(), (ViewerError, String)> {
        self.read(path, |_piece| {}).await.map(drop)
    }

    async fn read(&self, path: &str, take: impl FnMut(&[u8])) -> Result<String, (ViewerError, String)> {
        let response = tokio::time::timeout(DEADLINE, self.whole(path, take)).await;
        response.unwrap_or_else(|_late| Err((ViewerError::Late, format!("after {} s", DEADLINE.as_secs()))))
    }

    /// The response to a request, after its redirects within the server; and where it was.
    async fn response(&self, path: &str) -> Result<(Response<Incoming>, String), (ViewerError, String)> {
        let mut path = path.to_owned();
        for redirects in 0.. {
            let request = Request::get(format!("http://{}{path}", self.server)).body(Empty::new());
            let response = self.client.request(request.expect("a request")).await.map_err(|error| {
                let kind = if error.is_connect() { ViewerError::Refused } else { ViewerError::Closed };
                (kind, chain(&error))
            })?;
            let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
            let location =
                location.filter(|_| response.status().is_redirection() && redirects < REDIRECTS_MAX);
            match location.map(|location| resolve(&path, location)) {
                Some(next) => path = next,
                None => return Ok((response, path)),
            }
        }
        Err((ViewerError::Closed, path))
    }

    async fn whole(&self, path: &str, mut take: impl FnMut(&[u8])) -> Result<String, (ViewerError, String)> {
        let (response, place) = self.response(path).await?;
        if response.status() != StatusCode::OK {
            let details = ["proxy-status", "cache-status"].map(|name| {
                let value = response.headers().get(name).and_then(|value| value.to_str().ok());
                value.unwrap_or_default().to_owned()
            });
            return Err((ViewerError::Status(response.status().as_u16()), details.join(" ")));
        }
        let declared = response.headers().get(header::CONTENT_LENGTH);
        let declared = declared.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        let (mut body, mut got) = (response.into_body(), 0_u64);
        while let Some(frame) = body.frame().await {
            let frame = frame
                .map_err(|error| (ViewerError::Broken, format!("after {got} bytes: {}", chain(&error))))?;
            if let Ok(piece) = frame.into_data() {
                got += piece.len() as u64;
                take(&piece);
            }
        }
        match declared {
            Some(declared) if declared != got => {
                Err((ViewerError::Broken, format!("{got} bytes of {declared}")))
            }
            _ => Ok(place),
        }
    }
}

/// An error with its causes, in one line.
fn chain(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
