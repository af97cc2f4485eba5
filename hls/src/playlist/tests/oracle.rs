//! A second opinion: the library quick-m3u8 reads valid playlists as this crate does.

use quick_m3u8::config::ParsingOptions;
use quick_m3u8::tag::KnownTag;
use quick_m3u8::tag::hls::Tag;
use quick_m3u8::{HlsLine, Reader};

use super::*;

/// Start and length.
type Range = (u64, Option<u64>);

/// What the library reads of a media playlist: its numbers, and the segments with duration and range.
#[derive(Debug, Default, PartialEq)]
struct Read {
    target: Duration,
    sequence: u64,
    discontinuity: u64,
    ended: bool,
    skipped: u64,
    segments: Vec<(String, Duration, Option<Range>)>,
    parts: Vec<(String, Duration, bool)>,
    maps: Vec<String>,
    hints: Vec<(String, u64, Option<u64>)>,
    reports: Vec<(String, u64, Option<u64>)>,
    can_block: bool,
    can_skip_until: Option<Duration>,
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap()
}

fn by_library(text: &str) -> Read {
    let mut read = Read::default();
    let (mut duration, mut range) = (Duration::ZERO, None);
    let mut reader = Reader::from_str(text, ParsingOptions::default());
    while let Some(line) = reader.read_line().unwrap() {
        let tag = match line {
            HlsLine::Uri(uri) => {
                read.segments.push((uri.into_owned(), duration, range.take()));
                continue;
            }
            HlsLine::KnownTag(KnownTag::Hls(tag)) => tag,
            _ => continue,
        };
        match tag {
            Tag::Targetduration(tag) => read.target = Duration::from_secs(tag.target_duration()),
            Tag::MediaSequence(tag) => read.sequence = tag.media_sequence(),
            Tag::DiscontinuitySequence(tag) => read.discontinuity = tag.discontinuity_sequence(),
            Tag::Endlist(_) => read.ended = true,
            Tag::Skip(tag) => read.skipped = tag.skipped_segments(),
            Tag::Inf(tag) => duration = seconds(tag.duration()),
            Tag::Byterange(tag) => range = Some((tag.length(), tag.offset())),
            Tag::Map(tag) => read.maps.push(tag.uri().to_owned()),
            Tag::Part(tag) => {
                read.parts.push((tag.uri().to_owned(), seconds(tag.duration()), tag.independent()));
            }
            Tag::PreloadHint(tag) => {
                read.hints.push((tag.uri().to_owned(), tag.byterange_start(), tag.byterange_length()));
            }
            Tag::RenditionReport(tag) => {
                read.reports.push((tag.uri().to_owned(), tag.last_msn(), tag.last_part()));
            }
            Tag::ServerControl(tag) => {
                read.can_block = tag.can_block_reload();
                read.can_skip_until = tag.can_skip_until().map(seconds);
            }
            _ => {}
        }
    }
    read
}

fn by_us(text: &str) -> Read {
    let media = media(text);
    let text_of = |uri: &Option<Arc<str>>| uri.as_deref().unwrap().to_owned();
    let parts = media.segments.iter().flat_map(|segment| &segment.parts).chain(&media.next_parts);
    let mut maps: Vec<_> = media.segments.iter().filter_map(|segment| segment.map.as_ref()).collect();
    maps.dedup_by(|one, other| Arc::ptr_eq(one, other));
    Read {
        target: media.target_duration,
        sequence: media.media_sequence,
        discontinuity: media.discontinuity_sequence,
        ended: media.end_list,
        skipped: media.skipped,
        segments: media
            .segments
            .iter()
            .map(|segment| {
                let range = segment.range.map(|range| (range.length.unwrap(), Some(range.start)));
                (text_of(&segment.uri), segment.duration, range)
            })
            .collect(),
        parts: parts.map(|part| (text_of(&part.uri), part.duration, part.is_independent)).collect(),
        maps: maps.into_iter().map(|map| text_of(&map.uri)).collect(),
        hints: media
            .hints
            .iter()
            .map(|hint| (text_of(&hint.uri), hint.range.start, hint.range.length))
            .collect(),
        reports: media
            .reports
            .iter()
            .map(|report| (text_of(&report.uri), report.last_sequence, report.last_part))
            .collect(),
        can_block: media.server_control.can_block_reload,
        can_skip_until: media.server_control.can_skip_until,
    }
}

/// A valid playlist with each feature or without it.
fn valid() -> impl Strategy<Value = String> {
    let segment = (0..10_000_u32, any::<[bool; 4]>());
    let head = (0..100_u64, 0..1_u64 << 50, 0..9_u64, any::<[bool; 6]>());
    (head, proptest::collection::vec(segment, 0..30)).prop_map(|((target, sequence, discontinuity, with), segments)| {
        let when = |wanted: bool, text: String| if wanted { text } else { String::new() };
        let mut text = format!("#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:{target}\n");
        text += &when(with[0], format!("#EXT-X-MEDIA-SEQUENCE:{sequence}\n"));
        text += &when(with[1], format!("#EXT-X-DISCONTINUITY-SEQUENCE:{discontinuity}\n"));
        text += &when(
            with[2],
            "#EXT-X-PART-INF:PART-TARGET=0.5\n#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=24.5\n"
                .to_owned(),
        );
        text += &when(with[3], "#EXT-X-MAP:URI=\"init,1.mp4\",BYTERANGE=\"10@0\"\n".to_owned());
        text += &when(with[4], "#EXT-X-SKIP:SKIPPED-SEGMENTS=7\n".to_owned());
        for (index, (millis, [ranged, with_part, is_independent, is_titled])) in segments.iter().enumerate() {
            text += &when(*ranged, format!("#EXT-X-BYTERANGE:{}@{index}\n", millis + 1));
            let independent = if *is_independent { ",INDEPENDENT=YES" } else { "" };
            text += &when(*with_part, format!("#EXT-X-PART:DURATION=0.25,URI=\"p{index}.0\"{independent}\n"));
            let title = if *is_titled { "a, title" } else { "" };
            let (seconds, millis) = (millis / 1_000, millis % 1_000);
            text += &when(true, format!("#EXTINF:{seconds}.{millis:03},{title}\ns-{index}.ts?x=1\n"));
        }
        text += &when(
            with[2],
            "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"next\",BYTERANGE-START=5\n\
             #EXT-X-RENDITION-REPORT:URI=\"../b.m3u8\",LAST-MSN=8,LAST-PART=1\n"
                .to_owned(),
        );
        text + &when(with[5], "#EXT-X-ENDLIST\n".to_owned())
    })
}

proptest! {
    #[test]
    fn a_valid_playlist_is_read_as_the_library_reads_it(text in valid(), crlf in any::<bool>()) {
        let text = if crlf { text.replace('\n', "\r\n") } else { text };
        let (ours, mut theirs) = (by_us(&text), by_library(&text));
        // The initialisation section of no segment is in effect for the next one only.
        if ours.segments.is_empty() {
            theirs.maps.clear();
        }
        prop_assert_eq!(ours, theirs);
    }
}
