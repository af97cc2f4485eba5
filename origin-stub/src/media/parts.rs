//! Cuts a CMAF segment into parts at frame boundaries: each part is one chunk, a `moof` and its `mdat`
//! (ISO/IEC 14496-12 section 8.8; HLS section 3.2).
//!
//! The segments are our own, made by ffmpeg: one fragment each, in which frames differ by their size only.
//! The common values of all frames are in `tfhd`, which the chunks keep; `tfdt`, `trun` and `mfhd` are
//! rewritten.

use std::ops::Range;
use std::time::Duration;

use super::cmaf::{body, decode_time, timescale, u32_at};

/// A part as a playlist lists it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Part {
    pub(crate) duration: Duration,
    /// It begins with a frame that needs no other one.
    pub(crate) independent: bool,
    /// The chunk's length.
    pub(crate) bytes: u64,
}

/// The one fragment of a segment.
#[derive(Debug)]
pub(super) struct Fragment<'a> {
    timescale: u64,
    decode_time: u64,
    header: &'a [u8],
    frame_ticks: u64,
    /// The sample flags (section 8.8.3.1) of the first frame, where they differ from the others'.
    first_flags: Option<u32>,
    other_flags: u32,
    /// Four bytes for each frame.
    sizes: &'a [[u8; 4]],
    frames: &'a [u8],
}

impl<'a> Fragment<'a> {
    /// `None` if the segment is not one of ours.
    pub(super) fn read(segment: &'a [u8]) -> Option<Self> {
        let track = body(body(segment, *b"moof")?, *b"traf")?;
        let (header, run) = (body(track, *b"tfhd")?, body(track, *b"trun")?);
        let run_flags = u32_at(run, 0)?;
        if u32_at(header, 0)? != HEADER_FLAGS || run_flags & !HAS_FIRST_FLAGS != RUN_FLAGS {
            return None;
        }
        let has_first_flags = run_flags & HAS_FIRST_FLAGS != 0;
        let (sizes, _) = run.get(if has_first_flags { 16 } else { 12 }..)?.as_chunks();
        Some(Self {
            timescale: timescale(segment)?,
            decode_time: decode_time(track)?,
            header,
            frame_ticks: u64::from(u32_at(header, 8)?),
            first_flags: if has_first_flags { u32_at(run, 12) } else { None },
            other_flags: u32_at(header, 16)?,
            sizes,
            frames: body(segment, *b"mdat")?,
        })
    }

    /// The segment in `count` parts, equal in duration except for a frame.
    pub(super) fn parts(&self, count: u64) -> impl Iterator<Item = Part> {
        (0..count).map(move |index| self.part(&self.cut(index, count)))
    }

    /// The chunk of part `index` of `count`. It carries `number`, and is `seconds` later than the segment.
    pub(super) fn chunk(&self, index: u64, count: u64, number: u64, seconds: u64) -> Option<Vec<u8>> {
        let cut = self.cut(index, count);
        let sizes = self.sizes.get(cut.clone())?.as_flattened();
        let from = self.bytes_before(cut.start);
        let frames = self.frames.get(from..self.bytes_before(cut.end))?;
        let time = self.decode_time + ticks(cut.start) * self.frame_ticks + seconds * self.timescale;

        let first_flags = self.first_flags.filter(|_| cut.start == 0).map(u32::to_be_bytes);
        let first_flags = first_flags.as_ref().map_or(&[][..], |flags| flags);
        let flags = if first_flags.is_empty() { RUN_FLAGS } else { RUN_FLAGS | HAS_FIRST_FLAGS };
        // The offset of the data, from the start of `moof`, is known once its size is.
        let run = |offset: u32| {
            let fixed = [flags.to_be_bytes(), low_word(ticks(cut.len())), offset.to_be_bytes()];
            boxed(*b"trun", &[fixed.as_flattened(), first_flags, sizes])
        };
        let moof = |offset: u32| {
            let number = boxed(*b"mfhd", &[&[0; 4], &low_word(number)]);
            let time = boxed(*b"tfdt", &[&TIME_HAS_64_BITS, &time.to_be_bytes()]);
            let track = boxed(*b"traf", &[&boxed(*b"tfhd", &[self.header]), &time, &run(offset)]);
            boxed(*b"moof", &[&number, &track])
        };
        let offset = u32::try_from(moof(0).len()).ok()? + 8;
        Some([moof(offset), boxed(*b"mdat", &[frames])].concat())
    }

