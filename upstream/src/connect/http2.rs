//! HTTP/2 towards upstreams: an HTTP/2 stream of pingora's on a shared connection.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Uri, header};
use pingora_core::protocols::http::client::HttpSession;
use pingora_core::protocols::http::v2::client::Http2Session;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_http::RequestHeader;
use tidegate_cache::Head;
use tokio::time::timeout;

use crate::connect::http1::Wire;
use crate::connect::http1::idle::IDLE;
use crate::error::UpstreamError;
use crate::request::{BACKUP, Rest, UpstreamRequest};
use crate::upstream::Upstream;

/// A request on an HTTP/2 stream, and its response.
pub(crate) struct Stream {
    session: Http2Session,
    peer: HttpPeer,
    head_timeout: Duration,
}

/// The protocol that an upstream chose.
#[derive(Debug)]
pub(crate) enum Dialled {
    /// The HTTP/2 stream, and whether its connection had been used before.
    Http2(Box<Stream>, bool),
    /// It chose HTTP/1.1 in the handshake.
    Http1(Wire),
}

impl Stream {
    /// An HTTP/2 stream to `upstream`, on a new connection if none has room.
    pub(crate) async fn dial(upstream: &Upstream, address: SocketAddr) -> Result<Dialled, UpstreamError> {
        let connector = upstream.connections().connector();
        let peer = upstream.peer(address);
        let over = |session, peer| Box::new(Self { session, peer, head_timeout: Duration::ZERO });
        let failed = |error: Box<pingora_core::Error>| UpstreamError::of(&error, true);
        if let Some(session) = connector.reused_http_session(&peer).await.map_err(failed)? {
            return Ok(Dialled::Http2(over(session, peer), true));
        }
        match connector.new_http_session(&peer).await.map_err(failed)? {
            HttpSession::H2(session) => Ok(Dialled::Http2(over(session, peer), false)),
            HttpSession::H1(session) => {
                // From now on only HTTP/1.1 is offered.
                connector.prefer_h1(&peer);
                Ok(Dialled::Http1(Wire::Secured(session.into_inner())))
            }
            HttpSession::Custom(()) => Err(UpstreamError::Protocol),
        }
    }

    /// Sends the head of `request`. The head of the response may take up to `head_timeout`.
    pub(crate) fn send(
        &mut self,
        upstream: &Upstream,
        request: &UpstreamRequest,
        rest: Rest,
        head_timeout: Duration,
    ) -> Result<(), UpstreamError> {
        self.head_timeout = head_timeout;
        self.session.read_timeout = Some(head_timeout);
        self.session.write_timeout = Some(upstream.spec().options.timeouts.between_bytes);
        let head = request_head(upstream, request)?;
        // A request without a body says so in its head. An empty frame after it looks like a body.
        let is_whole = matches!(rest, Rest::Nothing);
        let sent = self.session.write_request_header(Box::new(head), is_whole);
        sent.map_err(|error| UpstreamError::of(&error, true))
    }

    pub(crate) async fn write(&mut self, bytes: Bytes, end: bool) -> Result<(), UpstreamError> {
        let written = self.session.write_request_body(bytes, end).await;
        written.map_err(|error| UpstreamError::of(&error, true))
    }

    pub(crate) fn finish(&mut self) -> Result<(), UpstreamError> {
        self.session.finish_request_body().map_err(|error| UpstreamError::of(&error, true))
    }

    pub(crate) async fn head(&mut self) -> Result<Head, UpstreamError> {
        match timeout(self.head_timeout, self.session.read_response_header()).await {
            Ok(read) => read.map_err(|error| UpstreamError::of(&error, true))?,
            Err(_late) => return Err(UpstreamError::FirstByteTimeout),
        }
        let head = self.session.response_header().ok_or(UpstreamError::Protocol)?;
        // The frames end the body, but the length goes on to viewers over HTTP/1.1.
        let length = tidegate_http1::content_length(&head.headers)?;
        let mut headers = head.headers.clone();
        if let Some(length) = length {
            headers.insert(header::CONTENT_LENGTH, length.into());
        }
        Ok(Head { status: head.status, headers })
    }

    /// The next bytes of the body; `None` at its end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, UpstreamError> {
        // The pause between two reads may be as long as that of a write.
        self.session.read_timeout = self.session.write_timeout;
        self.session.read_response_body().await.map_err(|error| UpstreamError::of(&error, false))
    }

    pub(crate) fn release(self, upstream: &Upstream) {
        upstream.connections().connector().release_http_session(self.session, &self.peer, Some(IDLE));
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("peer", &self.peer).finish_non_exhaustive()
    }
}

fn request_head(upstream: &Upstream, request: &UpstreamRequest) -> Result<RequestHeader, UpstreamError> {
    let spec = upstream.spec();
    let (base, target) = request.target_at(spec);
    let path = uri_text(&format!("{base}{target}"));
    let authority = spec.host.as_deref().unwrap_or(&request.host);
    let failed = |error: Box<pingora_core::Error>| UpstreamError::of(&error, true);
    let mut head =
        RequestHeader::build(request.method.clone(), path.as_bytes(), Some(request.headers.len() + 1))
            .map_err(failed)?;
    let scheme = if spec.address.is_tls() { "https" } else { "http" };
    let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query(path).build();
    head.set_uri(uri.map_err(|_error| UpstreamError::Unusable("the address makes no URI"))?);
    head.set_version(http::Version::HTTP_2);
    for (name, value) in &request.headers {
        // Chunked coding frames a body of unknown length in HTTP/1.1; HTTP/2 has frames of its own.
        if name != header::TRANSFER_ENCODING {
            head.append_header(name.clone(), value.clone()).map_err(failed)?;
        }
    }
    if request.is_backup && spec.is_tier {
        head.insert_header(BACKUP.clone(), "?1").map_err(failed)?;
    }
    for (name, value) in &spec.headers {
        head.insert_header(name.clone(), value.clone()).map_err(failed)?;
    }
    Ok(head)
}

/// A target that the URI type accepts: it knows some characters only in escaped form (RFC 3986 section 2.2
/// wants that of senders).
fn uri_text(target: &str) -> String {
    let mut text = String::with_capacity(target.len());
    for character in target.chars() {
        match character {
            '<' => text.push_str("%3C"),
            '>' => text.push_str("%3E"),
            '"' => text.push_str("%22"),
            '`' => text.push_str("%60"),
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_visible_character_makes_a_uri() {
        let target: String = ('!'..='~').filter(|character| *character != '#').collect();
        let path = uri_text(&format!("/{target}?{target}"));
        let uri = Uri::builder().scheme("http").authority("a").path_and_query(path.clone()).build().unwrap();
        assert_eq!(uri.path_and_query().unwrap().as_str(), path);
        RequestHeader::build("GET", path.as_bytes(), None).unwrap();
    }
}
