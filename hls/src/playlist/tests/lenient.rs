//! Playlists with mistakes: what can be understood is used, and what cannot is ignored.

use super::*;
use crate::lines::lines;

const SEGMENT: &str = "#EXTINF:1.0,\na.ts\n";

/// A media playlist with these lines after its first one.
fn with(text: &str) -> Media {
    media(&format!("#EXTM3U\n{text}"))
}

fn target(line: &str) -> Duration {
    with(&format!("{line}\n#EXT-X-MEDIA-SEQUENCE:5\n{SEGMENT}#EXTINF:2.5,\nb.ts\n")).target_duration
}

#[test]
fn a_target_duration_is_read_or_taken_from_the_longest_segment() {
    for (line, millis) in [
        ("#EXT-X-TARGETDURATION:1.5", 1_500),
        ("#EXT-X-TARGETDURATION: 4 ", 4_000),
        ("#EXT-X-TARGETDURATION : 4", 4_000),
        ("  #EXT-X-TARGETDURATION:4", 4_000),
        ("#EXT-X-TARGETDURATION:4s", 4_000),
        ("#EXT-X-TARGETDURATION:4\n#EXT-X-TARGETDURATION:6", 6_000),
        ("#EXT-X-TARGETDURATION:4\n#EXT-X-TARGETDURATION:", 4_000),
        ("#EXT-X-TARGETDURATION:0", 0),
        ("#EXT-X-TARGETDURATION:-1", 3_000),
        ("#EXT-X-TARGETDURATION:99999999", 3_000),
        ("#EXT-X-TARGETDURATION", 3_000),
        ("", 3_000),
    ] {
        assert_eq!(target(line), Duration::from_millis(millis), "{line:?}");
    }
    assert_eq!(with("#EXT-X-MEDIA-SEQUENCE:5\n").target_duration, Duration::from_secs(2));
}

#[test]
fn the_first_number_is_read_or_known_to_be_unknown() {
    for (line, expected) in [
        ("#EXT-X-MEDIA-SEQUENCE:5", (5, Counting::Declared)),
        ("#EXT-X-MEDIA-SEQUENCE: 5", (5, Counting::Declared)),
        ("#EXT-X-MEDIA-SEQUENCE:5.0", (5, Counting::Declared)),
        ("#EXT-X-MEDIA-SEQUENCE:4\n#EXT-X-MEDIA-SEQUENCE:5", (5, Counting::Declared)),
        ("#EXT-X-MEDIA-SEQUENCE:18446744073709551600", (u64::MAX - 15, Counting::Declared)),
        ("#EXT-X-MEDIA-SEQUENCE:", (0, Counting::Implied)),
        ("#EXT-X-MEDIA-SEQUENCE", (0, Counting::Implied)),
        ("", (0, Counting::Implied)),
        ("#EXT-X-MEDIA-SEQUENCE:-1", (0, Counting::Unknown)),
        ("#EXT-X-MEDIA-SEQUENCE:x", (0, Counting::Unknown)),
        ("#EXT-X-MEDIA-SEQUENCE:18446744073709551615", (0, Counting::Unknown)),
        ("#EXT-X-MEDIA-SEQUENCE:99999999999999999999", (0, Counting::Unknown)),
        ("#EXT-X-SKIP:", (0, Counting::Unknown)),
    ] {
        let media = with(&format!("#EXT-X-TARGETDURATION:2\n{line}\n{SEGMENT}"));
        assert_eq!((media.media_sequence, media.counting), expected, "{line:?}");
        assert_eq!(media.segments.first().map(|segment| segment.sequence), Some(expected.0), "{line:?}");
        let is_unknown = expected.1 == Counting::Unknown;
        assert_eq!(
            (!media.is_numbered(), Playlist::Media(media.into()).is_unpredictable()),
            (is_unknown, is_unknown)
        );
    }
    let after = with(&format!("#EXT-X-TARGETDURATION:2\n{SEGMENT}#EXT-X-MEDIA-SEQUENCE:5\n"));
    assert_eq!(after.next_sequence(), 6);
}

