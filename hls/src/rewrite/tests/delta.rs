//! Delta updates, applied by a separate reader that shares no code with the crate.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{daterange_ids, delta};

fn skipped(full: &str) -> Option<String> {
    delta(full.as_bytes(), &parse(full.as_bytes()), &[]).map(text)
}

const HEAD: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-VERSION:6\n\
    #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=24\n#EXT-X-MEDIA-SEQUENCE:100\n";
const DELTA_HEAD: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-VERSION:9\n\
    #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=24\n#EXT-X-MEDIA-SEQUENCE:100\n";

fn segments(numbers: std::ops::Range<u32>) -> String {
    numbers
        .flat_map(|number| ["#EXTINF:4.000,\nseg ".to_owned(), number.to_string(), "\n".to_owned()])
        .collect()
}

/// Section 6.2.5.1: EXT-X-SKIP replaces the segments older than the skip boundary; section 8: version 9.
#[test]
fn a_delta_update_skips_the_segments_older_than_the_boundary() {
    let tail = "#EXT-X-PART:DURATION=1,URI=\"p\"\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"q\"\n";
    let expected = format!("{DELTA_HEAD}#EXT-X-SKIP:SKIPPED-SEGMENTS=4\n{}{tail}", segments(104..110));
    assert_eq!(skipped(&format!("{HEAD}{}{tail}", segments(100..110))), Some(expected));
    let newest = skipped(&format!("{HEAD}{}", segments(100..107)));
    assert_eq!(newest, Some(format!("{DELTA_HEAD}#EXT-X-SKIP:SKIPPED-SEGMENTS=1\n{}", segments(101..107))));
}

/// Sections 4.4.3.8 and 6.2.5.1: only where offered, and never of a playlist that has ended.
#[test]
fn without_the_offer_or_after_the_end_the_full_playlist_is_sent() {
    let full = format!("{HEAD}{}", segments(100..110));
    assert!(skipped(&full).is_some());
    for full in [
        full.replace(",CAN-SKIP-UNTIL=24", ""),
        full.replace("=24", "=-24"),
        full.replace("=24", "=2400"),
        format!("{full}#EXT-X-ENDLIST\n"),
        full.replace("#EXT-X-VERSION:6", "#EXT-X-PLAYLIST-TYPE:VOD"),
        full.replace("#EXT-X-VERSION:6", "#EXT-X-SKIP:SKIPPED-SEGMENTS=1"),
        full.replace("SEQUENCE:100", "SEQUENCE:18446744073709551615"),
        format!("{HEAD}{}", segments(100..106)),
        HEAD.to_owned(),
    ] {
        assert_eq!(skipped(&full), None, "{full}");
    }
}

/// Section 4.4.5.2: a client that merges date ranges must learn which are removed.
#[test]
fn date_ranges_are_never_skipped_and_removed_ones_are_named() {
    let range = "#EXT-X-DATERANGE:ID=\"a\",START-DATE=\"2026-01-01T00:00:00Z\"\n";
    let full = format!("{HEAD}{}{range}{}", segments(100..101), segments(101..110));
    assert_eq!(daterange_ids(full.as_bytes()).collect::<Vec<_>>(), ["a"]);
    let expected = format!("{DELTA_HEAD}#EXT-X-SKIP:SKIPPED-SEGMENTS=4\n{range}{}", segments(104..110));
    assert_eq!(skipped(&full), Some(expected.clone()));
    let merging = full.replace("=24", "=24,CAN-SKIP-DATERANGES=YES");
    for (removed, named) in [(&[][..], ""), (&["b".into(), "c".into()], "b\tc")] {
        let delta = delta(merging.as_bytes(), &parse(merging.as_bytes()), removed).map(text);
        let attribute = format!("SEGMENTS=4,RECENTLY-REMOVED-DATERANGES=\"{named}\"\n");
        let expected =
            expected.replace("=24", "=24,CAN-SKIP-DATERANGES=YES").replace("SEGMENTS=4\n", &attribute);
        assert_eq!(delta, Some(expected));
    }
}

