//! One media playlist: its position, and the demand for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{MappedMutexGuard, Mutex};
use tidegate_hls::{Announcement, Media, Playlist, PlaylistError, Reader, Restart, Segment, Step, Timeline};
use tidegate_upstream::{Upstream, UpstreamError};
use tokio::sync::watch;
use tokio::time::Instant;

use super::budget::InFlight;
use super::detour::{self, Detour};
use super::memory::Memory;
use super::numbering::PublishedNumbering;
use super::purges::Purges;
use super::removed_dateranges::RemovedDateranges;
use super::sliding::Sliding;
use super::unfinished::Unfinished;

/// What this tier knows of one media playlist.
#[derive(Debug)]
pub(crate) struct Stream {
    /// The zero of the timeline's times.
    clock_start: Instant,
    pub(super) memory: Memory,
    reader: Mutex<Reader<Bytes>>,
    /// Whether its versions are read while they are written.
    pub(crate) unfinished: Unfinished,
    /// Whether its versions can be compared at all.
    pub(crate) sliding: Sliding,
    pub(crate) purges: Purges,
    /// The numbering in which it is published.
    pub(super) published: Mutex<PublishedNumbering>,
    /// The received version whose fill has not ended, and its text as published.
    received: Mutex<Option<(Arc<Media>, Bytes)>>,
    /// See [`Stream::error`].
    error: AtomicU8,
    /// The number after the newest segment that is known of, from any upstream or from other renditions'
    /// reports.
    next_known: AtomicU64,
    /// Size of the last announced object, the estimate for the next.
    expected_bytes: AtomicU64,
    pub(super) prefetches: InFlight,
    /// Requests that are being served.
    requests: AtomicUsize,
    /// Those of them that are not backup requests.
    viewer_requests: AtomicUsize,
    idle: Mutex<Idle>,
    removed_dateranges: Mutex<RemovedDateranges>,
    is_followed: AtomicBool,
    following: Mutex<Option<Following>>,
    /// See [`Stream::record_weight`].
    recorded_weight: AtomicU32,
    /// The upstream that this stream avoids, and only this one.
    detour: Mutex<Option<Detour>>,
}

/// The time without requests. A backup request keeps a follower running only while it is open: it starts no
/// new idle period.
#[derive(Debug)]
struct Idle {
    /// When the last request ended, or when the stream became known.
    since: Instant,
    /// When the last request ended; at first, when the request arrived that made the stream known.
    last_request: Option<Instant>,
}

/// The follower's work so far.
#[derive(Debug, Clone, Copy)]
struct Following {
    since: Instant,
    /// The upstream has responded to it.
    has_response: bool,
}

/// How a received version compares with its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// It may be served.
    Usable,
    /// The stream has restarted: its cached objects belong to the old epoch.
    Restarted(Restart),
    /// It is older than the published version, or of another stream while this one moves or can still be
    /// played.
    Backward,
    /// It has not moved for more than one and a half target durations.
    Frozen,
}

impl Stream {
    /// A stream without versions. `is_backup`: its first request is a backup request.
    pub(super) fn new(clock_start: Instant, is_backup: bool) -> Self {
        let now = Instant::now();
        Self {
            clock_start,
            memory: Memory::new(),
            reader: Mutex::default(),
            unfinished: Unfinished::default(),
            sliding: Sliding::default(),
            purges: Purges::default(),
            published: Mutex::default(),
            received: Mutex::default(),
            error: AtomicU8::new(0),
            next_known: AtomicU64::new(0),
            expected_bytes: AtomicU64::new(EXPECTED_BYTES),
            prefetches: InFlight::default(),
            requests: AtomicUsize::new(0),
            viewer_requests: AtomicUsize::new(0),
            idle: Mutex::new(Idle { since: now, last_request: (!is_backup).then_some(now) }),
            removed_dateranges: Mutex::default(),
            is_followed: AtomicBool::new(false),
            following: Mutex::default(),
            recorded_weight: AtomicU32::new(0),
            detour: Mutex::new(None),
        }
    }

    /// Reads a version as received.
    ///
    /// # Errors
    /// It is no playlist.
    pub(crate) fn read(&self, body: &Bytes) -> Result<Playlist, PlaylistError> {
        self.reader.lock().read(body.clone())
    }

