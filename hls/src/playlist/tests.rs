use std::time::Duration;

use proptest::prelude::*;
use quick_m3u8::config::ParsingOptions;
use quick_m3u8::{Reader, Writer};

use super::*;
use crate::Directives;

fn media(text: &str) -> Media {
    match Playlist::parse(text.as_bytes()) {
        Ok(Playlist::Media(media)) => media,
        other => panic!("not a media playlist: {other:?}"),
    }
}

fn error(text: &str) -> String {
    Playlist::parse(text.as_bytes()).unwrap_err().to_string()
}

const LIVE: &str = "#EXTM3U\r\n#EXT-X-VERSION:6\r\n#EXT-X-TARGETDURATION:4\r\n#EXT-X-MEDIA-SEQUENCE:41\r\n\
    #EXT-X-DISCONTINUITY-SEQUENCE:2\r\n#EXT-X-MAP:URI=\"init.mp4\"\r\n\r\n# a comment\r\n\
    #EXTINF:4.004,title\r\n#EXT-X-UNHEARD-OF:1\r\n41.m4s\r\n#EXTINF:3.5\r\nsub/42.m4s?x=1\r\n";

const LOW_LATENCY: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-PART-INF:PART-TARGET=1.0\n\
    #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=3.0\n#EXT-X-MEDIA-SEQUENCE:10\n\
    #EXTINF:4,\n10.m4s\n#EXT-X-PART:DURATION=2,URI=\"11.0\"\n#EXT-X-PART:DURATION=2,URI=\"11.1\"\n\
    #EXTINF:4,\n11.m4s\n#EXT-X-PART:DURATION=1,URI=\"12.0\"\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"12.1\"\n";

#[test]
fn a_live_playlist_says_what_is_there() {
    let playlist = media(LIVE);
    assert_eq!(playlist.target_duration, Duration::from_secs(4));
    assert_eq!(playlist.media_sequence, 41);
    assert_eq!(playlist.discontinuity_sequence, 2);
    assert_eq!(playlist.map.as_deref(), Some("init.mp4"));
    assert_eq!(playlist.last_sequence(), Some(42));
    assert!(!playlist.is_ended());
    let second = Segment {
        uri: "sub/42.m4s?x=1".to_owned(),
        duration: Duration::from_millis(3_500),
        sequence: 42,
        parts: 0,
    };
    assert_eq!(playlist.segments.get(1), Some(&second));
}

#[test]
fn a_low_latency_playlist_counts_its_parts() {
    let playlist = media(LOW_LATENCY);
    assert_eq!(playlist.part_target, Some(Duration::from_secs(1)));
    assert!(playlist.can_block_reload);
    assert_eq!(playlist.segments.iter().map(|s| s.parts).collect::<Vec<_>>(), [0, 2]);
    assert_eq!(playlist.next_parts, 1);
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
fn what_is_not_a_playlist_is_refused() {
    for bytes in [
        &b""[..],
        b"\x00\x00\x00\x18ftypmp42",
        b"<html>",
        b"\xEF\xBB\xBF#EXTM3U\n#EXT-X-TARGETDURATION:4\n",
        b"#EXTM3U8\n#EXT-X-TARGETDURATION:4\n",
        b" #EXTM3U\n",
    ] {
        assert_eq!(Playlist::parse(bytes), Err(PlaylistError::NotAPlaylist), "{bytes:?}");
    }
    assert_eq!(Playlist::parse(b"#EXTM3U\n\n# \xFF\n"), Err(PlaylistError::NotUtf8 { line: 3 }));
}

#[test]
fn errors_name_the_line() {
    for (text, message) in [
        ("#EXTM3U\n", "the playlist has no EXT-X-TARGETDURATION"),
        ("#EXTM3U\n#EXTINF:4,\na.ts\n", "the playlist has no EXT-X-TARGETDURATION"),
        (
            "#EXTM3U\n#EXT-X-TARGETDURATION:4\na.ts\n",
            "the segment in line 3 of the playlist has no EXTINF before it",
        ),
        (
            "#EXTM3U\n#EXT-X-TARGETDURATION:99999999\n",
            "#EXT-X-TARGETDURATION in line 2 of the playlist is out of range",
        ),
        (
            "#EXTM3U\n#EXT-X-TARGETDURATION:4\n\n#EXTINF:-1,\na.ts\n",
            "#EXTINF in line 4 of the playlist is out of range",
        ),
        ("#EXTM3U\n#EXTINF:nan,\na.ts\n", "#EXTINF in line 2 of the playlist is out of range"),
        (
            "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:18446744073709551615\n#EXTINF:4,\na\n",
            "#EXT-X-MEDIA-SEQUENCE in line 3 of the playlist is out of range",
        ),
        (
            "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n",
            "the playlist ends before the URI of its last EXT-X-STREAM-INF",
        ),
        (
            "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8\n#EXT-X-TARGETDURATION:4\n",
            "the playlist is media playlist and multivariant playlist at once: see line 4",
        ),
    ] {
        assert_eq!(error(text), message, "{text:?}");
    }
    for (text, beginning) in [
        ("#EXTM3U\n#EXT-X-TARGETDURATION:4.5\n", "#EXT-X-TARGETDURATION in line 2 of the playlist is wrong:"),
        ("#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:x\n", "#EXT-X-MEDIA-SEQUENCE in line 2 of the playlist is wrong:"),
        ("#EXTM3U\n#EXTINF:\n", "#EXTINF in line 2 of the playlist is wrong:"),
        ("#EXTM3U\n\n#EXT-X-MAP:BYTERANGE=1\n", "#EXT-X-MAP in line 3 of the playlist is wrong:"),
        ("#EXTM3U\n#EXT\n", "line 2 of the playlist cannot be read:"),
    ] {
        let message = error(text);
        assert!(message.starts_with(beginning), "{text:?} gave {message:?}");
    }
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
            r#"(#EXT(INF|-X-(TARGETDURATION|MEDIA-SEQUENCE|PART|MAP|SKIP|MEDIA|STREAM-INF|PART-INF|SERVER-CONTROL|ENDLIST|BYTERANGE)))?[:,=]?[A-Z"0-9.,=@: -]{0,20}[\r]?"#,
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

    /// What a later tier rewrites line by line relies on it: an untouched line is written as it was read.
    #[test]
    fn quick_m3u8_writes_the_bytes_it_has_read((text, _, _) in generated()) {
        let mut reader = Reader::from_str(&text, ParsingOptions::default());
        let mut writer = Writer::new(Vec::new());
        while let Some(line) = reader.read_line().unwrap() {
            writer.write_line(line).unwrap();
        }
        prop_assert_eq!(String::from_utf8(writer.into_inner()).unwrap(), text);
    }
}
