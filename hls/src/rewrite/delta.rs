//! Delta updates: the playlist without the segments that its reader has already (sections 4.4.5.2 and
//! 6.2.5.1).

use std::sync::Arc;

use super::segment_state::SegmentState;
use crate::Media;
use crate::attributes;
use crate::lines::{Line, LineKind, line_break, lines};

/// The delta update of a full playlist; `None` if the full one has to be sent.
///
/// `media` is the parsed `full`. There is no delta update if the playlist does not offer one
/// (CAN-SKIP-UNTIL), has ended, is a delta update itself, has no segment that is old enough, or numbers that
/// cannot be read: a client could not tell which segments are left out.
///
/// The keys and the initialisation section in effect after the skipped segments are repeated there. A client
/// that merges knows them and reads the same twice; a client that does not would continue without them.
///
/// Date ranges always stay. Where the playlist has CAN-SKIP-DATERANGES, a client may have requested an update
/// without the older ones (`v2`). It keeps those that it knows, so the update names those that were removed
/// lately: `removed_dateranges` are their identifiers.
pub fn delta(full: &[u8], media: &Media, removed_dateranges: &[Arc<str>]) -> Option<Vec<u8>> {
    if media.is_ended() || media.skipped > 0 || !media.is_numbered() {
        return None;
    }
    let scan = Scan::of(full, skippable(media)?);
    if scan.skipped == 0 {
        return None;
    }
    let mut writer = Writer {
        out: Vec::with_capacity(full.len()),
        line_break: line_break(full),
        skipped: scan.skipped,
        removed_dateranges: media.server_control.can_skip_dateranges.then_some(removed_dateranges),
        phase: Phase::Head,
        state: SegmentState::default(),
    };
    let mut needs_version = !scan.has_version;
    for line in lines(full) {
        writer.line(line)?;
        if needs_version && line.is_header() {
            needs_version = false;
            writer.version();
        }
    }
    Some(writer.out)
}

/// The identifiers of the date ranges of a playlist (EXT-X-DATERANGE).
pub fn daterange_ids(playlist: &[u8]) -> impl Iterator<Item = &str> {
    let dateranges = lines(playlist).filter(|line| line.name() == DATERANGE);
    dateranges.filter_map(|line| std::str::from_utf8(attributes::value(line.value()?.1, b"ID")?).ok())
}

const DATERANGE: &[u8] = b"#EXT-X-DATERANGE";

/// How many segments are entirely older than the skip boundary.
fn skippable(media: &Media) -> Option<usize> {
    let boundary = media.server_control.can_skip_until?;
    let mut newer_duration = std::time::Duration::ZERO;
    for (index, segment) in media.segments.iter().enumerate().rev() {
        if newer_duration >= boundary {
            return Some(index + 1);
        }
        newer_duration = newer_duration.saturating_add(segment.duration);
    }
    None
}

/// Facts about the whole playlist that are needed before the first line is written.
struct Scan {
    skipped: usize,
    has_version: bool,
}

impl Scan {
    /// A byte range without an offset continues where the segment before it ended (section 4.4.4.2), so the
    /// list must not resume at such a segment: fewer segments are skipped.
    fn of(full: &[u8], skipped_max: usize) -> Self {
        let mut scan = Self { skipped: 0, has_version: false };
        let (mut segments, mut continues_range) = (0, false);
        for line in lines(full) {
            match line.kind() {
                LineKind::Version => scan.has_version = true,
                LineKind::ByteRange => continues_range = !line.text().contains(&b'@'),
                LineKind::Uri => {
                    if !std::mem::take(&mut continues_range) && segments <= skipped_max {
                        scan.skipped = segments;
                    }
                    segments += 1;
                }
                _ => {}
            }
        }
        // Only the segment in progress can continue the last segment's range.
        if segments <= skipped_max { Self { skipped: 0, ..scan } } else { scan }
    }
}

struct Writer<'a> {
    out: Vec<u8>,
    line_break: &'static [u8],
    skipped: usize,
    /// Listed only if the playlist has CAN-SKIP-DATERANGES.
    removed_dateranges: Option<&'a [Arc<str>]>,
    phase: Phase,
    state: SegmentState<'a>,
}

enum Phase {
    /// Before the first line of a segment.
    Head,
    /// Among skipped segments; the number of those so far.
    Skipping(usize),
    /// After them.
    Tail,
}

impl<'a> Writer<'a> {
    fn line(&mut self, line: Line<'a>) -> Option<()> {
        let kind = line.kind();
        if matches!(self.phase, Phase::Head) && kind.belongs_to_segment() {
            let removed = self.removed_dateranges.map(|removed| removed.join("\t"));
            let removed = removed.map(|removed| format!(",RECENTLY-REMOVED-DATERANGES=\"{removed}\""));
            let tag = format!("#EXT-X-SKIP:SKIPPED-SEGMENTS={}{}", self.skipped, removed.unwrap_or_default());
            self.push(tag.as_bytes());
            self.phase = Phase::Skipping(0);
        }
        match (&mut self.phase, kind) {
            (_, LineKind::Version) if version(line) < VERSION => self.version(),
            (Phase::Head | Phase::Tail, _) | (_, LineKind::Version | LineKind::Playlist) => {
                self.out.extend_from_slice(line.raw);
            }
            (Phase::Skipping(_), LineKind::Key | LineKind::Map) => self.state.apply(line)?,
            (Phase::Skipping(skipped_so_far), LineKind::Uri) => {
                *skipped_so_far += 1;
                if *skipped_so_far == self.skipped {
                    self.phase = Phase::Tail;
                    for line in std::mem::take(&mut self.state).lines() {
                        self.out.extend_from_slice(line.raw);
                    }
                }
            }
            (
                Phase::Skipping(_),
                LineKind::ByteRange
                | LineKind::Segment
                | LineKind::Multivariant
                | LineKind::VariantUri
                | LineKind::Other,
            ) => {}
        }
        Some(())
    }

    /// Section 8: EXT-X-SKIP needs version 9.
    fn version(&mut self) {
        let tag = format!("#EXT-X-VERSION:{VERSION}");
        self.push(tag.as_bytes());
    }

    fn push(&mut self, tag: &[u8]) {
        self.out.extend_from_slice(tag);
        self.out.extend_from_slice(self.line_break);
    }
}

fn version(line: Line<'_>) -> u64 {
    let value = line.value().and_then(|(_, value)| std::str::from_utf8(value).ok());
    value.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
}

const VERSION: u64 = 9;
