//! An encoder restart is joined: the playlist is renumbered so that viewers see one stream.

use std::borrow::Cow;
use std::sync::Arc;

use super::mark::Mark;
use super::segment_state::SegmentState;
use super::splice::{OldSegment, Splice, discontinuity_after};
use crate::Media;
use crate::attributes;
use crate::lines::{Line, LineKind, line_break, lines};

/// How the numbers of a playlist came about. The default is the origin's own numbering.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Numbering {
    /// The epoch of the stream, if it is not the first known one.
    pub epoch: Option<Mark>,
    /// The number that was added to the origin's media sequence numbers.
    pub added: u64,
}

impl Numbering {
    /// The numbering that a playlist declares. Players do not know the tag and ignore it.
    pub fn of(playlist: &[u8]) -> Self {
        let received =
            lines(playlist).take_while(|line| line.kind() != LineKind::Uri).find(|line| line.name() == TAG);
        received.and_then(Self::parse).unwrap_or_default()
    }

    fn parse(line: Line<'_>) -> Option<Self> {
        let (_, list) = line.value()?;
        let text = |name| std::str::from_utf8(attributes::value(list, name)?).ok();
        let added = text(b"ADDED")?.parse().ok().filter(|added| *added <= ADDED_MAX)?;
        Some(Self { epoch: Some(Mark::parse(text(b"ID")?)?), added })
    }

    fn tag(self) -> Option<String> {
        Some(format!("#EXT-X-TIDEGATE-RUN:ID={},ADDED={}", self.epoch?.0, self.added))
    }
}

/// No encoder counts this far; a tag with a greater number is not one of ours.
const ADDED_MAX: u64 = 1 << 53;
const TAG: &[u8] = b"#EXT-X-TIDEGATE-RUN";

/// One epoch of a stream, from one encoder restart to the next. Numbers and names start over with each epoch,
/// and players must not see that.
///
/// From the second epoch on, playlists are rewritten to continue the old ones: with the last segments of the
/// old playlist first, a discontinuity between the two epochs (section 4.4.4.3), media and discontinuity
/// sequence numbers that only grow, and a [`Mark`] on the URIs, because the same names denote other objects
/// now, here and in players' own caches.
#[derive(Debug)]
pub struct Epoch {
    /// The numbering of the received playlist.
    received: Numbering,
    /// The numbering of the published playlist.
    numbering: Numbering,
    /// The difference of the two, for media sequence numbers.
    shift: i64,
    discontinuity_shift: i64,
    splice: Option<Arc<Splice>>,
    /// The mark for URIs without one.
    default_mark: Option<Mark>,
}

impl Epoch {
    /// Whether a playlist can be rewritten: with variables, the URIs are unknown.
    pub const fn can_rewrite(playlist: &Media) -> bool {
        !playlist.has_definitions
    }

    /// The same epoch as that of `known`, the last published version, whose numbering is `numbering`. `raw`
    /// is another version of it, received with the numbering `received`.
    pub fn continued(
        known: &Media,
        numbering: Numbering,
        splice: Option<Arc<Splice>>,
        raw: &Media,
        received: Numbering,
    ) -> Self {
        let shift = signed_difference(numbering.added, received.added);
        let first_sequence = raw.media_sequence.saturating_add_signed(shift);
        // The same segment has the same discontinuity number. If the two share no segment, one continues
        // where the other ends.
        let shared = known.segments.iter().find(|segment| segment.sequence >= first_sequence);
        let counts = shared.map_or((usize::MAX, 1), |segment| {
            let count =
                |first: u64| usize::try_from(segment.sequence.saturating_sub(first)).unwrap_or(usize::MAX);
            (count(known.first_listed()).saturating_add(1), count(first_sequence).saturating_add(1))
        });
        let discontinuity_shift =
            signed_difference(discontinuity_after(known, counts.0), discontinuity_after(raw, counts.1));
        let splice = splice.filter(|splice| splice.is_listed(raw, shift));
        let default_mark = numbering.epoch.filter(|_| received.epoch.is_none());
        Self { received, numbering, shift, discontinuity_shift, splice, default_mark }
    }

