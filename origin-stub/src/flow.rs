//! A body under way: its rate, its hold, and the byte where it breaks.

use std::io;
use std::num::NonZeroU64;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, StreamBody};
use tokio::time::{Instant, sleep, sleep_until};

use crate::answer::Content;
use crate::connection::RawConnection;
use crate::faults::effects::{Effects, Ending};
use crate::faults::gate::Gate;

/// The body type of all responses that hyper writes.
pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// A body under way. Each chunk is passed on as soon as it is due, and is written before the next one is
/// awaited.
#[derive(Debug)]
pub(crate) struct Flow {
    content: Content,
    /// The position of the next byte in the content.
    at: u64,
    /// Where the body ends, or breaks.
    end: u64,
    sent: u64,
    delay: Option<Duration>,
    rate: Option<NonZeroU64>,
    /// When the current rate began.
    started: Option<Instant>,
    gate: Option<(u64, Gate)>,
    /// Ends with an error after the last byte.
    broken: bool,
}

impl Flow {
    pub(crate) fn new(content: Content, body: std::ops::Range<u64>, effects: &Effects) -> Self {
        let length = body.end - body.start;
        let (end, broken) = match effects.ending {
            Ending::Whole => (body.end, false),
            Ending::Reset(bytes) | Ending::Close(bytes) => (body.start + bytes.min(length), true),
        };
        Self {
            content,
            at: body.start,
            end,
            sent: 0,
            delay: Some(effects.first_byte_delay).filter(|delay| !delay.is_zero()),
            rate: effects.bytes_per_second,
            started: None,
            gate: effects.body_gate.clone(),
            broken,
        }
    }

    /// The next chunk; `None` at the end or where the body breaks.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        if let Some(delay) = self.delay.take() {
            sleep(delay).await;
        }
        if let Some((_, gate)) = self.gate.take_if(|(at, _)| self.sent >= *at) {
            gate.pass().await;
        }
        let left = self.end - self.at;
        if left == 0 {
            return None;
        }
        let Some(ready) = self.content.ready(self.at).await else {
            self.broken = true;
            return None;
        };
        let until_gate = self.gate.as_ref().map_or(u64::MAX, |(at, _)| at - self.sent);
        let length = left.min(until_gate).min(ready.get()).min(self.chunk_bytes());
        self.keep_rate().await;
        let chunk = self.content.slice(self.at..self.at + length);
        self.at += length;
        self.sent += length;
        Some(chunk)
    }

    /// Converts it to a body for hyper. `length` is the length that hyper announces; on HTTP/2 a broken body
    /// ends with a reset of the stream.
    pub(crate) fn into_body(self, raw: RawConnection) -> Body {
        let before = raw.written();
        StreamBody::new(stream::unfold(Some(self), move |flow| {
            let raw = raw.clone();
            async move {
                let mut flow = flow?;
                match flow.next().await {
                    Some(chunk) => Some((Ok(Frame::data(chunk)), Some(flow))),
                    None if flow.broken => {
                        // An error makes hyper drop the bytes that it has not written yet.
                        raw.until_written(before + flow.sent).await;
                        Some((Err(io::Error::other("broken on command")), None))
                    }
                    None => None,
                }
            }
        }))
        .boxed_unsync()
    }

    /// The number of bytes in one chunk: at a limited rate ten chunks a second.
    fn chunk_bytes(&self) -> u64 {
        self.rate.map_or(CHUNK, |rate| (rate.get() / 10).clamp(1, CHUNK))
    }

    /// Waits until the bytes sent so far have taken their time.
    async fn keep_rate(&mut self) {
        let Some(rate) = self.rate else { return };
        let started = *self.started.get_or_insert_with(Instant::now);
        let due = Duration::from_nanos(self.sent.saturating_mul(1_000_000_000) / rate);
        sleep_until(started + due).await;
    }
}

const CHUNK: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    async fn chunks(effects: Effects) -> (Vec<Bytes>, Duration) {
        let content = Content::Whole(Bytes::from(vec![7; 1000]));
        let mut flow = Flow::new(content, 0..1000, &effects);
        let start = Instant::now();
        let mut chunks = Vec::new();
        while let Some(chunk) = flow.next().await {
            chunks.push(chunk);
        }
        (chunks, start.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_body_takes_its_time_and_starts_immediately() {
        let effects = Effects { bytes_per_second: NonZeroU64::new(1000), ..Effects::default() };
        let (chunks, took) = chunks(effects).await;
        assert_eq!(chunks.len(), 10);
        assert_eq!(took.as_millis(), 900);
    }

    #[tokio::test(start_paused = true)]
    async fn a_delayed_body_waits_once() {
        let effects = Effects { first_byte_delay: Duration::from_secs(3), ..Effects::default() };
        let (chunks, took) = chunks(effects).await;
        assert_eq!((chunks.len(), took.as_secs()), (1, 3));
    }

    #[tokio::test]
    async fn a_broken_body_has_the_bytes_before_its_end() {
        let effects = Effects { ending: Ending::Reset(300), ..Effects::default() };
        let (chunks, _) = chunks(effects).await;
        assert_eq!(chunks.iter().map(Bytes::len).sum::<usize>(), 300);
    }
}
