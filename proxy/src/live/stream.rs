//! One media playlist: how far it is, and who wants to know.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{MappedMutexGuard, Mutex};
use tidegate_hls::{Announcement, Media, Restart, Step, Timeline};
use tidegate_upstream::{Upstream, UpstreamError};
use tokio::sync::watch;
use tokio::time::Instant;

use super::detour::{self, Detour};
use super::memory::Memory;
use super::numbering::Published;

/// What this tier knows of one media playlist.
#[derive(Debug)]
pub(crate) struct Stream {
    began: Instant,
    pub(super) memory: Memory,
    /// In which numbers it is given out.
    pub(super) published: Mutex<Published>,
    /// The version that has come and is not yet known to be stored, and how it is given out.
    arrived: Mutex<Option<(Arc<Media>, Bytes)>>,
    /// See [`Stream::error`].
    error: AtomicU8,
    /// How far the stream is known to be, from any source and from other renditions' reports: the number of the segment
    /// after the newest.
    known: AtomicU64,
    /// Bytes that what it announced last has: as many are expected of what it announces next.
    usual_bytes: AtomicU64,
    /// Requests that are being served.
    attending: AtomicUsize,
    /// Those among them that do not come from tiers which ask others first.
    watching: AtomicUsize,
    /// From when on nobody has asked who keeps it followed: since one of those who watch last did, or since it is known.
    /// And when one of them did, if one has.
    asked: Mutex<(Instant, Option<Instant>)>,
    followed: AtomicBool,
    /// See [`Stream::has_doubled`].
    weighed: AtomicU32,
    /// The source that is gone round for this stream, and only for this one.
    detour: Mutex<Option<Detour>>,
}

/// What a version means that has come from a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// It may be given out.
    Welcome,
    /// The stream has begun anew: what is held of it belongs to the old one.
    Restarted(Restart),
    /// It is older than one that was given out, or of another stream while this one goes on or can still be played.
    Backward,
    /// It has not moved for more than one and a half target durations.
    Frozen,
}

impl Stream {
    /// Not known yet; `is_backup`: whoever asks for it asks others first.
    pub(super) fn new(began: Instant, is_backup: bool) -> Self {
        Self {
            began,
            memory: Memory::new(),
            published: Mutex::default(),
            arrived: Mutex::default(),
            error: AtomicU8::new(0),
            known: AtomicU64::new(0),
            usual_bytes: AtomicU64::new(USUAL_BYTES),
            attending: AtomicUsize::new(0),
            watching: AtomicUsize::new(0),
            asked: Mutex::new((Instant::now(), (!is_backup).then(Instant::now))),
            followed: AtomicBool::new(false),
            weighed: AtomicU32::new(0),
            detour: Mutex::new(None),
        }
    }

    /// Holds a version, which is given out as `text`, against what is known. It was asked for at `asked`, and made `age`
    /// ago.
    pub(crate) fn arrives(&self, media: Media, text: &Bytes, asked: Instant, age: Duration) -> Arrival {
        let arrival = self.judge(media, text, asked, age);
        self.update_error(arrival);
        arrival
    }

    fn judge(&self, media: Media, text: &Bytes, asked: Instant, age: Duration) -> Arrival {
        let now = self.now();
        let mut timeline = self.timeline();
        // That it has moved is certain now; that it had not, only when it was asked for.
        let seen = match timeline.judge(&media, now) {
            Step::Unchanged => self.at(asked),
            // While the stream goes on, whoever names it differently has another one: a backup that has not been made
            // to agree, or the one that was left for it.
            Step::Restarted(Restart::ChangedUri | Restart::ChangedMap) if !timeline.is_frozen(now) => {
                return Arrival::Backward;
            }
            _ => now,
        };
        let step = timeline.observe(&media, seen.saturating_sub(age));
        match step {
            Step::Restarted(_) => self.known.store(media.next_sequence(), Ordering::Relaxed),
            Step::Restarting => {}
            _ => self.note_known_position(media.next_sequence()),
        }
        let arrival = match step {
            Step::Backward { .. } | Step::Restarting => return Arrival::Backward,
            Step::Unchanged if timeline.is_frozen(now) => Arrival::Frozen,
            Step::Restarted(why) => Arrival::Restarted(why),
            Step::First | Step::Forward | Step::Unchanged | Step::Ended => Arrival::Welcome,
        };
        *self.arrived.lock() = Some((Arc::new(media), text.clone()));
        arrival
    }