    /// For a playlist with marks of a later epoch: URIs without a mark belong to this epoch, because the
    /// upstream that sent the playlist does not know its mark.
    #[must_use]
    pub fn with_default_mark(self, mark: Option<Mark>) -> Self {
        Self { default_mark: self.default_mark.or(mark), ..self }
    }

    /// The epoch that begins with `raw` after that of `known`, the last published version. `published` are
    /// the bytes of `known`, if its segments are still worth listing.
    ///
    /// If the two cannot be joined, the numbers stay as received.
    pub fn restarted(
        mark: Mark,
        known: &Media,
        published: Option<&[u8]>,
        raw: &Media,
        received: Numbering,
    ) -> Self {
        let splice = Splice::between(published, known, raw);
        let splice = splice.filter(|splice| splice.first >= raw.media_sequence);
        let Some(splice) = splice else {
            let numbering = Numbering { epoch: Some(mark), ..received };
            let default_mark = received.epoch.is_none().then_some(mark);
            return Self {
                received,
                numbering,
                shift: 0,
                discontinuity_shift: 0,
                splice: None,
                default_mark,
            };
        };
        let shift = signed_difference(splice.first, raw.media_sequence);
        let starts_with_discontinuity = raw.segments.first().is_some_and(|first| first.is_discontinuity);
        let next = splice.discontinuity.saturating_add(u64::from(!starts_with_discontinuity));
        Self {
            received,
            numbering: Numbering { epoch: Some(mark), added: received.added.saturating_add_signed(shift) },
            shift,
            discontinuity_shift: signed_difference(next, raw.discontinuity_sequence),
            splice: Some(Arc::new(splice)),
            default_mark: received.epoch.is_none().then_some(mark),
        }
    }

    /// Whether the rewritten playlist would equal the received one.
    pub fn is_identity(&self) -> bool {
        self.received == self.numbering && self.default_mark.is_none()
    }

    /// The mark for URIs without one.
    pub const fn default_mark(&self) -> Option<Mark> {
        self.default_mark
    }

    /// The numbering of the received playlist.
    pub const fn received(&self) -> Numbering {
        self.received
    }

    /// The numbering of the published playlist.
    pub const fn numbering(&self) -> Numbering {
        self.numbering
    }

    /// The splice, which is needed as long as the epoch's first segment is listed.
    pub fn splice(&self) -> Option<Arc<Splice>> {
        self.splice.clone()
    }

    /// The number that is added to the media sequence numbers of the upstream.
    pub const fn shift(&self) -> i64 {
        self.shift
    }

    /// A version of this epoch with the published media sequence numbers, to be judged by a timeline. It
    /// lacks the old epoch's segments, and its URIs are as received.
    #[must_use]
    pub fn renumber<'a>(&self, raw: &'a Media) -> Cow<'a, Media> {
        if self.shift == 0 {
            return Cow::Borrowed(raw);
        }
        let mut media = raw.clone();
        media.media_sequence = media.media_sequence.saturating_add_signed(self.shift);
        for segment in &mut media.segments {
            segment.sequence = segment.sequence.saturating_add_signed(self.shift);
        }
        Cow::Owned(media)
    }

    /// Rewrites a version of this epoch. `raw` is the parsed `playlist`; `is_ours` decides whether the object
    /// of a URI is requested from this node.
    pub fn rewrite(&self, playlist: &[u8], raw: &Media, is_ours: impl Fn(&str) -> bool) -> Vec<u8> {
        if raw.segments.is_empty() && raw.next_parts.is_empty() {
            // An encoder that has not started.
            return playlist.to_vec();
        }
        let mut writer = Writer {
            epoch: self,
            raw,
            is_ours,
            out: Vec::with_capacity(playlist.len() * 2),
            line_break: line_break(playlist),
            state: SegmentState::default(),
            number: raw.media_sequence,
            has_begun: false,
            starts_in_clear: starts_in_clear(playlist),
        };
        for line in lines(playlist) {
            writer.line(line);
        }
        writer.out
    }

    /// The segments of the old epoch that are still listed.
    fn old_segments(&self, raw: &Media) -> &[OldSegment] {
        self.splice.as_ref().map_or(&[], |splice| splice.old_segments(raw, self.shift))
    }

    /// The URI with its published mark; `None` if it stays as received.
    fn marked(&self, uri: &str) -> Option<String> {
        let (Some(found), Some(mark)) = (Mark::of(uri), self.numbering.epoch) else {
            return Mark::of(uri).is_none().then_some(self.default_mark?.append_to(uri));
        };
        // A URI with another mark belongs to another epoch, which the upstream knows.
        (self.received.epoch == Some(found) && found != mark).then(|| mark.replace(found, uri))
    }
}

