//! The state from one segment to the next: keys and the initialisation section.

use crate::attributes;
use crate::lines::{Line, LineKind};

/// The keys and the initialisation section of the segments that follow, in the lines that set them.
#[derive(Debug, Default)]
pub(super) struct SegmentState<'a> {
    /// The keys that apply to the initialisation section (section 4.4.4.5: those before it).
    keys_of_map: Vec<Line<'a>>,
    map: Option<Line<'a>>,
    /// The keys since then.
    keys: Vec<Line<'a>>,
}

impl<'a> SegmentState<'a> {
    /// Applies a line to the state; `None` if there are more keys than any player understands.
    pub(super) fn apply(&mut self, line: Line<'a>) -> Option<()> {
        match line.kind() {
            LineKind::Key => self.key(line),
            LineKind::Map => self.map(line),
            _ => Some(()),
        }
    }

    fn key(&mut self, line: Line<'a>) -> Option<()> {
        replace_key(&mut self.keys, line)
    }

    fn map(&mut self, line: Line<'a>) -> Option<()> {
        self.map = Some(line);
        let keys = std::mem::take(&mut self.keys);
        keys.into_iter().try_for_each(|key| replace_key(&mut self.keys_of_map, key))
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = Line<'a>> {
        self.keys_of_map.iter().chain(&self.map).chain(&self.keys).copied()
    }

    /// Whether the segments that follow are encrypted.
    pub(super) fn encrypts(&self) -> bool {
        self.lines().any(|line| line.kind() == LineKind::Key && !ends_encryption(line))
    }

    /// The key whose initialisation vector is the segment's number (section 4.4.4.4: without an IV).
    pub(super) fn key_with_implicit_iv(&self) -> Option<Line<'a>> {
        let counts = |line: &Line<'a>| line.kind() == LineKind::Key && format_of(*line) == IDENTITY;
        let key = self.lines().filter(counts).last()?;
        (!ends_encryption(key) && attribute(key, b"IV").is_none()).then_some(key)
    }
}

/// Section 4.4.4.4: a key applies until the next one of its KEYFORMAT; METHOD=NONE ends them all. With more
/// formats than any player knows, comparing each with each would cost too much: there is no delta update
/// then.
fn replace_key<'a>(keys: &mut Vec<Line<'a>>, line: Line<'a>) -> Option<()> {
    if ends_encryption(line) {
        keys.clear();
    } else {
        keys.retain(|key| ends_encryption(*key) || format_of(*key) != format_of(line));
    }
    keys.push(line);
    (keys.len() <= KEYS_MAX).then_some(())
}

fn attribute<'a>(line: Line<'a>, name: &[u8]) -> Option<&'a [u8]> {
    line.value().and_then(|(_, list)| attributes::value(list, name))
}

fn ends_encryption(line: Line<'_>) -> bool {
    attribute(line, b"METHOD") == Some(b"NONE")
}

fn format_of(line: Line<'_>) -> &[u8] {
    attribute(line, b"KEYFORMAT").unwrap_or(IDENTITY)
}

const IDENTITY: &[u8] = b"identity";
/// More formats than any player knows.
const KEYS_MAX: usize = 16;
