//! Epochs that follow each other, published in one numbering.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::{Epoch, Mark, Numbering, Splice};

/// A playlist of these segments, each with these lines before its URI.
fn list(head: &str, numbers: std::ops::Range<u64>, each: impl Fn(u64) -> String) -> String {
    let head = format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{}\n{head}", numbers.start);
    numbers.fold(head, |list, number| list + &each(number) + &format!("{number}.ts\n"))
}

fn plain(numbers: std::ops::Range<u64>) -> String {
    list("", numbers, |_| "#EXTINF:2,\n".to_owned())
}

const FIRST: Numbering = Numbering { epoch: None, added: 0 };

/// The epoch that begins with `new` after the published playlist `old`; epochs are numbered from 1.
fn restarted(old: &str, new: &str) -> Epoch {
    let known = Numbering::of(old.as_bytes());
    let mark = Mark(known.epoch.map_or(1, |mark| mark.0 + 1));
    let received = Numbering::of(new.as_bytes());
    Epoch::restarted(mark, &parse(old.as_bytes()), Some(old.as_bytes()), &parse(new.as_bytes()), received)
}

/// The epoch of the published playlist, for another playlist of it.
fn continued(published: &str, splice: Option<Arc<Splice>>, raw: &str) -> Epoch {
    let (numbering, received) = (Numbering::of(published.as_bytes()), Numbering::of(raw.as_bytes()));
    Epoch::continued(&parse(published.as_bytes()), numbering, splice, &parse(raw.as_bytes()), received)
}

fn is_joined(epoch: &Epoch) -> bool {
    epoch.numbering().added > 0
}

fn write(epoch: &Epoch, raw: &str) -> String {
    text(epoch.rewrite(raw.as_bytes(), &parse(raw.as_bytes()), |uri| !uri.starts_with("https:")))
}

/// Publishes these playlists, one after the other.
fn published_lists(old: &str, lists: &[String]) -> Vec<String> {
    let mut epoch = restarted(old, &lists[0]);
    let mut published: Vec<String> = Vec::new();
    for raw in lists {
        if let Some(last) = published.last() {
            epoch = continued(last, epoch.splice(), raw);
        }
        published.push(write(&epoch, raw));
    }
    published
}

#[test]
fn an_epoch_continues_where_the_old_one_ended() {
    let published = published_lists(&plain(50..56), &[plain(0..1), plain(0..6), plain(1..7)]);
    assert_eq!(
        published[0],
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-TIDEGATE-RUN:ID=1,ADDED=56\n#EXT-X-MEDIA-SEQUENCE:51\n\
         #EXTINF:2,\n51.ts\n#EXTINF:2,\n52.ts\n#EXTINF:2,\n53.ts\n#EXTINF:2,\n54.ts\n#EXTINF:2,\n55.ts\n\
         #EXT-X-DISCONTINUITY\n#EXTINF:2,\n0.ts?tidegate_run=1\n"
    );
    assert!(
        published[1].contains("SEQUENCE:56\n#EXT-X-DISCONTINUITY\n#EXTINF:2,\n0.ts?tide"),
        "{}",
        published[1]
    );
    // The segment after the discontinuity is no longer listed (section 6.2.2).
    assert!(
        published[2].contains("-SEQUENCE:57\n#EXT-X-DISCONTINUITY-SEQUENCE:1\n#EXTINF:2,\n1.ts?tide"),
        "{}",
        published[2]
    );
}

#[test]
fn a_third_epoch_follows_the_second() {
    let second = published_lists(&plain(50..56), &[plain(0..1), plain(4..10)]).remove(1);
    let third = published_lists(&second, &[plain(0..2), plain(1..7)]);
    let media = parse(third[0].as_bytes());
    assert_eq!((media.media_sequence, media.segments.len(), media.discontinuity_sequence), (62, 6, 1));
    let uri = |index: usize| media.segments[index].uri.as_deref().unwrap();
    assert_eq!((uri(3), uri(4)), ("9.ts?tidegate_run=1", "0.ts?tidegate_run=2"));
    assert!(third[1].contains("DISCONTINUITY-SEQUENCE:2\n"), "{}", third[1]);
}