fn signed_difference(one: u64, other: u64) -> i64 {
    // Numbers reached by counting are far from the limits of the type.
    i64::try_from(i128::from(one) - i128::from(other)).unwrap_or(0)
}

/// Whether the first segment has no key.
fn starts_in_clear(playlist: &[u8]) -> bool {
    !lines(playlist).take_while(|line| line.kind() != LineKind::Uri).any(|line| line.kind() == LineKind::Key)
}

struct Writer<'a, F> {
    epoch: &'a Epoch,
    raw: &'a Media,
    is_ours: F,
    out: Vec<u8>,
    line_break: &'static [u8],
    state: SegmentState<'a>,
    /// The next segment's number, as received.
    number: u64,
    has_begun: bool,
    starts_in_clear: bool,
}

impl<'a, F: Fn(&str) -> bool> Writer<'a, F> {
    fn line(&mut self, line: Line<'a>) {
        let kind = line.kind();
        if kind.belongs_to_segment() && !self.has_begun {
            self.has_begun = true;
            self.begin();
        }
        match (kind, line.name()) {
            // They are written before the first segment.
            (_, b"#EXT-X-MEDIA-SEQUENCE" | b"#EXT-X-DISCONTINUITY-SEQUENCE" | TAG) => {}
            (_, b"#EXT-X-TARGETDURATION") => self.target(line),
            (LineKind::Uri, _) => {
                self.number_key();
                self.uri(line);
                self.number = self.number.saturating_add(1);
            }
            (LineKind::Key | LineKind::Map, _) => {
                // With more keys than any player knows, their implicit initialisation vectors stay as the
                // origin wrote them.
                let _known = self.state.apply(line);
                self.attribute(line);
            }
            (_, b"#EXT-X-PART" | b"#EXT-X-PRELOAD-HINT") => self.attribute(line),
            (_, b"#EXT-X-RENDITION-REPORT") => self.report(line),
            _ => self.out.extend_from_slice(line.raw),
        }
    }

    /// Writes the lines before the first segment.
    fn begin(&mut self) {
        let (epoch, old_segments) = (self.epoch, self.epoch.old_segments(self.raw));
        let splice = epoch.splice.as_ref().filter(|splice| splice.is_listed(self.raw, epoch.shift));
        if let Some(tag) = epoch.numbering.tag() {
            self.tag(&tag);
        }
        let first = self.number.saturating_add_signed(epoch.shift).saturating_sub(old_segments.len() as u64);
        self.tag(&format!("#EXT-X-MEDIA-SEQUENCE:{first}"));
        let discontinuity = match (old_segments.first(), splice) {
            (Some(old), _) => old.discontinuity_before,
            (None, Some(splice)) => splice.discontinuity,
            (None, None) => self.raw.discontinuity_sequence.saturating_add_signed(epoch.discontinuity_shift),
        };
        if discontinuity > 0 {
            self.tag(&format!("#EXT-X-DISCONTINUITY-SEQUENCE:{discontinuity}"));
        }
        for (index, old) in old_segments.iter().enumerate() {
            // The first listed segment may rely on lines that are no longer listed.
            let state = match (index, splice) {
                (0, Some(splice)) => splice.state_at(old_segments),
                _ => old.state.as_deref(),
            };
            self.lines(state.unwrap_or_default());
            self.lines(&old.lines);
        }
        if let Some(splice) = splice {
            if !self.raw.segments.first().is_some_and(|first| first.is_discontinuity) {
                self.tag("#EXT-X-DISCONTINUITY");
            }
            if splice.is_encrypted && self.starts_in_clear && !old_segments.is_empty() {
                self.tag("#EXT-X-KEY:METHOD=NONE");
            }
        }
    }

