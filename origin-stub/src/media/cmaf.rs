//! Moves a CMAF segment in time (ISO/IEC 14496-12): `mfhd` sequence number, `tfdt` decode time, `sidx`
//! earliest time.
//!
//! The segments are our own, made by ffmpeg: boxes have 32-bit sizes, `sidx` comes first and gives the
//! timescale, `tfdt` and `sidx` are of version 1.

use std::time::Duration;

/// Sets the segment's number in the stream and moves its times by `seconds`.
pub(super) fn shift(segment: &mut [u8], number: u64, seconds: u64) {
    let ticks = seconds * timescale(segment).unwrap_or(0);
    each_box(segment, &mut |kind, body| match &kind {
        b"sidx" => add_u64(body, 12, ticks),
        b"tfdt" => add_u64(body, 4, ticks),
        b"mfhd" => {
            if let Some(field) = body.get_mut(4..8) {
                // The number has 32 bits and starts at 1 (ISO/IEC 14496-12 section 8.8.5).
                let [.., a, b, c, d] = (number + 1).to_be_bytes();
                field.copy_from_slice(&[a, b, c, d]);
            }
        }
        _ => {}
    });
}

/// The duration of the segment, from its `sidx`.
pub(super) fn duration(segment: &[u8]) -> Option<Duration> {
    let timescale = timescale(segment)?;
    let ticks = u32_at(body(segment, *b"sidx")?, 36)?;
    Some(Duration::from_nanos(u64::from(ticks) * 1_000_000_000 / timescale))
}

/// A `free` box (section 8.1.2) with a number in it.
pub(super) fn free_box(number: u64) -> Vec<u8> {
    [&16u32.to_be_bytes(), b"free".as_slice(), &number.to_be_bytes()].concat()
}

/// Ticks per second, from the segment's `sidx`.
pub(super) fn timescale(segment: &[u8]) -> Option<u64> {
    let timescale = u32_at(body(segment, *b"sidx")?, 8)?;
    (timescale > 0).then(|| u64::from(timescale))
}

/// When a track's fragment begins, in ticks; `track` is the body of its `traf`.
pub(super) fn decode_time(track: &[u8]) -> Option<u64> {
    body(track, *b"tfdt")?.get(4..)?.first_chunk().copied().map(u64::from_be_bytes)
}

/// The body of the first box of this kind.
pub(super) fn body(mut boxes: &[u8], wanted: [u8; 4]) -> Option<&[u8]> {
    loop {
        let (size, kind) = head(boxes)?;
        let (this, after) = boxes.split_at_checked(size)?;
        if kind == wanted {
            return this.get(HEAD..);
        }
        boxes = after;
    }
}

pub(super) fn u32_at(body: &[u8], at: usize) -> Option<u32> {
    body.get(at..)?.first_chunk().copied().map(u32::from_be_bytes)
}

const HEAD: usize = 8;

fn head(bytes: &[u8]) -> Option<(usize, [u8; 4])> {
    let [a, b, c, d, kind @ ..] = *bytes.first_chunk::<HEAD>()?;
    let size = usize::try_from(u32::from_be_bytes([a, b, c, d])).ok()?;
    (size >= HEAD).then_some((size, kind))
}

/// Visits every box, and the boxes inside `moof` and `traf`.
fn each_box(mut rest: &mut [u8], visit: &mut dyn FnMut([u8; 4], &mut [u8])) {
    while let Some((size, kind)) = head(rest) {
        let Some((this, after)) = rest.split_at_mut_checked(size) else { return };
        if let Some(body) = this.get_mut(HEAD..) {
            match &kind {
                b"moof" | b"traf" => each_box(body, visit),
                _ => visit(kind, body),
            }
        }
        rest = after;
    }
}

fn add_u64(body: &mut [u8], at: usize, ticks: u64) {
    if let Some(field) = body.get_mut(at..).and_then(|tail| tail.first_chunk_mut::<8>()) {
        *field = u64::from_be_bytes(*field).wrapping_add(ticks).to_be_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Packing;

    fn begins(segment: &[u8]) -> u64 {
        let track = body(body(segment, *b"moof").unwrap(), *b"traf").unwrap();
        decode_time(track).expect("a segment has a tfdt")
    }

    #[test]
    fn decode_times_continue_across_the_end_of_the_loop() {
        for rendition in Packing::Cmaf.renditions() {
            let timescale = timescale(&rendition.segment(0)).unwrap();
            let mut expected = 0;
            for number in 0..12 {
                let segment = rendition.segment(number);
                assert_eq!(begins(&segment), expected, "{} {number}", rendition.name);
                let ticks = rendition.duration(number).as_nanos() * u128::from(timescale);
                expected += u64::try_from((ticks + 500_000_000) / 1_000_000_000).unwrap();
            }
        }
    }

    #[test]
    fn a_segment_carries_its_number() {
        let segment = Packing::Cmaf.rendition("144p").unwrap().segment(41);
        let mut number = 0;
        each_box(&mut segment.to_vec(), &mut |kind, body| {
            if kind == *b"mfhd" {
                number = u32::from_be_bytes(*body[4..].first_chunk().unwrap());
            }
        });
        assert_eq!(number, 42);
    }

    #[test]
    fn a_decode_time_of_today_fits_a_player_that_counts_in_doubles() {
        let segment = Packing::Cmaf.rendition("audio").unwrap().segment(1_000_000_000);
        assert!(begins(&segment) < 1 << 53);
    }
}