#[test]
fn segments_of_the_old_epoch_without_bytes_are_not_listed() {
    let (old, new) = (plain(50..56), plain(0..1));
    let epoch = Epoch::restarted(Mark(1), &parse(old.as_bytes()), None, &parse(new.as_bytes()), FIRST);
    assert!(
        write(&epoch, &new).contains("SEQUENCE:56\n#EXT-X-DISCONTINUITY\n#EXTINF:2,\n0.ts?tidegate_run=1\n")
    );
    // Of a long playlist, the newest segments are.
    let epoch = restarted(&plain(0..1_000), &new);
    assert!(write(&epoch, &new).contains("SEQUENCE:937\n#EXTINF:2,\n937.ts\n"), "{}", write(&epoch, &new));
}

#[test]
fn a_discontinuity_of_the_encoders_own_is_enough() {
    let new = |numbers: std::ops::Range<u64>| {
        list("", numbers, |number| {
            if number == 0 {
                "#EXT-X-DISCONTINUITY\n#EXTINF:2,\n".to_owned()
            } else {
                "#EXTINF:2,\n".to_owned()
            }
        })
    };
    let epoch = restarted(&plain(50..56), &new(0..1));
    assert_eq!(write(&epoch, &new(0..1)).matches("DISCONTINUITY").count(), 1);
    let slid = new(1..7).replace("SEQUENCE:1\n", "SEQUENCE:1\n#EXT-X-DISCONTINUITY-SEQUENCE:1\n");
    let published = published_lists(&plain(50..56), &[new(0..6), slid]);
    assert!(published[1].contains("DISCONTINUITY-SEQUENCE:1\n"), "{}", published[1]);
}

/// Section 4.4.4.4: without an IV, the number is the initialisation vector.
#[test]
fn encrypted_segments_keep_their_own_numbers_as_initialisation_vectors() {
    let key = "#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n";
    let first_with_key =
        |number| if number == 0 { format!("{key}#EXTINF:2,\n") } else { "#EXTINF:2,\n".to_owned() };
    let new = list("", 0..2, first_with_key);
    let epoch = restarted(&plain(50..56), &new);
    let written = write(&epoch, &new);
    for number in 0..2 {
        let expected = format!(
            "#EXT-X-KEY:METHOD=AES-128,URI=\"k?tidegate_run=1\",IV=0x{number:032x}\n{number}.ts?tidegate_run=1\n"
        );
        assert!(written.contains(&expected), "{written}");
    }
    let with_iv = new.replace("\"k\"", "\"k\",IV=0x1");
    assert_eq!(write(&epoch, &with_iv).matches("IV=").count(), 1);

    // An unencrypted epoch after an encrypted one.
    let old = list(key, 50..52, |_| "#EXTINF:2,\n".to_owned());
    let written = write(&restarted(&old, &plain(0..1)), &plain(0..1));
    let splice = "#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n#EXTINF:2,\n51.ts\n#EXT-X-DISCONTINUITY\n#EXT-X-KEY:METHOD=NONE\n";
    assert!(written.contains(splice), "{written}");
}

#[test]
fn each_epoch_has_its_own_initialisation_section() {
    let map = |numbers| list("#EXT-X-MAP:URI=\"init.mp4\"\n", numbers, |_| "#EXTINF:2,\n".to_owned());
    let written = write(&restarted(&map(50..52), &map(0..1)), &map(0..1));
    let media = parse(written.as_bytes());
    let maps: Vec<_> = media.segments.iter().map(|segment| segment.map.as_ref()?.uri.as_deref()).collect();
    assert_eq!(maps, [Some("init.mp4"), Some("init.mp4?tidegate_run=1")]);
    // Players cannot return from fragmented MP4 to segments without an initialisation section.
    assert!(!is_joined(&restarted(&map(50..52), &plain(0..1))));
}

