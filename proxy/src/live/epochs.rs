//! Streams that begin anew: told on in the numbers that viewers know.
//!
//! Whoever sees an encoder begin anew goes on in the numbers of what it gave out last (`tidegate_hls::Epoch`). Its lists say
//! what was added to the encoder's own numbers, so that whoever asks it, and asks another one later that was started
//! since or has seen less, knows what is the same segment in both, and goes on in the numbers that it has given out.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tidegate_hls::{Epoch, Mark, Media, Numbering, Playlist, RESET_SEGMENTS_MIN, Restart, Step};

use super::numbering::{Published, Version};
use super::stream::Stream;
use crate::clock;
use crate::request::parsed::Request;
use crate::tier::Tier;

/// How far ahead a list may be that has nothing in common with what is known.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leap {
    /// Not at all.
    None,
    /// As far as the time since then explains.
    Explained,
}

/// Makes of a version what is given out of it. `last_body` is what was given out last, if it is held.
pub(crate) fn version(
    tier: &Tier,
    request: &Request,
    stream: &Stream,
    raw: &Media,
    body: &Bytes,
    last_body: impl FnOnce() -> Option<Bytes>,
) -> Version {
    let received = Numbering::of(body);
    let as_it_came = || as_it_came(raw, body, received);
    if !request.site.query.marks || !Epoch::can_rewrite(body) {
        return as_it_came();
    }
    let told_on = |epoch: &Epoch| written(request, raw, body, epoch).unwrap_or_else(as_it_came);
    let Some(known) = stream.media() else {
        return of_siblings(tier, request, raw, received).map_or_else(as_it_came, |epoch| told_on(&epoch));
    };
    let published = stream.published.lock().clone();
    // Whoever was asked last goes on in its own row of numbers ...
    let row =
        Epoch::continued(&known, published.continued(received), published.splice.clone(), raw, received);
    let row = row.with_default_mark(published.unmarked.filter(|_| received.epoch.is_some()));
    // ... or another one has the same run in numbers of its own.
    let same = Epoch::continued(&known, published.numbering, published.splice.clone(), raw, received);
    let is_same_run = received.epoch.is_some() && received.epoch == published.numbering.epoch;
    let (first, second) = if is_same_run { (&same, &row) } else { (&row, &same) };
    let goes_on = |epoch: &Epoch, leap| stream.goes_on_with(&known, &epoch.renumber(raw), leap);
    if let Some(epoch) = [first, second].into_iter().find(|epoch| goes_on(epoch, Leap::None)) {
        return told_on(epoch);
    }
    if stream.goes_on_with(&known, raw, Leap::None) {
        return as_it_came();
    }
    let is_over = stream.is_over(&known);
    if is_over && let Some(epoch) = of_siblings(tier, request, raw, received) {
        return told_on(&epoch);
    }
    if goes_on(first, Leap::Explained) {
        return told_on(first);
    }
    // A later run may only look like the one that is known.
    let is_another = received.epoch.is_some() && !is_same_run;
    if !is_another && goes_on(second, Leap::Explained) {
        return told_on(second);
    }
    if stream.goes_on_with(&known, raw, Leap::Explained) {
        return as_it_came();
    }
    // Who knows nothing of any run is not the one that was asked last.
    let judged = if received.epoch.is_none() && published.received.epoch.is_some() { &same } else { &row };
    let numbered = judged.renumber(raw);
    let is_earlier = is_another && received.epoch < published.numbering.epoch && !is_over;
    if !is_same_run && !is_earlier && stream.begins_anew(&numbered, is_over) {
        let last_body = last_body().filter(|_| !is_over);
        let now = Mark(seconds().max(published.numbering.epoch.map_or(0, |mark| mark.0.saturating_add(1))));
        // A run that others have marked already keeps its mark.
        let mark = received.epoch.filter(|mark| Some(*mark) > published.numbering.epoch).unwrap_or(now);
        let epoch = Epoch::restarted(mark, &known, last_body.as_deref(), raw, received);
        return Version { begins: true, ..told_on(&epoch) };
    }
    // What the run before had would be a leap in this one.
    let is_leap = !is_over && numbered.media_sequence > known.next_sequence();
    let is_of_before = raw.next_sequence() <= published.numbering.added.saturating_sub(received.added);
    let version = if is_another { as_it_came() } else { told_on(judged) };
    Version { is_old: is_earlier || (is_leap && is_of_before), ..version }
}

fn as_it_came(raw: &Media, body: &Bytes, received: Numbering) -> Version {
    let published = Published { numbering: received, received, ..Published::default() };
    Version {
        media: raw.clone(),
        body: body.clone(),
        published,
        is_altered: false,
        begins: false,
        is_old: false,
    }
}

