//! One viewer of a swarm.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::buffer::Buffer;
use super::fetch::{Fetch, ViewerError};
use super::playlist::{Media, resolve};
use super::report::Report;

/// The pause after an error, as in hls.js.
const PAUSE: Duration = Duration::from_secs(1);

/// A viewer of one media playlist at one edge.
#[derive(Debug)]
pub(super) struct Viewer {
    number: usize,
    edge: Fetch,
    path: String,
    report: Arc<Mutex<Report>>,
    /// The number of the segment that it fetches next.
    next: Option<u64>,
    /// The newest segment listed so far.
    newest: Option<u64>,
    buffer: Buffer,
}

impl Viewer {
    pub(super) fn new(number: usize, edge: SocketAddr, path: &str, report: Arc<Mutex<Report>>) -> Self {
        let edge = Fetch::new(edge);
        Self {
            number,
            edge,
            path: path.to_owned(),
            report,
            next: None,
            newest: None,
            buffer: Buffer::default(),
        }
    }

    /// Watches until it is stopped.
    pub(super) async fn watch(mut self, stop: &CancellationToken) {
        let watching = async {
            loop {
                let requested = Instant::now();
                let pause = match self.reload().await {
                    Ok(pause) => pause,
                    Err((kind, details)) => {
                        self.note(|report, number| report.record_error(number, kind, details));
                        PAUSE
                    }
                };
                sleep_until(requested + pause).await;
            }
        };
        let _left: Option<()> = stop.run_until_cancelled(watching).await;
        let stall = self.buffer.stalled();
        self.note(|report, number| report.stall(number, stall));
    }

    /// Loads the playlist and its new segments; returns how long after its request the next one is due (RFC
    /// 8216 section 6.3.4): a target duration after a change, half of one without a change.
    async fn reload(&mut self) -> Result<Duration, (ViewerError, String)> {
        let text = self.edge.text(&self.path).await.map_err(|record_error| at(&self.path, record_error));
        let (text, place) = text?;
        let Some(media) = Media::parse(&text) else {
            return Err((ViewerError::Malformed, format!("{}: {text:.60}", self.path)));
        };
        let newest = media.newest();
        let moved = self.newest.is_none_or(|before| before < newest);
        if let Some(before) = self.newest.filter(|before| *before > newest) {
            return Err((ViewerError::Backward, format!("{}: from {before} to {newest}", self.path)));
        }
        self.newest = Some(newest);
        let path = self.path.clone();
        self.note(|report, _| {
            report.playlists += 1;
            report.versions.entry(path).or_default().insert(newest);
        });
        self.load(&media, &place).await?;
        Ok(if moved { media.target } else { media.target / 2 })
    }

    /// Fetches each new segment of the playlist at `place`, in order. The first that fails is requested again
    /// after the next reload.
    async fn load(&mut self, media: &Media, place: &str) -> Result<(), (ViewerError, String)> {
        let first = media.segments.first().map(|segment| segment.number);
        if self.next.is_none() || self.next < first {
            self.next = Some(media.beginning());
        }
        let next = self.next;
        for segment in media.segments.iter().filter(|segment| Some(segment.number) >= next) {
            let path = resolve(place, &segment.uri);
            self.edge.drain(&path).await.map_err(|record_error| at(&path, record_error))?;
            let stall = self.buffer.push(segment.duration);
            self.next = Some(segment.number + 1);
            self.note(|report, number| {
                report.playing.insert(number);
                report.segments += 1;
                report.stall(number, stall);
            });
        }
        Ok(())
    }

    fn note(&self, change: impl FnOnce(&mut Report, usize)) {
        change(&mut self.report.lock().expect("a whole report"), self.number);
    }
}

fn at(path: &str, (kind, details): (ViewerError, String)) -> (ViewerError, String) {
    (kind, format!("{path}: {details}"))
}