#[test]
fn an_epoch_after_a_playlist_that_has_ended_keeps_its_numbers_and_gets_marks() {
    let ended = plain(50..56) + "#EXT-X-ENDLIST\n";
    let epoch = restarted(&ended, &plain(1..3));
    assert!(!is_joined(&epoch));
    let written = write(&epoch, &plain(1..3));
    let expected = plain(1..3)
        .replace("#EXT-X-MEDIA", "#EXT-X-TIDEGATE-RUN:ID=1,ADDED=0\n#EXT-X-MEDIA")
        .replace(".ts", ".ts?tidegate_run=1");
    assert_eq!(written, expected);
    assert!(!is_joined(&restarted(&plain(50..56), &ended)));
}

/// A player has the parts of the segment in progress and counts that segment.
#[test]
fn a_low_latency_epoch_follows_a_gap_for_the_segment_that_was_in_progress() {
    let part = |name: &str| format!("#EXT-X-PART:DURATION=1.5,URI=\"{name}.ts\"\n");
    let hint = |name: &str| {
        let report = "#EXT-X-RENDITION-REPORT:URI=\"../low/live.m3u8\",LAST-MSN=1,LAST-PART=0\n";
        format!("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{name}.ts\"\n{report}")
    };
    let low_latency = |numbers: std::ops::Range<u64>, parts: &str| {
        list("#EXT-X-PART-INF:PART-TARGET=1.5\n", numbers, |number| {
            part(&format!("{number}.0")) + &part(&format!("{number}.1")) + "#EXTINF:3,\n"
        }) + parts
    };
    let old = low_latency(50..53, &(part("53.0") + &hint("53.1")));
    let lists = [
        low_latency(0..0, &(part("0.0") + &hint("0.1"))),
        low_latency(0..1, &hint("1.0")),
        low_latency(0..4, &hint("4.0")),
        low_latency(1..5, &hint("5.0")),
    ];
    let published = published_lists(&old, &lists);
    let first = published[0].replace("?tidegate_run=1", "");
    assert!(first.contains("#EXT-X-TIDEGATE-RUN:ID=1,ADDED=54\n#EXT-X-MEDIA-SEQUENCE:50\n"), "{first}");
    assert!(first.contains("URI=\"../low/live.m3u8\",LAST-MSN=55,LAST-PART=0\n"), "{first}");
    let end = "52.ts\n#EXT-X-GAP\n#EXTINF:1.50000,\n53.0.ts\n#EXT-X-DISCONTINUITY\n#EXT-X-PART:DURATION=1.5,URI=\"0.0.ts\"\n";
    assert!(first.contains(end), "{first}");
    let positions = published.iter().map(|list| parse(list.as_bytes()).position());
    let positions: Vec<_> = positions.map(|position| (position.sequence, position.parts)).collect();
    assert_eq!(positions, [(54, 1), (55, 0), (58, 0), (59, 0)]);
    assert!(parse(old.as_bytes()).position() < parse(first.as_bytes()).position());
    let whole = parse(published[1].as_bytes());
    assert_eq!(whole.segments.iter().map(|segment| segment.sequence).collect::<Vec<_>>(), [51, 52, 53, 54]);
    assert!(whole.segments[2].is_gap && whole.segments[3].is_discontinuity);
    assert!(
        published[3].contains("#EXT-X-MEDIA-SEQUENCE:55\n#EXT-X-DISCONTINUITY-SEQUENCE:1\n"),
        "{}",
        published[3]
    );
}

/// A part may have a URI that no line can hold.
#[test]
fn a_gap_has_a_uri_whatever_the_uris_of_its_parts_are() {
    for uri in ["#1.m4s", " ", ""] {
        let old = plain(50..53) + &format!("#EXT-X-PART:DURATION=1,URI=\"{uri}\"\n");
        let published = published_lists(&old, &[plain(0..1)]);
        assert_eq!(parse(published[0].as_bytes()).next_sequence(), 55, "{uri:?}: {}", published[0]);
    }
}

