//! The body of a request, framed as its head says.

use bytes::Bytes;
use http::{HeaderMap, Version};
use tidegate_http1::{Encoder, Framing};
use tokio::io::{AsyncWriteExt as _, Error, Result};

use super::wire::Wire;
use crate::error::UpstreamError;

/// The body of a request as it is sent.
#[derive(Debug)]
pub(super) struct Upload(Encoder);

impl Upload {
    /// The body of a request with these fields. A request without a length has no body (RFC 9112 section
    /// 6.3).
    ///
    /// # Errors
    /// The fields are ambiguous. A guess would leave bytes on the connection, or none where the upstream
    /// waits for some, and the next request on it would get the response to this one.
    pub(super) fn of(headers: &HeaderMap) -> std::result::Result<Self, UpstreamError> {
        let fields = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        match Framing::of_request(Version::HTTP_11, fields) {
            Ok(framing) => Ok(Self(Encoder::new(framing))),
            Err(_ambiguous) => Err(UpstreamError::Unusable("the length of the request is ambiguous")),
        }
    }

    /// Writes a chunk. Bytes beyond the length in the head are not sent.
    pub(super) async fn write(&mut self, wire: &mut Wire, mut bytes: Bytes) -> Result<()> {
        if let Some(left) = self.0.left() {
            bytes.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        }
        // Counted when it is written: a cancelled write leaves a body that is not over.
        let mut after = self.0;
        let mut framed = after.frame(bytes).map_err(Error::other)?;
        wire.write_all_buf(&mut framed).await?;
        wire.flush().await?;
        self.0 = after;
        Ok(())
    }

    pub(super) async fn finish(&mut self, wire: &mut Wire) -> Result<()> {
        let mut after = self.0;
        let end = after.end();
        if !end.is_empty() {
            wire.write_all(end).await?;
            wire.flush().await?;
        }
        self.0 = after;
        Ok(())
    }

    /// Whether all of it has been sent.
    pub(super) fn is_over(&self) -> bool {
        self.0.is_over()
    }
}