    /// The version that is held was found to be current. It was asked for at `asked`; the answer is `age` old.
    pub(crate) fn confirm_unchanged(&self, asked: Instant, age: Duration) -> Arrival {
        let Some(media) = self.media() else { return Arrival::Welcome };
        let now = self.now();
        let mut timeline = self.timeline();
        let arrival = match timeline.observe(&media, self.at(asked).saturating_sub(age)) {
            Step::Backward { .. } | Step::Restarting => Arrival::Backward,
            _ if timeline.is_frozen(now) => Arrival::Frozen,
            _ => Arrival::Welcome,
        };
        drop(timeline);
        self.update_error(arrival);
        arrival
    }

    /// What has come is stored: from now on whoever waited for it finds it. Tells what it announces, if it is new.
    pub(crate) fn publish(&self) -> Option<Vec<Announcement>> {
        let (media, text) = self.arrived.lock().take()?;
        Some(self.memory.publish(media, text))
    }

    /// What has come is not stored after all.
    pub(crate) fn dismiss(&self) {
        *self.arrived.lock() = None;
    }

    /// What it makes this tier remember, in segments: those of its newest version, its text, and what it costs besides.
    pub(super) fn weight(&self) -> u32 {
        let segments = self.memory.look(|media| media.segments.len()).unwrap_or(0);
        let text = self.memory.text_bytes() / SEGMENT_BYTES;
        u32::try_from(segments.saturating_add(text)).unwrap_or(u32::MAX).saturating_add(ITSELF)
    }

    /// Whether it weighs twice as much as when this was said before, or is weighed for the first time.
    pub(crate) fn has_doubled(&self) -> bool {
        let weight = self.weight();
        let has_doubled = weight >= self.weighed.load(Ordering::Relaxed).saturating_mul(2);
        if has_doubled {
            self.weighed.store(weight, Ordering::Relaxed);
        }
        has_doubled
    }

