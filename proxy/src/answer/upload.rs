//! The body of a request, as it arrives: no slower and no larger than the configuration allows.

use bytes::Bytes;
use http::header;

use super::pace::{Pace, TooSlow};
use crate::refusal::Refusal;
use crate::tier::Tier;
use crate::viewer::client::{BodyError, Client};

/// Reads a body.
#[derive(Debug)]
pub(super) struct Upload {
    pace: Pace,
    /// The limit, in bytes.
    max: u64,
    received: u64,
}

/// The body does not arrive as a whole.
#[derive(Debug)]
pub(super) enum Incomplete {
    /// The viewer has closed the connection.
    Closed,
    Refused(Refusal),
}

impl Upload {
    /// Begins to read a body of at most `max` bytes. A viewer that waits for 100 (Continue) receives it.
    pub(super) async fn begin(tier: &Tier, client: &mut Client, max: u64) -> Result<Self, Incomplete> {
        // A malformed length has been refused (`request/read.rs`).
        let length = tidegate_http1::content_length(client.headers()).ok().flatten();
        if length.is_some_and(|length| length > max) {
            return Err(Incomplete::Refused(Refusal::BodyTooLarge { max }));
        }
        // RFC 9110 section 10.1.1: HTTP/1.0 has no 100 (Continue).
        if client.headers().contains_key(header::EXPECT) && client.version() == http::Version::HTTP_11 {
            client.send_continue().await.map_err(|_unsent| Incomplete::Closed)?;
        }
        Ok(Self { pace: Pace::of(&tier.settings().viewers), max, received: 0 })
    }

    /// The next bytes; `None` at the end of the body.
    pub(super) async fn next(&mut self, client: &mut Client) -> Result<Option<Bytes>, Incomplete> {
        let bytes_of = |read: &Result<Option<Bytes>, BodyError>| match read {
            Ok(Some(bytes)) => bytes.len(),
            Ok(None) | Err(_) => 0,
        };
        loop {
            let bytes = match self.pace.wait(client.request_body(), bytes_of).await {
                Ok(Ok(None)) => return Ok(None),
                Ok(Ok(Some(bytes))) => bytes,
                Ok(Err(BodyError::Closed)) => return Err(Incomplete::Closed),
                Ok(Err(BodyError::Chunks)) => return Err(Incomplete::Refused(Refusal::Chunks)),
                Err(TooSlow) => return Err(Incomplete::Refused(Refusal::SlowBody)),
            };
            self.received += bytes.len() as u64;
            if self.received > self.max {
                return Err(Incomplete::Refused(Refusal::BodyTooLarge { max: self.max }));
            }
            // A read may return the framing of a chunk without its content.
            if !bytes.is_empty() {
                return Ok(Some(bytes));
            }
        }
    }
}