    fn part(&self, cut: &Range<usize>) -> Part {
        let nanos = ticks(cut.len()) * self.frame_ticks * 1_000_000_000 / self.timescale;
        let flags = self.first_flags.filter(|_| cut.start == 0).unwrap_or(self.other_flags);
        Part {
            duration: Duration::from_nanos(nanos),
            independent: flags & NEEDS_OTHERS == 0,
            bytes: self.chunk_bytes(cut),
        }
    }

    /// The length of a chunk, as [`Fragment::chunk`] writes it.
    fn chunk_bytes(&self, cut: &Range<usize>) -> u64 {
        let first_flags = if self.first_flags.is_some() && cut.start == 0 { 4 } else { 0 };
        let run = 8 + 12 + first_flags + 4 * cut.len();
        let track = 8 + (8 + self.header.len()) + 20 + run;
        let frames = self.bytes_before(cut.end) - self.bytes_before(cut.start);
        ticks(8 + 16 + track + 8 + frames)
    }

    /// The frames of a part. Halves are rounded down, so that no frame is in a part before it was recorded.
    fn cut(&self, index: u64, count: u64) -> Range<usize> {
        let at = |index: u64| {
            let frames = ticks(self.sizes.len()) * index / count.max(1);
            usize::try_from(frames).unwrap_or(usize::MAX)
        };
        at(index)..at(index + 1)
    }

    fn bytes_before(&self, frame: usize) -> usize {
        self.sizes.iter().take(frame).map(|&size| u32::from_be_bytes(size) as usize).sum()
    }
}

/// `tfhd`: offsets count from `moof`; duration, size and flags of a frame have defaults.
const HEADER_FLAGS: u32 = 0x02_0038;
/// `trun`: an offset of the data, and a size for each frame.
const RUN_FLAGS: u32 = 0x201;
const HAS_FIRST_FLAGS: u32 = 0x4;
const NEEDS_OTHERS: u32 = 0x1_0000;
const TIME_HAS_64_BITS: [u8; 4] = [1, 0, 0, 0];

