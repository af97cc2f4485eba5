//! An encoder restart is joined: the playlist of the new epoch is renumbered to continue the old one.
//!
//! A tier that detects a restart continues the numbers that it has published (`tidegate_hls::Epoch`). Its
//! playlists declare the epoch and the number that was added to the encoder's own. So a tier below can
//! request them from one upstream now and from another later, which has started since or has seen fewer
//! restarts: it recognises the same segments in both, and continues the numbers that it has published itself.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tidegate_hls::{Epoch, Mark, Media, Numbering, Playlist, RESET_SEGMENTS_MIN, Restart, Step};

use super::numbering::{PublishedNumbering, Version};
use super::stream::Stream;
use crate::clock;
use crate::request::parsed::Request;
use crate::tier::Tier;

/// Makes the version to publish from a received playlist. `published_body` reads the body of the newest
/// published version, if the cache has it.
///
/// 1. A playlist that cannot be rewritten, or need not be, stays as received.
/// 2. The first version of a stream joins the epoch of its other renditions.
/// 3. A playlist that overlaps or continues the newest published version keeps its epoch
///    ([`Comparison::connected`]).
/// 4. After a long pause a playlist joins the epoch of its other renditions ([`Comparison::after_pause`]).
/// 5. A playlist that is ahead keeps the epoch if the elapsed time explains the gap
///    ([`Comparison::after_gap`]).
/// 6. A playlist whose numbers have started over begins a new epoch ([`Comparison::restarted`]).
/// 7. Any other playlist lags behind, or reuses known numbers; the stream judges it
///    ([`Comparison::unconnected`]).
pub(crate) fn version(
    tier: &Tier,
    request: &Request,
    stream: &Stream,
    raw: &Arc<Media>,
    body: &Bytes,
    published_body: impl FnOnce() -> Option<Bytes>,
) -> Version {
    let received = Received { request, raw, body, numbering: Numbering::of(body) };
    if !request.site.query.marks || !Epoch::can_rewrite(raw) {
        return received.unchanged();
    }
    let Some(known) = stream.media() else {
        return received.in_epoch_of_renditions(tier).unwrap_or_else(|| received.unchanged());
    };
    let comparison = Comparison::new(&received, stream, known);
    comparison
        .connected()
        .or_else(|| comparison.after_pause(tier))
        .or_else(|| comparison.after_gap())
        .or_else(|| comparison.restarted(published_body))
        .unwrap_or_else(|| comparison.unconnected())
}

/// A playlist as an upstream sent it.
struct Received<'a> {
    request: &'a Request,
    raw: &'a Arc<Media>,
    body: &'a Bytes,
    numbering: Numbering,
}

impl Received<'_> {
    /// The version with the received numbers and names.
    fn unchanged(&self) -> Version {
        let published = PublishedNumbering {
            numbering: self.numbering,
            received: self.numbering,
            ..PublishedNumbering::default()
        };
        Version {
            media: Arc::clone(self.raw),
            body: self.body.clone(),
            published,
            is_rewritten: false,
            starts_epoch: false,
            is_outdated: false,
        }
    }

    /// The version with the numbers and names of `epoch`.
    fn in_epoch(&self, epoch: &Epoch) -> Version {
        self.rewritten(epoch).unwrap_or_else(|| self.unchanged())
    }

    /// `None` if nothing changes, or if the rewritten playlist cannot be parsed, which would be a bug here.
    fn rewritten(&self, epoch: &Epoch) -> Option<Version> {
        if epoch.is_identity() {
            return None;
        }
        let is_ours = |uri: &str| self.request.resource.resolve(uri, &self.request.site.query).is_some();
        let body = Bytes::from(epoch.rewrite(self.body, self.raw, is_ours));
        let published = PublishedNumbering {
            numbering: epoch.numbering(),
            received: epoch.received(),
            shift: epoch.shift(),
            splice: epoch.splice(),
            default_mark: epoch.default_mark(),
        };
        match Playlist::parse(&body) {
            Ok(Playlist::Media(media)) => Some(Version {
                media,
                body,
                published,
                is_rewritten: true,
                starts_epoch: false,
                is_outdated: false,
            }),
            Ok(Playlist::Multivariant(_) | Playlist::Untagged) | Err(_) => None,
        }
    }

    /// The version in the epoch of another rendition, if it would end at about the same number as that one.
    fn in_epoch_of_renditions(&self, tier: &Tier) -> Option<Version> {
        let renditions = tier.streams().renditions.of(&self.request.key)?;
        let others = renditions.iter().filter(|rendition| **rendition != self.request.key);
        let epoch = others.filter_map(|rendition| tier.streams().of(rendition)).find_map(|other| {
            let known = other.media().filter(|known| !other.is_played_out(known))?;
            let published = other.published.lock().clone();
            let epoch = Epoch::continued(&known, published.numbering, None, self.raw, self.numbering);
            let next = self.raw.next_sequence().saturating_add_signed(epoch.shift());
            (next.abs_diff(known.next_sequence()) <= RENDITION_LAG_MAX).then_some(epoch)
        })?;
        Some(self.in_epoch(&epoch))
    }
}

