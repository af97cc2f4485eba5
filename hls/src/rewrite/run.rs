//! A stream that has begun anew, told on in the numbers of what players have had of it.

use super::attributes;
use super::joint::{Joint, Old, discontinuities};
use super::lines::{Line, Sort, line_break, lines};
use super::mark::Mark;
use super::state::State;
use crate::Media;

/// One life of an encoder, from the second on: numbers and names begin anew with it, and players must not see that.
///
/// Its lists are written so that they go on where the old ones ended: with what is left of the old list before them,
/// a discontinuity between the two (section 4.4.4.3), media and discontinuity sequence numbers that only grow, and a
/// [`Mark`] on every URI, because the same names stand for other objects now, here and in players' own caches.
#[derive(Debug)]
pub struct Run {
    mark: Mark,
    /// Added to the discontinuity sequence numbers.
    discontinuities: i64,
    joint: Option<Joint>,
}

impl Run {
    /// The run that begins with `new`, after an old one of which `published`, that is `old`, was given out last.
    ///
    /// Where the two cannot be [joined](Self::is_joined) the numbers stay the origin's.
    pub fn after(published: &[u8], old: &Media, new: &Media) -> Self {
        let number = mark(old).map_or(0, |mark| mark.number).saturating_add(1);
        let apart = old.next_sequence().checked_sub(new.media_sequence);
        match apart.and_then(|added| Some((added, Joint::between(published, old, new)?))) {
            Some((added, joint)) => {
                let begins_apart = new.segments.first().is_some_and(|first| first.is_discontinuity);
                let next = joint.discontinuity.saturating_add(u64::from(!begins_apart));
                let discontinuities = difference(next, new.discontinuity_sequence);
                Self { mark: Mark { number, added }, discontinuities, joint: Some(joint) }
            }
            None => Self { mark: Mark { number, added: 0 }, discontinuities: 0, joint: None },
        }
    }

    /// The run that a list belongs to which bears no marks, where `published`, of the same rendition or of another one,
    /// is of a run: whoever sent the list has not seen that run begin. `None` if `published` bears no marks, or `raw`
    /// does.
    pub fn found(published: &Media, raw: &Media) -> Option<Self> {
        let (Some(mark), None) = (mark(published), mark(raw)) else { return None };
        let run = |discontinuities| Self { mark, discontinuities, joint: None };
        let place = raw.media_sequence.saturating_add(mark.added);
        let same = published.segments.iter().position(|segment| segment.sequence >= place);
        let count = |found: usize| {
            let sequence = published.media_sequence.saturating_add(found as u64);
            let ours = usize::try_from(sequence.saturating_sub(place)).unwrap_or(usize::MAX);
            difference(discontinuities(published, found + 1), discontinuities(raw, ours.saturating_add(1)))
        };
        let end = || difference(discontinuities(published, usize::MAX), discontinuities(raw, 1));
        Some(run(same.map_or_else(end, count)))
    }

    /// Are its numbers those of what was there before?
    pub const fn is_joined(&self) -> bool {
        self.mark.added > 0
    }

    /// What is added to the origin's media sequence numbers.
    pub const fn added(&self) -> u64 {
        self.mark.added
    }

    /// A list of this run with the numbers that are given out, to be judged; what is left of an older run is not in
    /// it, and URIs bear no marks.
    #[must_use]
    pub fn numbered(&self, raw: &Media) -> Media {
        let mut media = raw.clone();
        media.media_sequence = media.media_sequence.saturating_add(self.mark.added);
        for segment in &mut media.segments {
            segment.sequence = segment.sequence.saturating_add(self.mark.added);
        }
        media
    }

    /// A list of this run as it is given out. `raw` is what `playlist` says; `is_ours` tells of a URI whether it is
    /// asked for here.
    pub fn write(&self, playlist: &[u8], raw: &Media, is_ours: impl Fn(&str) -> bool) -> Vec<u8> {
        if raw.segments.is_empty() {
            // An encoder that has not begun: nothing of it is given out.
            return playlist.to_vec();
        }
        let mut writer = Writer {
            run: self,
            raw,
            is_ours,
            out: Vec::with_capacity(playlist.len() * 2),
            line_break: line_break(playlist),
            state: State::default(),
            number: raw.media_sequence.saturating_add(self.mark.added),
            has_begun: false,
            starts_in_clear: starts_in_clear(playlist),
        };
        for line in lines(playlist) {
            writer.line(line);
        }
        writer.out
    }

    fn before(&self, raw: &Media) -> &[Old] {
        self.joint.as_ref().map_or(&[], |joint| joint.before(raw))
    }
}

fn mark(media: &Media) -> Option<Mark> {
    media.segments.last()?.uri.as_deref().and_then(Mark::of)
}

fn difference(one: u64, other: u64) -> i64 {
    // Numbers that a list can reach by counting are far from the bounds.
    i64::try_from(i128::from(one) - i128::from(other)).unwrap_or(0)
}

/// Does the first segment come without a key?
fn starts_in_clear(playlist: &[u8]) -> bool {
    let until_first = lines(playlist).take_while(|line| line.sort() != Sort::Uri);
    !until_first.into_iter().any(|line| line.sort() == Sort::Key)
}

struct Writer<'a, F> {
    run: &'a Run,
    raw: &'a Media,
    is_ours: F,
    out: Vec<u8>,
    line_break: &'static [u8],
    state: State<'a>,
    /// The next segment's number.
    number: u64,
    has_begun: bool,
    starts_in_clear: bool,
}

