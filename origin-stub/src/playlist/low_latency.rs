//! The text of a low-latency media playlist (HLS section 4.4 and appendix B).

use std::time::Duration;

use super::{push, skewed};
use crate::clock::date_time;
use crate::low_latency::directives::Extent;
use crate::low_latency::{Flavour, Position, Progress, SKIP_BOUNDARY};
use crate::media::{Rendition, SEGMENT};

/// A playlist to be written.
#[derive(Debug)]
pub(crate) struct Sheet<'a> {
    pub(crate) rendition: &'a Rendition,
    pub(crate) progress: &'a Progress,
    pub(crate) flavour: Flavour,
    pub(crate) reports: &'a [Report],
    pub(crate) skew_ms: i64,
}

/// The position of another rendition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report {
    pub(crate) rendition: &'static str,
    pub(crate) last: Position,
}

impl Sheet<'_> {
    pub(crate) fn text(&self, extent: Extent) -> String {
        let window = &self.progress.window;
        let skipped = match extent {
            Extent::Full => 0,
            Extent::Delta => self.progress.skippable(),
        };
        let mut text = String::from("#EXTM3U\n");
        self.push_head(&mut text);
        if skipped > 0 {
            // HLS section 4.4.5.2: it stands for the segments and for their tags, one of which is EXT-X-MAP.
            push(&mut text, format_args!("#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}"));
        } else {
            text.push_str("#EXT-X-MAP:URI=\"init.mp4\"\n");
        }
        for number in window.first + skipped..window.end {
            self.push_date(&mut text, number);
            if number >= self.progress.first_in_parts() {
                self.push_parts(&mut text, number, self.progress.cut.per_segment);
            }
            let seconds = self.rendition.duration(window.media(number)).as_secs_f64();
            push(&mut text, format_args!("#EXTINF:{seconds:.6},\n{number}.m4s"));
        }
        if self.progress.parts > 0 {
            self.push_date(&mut text, window.end);
            self.push_parts(&mut text, window.end, self.progress.parts);
        }
        self.push_foot(&mut text);
        text
    }

    fn push_head(&self, text: &mut String) {
        let target = self.progress.cut.target.as_secs_f64();
        // HLS section 4.4.3.8: the hold-back is at least three part targets. Players that have to poll find a
        // playlist that is up to a target duration old.
        let polling = if self.flavour.can_block() { Duration::ZERO } else { SEGMENT };
        let hold_back = (self.progress.cut.target * 3 + polling).as_secs_f64();
        let skip_until = SKIP_BOUNDARY.as_secs_f64();
        // EXT-X-SKIP requires version 9 (HLS section 8); a delta has the version of the full playlist.
        push(text, format_args!("#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:{}", SEGMENT.as_secs()));
        let control = if self.flavour.can_block() {
            format!("CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL={skip_until:.1},")
        } else {
            String::new()
        };
        push(text, format_args!("#EXT-X-SERVER-CONTROL:{control}PART-HOLD-BACK={hold_back:.6}"));
        push(text, format_args!("#EXT-X-PART-INF:PART-TARGET={target:.6}"));
        push(text, format_args!("#EXT-X-MEDIA-SEQUENCE:{}", self.progress.window.first));
        text.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
    }

    fn push_date(&self, text: &mut String, number: u64) {
        if let Some(began) = self.progress.window.began(number) {
            let date = date_time(skewed(began, self.skew_ms));
            push(text, format_args!("#EXT-X-PROGRAM-DATE-TIME:{date}"));
        }
    }

    /// The first `count` parts of a segment.
    fn push_parts(&self, text: &mut String, number: u64, count: u64) {
        let Progress { window, cut, .. } = self.progress;
        let parts = self.rendition.parts(window.media(number), cut.per_segment);
        let mut offset = 0;
        for (index, part) in (0..count).zip(parts) {
            let seconds = part.duration.as_secs_f64();
            let place = match self.flavour {
                Flavour::Ranges => format!("URI=\"{number}.m4s\",BYTERANGE=\"{}@{offset}\"", part.bytes),
                Flavour::Files | Flavour::Unblocked => format!("URI=\"{number}.{index}.m4s\""),
            };
            let independent = if part.independent { ",INDEPENDENT=YES" } else { "" };
            push(text, format_args!("#EXT-X-PART:DURATION={seconds:.6},{place}{independent}"));
            offset += part.bytes;
        }
    }

    /// The next part. Its length is unknown, so a range has no end.
    fn push_hint(&self, text: &mut String) {
        let Position { segment, part } = self.progress.next();
        match self.flavour {
            Flavour::Files => {
                push(text, format_args!("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{segment}.{part}.m4s\""));
            }
            Flavour::Ranges => {
                let media = self.progress.window.media(segment);
                let parts = self.rendition.parts(media, self.progress.cut.per_segment);
                let start: u64 = (0..part).zip(parts).map(|(_, part)| part.bytes).sum();
                push(
                    text,
                    format_args!(
                        "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{segment}.m4s\",BYTERANGE-START={start}"
                    ),
                );
            }
            Flavour::Unblocked => {}
        }
    }

    fn push_foot(&self, text: &mut String) {
        self.push_hint(text);
        for Report { rendition, last } in self.reports {
            let (segment, part) = (last.segment, last.part);
            push(
                text,
                format_args!(
                    "#EXT-X-RENDITION-REPORT:URI=\"../{rendition}/index.m3u8\",LAST-MSN={segment},LAST-PART={part}"
                ),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::low_latency::Cut;
    use crate::media::Packing;
    use crate::stream::{Epoch, View};

    fn text(window_segments: u64, millis: u64, flavour: Flavour, extent: Extent) -> String {
        let mut config = Config::default();
        config.low_latency.window_segments = window_segments;
        let now = Duration::from_secs(1_700_000_000) + Duration::from_millis(millis);
        let view = View { now, started: now, epoch: Epoch::default(), skew_ms: 0 };
        let progress = &Progress::at(&view, Cut::of("ch1", &config), &config);
        let rendition = Packing::Cmaf.rendition("240p").unwrap();
        let reports = &[Report { rendition: "audio", last: progress.last() }];
        Sheet { rendition, progress, flavour, reports, skew_ms: 0 }.text(extent)
    }

    #[test]
    fn the_text_of_a_low_latency_playlist() {
        assert_eq!(
            text(1, 700, Flavour::Files, Extent::Full),
            "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:2\n\
             #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12.0,PART-HOLD-BACK=1.080000\n\
             #EXT-X-PART-INF:PART-TARGET=0.360000\n\
             #EXT-X-MEDIA-SEQUENCE:849999999\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-MAP:URI=\"init.mp4\"\n\
             #EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:13:18.000Z\n\
             #EXT-X-PART:DURATION=0.320000,URI=\"849999999.0.m4s\",INDEPENDENT=YES\n\
             #EXT-X-PART:DURATION=0.320000,URI=\"849999999.1.m4s\"\n\
             #EXT-X-PART:DURATION=0.360000,URI=\"849999999.2.m4s\"\n\
             #EXT-X-PART:DURATION=0.320000,URI=\"849999999.3.m4s\"\n\
             #EXT-X-PART:DURATION=0.320000,URI=\"849999999.4.m4s\"\n\
             #EXT-X-PART:DURATION=0.360000,URI=\"849999999.5.m4s\"\n\
             #EXTINF:2.000000,\n849999999.m4s\n\
             #EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:13:20.000Z\n\
             #EXT-X-PART:DURATION=0.320000,URI=\"850000000.0.m4s\",INDEPENDENT=YES\n\
             #EXT-X-PART:DURATION=0.320000,URI=\"850000000.1.m4s\"\n\
             #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"850000000.2.m4s\"\n\
             #EXT-X-RENDITION-REPORT:URI=\"../audio/index.m3u8\",LAST-MSN=850000000,LAST-PART=1\n"
        );
    }

    #[test]
    fn a_segment_that_has_just_begun_has_a_hint_and_no_parts() {
        let text = text(1, 0, Flavour::Files, Extent::Full);
        assert!(
            text.ends_with(
                "849999999.m4s\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"850000000.0.m4s\"\n\
                 #EXT-X-RENDITION-REPORT:URI=\"../audio/index.m3u8\",LAST-MSN=849999999,LAST-PART=5\n"
            ),
            "{text}"
        );
    }

    #[test]
    fn parts_are_listed_for_the_newest_three_segments_and_the_growing_one() {
        let text = text(15, 700, Flavour::Files, Extent::Full);
        assert_eq!(text.matches("#EXTINF").count(), 15);
        assert_eq!(text.matches("#EXT-X-PART:").count(), 3 * 6 + 2);
        assert!(text.contains("849999997.0.m4s"), "{text}");
    }

    #[test]
    fn a_delta_leaves_out_the_segments_before_the_skip_boundary() {
        let full = text(15, 700, Flavour::Files, Extent::Full);
        let delta = text(15, 700, Flavour::Files, Extent::Delta);
        assert!(delta.contains("#EXT-X-MEDIA-SEQUENCE:849999985\n"), "{delta}");
        assert!(delta.contains("\n#EXT-X-SKIP:SKIPPED-SEGMENTS=9\n"), "{delta}");
        assert_eq!(delta.matches("#EXTINF").count(), 6);
        let (_, rest) = delta.split_once("SKIPPED-SEGMENTS=9\n").unwrap();
        assert!(full.ends_with(rest), "{delta}");
        // A short playlist has nothing to leave out.
        assert_eq!(text(6, 700, Flavour::Files, Extent::Delta), text(6, 700, Flavour::Files, Extent::Full));
    }

    #[test]
    fn an_origin_that_cannot_block_offers_and_hints_nothing() {
        let text = text(15, 700, Flavour::Unblocked, Extent::Full);
        for absent in ["CAN-BLOCK-RELOAD", "CAN-SKIP-UNTIL", "EXT-X-SKIP", "PRELOAD-HINT"] {
            assert!(!text.contains(absent), "{text}");
        }
        assert!(text.contains("#EXT-X-SERVER-CONTROL:PART-HOLD-BACK=3.080000\n"), "{text}");
        assert_eq!(text.matches("#EXT-X-PART:").count(), 20);
    }

    #[test]
    fn parts_may_be_ranges_of_their_segment() {
        let text = text(1, 700, Flavour::Ranges, Extent::Full);
        let parts: Vec<&str> = text.lines().filter(|line| line.starts_with("#EXT-X-PART:")).collect();
        let rendition = Packing::Cmaf.rendition("240p").unwrap();
        let [one, two] = [0, 1].map(|part| rendition.part(850_000_000, part, 6).unwrap().len());
        assert_eq!(
            parts[6..],
            [
                format!(
                    "#EXT-X-PART:DURATION=0.320000,URI=\"850000000.m4s\",BYTERANGE=\"{one}@0\",INDEPENDENT=YES"
                ),
                format!("#EXT-X-PART:DURATION=0.320000,URI=\"850000000.m4s\",BYTERANGE=\"{two}@{one}\""),
            ]
        );
        let start = one + two;
        assert!(
            text.contains(&format!("TYPE=PART,URI=\"850000000.m4s\",BYTERANGE-START={start}\n")),
            "{text}"
        );
    }
}