#[test]
fn a_segment_is_a_uri_after_extinf_whatever_that_says() {
    let long = format!("#EXTINF:4,{}", "x".repeat(1 << 20));
    for (inf, millis) in [
        ("#EXTINF:4", 4_000),
        ("#EXTINF:4 ,", 4_000),
        ("#EXTINF : 4 , title", 4_000),
        ("\t#EXTINF:4,", 4_000),
        ("#EXTINF:4,000,", 4_000),
        ("#EXTINF:4e0,", 4_000),
        ("#EXTINF:.5,", 500),
        ("#EXTINF:9,\n#EXTINF:4,", 4_000),
        ("#EXTINF:4,\n\n# comment\n#EXT-X-UNKNOWN:1\n#EXT", 4_000),
        ("#EXTINF:-4,", 0),
        ("#EXTINF:,", 0),
        ("#EXTINF:", 0),
        ("#EXTINF", 0),
        ("#EXTINF:nan,", 0),
        ("#EXTINF:1e99,", 86_400_000),
        (&long, 4_000),
    ] {
        let media = with(&format!("#EXT-X-TARGETDURATION:4\n{inf}\na.ts\nneither\n#EXTINF:4,\nb.ts\n"));
        let [first, second] = &media.segments[..] else { panic!("{inf:?}: {media:?}") };
        assert_eq!((first.uri.as_deref(), second.uri.as_deref()), (Some("a.ts"), Some("b.ts")), "{inf:?}");
        assert_eq!(first.duration, Duration::from_millis(millis), "{inf:?}");
    }
}

#[test]
fn bytes_that_are_no_text_cost_only_the_line_in_which_they_are() {
    let text = b"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,Caf\xE9\na.ts\n#EXTINF:4,\n\xE9.ts\n#EXTINF:4,\nc.ts\0\0";
    let Ok(Playlist::Media(media)) = Playlist::parse(text) else { panic!("no media playlist") };
    let uris: Vec<_> = media.segments.iter().map(|segment| segment.uri.as_deref()).collect();
    assert_eq!(uris, [Some("a.ts"), None, Some("c.ts\0\0")]);
}

#[test]
fn any_line_break_and_anything_before_the_first_line_is_read() {
    let plain =
        format!("#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:7\n{SEGMENT}#EXT-X-ENDLIST\n");
    let expected = media(&plain);
    assert!(expected.end_list && expected.next_sequence() == 8);
    for text in [
        plain.replace('\n', "\r\n"),
        plain.replace('\n', "\r"),
        plain.replace('\n', "\n\n"),
        plain.replace('\n', " \t\n"),
        plain.replace('\n', "\n\t "),
        format!("\u{feff}{plain}"),
        format!("\r\n  {plain}"),
        plain.replace("#EXTM3U", "#EXTM3U url-tvg=\"\""),
        plain.trim_end().to_owned(),
        format!("{plain}\0\0\0"),
        format!("{plain}#EXT-X-ENDLIST:\n"),
    ] {
        assert_eq!(media(&text), expected, "{text:?}");
    }
}