    /// What is known from version to version.
    pub(super) fn timeline(&self) -> MappedMutexGuard<'_, Timeline> {
        self.memory.timeline()
    }

    /// The newest version that is held.
    pub(crate) fn media(&self) -> Option<Arc<Media>> {
        self.memory.media()
    }

    /// The newest version that is held, and those to come.
    pub(super) fn newest(&self) -> watch::Receiver<Option<Arc<Media>>> {
        self.memory.watch()
    }

    /// Somebody knows that the stream is as far as this: the number of the segment after the newest.
    pub(super) fn note_known_position(&self, next: u64) {
        self.known.fetch_max(next, Ordering::Relaxed);
    }

    /// By how many segments what is held is behind the newest version that is known of.
    pub(crate) fn lag(&self) -> u64 {
        let held = self.memory.look(|media| media.next_sequence()).unwrap_or(u64::MAX);
        self.known.load(Ordering::Relaxed).saturating_sub(held)
    }

    /// Bytes to expect of what it announces.
    pub(super) fn usual_bytes(&self) -> u64 {
        self.usual_bytes.load(Ordering::Relaxed)
    }

    /// Something that it announced has so many bytes.
    pub(super) fn record_size(&self, bytes: u64) {
        self.usual_bytes.store(bytes, Ordering::Relaxed);
    }

    /// What keeps a newer version away: the source that was asked last is behind, or stands still.
    pub(crate) fn error(&self) -> Option<UpstreamError> {
        match self.error.load(Ordering::Relaxed) {
            BACKWARD => Some(UpstreamError::Backward),
            FROZEN => Some(UpstreamError::Frozen),
            _ => None,
        }
    }

    /// A version has arrived, or nothing new.
    fn update_error(&self, arrival: Arrival) {
        let error = match arrival {
            Arrival::Welcome | Arrival::Restarted(_) => 0,
            Arrival::Backward => BACKWARD,
            Arrival::Frozen => FROZEN,
        };
        self.error.store(error, Ordering::Relaxed);
    }

    /// What came from `upstream` was of no use.
    pub(crate) fn set_detour(&self, upstream: &Arc<str>, error: UpstreamError) {
        if detour::is_about_stream(error) {
            let mut detour = self.detour.lock();
            *detour = Some(Detour::round(upstream, detour.as_ref(), Instant::now()));
        }
    }

    /// Puts the candidates in the order in which they are asked for this stream.
    pub(crate) fn leads(&self, candidates: &mut [Arc<Upstream>]) {
        if let Some(detour) = &*self.detour.lock() {
            detour.lead(candidates, Instant::now());
        }
    }

    /// Nothing has come: the source may hold its answer, or give none.
    pub(super) fn record_wait(&self) {
        if self.timeline().is_frozen(self.now()) {
            self.update_error(Arrival::Frozen);
        }
    }

    /// When to look for the next version, after so many looks in vain.
    pub(super) fn next_look(&self, in_vain: u32) -> Option<Instant> {
        Some(self.began + self.timeline().next_poll(in_vain)?)
    }

    /// When the next version is expected to be there.
    pub(super) fn due(&self) -> Option<Instant> {
        Some(self.began + self.timeline().due()?)
    }

    /// Somebody asks for it; the guard is kept until the answer is out.
    pub(crate) fn attend(self: &Arc<Self>, is_backup: bool) -> Attending {
        self.attending.fetch_add(1, Ordering::AcqRel);
        if !is_backup {
            self.watching.fetch_add(1, Ordering::AcqRel);
        }
        Attending { stream: Arc::clone(self), is_backup }
    }

    /// Waits until nobody has asked for `period`.
    pub(super) async fn deserted(&self, period: Duration) {
        loop {
            let busy = self.attending.load(Ordering::Acquire) > 0;
            let until = if busy { Instant::now() } else { self.asked.lock().0 } + period;
            if until <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }

    /// Whether somebody watches it here: not only tiers that ask others first.
    pub(super) fn is_watched(&self, period: Duration) -> bool {
        let last = || self.asked.lock().1;
        self.watching.load(Ordering::Acquire) > 0 || last().is_some_and(|last| last.elapsed() < period)
    }

    /// Whether the caller is the one to follow it from now on.
    pub(super) fn take_up(&self) -> bool {
        !self.followed.swap(true, Ordering::AcqRel)
    }

    pub(super) fn let_go(&self) {
        self.followed.store(false, Ordering::Release);
        self.sleep(Duration::ZERO);
    }

    /// Sleeps if nobody follows it or asks for it, or has asked for so long.
    pub(super) fn sleep(&self, unasked_for: Duration) {
        // Who waits for the next version looks at the one that is there.
        let is_needed = || {
            self.followed.load(Ordering::Acquire)
                || self.attending.load(Ordering::Acquire) > 0
                || self.asked.lock().0.elapsed() < unasked_for
        };
        self.memory.sleep(|| !is_needed());
    }

    pub(super) fn is_asleep(&self) -> bool {
        self.memory.is_asleep()
    }

    /// Whether more will come.
    pub(crate) fn is_live(&self) -> bool {
        self.memory.look(|media| !media.is_ended()).unwrap_or(false)
    }

    /// Whether it is live and nobody follows it.
    pub(crate) fn wants_follower(&self) -> bool {
        !self.followed.load(Ordering::Acquire) && self.is_live()
    }

    pub(super) fn now(&self) -> Duration {
        self.at(Instant::now())
    }

    fn at(&self, moment: Instant) -> Duration {
        moment.saturating_duration_since(self.began)
    }
}

const BACKWARD: u8 = 1;
const FROZEN: u8 = 2;

/// What is expected before anything is known: two seconds of four megabits.
const USUAL_BYTES: u64 = 1 << 20;

/// As many bytes of text cost as much as a segment.
const SEGMENT_BYTES: usize = 128;

/// What a stream costs besides its segments: its follower, the requests that wait for it.
const ITSELF: u32 = 50;

/// A request for the playlist that is being served.
#[derive(Debug)]
pub(crate) struct Attending {
    stream: Arc<Stream>,
    is_backup: bool,
}

impl Drop for Attending {
    fn drop(&mut self) {
        // Nobody is followed for who asks others first ([`Stream::deserted`]).
        if !self.is_backup {
            let now = Instant::now();
            *self.stream.asked.lock() = (now, Some(now));
            self.stream.watching.fetch_sub(1, Ordering::AcqRel);
        }
        self.stream.attending.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A viewer that plays the stream requests its playlist at least this often.
pub(super) fn watch_interval(media: &Media) -> Duration {
    media.clamped_target_duration() * 2
}
