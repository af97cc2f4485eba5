//! The media of the stub: an 8 s loop in four segments (see media/make.sh), played forever.
//!
//! Segment `n` of a stream is segment `n % 4` of the loop with its timestamps moved by `n / 4` loops, so that
//! a player sees one endless recording. Streams have no state: a segment is a pure function of rendition and
//! `n`.

use std::time::Duration;

use bytes::Bytes;

use self::parts::Fragment;

mod cmaf;
mod parts;
mod ts;

pub(crate) use self::parts::Part;

/// The duration of a segment; also the target duration.
pub(crate) const SEGMENT: Duration = Duration::from_secs(2);

/// Segments in the loop.
pub(crate) const LOOP_SEGMENTS: u64 = 4;

/// The loop's length in seconds.
const LOOP_SECONDS: u64 = 8;

/// The container of segments.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Packing {
    /// MPEG transport stream, picture and sound in one file.
    Ts,
    /// Fragmented MP4, each track alone.
    Cmaf,
}

/// One quality of a stream.
#[derive(Debug)]
pub(crate) struct Rendition {
    pub(crate) name: &'static str,
    pub(crate) packing: Packing,
    pub(crate) track: Track,
    init: &'static [u8],
    segments: [&'static [u8]; 4],
}

/// The content of a rendition.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Track {
    /// Width and height; a transport stream has the sound in it.
    Picture(u16, u16),
    /// Sound alone.
    Sound,
}

impl Packing {
    /// The renditions, best first.
    pub(crate) fn renditions(self) -> impl Iterator<Item = &'static Rendition> {
        RENDITIONS.iter().filter(move |rendition| rendition.packing == self)
    }

    pub(crate) fn rendition(self, name: &str) -> Option<&'static Rendition> {
        self.renditions().find(|rendition| rendition.name == name)
    }

    /// The extension of a segment's name.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Ts => "ts",
            Self::Cmaf => "m4s",
        }
    }
}

impl Rendition {
    /// Segment `number` with its timestamps.
    pub(crate) fn segment(&self, number: u64) -> Bytes {
        let loops = number / LOOP_SEGMENTS;
        let mut segment = self.raw(number).to_vec();
        match self.packing {
            Packing::Ts => ts::shift(&mut segment, &self.segments, loops, LOOP_SECONDS),
            Packing::Cmaf => cmaf::shift(&mut segment, number, loops * LOOP_SECONDS),
        }
        segment.into()
    }

    /// The init section; transport streams have none. A restarted encoder writes a different one: each
    /// epoch after the first adds its mark in a box that players skip.
    pub(crate) fn init(&self, epoch: u64) -> Option<Bytes> {
        match self.packing {
            Packing::Ts => None,
            Packing::Cmaf if epoch == 0 => Some(Bytes::from_static(self.init)),
            Packing::Cmaf => Some([self.init, &cmaf::free_box(epoch)].concat().into()),
        }
    }

    /// EXTINF of segment `number`. Sound is cut between its own frames, so its segments differ a little.
    pub(crate) fn duration(&self, number: u64) -> Duration {
        match self.packing {
            Packing::Ts => SEGMENT,
            Packing::Cmaf => cmaf::duration(self.raw(number)).unwrap_or(SEGMENT),
        }
    }

    /// Segment `number` in `count` parts; empty if it is not CMAF.
    pub(crate) fn parts(&self, number: u64, count: u64) -> Vec<Part> {
        Fragment::read(self.raw(number)).map_or_else(Vec::new, |fragment| fragment.parts(count).collect())
    }

    /// Part `index` of `count` of segment `number`, with its timestamps.
    pub(crate) fn part(&self, number: u64, index: u64, count: u64) -> Option<Bytes> {
        let chunk_number = number.wrapping_mul(count).wrapping_add(index + 1);
        let seconds = number / LOOP_SEGMENTS * LOOP_SECONDS;
        let chunk = Fragment::read(self.raw(number))?.chunk(index, count, chunk_number, seconds)?;
        Some(chunk.into())
    }