impl<'a, F: Fn(&str) -> bool> Writer<'a, F> {
    fn line(&mut self, line: Line<'a>) {
        let sort = line.sort();
        let is_of_list = matches!(sort, Sort::Uri | Sort::Key | Sort::Map | Sort::ByteRange | Sort::Segment);
        if is_of_list && !self.has_begun {
            self.has_begun = true;
            self.begin();
        }
        match (sort, line.name()) {
            // They stand where the list begins.
            (_, b"#EXT-X-MEDIA-SEQUENCE" | b"#EXT-X-DISCONTINUITY-SEQUENCE") => {}
            (_, b"#EXT-X-TARGETDURATION") => self.target(line),
            (Sort::Uri, _) => {
                self.number_key();
                self.uri(line);
                self.number = self.number.saturating_add(1);
            }
            (Sort::Key | Sort::Map, _) => {
                // With more keys than any player knows, theirs are as the origin wrote them.
                let _known = if sort == Sort::Key { self.state.key(line) } else { self.state.map(line) };
                self.attribute(line);
            }
            (_, b"#EXT-X-PART" | b"#EXT-X-PRELOAD-HINT") => self.attribute(line),
            _ => self.out.extend_from_slice(line.raw),
        }
    }

    /// What stands before the segments.
    fn begin(&mut self) {
        let before = self.run.before(self.raw);
        let joint = self.run.joint.as_ref().filter(|joint| joint.is_listed(self.raw));
        let first = self.number.saturating_sub(before.len() as u64);
        self.tag(&format!("#EXT-X-MEDIA-SEQUENCE:{first}"));
        let discontinuity = match (before.first(), joint) {
            (Some(old), _) => old.discontinuity_before,
            (None, Some(joint)) => joint.discontinuity,
            (None, None) => self.raw.discontinuity_sequence.saturating_add_signed(self.run.discontinuities),
        };
        if discontinuity > 0 {
            self.tag(&format!("#EXT-X-DISCONTINUITY-SEQUENCE:{discontinuity}"));
        }
        let mut state: &[u8] = &[];
        for old in before {
            if old.state != state {
                state = &old.state;
                self.lines(state);
            }
            self.lines(&old.lines);
        }
        if let Some(joint) = joint {
            if !self.raw.segments.first().is_some_and(|first| first.is_discontinuity) {
                self.tag("#EXT-X-DISCONTINUITY");
            }
            if joint.is_encrypted && self.starts_in_clear && !before.is_empty() {
                self.tag("#EXT-X-KEY:METHOD=NONE");
            }
        }
    }

    /// A list must not say less than its longest segment.
    fn target(&mut self, line: Line<'a>) {
        let before = self.run.before(self.raw);
        let joint = self.run.joint.as_ref().filter(|_| !before.is_empty());
        match joint.filter(|joint| joint.target > self.raw.target_duration) {
            Some(joint) => self.tag(&format!("#EXT-X-TARGETDURATION:{}", joint.target.as_secs())),
            None => self.out.extend_from_slice(line.raw),
        }
    }

    /// A segment whose number is its initialisation vector keeps the origin's number as that.
    fn number_key(&mut self) {
        let own = self.number.saturating_sub(self.run.mark.added);
        let key = self.state.key_by_number().filter(|_| self.run.is_joined());
        if let Some(mark) = key.map(|key| self.marked(key, b"URI")) {
            self.out.extend_from_slice(mark.trim_ascii_end());
            self.tag(&format!(",IV=0x{own:032x}"));
        }
    }

    fn uri(&mut self, line: Line<'a>) {
        let marked = std::str::from_utf8(line.text()).ok().filter(|uri| self.is_marked(uri));
        match marked {
            Some(uri) => {
                self.out.extend_from_slice(self.run.mark.put_on(uri.trim_end()).as_bytes());
                self.out.extend_from_slice(line.raw.get(line.text().len()..).unwrap_or_default());
            }
            None => self.out.extend_from_slice(line.raw),
        }
    }

    fn attribute(&mut self, line: Line<'a>) {
        let marked = self.marked(line, b"URI");
        self.out.extend_from_slice(&marked);
    }

    /// The line with a mark on this attribute, where it is a URI of ours.
    fn marked(&self, line: Line<'a>, name: &[u8]) -> Vec<u8> {
        let mut raw = line.raw.to_vec();
        let place = line.value().and_then(|(start, list)| {
            let found = attributes::find(list, name)?;
            let quoted = std::str::from_utf8(list.get(found.clone())?).ok()?;
            // What is not a quoted string is wrong, and stays so.
            let uri = quoted.trim().strip_prefix('"')?.strip_suffix('"').filter(|uri| !uri.contains('"'))?;
            Some((start + found.start..start + found.end, uri))
        });
        if let Some((place, uri)) = place.filter(|(_, uri)| self.is_marked(uri)) {
            raw.splice(place, format!("\"{}\"", self.run.mark.put_on(uri)).into_bytes());
        }
        raw
    }

    /// A variable may stand for another host.
    fn is_marked(&self, uri: &str) -> bool {
        !uri.contains("{$") && (self.is_ours)(uri)
    }

    /// Lines that may lack the line break of the last one.
    fn lines(&mut self, lines: &[u8]) {
        self.out.extend_from_slice(lines);
        if !lines.is_empty() && !lines.ends_with(b"\n") {
            self.out.extend_from_slice(self.line_break);
        }
    }

    fn tag(&mut self, tag: &str) {
        self.out.extend_from_slice(tag.as_bytes());
        self.out.extend_from_slice(self.line_break);
    }
}