#[test]
fn keys_and_maps_still_in_effect_are_repeated() {
    let key = |list: &str| format!("#EXT-X-KEY:{list}\n");
    let (a, b) = (key("METHOD=AES-128,URI=\"a\""), key("METHOD=AES-128,URI=\"b\",KEYFORMAT=\"identity\""));
    let (other, none) = (key("METHOD=SAMPLE-AES,URI=\"o\",KEYFORMAT=\"o\""), key("METHOD=NONE"));
    let map = "#EXT-X-MAP:URI=\"m\"\n".to_owned();
    for (first, second, expected) in [
        (vec![&a, &map], vec![], vec![&a, &map]),
        (vec![&a], vec![&b, &other], vec![&b, &other]),
        (vec![&a, &other], vec![&none], vec![&none]),
        (vec![&none], vec![&a], vec![&none, &a]),
        // The initialisation section is encrypted, the segments after it are not.
        (vec![&a, &map], vec![&none], vec![&a, &map, &none]),
        (vec![&a, &map], vec![&b, &map], vec![&b, &map]),
    ] {
        let join = |lines: &[&String]| lines.iter().map(|line| line.as_str()).collect::<String>();
        let (list, rest) = (segments(100..102), segments(102..110));
        let full = format!("{HEAD}{}{list}#EXT-X-BITRATE:9\n{}{rest}", join(&first), join(&second));
        let expected =
            format!("{DELTA_HEAD}#EXT-X-SKIP:SKIPPED-SEGMENTS=4\n{}{}", join(&expected), segments(104..110));
        assert_eq!(skipped(&full), Some(expected));
    }
    let formats: String =
        (0..1_000).map(|n| key(&format!("METHOD=AES-128,URI=\"u\",KEYFORMAT=\"{n}\""))).collect();
    assert_eq!(skipped(&format!("{HEAD}{formats}{}", segments(100..110))), None);
}

/// Section 4.4.4.2: a byte range without offset begins where the segment before it ended.
#[test]
fn a_segment_that_continues_a_byte_range_is_not_cut_from_the_one_before() {
    let range = |number: u32| if number.is_multiple_of(3) { "10@0" } else { "10" };
    let list = |numbers: std::ops::Range<u32>| -> String {
        numbers.flat_map(|n| ["#EXTINF:4,\n#EXT-X-BYTERANGE:", range(n), "\nf\n"]).collect()
    };
    let expected = format!("{DELTA_HEAD}#EXT-X-SKIP:SKIPPED-SEGMENTS=2\n{}", list(102..110));
    assert_eq!(skipped(&format!("{HEAD}{}", list(100..110))), Some(expected));
    let chained = list(100..110).replace("10@0", "10");
    assert_eq!(skipped(&format!("{HEAD}{chained}")), None);
}

#[test]
fn line_breaks_and_versions_are_kept_as_they_are() {
    let full = format!("{HEAD}{}", segments(100..108)).replace('\n', "\r\n");
    let delta = skipped(&full).unwrap();
    assert!(delta.contains("\r\n#EXT-X-SKIP:SKIPPED-SEGMENTS=2\r\n"));
    assert_eq!(delta.matches('\n').count(), delta.matches("\r\n").count());
    for (version, expected) in [
        ("#EXT-X-VERSION:12\n", "#EXT-X-VERSION:12\n"),
        ("", "#EXT-X-VERSION:9\n"),
        ("#EXT-X-VERSION:x\n", "#EXT-X-VERSION:9\n"),
    ] {
        let full = format!("{HEAD}{}", segments(100..108)).replace("#EXT-X-VERSION:6\n", version);
        let delta = skipped(&full).unwrap();
        assert_eq!(delta.matches("#EXT-X-VERSION").count(), 1);
        assert!(delta.contains(expected), "{delta}");
    }
}

#[test]
fn a_hundred_thousand_segments_and_a_megabyte_of_line_are_cut_in_one_pass() {
    let full = format!("{HEAD}{}", segments(0..100_000));
    let delta = skipped(&full).unwrap();
    assert!(delta.contains("SKIPPED-SEGMENTS=99994\n") && delta.len() < 500);
    let long = format!("{HEAD}{}", segments(100..110)).replace("seg 100", &"x".repeat(1 << 20));
    assert!(skipped(&long).is_some_and(|delta| delta.len() < 500));
}

/// A player's reading of each segment: its lines, and the key and map lines in effect.
type Read = BTreeMap<u64, (Vec<String>, Vec<String>)>;

/// Reads segments like a player that has the `old` ones. Key and map lines apply to all segments that follow.
fn read(text: &str, old: &Read) -> Read {
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.map_or(0, |value| value.parse::<u64>().unwrap())
    };
    let mut sequence = value("#EXT-X-MEDIA-SEQUENCE:");
    let skipped = sequence + value("#EXT-X-SKIP:SKIPPED-SEGMENTS=");
    let mut read: Read = old.range(sequence..skipped).map(|(n, known)| (*n, known.clone())).collect();
    assert_eq!(read.len() as u64, skipped - sequence, "a player has the skipped segments");
    sequence = skipped;
    let (mut own, mut in_effect) = (Vec::new(), Vec::new());
    for line in text.lines() {
        if line.starts_with("#EXT-X-KEY") || line.starts_with("#EXT-X-MAP") {
            let name = line.split(':').next().unwrap();
            in_effect.retain(|other: &String| !other.starts_with(name));
            in_effect.push(line.to_owned());
            in_effect.sort();
        } else if ["#EXTINF", "#EXT-X-DISC", "#EXT-X-BYTE"].iter().any(|tag| line.starts_with(tag)) {
            own.push(line.to_owned());
        } else if !line.starts_with('#') && !line.is_empty() {
            own.push(line.to_owned());
            read.insert(sequence, (std::mem::take(&mut own), in_effect.clone()));
            sequence += 1;
        }
    }
    read
}