    /// Segment `number` as its parts, one after the other.
    pub(crate) fn segment_in_parts(&self, number: u64, count: u64) -> Bytes {
        let parts: Vec<Bytes> = (0..count).filter_map(|index| self.part(number, index, count)).collect();
        parts.concat().into()
    }

    /// The longest part of the loop, if its segments are cut into `count` parts.
    pub(crate) fn longest_part(&self, count: u64) -> Duration {
        let parts = (0..LOOP_SEGMENTS).flat_map(|number| self.parts(number, count));
        parts.map(|part| part.duration).max().unwrap_or(SEGMENT)
    }

    /// Peak and average bits per second over the loop's segments.
    pub(crate) fn bandwidth(&self) -> (u64, u64) {
        let sizes = || self.segments.iter().map(|segment| segment.len() as u64 * 8);
        (sizes().max().unwrap_or(0) / SEGMENT.as_secs(), sizes().sum::<u64>() / LOOP_SECONDS)
    }

    fn raw(&self, number: u64) -> &'static [u8] {
        let [a, b, c, d] = self.segments;
        match number % LOOP_SEGMENTS {
            0 => a,
            1 => b,
            2 => c,
            _ => d,
        }
    }
}

macro_rules! ts {
    ($name:literal, $width:literal, $height:literal) => {
        Rendition {
            name: $name,
            packing: Packing::Ts,
            track: Track::Picture($width, $height),
            init: &[],
            segments: [
                include_bytes!(concat!("../media/ts/", $name, "/0.ts")),
                include_bytes!(concat!("../media/ts/", $name, "/1.ts")),
                include_bytes!(concat!("../media/ts/", $name, "/2.ts")),
                include_bytes!(concat!("../media/ts/", $name, "/3.ts")),
            ],
        }
    };
}

macro_rules! cmaf {
    ($name:literal, $track:expr) => {
        Rendition {
            name: $name,
            packing: Packing::Cmaf,
            track: $track,
            init: include_bytes!(concat!("../media/cmaf/", $name, "/init.mp4")),
            segments: [
                include_bytes!(concat!("../media/cmaf/", $name, "/0.m4s")),
                include_bytes!(concat!("../media/cmaf/", $name, "/1.m4s")),
                include_bytes!(concat!("../media/cmaf/", $name, "/2.m4s")),
                include_bytes!(concat!("../media/cmaf/", $name, "/3.m4s")),
            ],
        }
    };
}

static RENDITIONS: [Rendition; 7] = [
    ts!("360p", 640, 360),
    ts!("240p", 426, 240),
    ts!("144p", 256, 144),
    cmaf!("360p", Track::Picture(640, 360)),
    cmaf!("240p", Track::Picture(426, 240)),
    cmaf!("144p", Track::Picture(256, 144)),
    cmaf!("audio", Track::Sound),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sound_of_a_loop_is_as_long_as_its_picture() {
        for rendition in Packing::Cmaf.renditions() {
            let total: Duration = (0..LOOP_SEGMENTS).map(|number| rendition.duration(number)).sum();
            let off = total.abs_diff(Duration::from_secs(LOOP_SECONDS));
            assert!(off < Duration::from_micros(1), "{} lasts {total:?}", rendition.name);
        }
    }

    #[test]
    fn the_first_loop_is_as_ffmpeg_made_it_but_for_its_number() {
        let rendition = Packing::Ts.rendition("360p").unwrap();
        assert_eq!(rendition.segment(2), rendition.segments[2]);
        assert_ne!(rendition.segment(6), rendition.segments[2]);
        assert_eq!(rendition.segment(6).len(), rendition.segments[2].len());
    }

    #[test]
    fn an_init_section_changes_with_the_epoch() {
        let rendition = Packing::Cmaf.rendition("audio").unwrap();
        assert_eq!(rendition.init(1), rendition.init(1));
        assert_ne!(rendition.init(0), rendition.init(1));
        assert_ne!(rendition.init(1), rendition.init(2));
    }
}
