use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::Directives;

mod lenient;
mod oracle;

fn media(text: &str) -> Media {
    match Playlist::parse(text.as_bytes()) {
        Ok(Playlist::Media(media)) => Arc::unwrap_or_clone(media),
        other => panic!("not a media playlist: {other:?}"),
    }
}

const LIVE: &str = "#EXTM3U\r\n#EXT-X-VERSION:6\r\n#EXT-X-TARGETDURATION:4\r\n#EXT-X-MEDIA-SEQUENCE:41\r\n\
    #EXT-X-DISCONTINUITY-SEQUENCE:2\r\n#EXT-X-MAP:URI=\"init.mp4\"\r\n\r\n# a comment\r\n\
    #EXTINF:4.004,title\r\n#EXT-X-UNHEARD-OF:1\r\n41.m4s\r\n#EXTINF:3.5\r\nsub/42.m4s?x=1\r\n";

const LOW_LATENCY: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-PART-INF:PART-TARGET=1.0\n\
    #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=3.0\n#EXT-X-MEDIA-SEQUENCE:10\n\
    #EXTINF:4,\n10.m4s\n#EXT-X-PART:DURATION=2,URI=\"11.0\"\n#EXT-X-PART:DURATION=2,URI=\"11.1\"\n\
    #EXTINF:4,\n11.m4s\n#EXT-X-PART:DURATION=1,URI=\"12.0\"\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"12.1\"\n";

#[test]
fn a_live_playlist_is_read() {
    let playlist = media(LIVE);
    assert_eq!(playlist.target_duration, Duration::from_secs(4));
    assert_eq!(playlist.media_sequence, 41);
    assert_eq!(playlist.discontinuity_sequence, 2);
    let init = Arc::new(Map { uri: Some("init.mp4".into()), range: None });
    assert_eq!(playlist.map, Some(Arc::clone(&init)));
    assert_eq!(playlist.last_sequence(), Some(42));
    assert!(!playlist.is_ended());
    let second = Segment {
        uri: Some("sub/42.m4s?x=1".into()),
        duration: Duration::from_millis(3_500),
        sequence: 42,
        map: Some(init),
        ..Segment::default()
    };
    assert_eq!(playlist.segments.get(1), Some(&second));
}

#[test]
fn a_low_latency_playlist_counts_its_parts() {
    let playlist = media(LOW_LATENCY);
    assert_eq!(playlist.part_target, Some(Duration::from_secs(1)));
    let control = ServerControl {
        can_block_reload: true,
        part_hold_back: Some(Duration::from_secs(3)),
        ..ServerControl::default()
    };
    assert_eq!(playlist.server_control, control);
    assert_eq!(playlist.segments.iter().map(|s| s.parts.len()).collect::<Vec<_>>(), [0, 2]);
    assert_eq!(playlist.next_parts.len(), 1);
    assert_eq!(playlist.position(), Position { sequence: 12, parts: 1 });
}

#[test]
fn a_blocking_request_is_satisfied_by_the_segment_or_part_it_names() {
    let directives = |msn, part| Directives { msn: Some(msn), part, skip: None };
    let low_latency = media(LOW_LATENCY);
    for (msn, part, expected) in [
        (9, None, true),
        (11, None, true),
        (12, None, false),
        (10, Some(7), true),
        (11, Some(1), true),
        // Section 6.2.5.2: a part beyond the last one is part 0 of the next segment.
        (11, Some(2), true),
        (12, Some(0), true),
        (12, Some(1), false),
        (13, Some(0), false),
        (u64::MAX, None, false),
    ] {
        assert_eq!(low_latency.satisfies(&directives(msn, part)), expected, "{msn} {part:?}");
    }
    let at_the_edge = media(LOW_LATENCY.split("#EXT-X-PART:DURATION=1").next().unwrap());
    assert!(!at_the_edge.satisfies(&directives(11, Some(2))));
    assert!(low_latency.satisfies(&Directives::default()));
    // Section 6.2.5.2: directives mean nothing once the playlist has ended.
    assert!(media(&format!("{LIVE}#EXT-X-ENDLIST\n")).satisfies(&directives(99, None)));
}