    /// The target duration must not be less than the longest listed segment.
    fn target(&mut self, line: Line<'a>) {
        let old_segments = self.epoch.old_segments(self.raw);
        let splice = self.epoch.splice.as_ref().filter(|_| !old_segments.is_empty());
        match splice.filter(|splice| splice.target > self.raw.target_duration) {
            Some(splice) => {
                let seconds = splice.target.as_secs() + u64::from(splice.target.subsec_nanos() > 0);
                self.tag(&format!("#EXT-X-TARGETDURATION:{seconds}"));
            }
            None => self.out.extend_from_slice(line.raw),
        }
    }

    /// A segment whose initialisation vector is its sequence number keeps the encoder's number for it.
    fn number_key(&mut self) {
        // If the upstream has renumbered the playlist, it has written the vectors already.
        let key = self.state.key_with_implicit_iv().filter(|_| self.epoch.shift != 0);
        if let Some(mut key) = key.map(|key| self.with_mark(key)) {
            key.truncate(key.trim_ascii_end().len());
            self.out.append(&mut key);
            self.tag(&format!(",IV=0x{:032x}", self.number));
        }
    }

    fn uri(&mut self, line: Line<'a>) {
        let uri = std::str::from_utf8(line.text()).ok().map(str::trim).filter(|uri| (self.is_ours)(uri));
        match uri.and_then(|uri| self.epoch.marked(uri)) {
            Some(marked) => {
                self.out.extend_from_slice(marked.as_bytes());
                self.out.extend_from_slice(line.raw.get(line.text().len()..).unwrap_or_default());
            }
            None => self.out.extend_from_slice(line.raw),
        }
    }

    /// The renditions of a stream have one numbering.
    fn report(&mut self, line: Line<'a>) {
        let number = line.value().and_then(|(start, list)| {
            let found = attributes::find(list, b"LAST-MSN")?;
            let number: u64 = std::str::from_utf8(list.get(found.clone())?).ok()?.trim().parse().ok()?;
            Some((start + found.start..start + found.end, number.saturating_add_signed(self.epoch.shift)))
        });
        let mut raw = line.raw.to_vec();
        if let Some((range, number)) = number {
            raw.splice(range, number.to_string().into_bytes());
        }
        self.out.append(&mut raw);
    }

    fn attribute(&mut self, line: Line<'a>) {
        let mut marked = self.with_mark(line);
        self.out.append(&mut marked);
    }

    /// The line with a mark on its URI, if the URI is ours.
    fn with_mark(&self, line: Line<'a>) -> Vec<u8> {
        let mut raw = line.raw.to_vec();
        let marked = line.value().and_then(|(start, list)| {
            let found = attributes::find(list, b"URI")?;
            let quoted = std::str::from_utf8(list.get(found.clone())?).ok()?;
            // An unquoted value is invalid, and stays unchanged.
            let uri = quoted.trim().strip_prefix('"')?.strip_suffix('"').filter(|uri| !uri.contains('"'))?;
            let marked = self.epoch.marked(uri).filter(|_| (self.is_ours)(uri))?;
            Some((start + found.start..start + found.end, marked))
        });
        if let Some((range, marked)) = marked {
            raw.splice(range, format!("\"{marked}\"").into_bytes());
        }
        raw
    }

    /// Writes lines; the last one may lack its line break.
    fn lines(&mut self, lines: &[u8]) {
        self.out.extend_from_slice(lines);
        if !lines.is_empty() && !lines.ends_with(b"\n") && !lines.ends_with(b"\r") {
            self.out.extend_from_slice(self.line_break);
        }
    }

    fn tag(&mut self, tag: &str) {
        self.out.extend_from_slice(tag.as_bytes());
        self.out.extend_from_slice(self.line_break);
    }
}
