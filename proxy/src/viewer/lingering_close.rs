//! Closes a connection on which the viewer may still be sending (nginx calls this lingering close).

use std::time::Duration;

use bytes::BytesMut;
use pingora_core::protocols::Stream;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

/// Closes a connection so that the viewer can read the last response. A connection that is closed with unread
/// bytes is reset, and a reset can discard bytes that the viewer has not read yet (RFC 9112 section 9.6). So
/// the sending side closes first, and bytes that still arrive are discarded until [`TIMEOUT`].
pub(crate) async fn close(mut stream: Stream) {
    let closing = async {
        stream.shutdown().await?;
        let mut left = DISCARD_MAX;
        let mut bytes = BytesMut::with_capacity(READ_LEN);
        while left > 0 {
            bytes.clear();
            match stream.read_buf(&mut bytes).await? {
                0 => break,
                read => left = left.saturating_sub(read),
            }
        }
        std::io::Result::Ok(())
    };
    // The connection ends here with or without an error.
    let _closed = timeout(TIMEOUT, closing).await;
}

/// How long closing may take.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(1);
/// Bytes that are discarded at most.
const DISCARD_MAX: usize = 4 << 20;
/// Bytes per read.
const READ_LEN: usize = 16 * 1024;