#[test]
fn a_delta_update_counts_what_it_skips() {
    let playlist = media(
        "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:10\n#EXT-X-SKIP:SKIPPED-SEGMENTS=5\n\
         #EXTINF:4,\n15.ts\n",
    );
    assert_eq!(playlist.skipped, 5);
    assert_eq!(playlist.segments.first().map(|segment| segment.sequence), Some(15));
    assert_eq!(playlist.last_sequence(), Some(15));
}

#[test]
fn segments_carry_the_tags_before_them() {
    let playlist = media(
        "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-DEFINE:NAME=\"d\",VALUE=\"dir\"\n\
         #EXT-X-KEY:METHOD=AES-128,URI=\"{$d}/key\"\n#EXT-X-MAP:URI=\"a.mp4\",BYTERANGE=\"10@0\"\n\
         #EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:01:00Z\n#EXT-X-BYTERANGE:100@10\n#EXTINF:4,\na.mp4\n\
         #EXT-X-BYTERANGE:50\n#EXTINF:4,\na.mp4\n\
         #EXT-X-DISCONTINUITY\n#EXT-X-GAP\n#EXT-X-MAP:URI=\"b.mp4\"\n#EXTINF:4,\n{$d}/{$unknown}\n\
         #EXT-X-BYTERANGE:50\n#EXTINF:4,\nc.mp4\n",
    );
    let [first, second, third, fourth] = &playlist.segments[..] else { panic!("{playlist:?}") };
    let range = |start, length| Some(ByteRange { start, length: Some(length) });
    assert_eq!((first.range, second.range, fourth.range), (range(10, 100), range(110, 50), None));
    assert!(third.is_discontinuity && third.is_gap && !fourth.is_discontinuity && !fourth.is_gap);
    assert_eq!((third.uri.as_deref(), fourth.uri.as_deref()), (None, Some("c.mp4")));
    let map = |segment: &Segment| segment.map.as_ref().and_then(|map| map.uri.as_deref()).map(str::to_owned);
    assert_eq!(first.map.as_ref().and_then(|map| map.range), range(0, 10));
    assert_eq!((map(second).as_deref(), map(third).as_deref()), (Some("a.mp4"), Some("b.mp4")));
    assert_eq!(playlist.keys, ["dir/key".into()]);
}

/// Sections 4.4.4.9 and 4.4.5.3: parts may be ranges of one resource, and a hint without length has no end
/// yet.
#[test]
fn parts_and_hints_are_read_with_their_ranges() {
    let playlist = media(
        "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-PART-INF:PART-TARGET=1\n\
         #EXT-X-PART:DURATION=1,URI=\"a\",BYTERANGE=\"10@0\",INDEPENDENT=YES\n\
         #EXT-X-PART:DURATION=0.5,URI=\"a\",BYTERANGE=\"20\"\n#EXT-X-PART:DURATION=-1,URI=\"b\",GAP=YES\n\
         #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"a\",BYTERANGE-START=30\n\
         #EXT-X-PRELOAD-HINT:TYPE=MAP,URI=\"m\",BYTERANGE-LENGTH=9\n#EXT-X-PRELOAD-HINT:TYPE=NEW,URI=\"n\"\n",
    );
    let range = |start, length| ByteRange { start, length };
    let part = |uri: &str, millis, range, is_independent, is_gap| Part {
        uri: Some(uri.into()),
        duration: Duration::from_millis(millis),
        range,
        is_independent,
        is_gap,
    };
    let parts = [
        part("a", 1_000, Some(range(0, Some(10))), true, false),
        part("a", 500, Some(range(10, Some(20))), false, false),
        part("b", 0, None, false, true),
    ];
    assert_eq!(playlist.next_parts, parts);
    let hint = |kind, uri: &str, range| Hint { kind, uri: Some(uri.into()), range };
    let hints = [hint(HintKind::Part, "a", range(30, None)), hint(HintKind::Map, "m", range(0, Some(9)))];
    assert_eq!(playlist.hints, hints);
}