/// Segments by which renditions of one stream may differ: they are encoded together, but received at
/// different times.
const RENDITION_LAG_MAX: u64 = 3;

/// A received playlist beside the newest published version of its stream.
struct Comparison<'a> {
    received: &'a Received<'a>,
    stream: &'a Stream,
    /// The newest published version.
    known: Arc<Media>,
    published: PublishedNumbering,
    /// The epoch if the playlist comes from the same upstream as the last one: the received numbers are
    /// shifted as before.
    by_shift: Epoch,
    /// The epoch if the playlist comes from an upstream with other numbers for the same epoch: the numbers of
    /// the encoder are shifted as before.
    by_encoder: Epoch,
    /// The playlist declares the published epoch.
    is_same_epoch: bool,
    /// The playlist declares another epoch.
    is_other_epoch: bool,
    /// See [`Stream::is_played_out`].
    is_played_out: bool,
}

impl<'a> Comparison<'a> {
    fn new(received: &'a Received<'a>, stream: &'a Stream, known: Arc<Media>) -> Self {
        let published = stream.published.lock().clone();
        let continued = |numbering| {
            Epoch::continued(&known, numbering, published.splice.clone(), received.raw, received.numbering)
        };
        let declared = received.numbering.epoch;
        let default_mark = published.default_mark.filter(|_| declared.is_some());
        let by_shift = continued(published.continued(received.numbering)).with_default_mark(default_mark);
        let by_encoder = continued(published.numbering);
        let is_same_epoch = declared.is_some() && declared == published.numbering.epoch;
        Self {
            received,
            stream,
            by_shift,
            by_encoder,
            is_same_epoch,
            is_other_epoch: declared.is_some() && !is_same_epoch,
            is_played_out: stream.is_played_out(&known),
            known,
            published,
        }
    }

    /// The possible epochs, the more likely one first.
    const fn candidates(&self) -> [&Epoch; 2] {
        if self.is_same_epoch {
            [&self.by_encoder, &self.by_shift]
        } else {
            [&self.by_shift, &self.by_encoder]
        }
    }

    fn continues(&self, epoch: &Epoch, gap: Gap) -> bool {
        self.stream.continues(&self.known, &epoch.renumber(self.received.raw), gap)
    }

    fn continues_unchanged(&self, gap: Gap) -> Option<Version> {
        let continues = self.stream.continues(&self.known, self.received.raw, gap);
        continues.then(|| self.received.unchanged())
    }

    /// The version, if it overlaps or continues the known one.
    fn connected(&self) -> Option<Version> {
        let epoch = self.candidates().into_iter().find(|epoch| self.continues(epoch, Gap::None));
        epoch.map(|epoch| self.received.in_epoch(epoch)).or_else(|| self.continues_unchanged(Gap::None))
    }

    /// The version in the epoch of another rendition, if viewers have played all of the known one.
    fn after_pause(&self, tier: &Tier) -> Option<Version> {
        self.is_played_out.then(|| self.received.in_epoch_of_renditions(tier)).flatten()
    }

    /// The version, if it is as far ahead of the known one as the elapsed time explains.
    fn after_gap(&self) -> Option<Version> {
        let [first, second] = self.candidates();
        if self.continues(first, Gap::Elapsed) {
            return Some(self.received.in_epoch(first));
        }
        // The numbers of a later epoch may fit by chance.
        if !self.is_other_epoch && self.continues(second, Gap::Elapsed) {
            return Some(self.received.in_epoch(second));
        }
        self.continues_unchanged(Gap::Elapsed)
    }

    /// The first version of a new epoch, if the encoder has restarted.
    fn restarted(&self, published_body: impl FnOnce() -> Option<Bytes>) -> Option<Version> {
        let numbered = self.likely_epoch().renumber(self.received.raw);
        if self.is_same_epoch
            || self.is_earlier_epoch()
            || !self.stream.has_restarted(&numbered, self.is_played_out)
        {
            return None;
        }
        let published_body = published_body().filter(|_| !self.is_played_out);
        let last_mark = self.published.numbering.epoch;
        let new_mark = Mark(seconds().max(last_mark.map_or(0, |mark| mark.0.saturating_add(1))));
        // An epoch that an upstream has marked keeps that mark.
        let mark = self.received.numbering.epoch.filter(|mark| Some(*mark) > last_mark).unwrap_or(new_mark);
        let Received { raw, numbering, .. } = *self.received;
        let epoch = Epoch::restarted(mark, &self.known, published_body.as_deref(), raw, numbering);
        Some(Version { starts_epoch: true, ..self.received.in_epoch(&epoch) })
    }