    /// Compares a version with the versions before, and remembers it. It is published as `text`, was
    /// requested at `sent`, and is `age` old.
    pub(crate) fn observe(&self, media: Arc<Media>, text: &Bytes, sent: Instant, age: Duration) -> Arrival {
        let arrival = self.compare(media, text, sent, age);
        self.update_error(arrival);
        arrival
    }

    fn compare(&self, media: Arc<Media>, text: &Bytes, sent: Instant, age: Duration) -> Arrival {
        let now = self.now();
        let mut timeline = self.timeline();
        // That it has moved is certain now; that it has not was certain only when the request was sent.
        let seen = match timeline.judge(&media, now) {
            Step::Unchanged => self.at(sent),
            // While the stream moves, an upstream with other names has another stream: a backup that is not
            // synchronised, or the upstream that was left for it.
            Step::Restarted(Restart::ChangedUri | Restart::ChangedMap) if !timeline.is_frozen(now) => {
                return Arrival::Backward;
            }
            _ => now,
        };
        let step = timeline.observe(&media, seen.saturating_sub(age));
        match step {
            Step::Restarted(_) => self.next_known.store(media.next_sequence(), Ordering::Relaxed),
            Step::Restarting => {}
            _ => self.note_known_position(media.next_sequence()),
        }
        let arrival = match step {
            Step::Backward { .. } | Step::Restarting => return Arrival::Backward,
            Step::Unchanged if timeline.is_frozen(now) => Arrival::Frozen,
            Step::Restarted(why) => Arrival::Restarted(why),
            Step::First | Step::Forward | Step::Unchanged | Step::Ended => Arrival::Usable,
        };
        *self.received.lock() = Some((media, text.clone()));
        arrival
    }

    /// An upstream has confirmed the newest version (304). The request was sent at `sent`; the response is
    /// `age` old.
    pub(crate) fn confirm_unchanged(&self, sent: Instant, age: Duration) -> Arrival {
        let Some(media) = self.media() else { return Arrival::Usable };
        let now = self.now();
        let mut timeline = self.timeline();
        let arrival = match timeline.observe(&media, self.at(sent).saturating_sub(age)) {
            Step::Backward { .. } | Step::Restarting => Arrival::Backward,
            _ if timeline.is_frozen(now) => Arrival::Frozen,
            _ => Arrival::Usable,
        };
        drop(timeline);
        self.update_error(arrival);
        arrival
    }

    /// Publishes the received version, which is stored now: requests that block on it proceed. Returns the
    /// announcements that are new.
    pub(crate) fn publish(&self) -> Option<Vec<Announcement>> {
        let (media, text) = self.received.lock().take()?;
        if media.server_control.can_skip_dateranges {
            let known_for = media.server_control.can_skip_until.unwrap_or_default();
            self.removed_dateranges.lock().record(&self.memory.text(), &text, known_for, Instant::now());
        }
        Some(self.memory.publish(media, text))
    }

    /// The identifiers of the date ranges that were removed lately.
    pub(crate) fn removed_dateranges(&self) -> Vec<Arc<str>> {
        self.removed_dateranges.lock().ids()
    }

    /// Discards the received version, which is not stored after all.
    pub(crate) fn discard_received(&self) {
        *self.received.lock() = None;
    }

    /// The newest version, if this is its text.
    pub(crate) fn version_of(&self, text: &Bytes) -> Option<Arc<Media>> {
        self.memory.version_of(text)
    }

    /// Its memory in bytes, about: the segments of its newest version, the text, and a fixed part.
    pub(super) fn weight(&self) -> u32 {
        let segments = self.memory.map_newest(|media| media.segments.len()).unwrap_or(0);
        let bytes = segments.saturating_mul(SEGMENT_BYTES).saturating_add(self.memory.text_bytes());
        u32::try_from(bytes).unwrap_or(u32::MAX).saturating_add(FIXED_BYTES)
    }

    /// Records the weight, if it is the first one or twice the recorded one. Returns whether it is.
    pub(crate) fn record_weight(&self) -> bool {
        let weight = self.weight();
        let has_doubled = weight >= self.recorded_weight.load(Ordering::Relaxed).saturating_mul(2);
        if has_doubled {
            self.recorded_weight.store(weight, Ordering::Relaxed);
        }
        has_doubled
    }