/// Section 4.4.5.4.
#[test]
fn rendition_reports_are_read() {
    let playlist = media(
        "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-RENDITION-REPORT:URI=\"../b.m3u8\",LAST-MSN=7,LAST-PART=2\n",
    );
    let report = Report { uri: Some("../b.m3u8".into()), last_sequence: 7, last_part: Some(2) };
    assert_eq!(playlist.reports, [report]);
}

#[test]
fn a_mistake_in_an_optional_tag_refuses_no_playlist() {
    for line in [
        "#EXT-X-KEY:URI=1",
        "#EXT-X-BYTERANGE:x",
        "#EXT-X-BYTERANGE:18446744073709551615@2",
        "#EXT-X-PROGRAM-DATE-TIME:yesterday",
        "#EXT-X-PROGRAM-DATE-TIME:2026-99-99T99:99:99Z",
        "#EXT-X-PRELOAD-HINT:TYPE=PART",
        "#EXT-X-RENDITION-REPORT:LAST-MSN=-1",
        "#EXT-X-DEFINE:NAME=1",
        "#EXT-X-SERVER-CONTROL:CAN-SKIP-UNTIL=-1,HOLD-BACK=nan",
    ] {
        let playlist = media(&format!("#EXTM3U\n#EXT-X-TARGETDURATION:4\n{line}\n#EXTINF:4,\na\n"));
        let segment =
            Segment { uri: Some("a".into()), duration: Duration::from_secs(4), ..Segment::default() };
        assert_eq!(playlist.segments, [segment], "{line}");
        assert_eq!(playlist.server_control, ServerControl::default(), "{line}");
        let multivariant = format!("#EXTM3U\n{line}\n#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8\n");
        let variants = Multivariant { variants: vec!["a.m3u8".to_owned()], ..Multivariant::default() };
        assert_eq!(Playlist::parse(multivariant.as_bytes()), Ok(Playlist::Multivariant(variants)), "{line}");
    }
}

#[test]
fn a_multivariant_playlist_has_variables_too() {
    let text = "#EXTM3U\n#EXT-X-DEFINE:NAME=\"a\",VALUE=\"x\"\n#EXT-X-DEFINE:QUERYPARAM=\"q\"\n\
        #EXT-X-STREAM-INF:BANDWIDTH=1\n{$a}/1.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=2\n2.m3u8?{$q}\n";
    let expected = Multivariant { variants: vec!["x/1.m3u8".to_owned()], ..Multivariant::default() };
    assert_eq!(Playlist::parse(text.as_bytes()), Ok(Playlist::Multivariant(expected)));
}

#[test]
fn an_empty_playlist_has_no_last_segment() {
    let playlist = media("#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:7");
    assert_eq!(playlist.last_sequence(), None);
    assert_eq!(playlist.next_sequence(), 7);
}

#[test]
fn a_multivariant_playlist_names_its_renditions() {
    let text = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"en\",URI=\"audio.m3u8\"\n\
        #EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID=\"c\",NAME=\"cc\",INSTREAM-ID=\"CC1\"\n\
        #EXT-X-STREAM-INF:BANDWIDTH=1280000,AUDIO=\"a\"\n# comment\nlow.m3u8\n\
        #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=86000,URI=\"low-i.m3u8\"\n\
        #EXT-X-STREAM-INF:BANDWIDTH=2560000\nhttps://other.example/mid.m3u8\n";
    let expected = Multivariant {
        variants: vec!["low.m3u8".to_owned(), "https://other.example/mid.m3u8".to_owned()],
        renditions: vec!["audio.m3u8".to_owned()],
        iframes: vec!["low-i.m3u8".to_owned()],
    };
    assert_eq!(Playlist::parse(text.as_bytes()), Ok(Playlist::Multivariant(expected)));
}

#[test]
fn files_that_are_no_playlist_are_refused() {
    for bytes in [
        &b""[..],
        b"\n\n",
        b"\x00\x00\x00\x18ftypmp42",
        b"<html>\n#EXTM3U\n",
        b"#EXT",
        b"\0#EXTM3U\n",
        b"\xFF\xFE#\0E\0X\0T\0M\x003\0U\0",
        b"#EXTINF:4,\na.ts\n",
    ] {
        assert_eq!(Playlist::parse(bytes), Err(PlaylistError::NotAPlaylist), "{bytes:?}");
    }
}

