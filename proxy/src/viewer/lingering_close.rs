//! The end of a connection on which the viewer may still be sending.

use std::time::Duration;

use bytes::BytesMut;
use pingora_core::protocols::Stream;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

/// Ends a connection so that the viewer can read the last answer. A connection that is closed with bytes unread is
/// reset, and a reset can take away what the viewer has not read yet (RFC 9112 section 9.6). So our side ends first,
/// and what still comes is thrown away for a while.
pub(crate) async fn part(mut stream: Stream) {
    let parting = async {
        stream.shutdown().await?;
        let mut unread = UNREAD_MAX;
        let mut bytes = BytesMut::with_capacity(PIECE);
        while unread > 0 {
            bytes.clear();
            match stream.read_buf(&mut bytes).await? {
                0 => break,
                read => unread = unread.saturating_sub(read),
            }
        }
        std::io::Result::Ok(())
    };
    // Whether it went well or not, the connection is over.
    let _over = timeout(PATIENCE, parting).await;
}

/// How long an end may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);
const UNREAD_MAX: usize = 4 << 20;
const PIECE: usize = 16 * 1024;