fn boxed(kind: [u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    let length = 8 + parts.iter().map(|part| part.len()).sum::<usize>();
    let mut bytes = Vec::with_capacity(length);
    bytes.extend_from_slice(&low_word(ticks(length)));
    bytes.extend_from_slice(&kind);
    for part in parts {
        bytes.extend_from_slice(part);
    }
    bytes
}

/// The lower half of a number: `mfhd` has 32 bits and may wrap.
fn low_word(number: u64) -> [u8; 4] {
    let [.., a, b, c, d] = number.to_be_bytes();
    [a, b, c, d]
}

fn ticks(count: usize) -> u64 {
    count as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::{LOOP_SEGMENTS, Packing, Rendition};

    /// The counts that a configuration can produce.
    const COUNTS: std::ops::RangeInclusive<u64> = 2..=7;

    fn every_cut() -> impl Iterator<Item = (&'static Rendition, u64, u64)> {
        let numbers = || (0..LOOP_SEGMENTS).chain([850_000_003]);
        let cuts = move || COUNTS.flat_map(move |count| numbers().map(move |number| (count, number)));
        Packing::Cmaf
            .renditions()
            .flat_map(move |rendition| cuts().map(move |(count, number)| (rendition, number, count)))
    }

    fn chunks(rendition: &Rendition, number: u64, count: u64) -> Vec<Vec<u8>> {
        (0..count).map(|index| rendition.part(number, index, count).unwrap().to_vec()).collect()
    }

    fn run(chunk: &[u8]) -> (&[u8], &[u8]) {
        let track = body(body(chunk, *b"moof").unwrap(), *b"traf").unwrap();
        (track, body(track, *b"trun").unwrap())
    }

    #[test]
    fn the_frames_of_all_parts_are_those_of_the_segment() {
        for (rendition, number, count) in every_cut() {
            let chunks = chunks(rendition, number, count);
            let frames: Vec<u8> =
                chunks.iter().flat_map(|chunk| body(chunk, *b"mdat").unwrap()).copied().collect();
            let segment = rendition.segment(number);
            assert_eq!(frames, body(&segment, *b"mdat").unwrap(), "{} {number} {count}", rendition.name);
        }
    }

    #[test]
    fn decode_times_continue_from_part_to_part() {
        for (rendition, number, count) in every_cut() {
            let segment = rendition.segment(number);
            let mut expected = decode_time(run(&segment).0).unwrap();
            for (chunk, part) in chunks(rendition, number, count).iter().zip(rendition.parts(number, count)) {
                assert_eq!(chunk.len() as u64, part.bytes, "{} {number} {count}", rendition.name);
                assert_eq!(decode_time(run(chunk).0), Some(expected), "{} {number} {count}", rendition.name);
                let nanos = part.duration.as_nanos() * u128::from(timescale(&segment).unwrap());
                expected += u64::try_from(nanos.div_ceil(1_000_000_000)).unwrap();
            }
        }
    }

    #[test]
    fn a_chunk_points_at_its_data_and_lists_its_frames() {
        let rendition = Packing::Cmaf.rendition("240p").unwrap();
        let chunks = chunks(rendition, 5, 6);
        let frames: Vec<u32> = chunks.iter().map(|chunk| u32_at(run(chunk).1, 4).unwrap()).collect();
        assert_eq!(frames, [8, 8, 9, 8, 8, 9]);
        for (index, chunk) in chunks.iter().enumerate() {
            let (moof, run) = (body(chunk, *b"moof").unwrap(), run(chunk).1);
            assert_eq!(u32_at(run, 8).unwrap() as usize, moof.len() + 16, "{index}");
            assert_eq!(u32_at(run, 0).unwrap() & HAS_FIRST_FLAGS != 0, index == 0);
            let sizes = &run[if index == 0 { 16 } else { 12 }..];
            let sum: u32 = sizes.as_chunks().0.iter().copied().map(u32::from_be_bytes).sum();
            assert_eq!(sum as usize, body(chunk, *b"mdat").unwrap().len());
            let number = u32_at(body(moof, *b"mfhd").unwrap(), 4).unwrap();
            assert_eq!(number as usize, 5 * 6 + index + 1);
        }
    }

    #[test]
    fn pictures_need_the_first_part_and_sound_needs_nothing() {
        let independent = |name: &str| -> Vec<bool> {
            let parts = Packing::Cmaf.rendition(name).unwrap().parts(1, 6);
            parts.iter().map(|part| part.independent).collect()
        };
        assert_eq!(independent("360p"), [true, false, false, false, false, false]);
        assert_eq!(independent("audio"), [true; 6]);
    }

    /// HLS section 4.4.4.9: a part lasts at least 85 % of the target, except for the last one of its segment.
    #[test]
    fn parts_are_as_long_as_the_target_requires() {
        for count in COUNTS {
            let target =
                Packing::Cmaf.renditions().map(|rendition| rendition.longest_part(count)).max().unwrap();
            for rendition in Packing::Cmaf.renditions() {
                let mut total = Duration::ZERO;
                for part in rendition.parts(2, count) {
                    assert!(part.duration >= target.mul_f64(0.85), "{} {count}: {part:?}", rendition.name);
                    total += part.duration;
                }
                assert!(total.abs_diff(rendition.duration(2)) < Duration::from_micros(1));
            }
        }
    }

    #[test]
    fn a_transport_stream_has_no_parts() {
        let rendition = Packing::Ts.rendition("240p").unwrap();
        assert!(rendition.parts(0, 6).is_empty());
        assert_eq!(rendition.part(0, 0, 6), None);
    }
}