#[test]
fn attributes_are_read_with_blanks_and_without_quotes() {
    let media = with(
        "#EXT-X-TARGETDURATION:4\n#EXT-X-PART-INF:PART-TARGET = \"0.5\"\n\
         #EXT-X-SERVER-CONTROL: CAN-BLOCK-RELOAD=YES , PART-HOLD-BACK=1.5,CAN-SKIP-UNTIL=-1,\n\
         #EXT-X-MAP:URI=init.mp4,BYTERANGE=10\n#EXT-X-KEY:URI=key\n#EXT-X-DISCONTINUITY-SEQUENCE:-1\n\
         #EXT-X-PLAYLIST-TYPE: event\n#EXTINF:4,\na\n#EXT-X-PART:DURATION=.5\n#EXT-X-PART: URI = b , GAP=yes\n\
         #EXT-X-PART:URI=\"c\",BYTERANGE=x\n#EXT-X-PART:URI=\"cut\n#EXT-X-PRELOAD-HINT:TYPE=\"PART\",URI=d\n",
    );
    assert_eq!(media.part_target, Some(Duration::from_millis(500)));
    let control = ServerControl {
        can_block_reload: true,
        part_hold_back: Some(Duration::from_millis(1_500)),
        ..ServerControl::default()
    };
    assert_eq!(media.server_control, control);
    let range = Some(ByteRange { start: 0, length: Some(10) });
    assert_eq!(media.map.as_deref(), Some(&Map { uri: Some("init.mp4".into()), range }));
    assert_eq!((&media.keys[..], media.discontinuity_sequence), (&["key".into()][..], 0));
    assert_eq!(media.playlist_type, Some(PlaylistType::Event));
    let parts: Vec<_> = media.next_parts.iter().map(|part| (part.uri.as_deref(), part.is_gap)).collect();
    assert_eq!(parts, [(None, false), (Some("b"), false), (None, false), (None, false)]);
    assert_eq!(media.hints.first().and_then(|hint| hint.uri.as_deref()), Some("d"));
}

/// A range that cannot be read must not stand for the whole resource.
#[test]
fn an_initialisation_section_with_an_unreadable_range_is_unknown() {
    for range in ["-1@0", "x", "10@", "@5", "18446744073709551616@0"] {
        let media =
            with(&format!("#EXT-X-TARGETDURATION:4\n#EXT-X-MAP:URI=\"a\",BYTERANGE=\"{range}\"\n{SEGMENT}"));
        assert_eq!(media.map.as_deref(), Some(&Map { uri: None, range: None }), "{range}");
    }
}

#[test]
fn a_multivariant_playlist_needs_its_uris_alone() {
    let expected = Multivariant {
        variants: vec!["v.m3u8".to_owned()],
        renditions: vec!["a.m3u8".to_owned()],
        iframes: vec!["i.m3u8".to_owned()],
    };
    for [media, iframes, variant] in [
        [
            "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"n\",URI=\"a.m3u8\"",
            "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI=\"i.m3u8\"",
            "#EXT-X-STREAM-INF:BANDWIDTH=1\nv.m3u8",
        ],
        [
            "#EXT-X-MEDIA:TYPE=AUDIO, URI=\"a.m3u8\"",
            "#EXT-X-I-FRAME-STREAM-INF:URI=i.m3u8",
            "#EXT-X-STREAM-INF:PROGRAM-ID=1, BANDWIDTH=x\n\n# low\n v.m3u8 \n#EXT-X-ENDLIST",
        ],
        [
            "#EXT-X-MEDIA:URI = \"a.m3u8\"\n#EXT-X-MEDIA:\n#EXT-X-MEDIA:URI=\"",
            "#EXT-X-MEDIA-SEQUENCE:1\n#EXT-X-I-FRAME-STREAM-INF:URI=\"i.m3u8\",",
            "#EXT-X-STREAM-INF\nv.m3u8\nstray\n#EXT-X-STREAM-INF:BANDWIDTH=1",
        ],
    ] {
        let text = format!("#EXTM3U\n{media}\n{iframes}\n{variant}\n");
        let Ok(Playlist::Multivariant(read)) = Playlist::parse(text.as_bytes()) else { panic!("{text}") };
        assert_eq!((&read.variants, &read.iframes), (&expected.variants, &expected.iframes), "{text}");
        assert_eq!(read.renditions.first(), expected.renditions.first(), "{text}");
    }
}

#[test]
fn segments_decide_over_variants_and_variants_over_other_tags() {
    let mixed = format!("#EXT-X-TARGETDURATION:2\n{SEGMENT}#EXT-X-STREAM-INF:BANDWIDTH=1\nv.m3u8\n{SEGMENT}");
    assert_eq!(with(&mixed).segments.len(), 2);
    let text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv.m3u8\n";
    assert!(matches!(Playlist::parse(text.as_bytes()), Ok(Playlist::Multivariant(_))));
}