/// `None` if there is nothing to write, or if what was written cannot be read, which would be a fault of ours.
fn written(request: &Request, raw: &Media, body: &Bytes, epoch: &Epoch) -> Option<Version> {
    if epoch.is_identity() {
        return None;
    }
    let is_ours = |uri: &str| request.resource.resolve(uri, &request.site.query).is_some();
    let body = Bytes::from(epoch.rewrite(body, raw, is_ours));
    let published = Published {
        numbering: epoch.numbering(),
        received: epoch.received(),
        shift: epoch.shift(),
        splice: epoch.splice(),
        unmarked: epoch.default_mark(),
    };
    match Playlist::parse(&body) {
        Ok(Playlist::Media(media)) => {
            Some(Version { media, body, published, is_altered: true, begins: false, is_old: false })
        }
        Ok(Playlist::Multivariant(_)) | Err(_) => None,
    }
}

/// The run of the other renditions, if they are about as far as this would be in it.
fn of_siblings(tier: &Tier, request: &Request, raw: &Media, received: Numbering) -> Option<Epoch> {
    let siblings = tier.streams().renditions.of(&request.key)?;
    let others = siblings.iter().filter(|sibling| **sibling != request.key);
    others.filter_map(|sibling| tier.streams().of(sibling)).find_map(|sibling| {
        let known = sibling.media().filter(|known| !sibling.is_over(known))?;
        let published = sibling.published.lock().clone();
        let epoch = Epoch::continued(&known, published.numbering, None, raw, received);
        let next = raw.next_sequence().saturating_add_signed(epoch.shift());
        (next.abs_diff(known.next_sequence()) <= APART_MAX).then_some(epoch)
    })
}

/// Renditions of one stream are made together; so many segments may lie between the moments when they were asked for.
const APART_MAX: u64 = 3;

/// Does a list go on where another one ends, or lie within it?
const fn connects(known: &Media, media: &Media) -> bool {
    media.media_sequence <= known.next_sequence() && media.next_sequence() >= known.media_sequence
}

fn listed(media: &Media) -> Duration {
    let durations = media.segments.iter().map(|segment| segment.duration);
    durations.fold(Duration::ZERO, Duration::saturating_add)
}

fn seconds() -> u64 {
    clock::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

impl Stream {
    /// What is added to the numbers of whoever is asked.
    pub(super) fn shift(&self) -> i64 {
        self.published.lock().shift
    }

    /// From now on it is given out in these numbers.
    pub(crate) fn set_published(&self, version: &Version) {
        self.timeline().set_encoder_zero(version.published.numbering.added);
        *self.published.lock() = version.published.clone();
    }

    /// Is this the stream that is known, as far as it can be by now?
    fn goes_on_with(&self, known: &Media, media: &Media, leap: Leap) -> bool {
        let step = self.timeline().judge(media, self.now());
        let is_one = matches!(step, Step::Forward | Step::Unchanged | Step::Ended);
        let ahead = u32::try_from(media.next_sequence().saturating_sub(known.next_sequence()));
        let count = u32::try_from(known.segments.len()).unwrap_or(u32::MAX).max(1);
        let takes = (known.clamped_target_duration().min(listed(known) / count) / 2)
            .saturating_mul(ahead.unwrap_or(u32::MAX));
        let is_explained =
            leap == Leap::Explained && takes <= self.stood_still_for() + known.clamped_target_duration() * 2;
        is_one && (connects(known, media) || is_explained)
    }

    /// Has whoever watched what is known come to its end?
    fn is_over(&self, known: &Media) -> bool {
        self.stood_still_for() > listed(known).saturating_add(known.clamped_target_duration() * 2)
    }

    fn stood_still_for(&self) -> Duration {
        let moved = self.timeline().moved_at();
        moved.map_or(Duration::ZERO, |moved| self.now().saturating_sub(moved))
    }

    /// Has its encoder begun anew? If nobody has watched for long, whatever is far behind is not one that lags: `is_over`.
    fn begins_anew(&self, media: &Media, is_over: bool) -> bool {
        let is_deserted = is_over && self.wants_follower();
        let (timeline, now) = (self.timeline(), self.now());
        let is_far_behind =
            matches!(timeline.judge(media, now), Step::Backward { by } if by > RESET_SEGMENTS_MIN);
        let is_reset = timeline.detect_restart(media, now) == Some(Restart::SequenceReset);
        is_reset || (is_deserted && is_far_behind)
    }
}