/// Section 4.4.3.5: no segment of an EVENT is ever removed.
#[test]
fn an_event_keeps_all_segments_of_the_epochs_before() {
    let event = |numbers| list("#EXT-X-PLAYLIST-TYPE:EVENT\n", numbers, |_| "#EXTINF:2,\n".to_owned());
    let old = event(0..100);
    let published = published_lists(&old, &[event(0..1), event(0..90)]);
    let again = published_lists(&published[1], &[event(0..2)]);
    let listed = |list: &str| parse(list.as_bytes()).segments.iter().map(|s| s.sequence).collect::<Vec<_>>();
    assert_eq!(listed(&published[0]), (0..101).collect::<Vec<_>>());
    assert_eq!(listed(&published[1]), (0..190).collect::<Vec<_>>());
    assert_eq!(listed(&again[0]), (0..192).collect::<Vec<_>>());
    // Without its bytes, the old playlist cannot be continued.
    let (old, new) = (parse(old.as_bytes()), parse(event(0..1).as_bytes()));
    assert!(!is_joined(&Epoch::restarted(Mark(1), &old, None, &new, FIRST)));
}

#[test]
fn byte_ranges_of_the_old_epoch_keep_their_offsets() {
    let range = |number: u64| match number % 10 {
        0 => format!("#EXTINF:2,\n#EXT-X-BYTERANGE:10@{}\n", number * 10),
        _ => "#EXTINF:2,\n#EXT-X-BYTERANGE:10\n".to_owned(),
    };
    let ranges = |numbers| {
        let list = list("", numbers, range);
        let whole = list.lines().map(|line| if line.starts_with('#') { line } else { "all.ts" });
        whole.collect::<Vec<_>>().join("\n") + "\n"
    };
    let (old, new) = (ranges(50..56), ranges(0..3));
    let published = published_lists(&old, std::slice::from_ref(&new));
    assert!(
        published[0].contains("#EXT-X-MEDIA-SEQUENCE:53\n#EXTINF:2,\n#EXT-X-BYTERANGE:10@530\nall.ts\n"),
        "{}",
        published[0]
    );
    let starts =
        parse(published[0].as_bytes()).segments.iter().map(|s| s.range.unwrap().start).collect::<Vec<_>>();
    assert_eq!(starts, [530, 540, 550, 0, 10, 20]);
}

#[test]
fn uris_of_other_hosts_get_no_mark() {
    let raw = plain(0..1).replace("0.ts", "https://other.example/0.ts");
    assert!(write(&restarted(&plain(50..56), &raw), &raw).ends_with("\nhttps://other.example/0.ts\n"));
    // A variable may stand for another host.
    let with_variable =
        list("#EXT-X-DEFINE:NAME=\"base\",VALUE=\"/a\"\n", 0..1, |_| "#EXTINF:2,\n".to_owned());
    let can_rewrite = |text: &str| Epoch::can_rewrite(&parse(text.as_bytes()));
    assert!(!can_rewrite(&with_variable) && can_rewrite(&plain(0..1)));
}

#[test]
fn a_number_that_no_encoder_can_reach_is_not_ours() {
    let received =
        |added: u64| format!("#EXTM3U\n#EXT-X-TIDEGATE-RUN:ID=5,ADDED={added}\n#EXTINF:2,\n0.ts\n");
    assert_eq!(Numbering::of(received(7).as_bytes()).added, 7);
    assert_eq!(Numbering::of(received(u64::MAX).as_bytes()), FIRST);
}

