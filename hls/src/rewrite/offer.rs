//! Offers features in a playlist that this node supports and its origin does not (section 4.4.3.8).

use std::ops::Range;
use std::time::Duration;

use crate::Media;
use crate::attributes;
use crate::lines::{Line, line_break, lines};

/// The features that are offered in the origin's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Offer {
    /// Blocking reload.
    BlockingReload,
    /// Delta updates.
    DeltaUpdates,
    /// Both.
    Both,
}

/// The playlist with the offer in its EXT-X-SERVER-CONTROL, which is added if it is missing. The origin's own
/// offers stay. A playlist that has ended stays as it is, since it is never reloaded; so does one whose
/// numbers cannot be read, since no request could name its next version.
///
/// `media` is the parsed `playlist`.
pub fn offer(playlist: &[u8], media: &Media, offer: Offer) -> Vec<u8> {
    let wanted = wanted(media, offer);
    if media.is_ended() || !media.is_numbered() || wanted.is_empty() {
        return playlist.to_vec();
    }
    let mut out = Vec::with_capacity(playlist.len() + NEW_BYTES_MAX);
    let mut controls = media.server_controls;
    let mut is_first = true;
    let mut lines = lines(playlist);
    while let Some(line) = lines.next() {
        // Without a target duration, the tag follows the first line that is not blank.
        let is_place = if media.has_target {
            line.name() == TARGET
        } else {
            !line.text().trim_ascii().is_empty() && std::mem::take(&mut is_first)
        };
        let is_control = line.name() == CONTROL;
        if is_control {
            amend(&mut out, line, &wanted);
            controls = controls.saturating_sub(1);
        } else {
            out.extend_from_slice(line.raw);
            if is_place && media.server_controls == 0 {
                insert(&mut out, line, line_break(playlist), &wanted);
            }
        }
        // A day of segments follows.
        if controls == 0 && (is_control || is_place) {
            out.extend_from_slice(lines.rest());
            break;
        }
    }
    out
}

type Attribute = (&'static str, String);

/// The attributes that the tag lacks.
fn wanted(media: &Media, offer: Offer) -> Vec<Attribute> {
    let control = &media.server_control;
    let mut wanted: Vec<Attribute> = Vec::new();
    if matches!(offer, Offer::BlockingReload | Offer::Both) && !control.can_block_reload {
        wanted.push(("CAN-BLOCK-RELOAD", "YES".to_owned()));
    }
    if matches!(offer, Offer::DeltaUpdates | Offer::Both) && control.can_skip_until.is_none() {
        // At least six target durations.
        wanted.push(("CAN-SKIP-UNTIL", seconds(media.clamped_target_duration() * 6)));
    }
    if wanted.is_empty() {
        return wanted;
    }
    // At least three target durations. A lower value was invalid before; with the offer, players act on it.
    if control.hold_back.is_some_and(|hold_back| hold_back < media.target_duration * 3) {
        wanted.push(("HOLD-BACK", seconds(media.target_duration * 3)));
    }
    // Required if there are parts; three part targets are recommended.
    if let (Some(target), None) = (media.part_target, control.part_hold_back) {
        wanted.push(("PART-HOLD-BACK", seconds(target.saturating_mul(3))));
    }
    wanted
}

/// Replaces the present attributes and adds the others.
fn amend(out: &mut Vec<u8>, line: Line<'_>, wanted: &[Attribute]) {
    let text = line.text();
    let (mut tag, start) = match line.value() {
        Some((start, _)) => (text.to_vec(), start),
        None => ([CONTROL, b":"].concat(), CONTROL.len() + 1),
    };
    for (name, value) in wanted {
        let list = tag.get(start..).unwrap_or_default();
        if let Some(place) =
            attributes::find(list, name.as_bytes()).filter(|place| is_plain(list, place, name))
        {
            tag.splice(start + place.start..start + place.end, value.bytes());
        } else {
            // Behind an open quote, the attribute would be part of a value.
            let quote = if attributes::has_open_quote(list) { "\"" } else { "" };
            let comma = if list.trim_ascii().is_empty() { "" } else { "," };
            tag.extend_from_slice(format!("{quote}{comma}{name}={value}").as_bytes());
        }
    }
    out.append(&mut tag);
    out.extend_from_slice(line.raw.get(text.len()..).unwrap_or_default());
}

/// Whether the name before a value has no blanks around it, which are invalid. Some players ignore the
/// blanks, others the attribute: a repeated attribute at the end counts for both.
fn is_plain(list: &[u8], value: &Range<usize>, name: &str) -> bool {
    let before = list.get(..value.start).and_then(|before| before.strip_suffix(b"="));
    let before = before.and_then(|before| before.strip_suffix(name.as_bytes()));
    before.is_some_and(|before| before.is_empty() || before.ends_with(b","))
}

fn insert(out: &mut Vec<u8>, after: Line<'_>, line_break: &[u8], wanted: &[Attribute]) {
    let ends = after.has_break();
    if !ends {
        out.extend_from_slice(line_break);
    }
    out.extend_from_slice(CONTROL);
    for (index, (name, value)) in wanted.iter().enumerate() {
        let before = if index == 0 { ":" } else { "," };
        out.extend_from_slice(format!("{before}{name}={value}").as_bytes());
    }
    if ends {
        out.extend_from_slice(line_break);
    }
}

/// A decimal number of seconds, exact: `12.0`, `1.00002`.
fn seconds(duration: Duration) -> String {
    let fraction = format!("{:09}", duration.subsec_nanos());
    let fraction = fraction.trim_end_matches('0');
    format!("{}.{}", duration.as_secs(), if fraction.is_empty() { "0" } else { fraction })
}

const CONTROL: &[u8] = b"#EXT-X-SERVER-CONTROL";
const TARGET: &[u8] = b"#EXT-X-TARGETDURATION";
/// About the length of the longest offer.
const NEW_BYTES_MAX: usize = 128;