    /// What is known from version to version.
    pub(super) fn timeline(&self) -> MappedMutexGuard<'_, Timeline> {
        self.memory.timeline()
    }

    /// The newest version.
    pub(crate) fn media(&self) -> Option<Arc<Media>> {
        self.memory.media()
    }

    /// The newest version, and the versions to come.
    pub(super) fn subscribe(&self) -> watch::Receiver<Option<Arc<Media>>> {
        self.memory.subscribe()
    }

    /// Notes how far the stream is elsewhere: `next` is the number after the newest segment.
    pub(super) fn note_known_position(&self, next: u64) {
        self.next_known.fetch_max(next, Ordering::Relaxed);
    }

    /// Segments by which the newest version is behind the newest one that is known of.
    pub(crate) fn lag(&self) -> u64 {
        let next = self.memory.map_newest(|media| media.next_sequence()).unwrap_or(u64::MAX);
        self.next_known.load(Ordering::Relaxed).saturating_sub(next)
    }

    /// The expected size of an announced object.
    pub(super) fn expected_bytes(&self) -> u64 {
        self.expected_bytes.load(Ordering::Relaxed)
    }

    /// Records the size of an announced object.
    pub(super) fn record_size(&self, bytes: u64) {
        self.expected_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Why there is no newer version: the playlist of the last upstream is behind, or frozen.
    pub(crate) fn error(&self) -> Option<UpstreamError> {
        match self.error.load(Ordering::Relaxed) {
            BACKWARD => Some(UpstreamError::Backward),
            FROZEN => Some(UpstreamError::Frozen),
            _ => None,
        }
    }

    fn update_error(&self, arrival: Arrival) {
        let error = match arrival {
            Arrival::Usable | Arrival::Restarted(_) => 0,
            Arrival::Backward => BACKWARD,
            Arrival::Frozen => FROZEN,
        };
        self.error.store(error, Ordering::Relaxed);
    }

    /// Avoids `upstream`, whose response was unusable, if the error concerns only this stream.
    pub(crate) fn set_detour(&self, upstream: &Arc<str>, error: UpstreamError) {
        if detour::is_about_stream(error) {
            let mut detour = self.detour.lock();
            *detour = Some(Detour::around(upstream, detour.as_ref(), Instant::now()));
        }
    }

    /// Moves the avoided upstream behind the other candidates for the playlist, or for an object that it
    /// announces.
    pub(crate) fn reorder(&self, candidates: &mut [Arc<Upstream>], is_playlist: bool) {
        if let Some(detour) = &*self.detour.lock() {
            detour.reorder(candidates, is_playlist, Instant::now());
        }
    }

    /// A poll has found no newer version: the upstream may have blocked it, or failed.
    pub(super) fn record_empty_poll(&self) {
        if self.timeline().is_frozen(self.now()) {
            self.update_error(Arrival::Frozen);
        }
    }

    /// When to poll for the next version, after `empty_polls` since the last one.
    pub(super) fn next_poll(&self, empty_polls: u32) -> Option<Instant> {
        Some(self.moment(self.timeline().next_poll(empty_polls)?))
    }

    /// When the next version is expected.
    pub(super) fn due(&self) -> Option<Instant> {
        Some(self.moment(self.timeline().due()?))
    }

    /// Counts a request for the playlist; the guard is kept until the response is sent.
    pub(crate) fn open_request(self: &Arc<Self>, is_backup: bool) -> OpenRequest {
        self.requests.fetch_add(1, Ordering::AcqRel);
        if !is_backup {
            self.viewer_requests.fetch_add(1, Ordering::AcqRel);
        }
        OpenRequest { stream: Arc::clone(self), is_backup }
    }

    /// Waits until the playlist has been idle for `period`.
    pub(super) async fn wait_until_idle(&self, period: Duration) {
        loop {
            let is_busy = self.requests.load(Ordering::Acquire) > 0;
            let until = if is_busy { Instant::now() } else { self.idle.lock().since } + period;
            if until <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }

    /// Whether there was a request within `period` that is not a backup request.
    pub(super) fn is_watched(&self, period: Duration) -> bool {
        let last = || self.idle.lock().last_request;
        self.viewer_requests.load(Ordering::Acquire) > 0 || last().is_some_and(|last| last.elapsed() < period)
    }

    /// Reserves the stream for a follower. Returns whether it had none.
    pub(super) fn start_following(&self) -> bool {
        let is_first = !self.is_followed.swap(true, Ordering::AcqRel);
        if is_first {
            *self.following.lock() = Some(Following { since: Instant::now(), has_response: false });
        }
        is_first
    }

    /// The upstream has responded to a request of the follower.
    pub(super) fn record_response(&self) {
        if let Some(following) = &mut *self.following.lock() {
            following.has_response = true;
        }
    }

    /// When `newest`, its newest version, is certainly not older than the upstream's, as far as the follower
    /// is concerned; `None` without a follower.
    pub(super) fn current_at(&self, newest: &Media) -> Option<Instant> {
        let following = *self.following.lock();
        let within = newest.half_target().max(RESPONSE_WITHIN);
        following
            .map(|following| if following.has_response { following.since } else { following.since + within })
    }

    pub(crate) fn is_followed(&self) -> bool {
        self.is_followed.load(Ordering::Acquire)
    }

    pub(super) fn stop_following(&self) {
        *self.following.lock() = None;
        self.is_followed.store(false, Ordering::Release);
        self.sleep_if_idle_for(Duration::ZERO);
    }

    /// Puts it to sleep, if it has neither a follower nor an open request, and has been idle for `period`.
    pub(super) fn sleep_if_idle_for(&self, period: Duration) {
        // A blocked request, too, reads the newest version.
        let is_needed = || {
            self.is_followed.load(Ordering::Acquire)
                || self.requests.load(Ordering::Acquire) > 0
                || self.idle.lock().since.elapsed() < period
        };
        self.memory.sleep(|| !is_needed());
        if self.memory.is_asleep() {
            self.reader.lock().forget();
        }
    }

    pub(super) fn is_asleep(&self) -> bool {
        self.memory.is_asleep()
    }

    /// Whether there will be more versions.
    pub(crate) fn is_live(&self) -> bool {
        self.memory.map_newest(|media| !media.is_ended()).unwrap_or(false)
    }

    /// Whether it is live and has no follower, although its versions can be compared.
    pub(crate) fn wants_follower(&self) -> bool {
        !self.is_followed.load(Ordering::Acquire) && self.is_live() && !self.sliding.is_known()
    }

    /// Whether the versions of its playlist cannot be compared, judged by one that was received. Requests
    /// that block for the next version end then: it has no number.
    pub(crate) fn is_sliding(&self, received: &Media) -> bool {
        let was_known = self.sliding.is_known();
        let is_sliding = self.sliding.is_seen(self.media().as_deref(), received);
        if is_sliding && !was_known {
            self.memory.wake_blocked();
        }
        is_sliding
    }

    pub(super) fn now(&self) -> Duration {
        self.at(Instant::now())
    }

    fn at(&self, moment: Instant) -> Duration {
        moment.saturating_duration_since(self.clock_start) + BEFORE_START
    }

    fn moment(&self, at: Duration) -> Instant {
        self.clock_start + at.saturating_sub(BEFORE_START)
    }
}

/// The times of a timeline begin this long before the tier: a playlist may have moved before it started.
const BEFORE_START: Duration = Duration::from_hours(1);

const BACKWARD: u8 = 1;
const FROZEN: u8 = 2;

/// The least time in which an upstream can respond to a follower.
const RESPONSE_WITHIN: Duration = Duration::from_secs(2);

/// The expected size of a first object: two seconds at four megabits per second.
const EXPECTED_BYTES: u64 = 1 << 20;

/// Bytes that a segment takes, with its URI.
const SEGMENT_BYTES: usize = size_of::<Segment>() + 48;

/// Bytes that a stream takes with its follower and blocked requests.
const FIXED_BYTES: u32 = 8_192;

/// A request for the playlist that is being served.
#[derive(Debug)]
pub(crate) struct OpenRequest {
    stream: Arc<Stream>,
    is_backup: bool,
}

impl OpenRequest {
    /// The stream of the playlist.
    pub(crate) fn stream(&self) -> &Arc<Stream> {
        &self.stream
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        // Backup requests keep no follower running ([`Stream::wait_until_idle`]).
        if !self.is_backup {
            let now = Instant::now();
            *self.stream.idle.lock() = Idle { since: now, last_request: Some(now) };
            self.stream.viewer_requests.fetch_sub(1, Ordering::AcqRel);
        }
        self.stream.requests.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A viewer that plays the stream requests its playlist at least this often.
pub(super) fn watch_interval(media: &Media) -> Duration {
    media.clamped_target_duration() * 2
}