#[test]
fn a_list_without_tags_of_hls_is_plain() {
    for text in [
        "#EXTM3U",
        "#EXTM3U\n# nothing\n",
        "#EXTM3U\na.ts\nb.ts\n",
        "#EXTM3U\n#EXTINF:-1 tvg-id=\"x\",Channel\nhttp://a.example/live.m3u8\n",
        "#EXTM3U\n#EXTINF:213,Artist - Title\nsong.mp3\n",
        "#EXTM3U\n#EXT-X-VERSION:3\n",
        "#EXTM3U\n\0\x01\x02",
    ] {
        assert_eq!(Playlist::parse(text.as_bytes()), Ok(Playlist::Untagged), "{text:?}");
    }
    assert!(Playlist::Untagged.is_unpredictable());
}

/// A playlist as a packager writes it.
fn well_formed() -> impl Strategy<Value = Vec<u8>> {
    (0..9_usize, any::<bool>()).prop_map(|(segments, ended)| {
        let head = "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:4\n#EXT-X-PART-INF:PART-TARGET=1.0\n\
            #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=4.0\n#EXT-X-MEDIA-SEQUENCE:10\n\
            #EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n#EXT-X-MAP:URI=\"init.mp4\",BYTERANGE=\"10@0\"\n";
        let segment = "#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00Z\n#EXT-X-BYTERANGE:100@10\n\
            #EXT-X-PART:DURATION=1.0,URI=\"p\"\n#EXTINF:4.0,title\nsegment.m4s?token=1\n";
        let end = if ended { "#EXT-X-ENDLIST\n" } else { "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"n\"\n" };
        format!("{head}{}{end}", segment.repeat(segments)).into_bytes()
    })
}

/// One change: a place, the number of bytes to remove there, and the bytes to insert.
fn change() -> impl Strategy<Value = (prop::sample::Index, usize, Vec<u8>)> {
    let bytes = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..4),
        prop::sample::select(vec![
            &b"\r"[..],
            b"\n",
            b" ",
            b"\t",
            b",",
            b"\"",
            b"=",
            b":",
            b"@",
            b"-",
            b"#",
            b"\0",
            b"18446744073709551615",
            b"\xEF\xBB\xBF",
            b"#EXTINF:",
            b"\n#EXT-X-SKIP:SKIPPED-SEGMENTS=9\n",
            b"\n#EXT-X-STREAM-INF:\n",
            b"{$x}",
        ])
        .prop_map(<[u8]>::to_vec),
    ];
    (any::<prop::sample::Index>(), 0..12_usize, bytes)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    /// Whatever happens to a playlist, it is read without a panic, its numbers are consistent, its lines are
    /// all of its bytes, and what is written in its place is a playlist with the same segments.
    #[test]
    fn a_changed_playlist_is_read_and_keeps_its_bytes(
        mut text in well_formed(), changes in prop::collection::vec(change(), 0..6),
    ) {
        for (place, removed, inserted) in changes {
            let start = place.index(text.len() + 1);
            let end = (start + removed).min(text.len());
            text.splice(start..end, inserted);
        }
        prop_assert_eq!(lines(&text).flat_map(|line| line.raw).copied().collect::<Vec<_>>(), text.clone());
        let Ok(Playlist::Media(media)) = Playlist::parse(&text) else { return Ok(()) };
        prop_assert!(!media.target_duration.is_zero() || text.windows(9).any(|tag| tag == b"DURATION:"));
        for (segment, number) in media.segments.iter().zip(media.first_listed()..) {
            prop_assert_eq!(segment.sequence, number);
        }
        let offered = crate::offer(&text, &media, crate::Offer::Both);
        if let Ok(Playlist::Media(read)) = Playlist::parse(&offered) {
            prop_assert_eq!(&read.segments, &media.segments);
            prop_assert_eq!(read.position(), media.position());
        } else {
            prop_assert!(false, "the offer is no media playlist");
        }
        if let Some(delta) = crate::delta(&text, &media, &[]) {
            let Ok(Playlist::Media(read)) = Playlist::parse(&delta) else { panic!("no media playlist") };
            prop_assert_eq!(read.position(), media.position());
        }
    }
}