    /// The version that the stream has to judge: it lags behind, belongs to an earlier epoch, or reuses known
    /// numbers.
    fn unconnected(&self) -> Version {
        let Received { raw, numbering, .. } = *self.received;
        let epoch = self.likely_epoch();
        let is_ahead = !self.is_played_out && epoch.renumber(raw).media_sequence > self.known.next_sequence();
        // A playlist of the epoch before only looks ahead because it is shifted like one of this epoch: its
        // own numbers end before this epoch starts.
        let precedes_epoch =
            raw.next_sequence() <= self.published.numbering.added.saturating_sub(numbering.added);
        let version =
            if self.is_other_epoch { self.received.unchanged() } else { self.received.in_epoch(epoch) };
        Version { is_outdated: self.is_earlier_epoch() || (is_ahead && precedes_epoch), ..version }
    }

    /// The epoch by which a playlist is judged that continues the known one in no epoch.
    fn likely_epoch(&self) -> &Epoch {
        let declared_before = self.published.received.epoch.is_some();
        // A playlist without an epoch is not from the upstream of the last one, if that declared one.
        if self.received.numbering.epoch.is_none() && declared_before {
            &self.by_encoder
        } else {
            &self.by_shift
        }
    }

    /// Whether the playlist declares an epoch before the published one, which viewers still play.
    fn is_earlier_epoch(&self) -> bool {
        self.is_other_epoch
            && self.received.numbering.epoch < self.published.numbering.epoch
            && !self.is_played_out
    }
}

/// How many segments may be missing between the known version and one that continues it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Gap {
    None,
    /// As many as the time since the known version explains.
    Elapsed,
}

/// Whether a playlist overlaps the known one or starts where it ends.
const fn connects(known: &Media, media: &Media) -> bool {
    media.media_sequence <= known.next_sequence() && media.next_sequence() >= known.media_sequence
}

fn listed_duration(media: &Media) -> Duration {
    let durations = media.segments.iter().map(|segment| segment.duration);
    durations.fold(Duration::ZERO, Duration::saturating_add)
}

fn seconds() -> u64 {
    clock::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

impl Stream {
    /// The number that is added to the media sequence numbers of the last upstream.
    pub(super) fn shift(&self) -> i64 {
        self.published.lock().shift
    }

    /// Remembers the numbering in which `version` is published.
    pub(crate) fn set_numbering(&self, version: &Version) {
        self.timeline().set_encoder_zero(version.published.numbering.added);
        *self.published.lock() = version.published.clone();
    }

    /// Whether `media` continues the known version.
    fn continues(&self, known: &Media, media: &Media, gap: Gap) -> bool {
        let step = self.timeline().judge(media, self.now());
        let is_next = matches!(step, Step::Forward | Step::Unchanged | Step::Ended);
        let ahead = u32::try_from(media.next_sequence().saturating_sub(known.next_sequence()));
        let count = u32::try_from(known.segments.len()).unwrap_or(u32::MAX).max(1);
        let needed = (known.clamped_target_duration().min(listed_duration(known) / count) / 2)
            .saturating_mul(ahead.unwrap_or(u32::MAX));
        let is_explained =
            gap == Gap::Elapsed && needed <= self.time_since_change() + known.clamped_target_duration() * 2;
        is_next && (connects(known, media) || is_explained)
    }

    /// Whether viewers of the known version have played all of it.
    fn is_played_out(&self, known: &Media) -> bool {
        self.time_since_change() > listed_duration(known).saturating_add(known.clamped_target_duration() * 2)
    }

    /// The time since the playlist last moved, as seen here.
    pub(crate) fn time_since_change(&self) -> Duration {
        let moved = self.timeline().moved_at();
        moved.map_or(Duration::ZERO, |moved| self.now().saturating_sub(moved))
    }

    /// Whether `media` shows that the encoder has restarted. If the known version is played out and no
    /// follower runs, a playlist that is far behind is no lagging one.
    fn has_restarted(&self, media: &Media, is_played_out: bool) -> bool {
        let is_unwatched = is_played_out && self.wants_follower();
        let (timeline, now) = (self.timeline(), self.now());
        let is_far_behind =
            matches!(timeline.judge(media, now), Step::Backward { by } if by > RESET_SEGMENTS_MIN);
        let is_reset = timeline.detect_restart(media, now) == Some(Restart::SequenceReset);
        is_reset || (is_unwatched && is_far_behind)
    }
}