/// The lines of one segment; the number determines them, as in one stream.
fn block(number: u64) -> String {
    let mut block = String::new();
    for (every, line) in [
        (7, "#EXT-X-DISCONTINUITY\n".to_owned()),
        (7, format!("#EXT-X-MAP:URI=\"{number}\"\n")),
        (5, format!("#EXT-X-KEY:METHOD=AES-128,URI=\"{number}\"\n")),
        (3, "#EXT-X-UNHEARD-OF:a\n\n# comment\n".to_owned()),
        (4, "#EXT-X-BYTERANGE:10@5\n".to_owned()),
    ] {
        if number.is_multiple_of(every) {
            block.push_str(&line);
        }
    }
    format!("{block}#EXTINF:{}.5,\n{number}.ts\n", number % 4)
}

fn full(first: u64, count: u64) -> String {
    // The state at the beginning of the list is repeated there.
    let (map, key) = (first / 7 * 7, first / 5 * 5);
    let head = HEAD.replace(":100\n", &format!(":{first}\n"));
    let state = format!("#EXT-X-MAP:URI=\"{map}\"\n#EXT-X-KEY:METHOD=AES-128,URI=\"{key}\"\n");
    let list: String = (first..first + count).map(block).collect();
    format!("{head}{state}{list}#EXT-X-PART:DURATION=1,URI=\"next\"\n")
}

proptest! {
    /// Section 6.2.5.1: a delta update applied to the version before it gives the full playlist.
    #[test]
    fn a_delta_update_applied_to_the_old_playlist_gives_the_new_one(
        first in 0..100_u64, count in 1..60_u64, ahead in 0..5_u64, crlf in any::<bool>(),
    ) {
        let (mut old, mut new) = (full(first, count), full(first + ahead.min(count), count));
        if crlf {
            (old, new) = (old.replace('\n', "\r\n"), new.replace('\n', "\r\n"));
        }
        let known = read(&old, &Read::new());
        if let Some(delta) = skipped(&new) {
            prop_assert_eq!(read(&delta, &known), read(&new, &Read::new()));
            let (short, long) = (parse(delta.as_bytes()), parse(new.as_bytes()));
            prop_assert_eq!(short.position(), long.position());
            prop_assert_eq!(&short.segments[..], &long.segments[usize::try_from(short.skipped).unwrap()..]);
            let kept: Duration = short.segments.iter().map(|segment| segment.duration).sum();
            prop_assert!(kept >= seconds(24));
            // Every segment that is sent is sent as it came.
            prop_assert!(new.ends_with(delta.rsplit_once("#EXTINF").unwrap().1));
            let last_skipped = format!("{}.ts", short.first_listed() - 1);
            let end = new.find(&last_skipped).unwrap() + last_skipped.len();
            prop_assert!(delta.ends_with(new[end..].trim_start()));
        }
    }

    #[test]
    fn no_lines_make_the_writers_panic(
        lines in proptest::collection::vec(
            r#"(#EXT(INF:4,|-X-(MEDIA-SEQUENCE:9|PART|MAP:URI="a"|KEY:METHOD=(NONE|X)|VERSION|BYTERANGE|SKIP|SERVER-CONTROL:)))?[:,=]?[A-Z"0-9.,=@: -]{0,9}[\r]?"#,
            0..24,
        ),
    ) {
        let text = format!(
            "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-SERVER-CONTROL:CAN-SKIP-UNTIL=0\n{}", lines.join("\n")
        );
        if let Ok(Playlist::Media(media)) = Playlist::parse(text.as_bytes()) {
            if let Some(delta) = delta(text.as_bytes(), &media, &[]) {
                let Ok(Playlist::Media(read)) = Playlist::parse(&delta) else { panic!("{text:?}") };
                prop_assert_eq!(read.position(), media.position());
            }
            let offered = crate::offer(text.as_bytes(), &media, crate::Offer::Both);
            prop_assert!(Playlist::parse(&offered).is_ok());
        }
    }
}