#[test]
fn hostile_playlists_are_refused_or_read_within_bounds() {
    let head = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n";
    let long = "x".repeat(1 << 20);
    for text in [
        format!("{head}#EXTINF:4,{long}\na\n"),
        format!("{head}#{long}\n#EXTINF:4,\n{long}\n"),
        format!("{head}#EXT-X-{long}\n#EXTINF:4,\na\n"),
        format!("{head}#EXT-X-DEFINE:NAME=\"a\",VALUE=\"{long}\"\n{}", "#EXTINF:4,\n{$a}\n".repeat(9)),
        format!("{head}#EXT-X-SESSION-DATA:DATA-ID=\"{long}\"\n#EXTINF:4,\nskd://a b\n"),
    ] {
        assert!(!media(&text).segments.is_empty());
    }
    assert_eq!(media(&format!("{head}{}", "#EXTINF:4,\na\n".repeat(100_000))).next_sequence(), 100_000);
    let sequence = media(&format!("{head}#EXT-X-MEDIA-SEQUENCE:9223372036854775808\n#EXTINF:4,\na\n"));
    assert_eq!(sequence.last_sequence(), Some(1 << 63));
    let skipped = media(&format!("{head}#EXT-X-SKIP:SKIPPED-SEGMENTS=18446744073709551615\n#EXTINF:4,\na\n"));
    assert_eq!((skipped.counting, skipped.skipped, skipped.next_sequence()), (Counting::Unknown, 0, 1));
    let text = format!("#EXTM3U\n{}a\n", "#EXT-X-STREAM-INF:BANDWIDTH=1\n".repeat(9)) + head;
    assert!(matches!(Playlist::parse(text.as_bytes()), Ok(Playlist::Multivariant(_))));
}

/// A media playlist as some packager could write it.
fn generated() -> impl Strategy<Value = (String, u64, Vec<u32>)> {
    (0..1_u64 << 40, proptest::collection::vec(0..10_000_u32, 0..40), any::<bool>()).prop_map(
        |(sequence, millis, ended)| {
            let segments: Vec<String> = millis
                .iter()
                .map(|ms| format!("#EXTINF:{}.{:03},\nseg-{ms}.ts\n", ms / 1_000, ms % 1_000))
                .collect();
            let end = if ended { "#EXT-X-ENDLIST\n" } else { "" };
            let text = format!(
                "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXT-X-MEDIA-SEQUENCE:{sequence}\n{}{end}",
                segments.concat()
            );
            (text, sequence, millis)
        },
    )
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        drop(Playlist::parse(&bytes));
        drop(Playlist::parse(&[b"#EXTM3U\n", &*bytes].concat()));
    }

    #[test]
    fn no_lines_make_the_parser_panic(
        lines in proptest::collection::vec(
            r#"(#EXT(INF|-X-(TARGETDURATION|MEDIA-SEQUENCE|PART|MAP|SKIP|MEDIA|STREAM-INF|PART-INF|SERVER-CONTROL|ENDLIST|BYTERANGE|KEY|DEFINE|PRELOAD-HINT|RENDITION-REPORT|PROGRAM-DATE-TIME|GAP|DISCONTINUITY)))?[:,=]?[A-Z"0-9.,=@: -]{0,20}[\r]?"#,
            0..12,
        ),
    ) {
        drop(Playlist::parse(format!("#EXTM3U\n{}", lines.join("\n")).as_bytes()));
    }

    #[test]
    fn a_written_playlist_is_read_back((text, sequence, millis) in generated()) {
        let playlist = media(&text);
        prop_assert_eq!(playlist.media_sequence, sequence);
        prop_assert_eq!(playlist.next_sequence(), sequence + millis.len() as u64);
        let read: Vec<u128> = playlist.segments.iter().map(|s| s.duration.as_millis()).collect();
        let written: Vec<u128> = millis.iter().map(|&ms| u128::from(ms)).collect();
        prop_assert_eq!(read, written);
    }
}
