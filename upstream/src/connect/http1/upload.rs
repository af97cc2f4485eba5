//! The body of a request, framed as its head says.

use bytes::{Buf as _, Bytes};
use http::{HeaderMap, header};
use tokio::io::{AsyncWriteExt as _, Result};

use super::wire::Wire;

/// How the body of a request goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Upload {
    /// So many bytes are still to go. A request whose head says nothing has none (RFC 9112 section 6.3).
    Length(u64),
    /// In chunks, the last of which is still to go.
    Chunked,
}

impl Upload {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        if headers.contains_key(header::TRANSFER_ENCODING) {
            return Self::Chunked;
        }
        let length =
            headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        Self::Length(length.unwrap_or_default())
    }

    /// Writes a piece. What is longer than the head has said does not go out.
    pub(super) async fn write(&mut self, wire: &mut Wire, mut bytes: Bytes) -> Result<()> {
        match self {
            Self::Length(left) => {
                bytes.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                wire.write_all(&bytes).await?;
                *left -= bytes.len() as u64;
            }
            Self::Chunked if bytes.is_empty() => return Ok(()),
            Self::Chunked => {
                let size = format!("{:x}\r\n", bytes.len());
                let mut chunk = size.as_bytes().chain(bytes).chain(&b"\r\n"[..]);
                wire.write_all_buf(&mut chunk).await?;
            }
        }
        wire.flush().await
    }

    pub(super) async fn finish(&mut self, wire: &mut Wire) -> Result<()> {
        if *self == Self::Chunked {
            wire.write_all(b"0\r\n\r\n").await?;
            wire.flush().await?;
            *self = Self::Length(0);
        }
        Ok(())
    }

    /// Whether all of it has gone out.
    pub(super) fn is_over(self) -> bool {
        self == Self::Length(0)
    }
}