#[test]
fn the_next_upstream_may_know_fewer_epochs_or_number_them_differently() {
    let published = published_lists(&plain(50..56), &[plain(0..1), plain(2..8)]).remove(1);
    let next = published_lists(&plain(50..56), &[plain(0..1), plain(2..8), plain(3..9)]).remove(2);
    // An upstream that was started after the encoder.
    assert_eq!(write(&continued(&published, None, &plain(3..9)), &plain(3..9)), next);
    // One that has seen the restart at another number.
    let other = published_lists(&plain(15..21), &[plain(0..1), plain(3..9)]).remove(1).replace("=1", "=7");
    assert_eq!(Numbering::of(other.as_bytes()), Numbering { epoch: Some(Mark(7)), added: 21 });
    let epoch = continued(&published, None, &other);
    assert_eq!((epoch.shift(), write(&epoch, &other)), (35, next.clone()));
    // One that sees the encoder restart again and does not know the mark before it.
    let again = published_lists(&plain(3..9), &[plain(0..1)])
        .remove(0)
        .replace("ID=1", "ID=9")
        .replace("run=1", "run=9");
    let numbering = Numbering { epoch: Some(Mark(9)), added: 65 };
    let known = parse(next.as_bytes());
    let received = Numbering::of(again.as_bytes());
    let epoch = Epoch::continued(&known, numbering, None, &parse(again.as_bytes()), received)
        .with_default_mark(Some(Mark(1)));
    let written = write(&epoch, &again);
    let end = "\n8.ts?tidegate_run=1\n#EXT-X-DISCONTINUITY\n#EXTINF:2,\n0.ts?tidegate_run=9\n";
    assert!(written.contains("ADDED=65\n#EXT-X-MEDIA-SEQUENCE:60\n") && written.ends_with(end), "{written}");
    // One that sends the same playlist.
    assert!(continued(&published, None, &next).is_identity());
}

/// A playlist of six segments, by an encoder with discontinuities before some of them.
fn window(end: u64, breaks: &BTreeSet<u64>) -> String {
    let numbers = end.saturating_sub(6)..end;
    let passed = breaks.range(..numbers.start).count();
    list(&format!("#EXT-X-DISCONTINUITY-SEQUENCE:{passed}\n"), numbers, |number| {
        let before = if breaks.contains(&number) { "#EXT-X-DISCONTINUITY\n" } else { "" };
        format!("{before}#EXTINF:2,\n")
    })
}

/// What players have seen of each number: the URI and the discontinuity number.
#[derive(Default)]
struct Seen(BTreeMap<u64, (Option<Arc<str>>, u64)>);

impl Seen {
    /// Records a playlist, which must not contradict earlier ones; returns the number after its last segment.
    fn take(&mut self, list: &str) -> u64 {
        let media = parse(list.as_bytes());
        let mut discontinuity = media.discontinuity_sequence;
        for segment in &media.segments {
            discontinuity += u64::from(segment.is_discontinuity);
            let said = (segment.uri.clone(), discontinuity);
            assert_eq!(*self.0.entry(segment.sequence).or_insert_with(|| said.clone()), said, "{list}");
        }
        media.next_sequence()
    }
}

proptest! {
    /// Players see one stream across any number of encoder restarts.
    #[test]
    fn nothing_that_was_published_is_contradicted(
        epochs in prop::collection::vec((1_u64..30, 1_u64..8), 1..6),
        breaks in prop::collection::btree_set(0_u64..12, 0..3),
    ) {
        let mut published = window(6, &breaks);
        let mut seen = Seen::default();
        let mut next = seen.take(&published);
        for (first, more) in epochs {
            let mut epoch = restarted(&published, &window(first.min(6), &breaks));
            for (count, end) in (first.min(6)..first + more).enumerate() {
                let raw = window(end, &breaks);
                if count > 0 {
                    epoch = continued(&published, epoch.splice(), &raw);
                }
                published = write(&epoch, &raw);
                let now = seen.take(&published);
                prop_assert_eq!(now, next + if count == 0 { first.min(6) } else { 1 });
                next = now;
            }
        }
    }
}
