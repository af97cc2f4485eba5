//! The body of a request, framed as its head says.

use bytes::Bytes;
use http::{HeaderMap, header};
use tidegate_http1::{Encoder, Framing};
use tokio::io::{AsyncWriteExt as _, Error, Result};

use super::wire::Wire;

/// The body of a request as it is sent.
#[derive(Debug)]
pub(super) struct Upload(Encoder);

impl Upload {
    /// The body of a request with these fields. A request without a length has no body (RFC 9112 section
    /// 6.3).
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let length = headers.get(header::CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
        Self(Encoder::new(match length {
            _ if headers.contains_key(header::TRANSFER_ENCODING) => Framing::Chunked,
            Some(length) => Framing::Length(length),
            None => Framing::Empty,
        }))
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
