use std::fmt::Write as _;
use std::sync::Arc;

use super::*;
use crate::{HintKind, Playlist};

mod due;
mod hostile;

pub(super) const TARGET: Duration = Duration::from_secs(2);

pub(super) fn parse(text: &str) -> Media {
    match Playlist::parse(text.as_bytes()) {
        Ok(Playlist::Media(media)) => Arc::unwrap_or_clone(media),
        other => panic!("not a media playlist: {other:?}"),
    }
}

/// `count` segments of two seconds from `first` on, named by a pattern in which `#` stands for the number.
fn named(pattern: &str, first: u64, count: u64, more: &str) -> Media {
    let mut text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{first}\n");
    for sequence in first..first + count {
        writeln!(text, "#EXTINF:2,\n{}", pattern.replace('#', &sequence.to_string())).unwrap();
    }
    parse(&(text + more))
}

pub(super) fn live(first: u64, count: u64) -> Media {
    named("seg-#.ts", first, count, "")
}

pub(super) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A timeline that has observed these versions, one every two seconds.
fn timeline_after(versions: &[Media]) -> Timeline {
    let mut timeline = Timeline::default();
    for (now, media) in (0..).step_by(2).zip(versions) {
        timeline.observe(media, seconds(now));
    }
    timeline
}

fn judged(known: &[Media], next: &Media) -> Step {
    timeline_after(known).judge(next, seconds(100))
}

const ENDLIST: &str = "#EXT-X-ENDLIST\n";

#[test]
fn a_live_playlist_goes_forward_until_it_ends() {
    let mut timeline = Timeline::default();
    let part = "#EXT-X-PART:DURATION=1,URI=\"part\"\n";
    for (media, step) in [
        (live(10, 5), Step::First),
        (live(10, 5), Step::Unchanged),
        (live(11, 5), Step::Forward),
        (named("seg-#.ts", 11, 5, part), Step::Forward),
        (named("seg-#.ts", 11, 5, part), Step::Unchanged),
        (live(11, 6), Step::Forward),
        // Versions were missed.
        (live(40, 5), Step::Forward),
        (named("seg-#.ts", 40, 6, ENDLIST), Step::Ended),
        (named("seg-#.ts", 40, 6, ENDLIST), Step::Unchanged),
        // From an upstream that does not know it yet.
        (live(40, 6), Step::Backward { by: 0 }),
        (live(40, 5), Step::Backward { by: 1 }),
        // An encoder continues its list.
        (live(41, 6), Step::Forward),
    ] {
        assert_eq!(timeline.observe(&media, Duration::ZERO), step, "{media:?}");
    }
    assert_eq!(timeline.restarts(), 0);
    assert_eq!(timeline.position(), Some(Position { sequence: 47, parts: 0 }));
    let mut timeline = timeline_after(&[live(0, 3)]);
    assert_eq!(timeline.observe(&named("seg-#.ts", 0, 3, ENDLIST), Duration::ZERO), Step::Ended);
}

/// Section 6.2.1: within one stream the sequence number never goes back.
#[test]
fn an_upstream_that_lags_behind_is_backward() {
    let parts = "#EXT-X-PART:DURATION=1,URI=\"p0\"\n#EXT-X-PART:DURATION=1,URI=\"p1\"\n";
    for (what, known, next, by) in [
        ("a sequence that jumps back by 3 after a failover", live(100, 6), live(97, 6), 3),
        ("the same with lists that do not overlap", live(100, 3), live(97, 3), 3),
        ("the same early in a stream", live(3, 3), live(0, 3), 3),
        ("the same before the list slides", live(0, 9), live(0, 6), 3),
        ("an origin 1.5 segments behind", live(100, 6), live(98, 6), 2),
        ("the other half of that time", live(100, 6), live(99, 6), 1),
        ("a backup with a longer list", live(100, 3), live(90, 12), 1),
        ("a backup that signs its URIs", live(100, 6), named("seg-#.ts?sig=#", 99, 6, ""), 1),
        ("a backup with its own name", live(100, 6), named("http://b.example/seg-#.ts", 99, 6, ""), 1),
        ("an upstream without parts", named("seg-#.ts", 100, 6, parts), live(100, 6), 0),
        ("an event, much behind", live(0, 500), live(0, 400), 100),
        ("an empty list", live(100, 6), live(0, 0), 106),
    ] {
        assert_eq!(judged(&[known], &next), Step::Backward { by }, "{what}");
    }
}

#[test]
fn an_upstream_that_lags_by_more_than_its_list_is_recognised_by_remembered_segments() {
    let versions: Vec<Media> = (80..=100).map(|first| live(first, 4)).collect();
    assert_eq!(judged(&versions, &live(90, 4)), Step::Backward { by: 10 });
}

/// Another URI for a known number stops players; a restart must not be taken for a lag.
#[test]
fn an_encoder_restart_is_detected() {
    use Restart::{ChangedMap, ChangedUri, SequenceReset};
    let mapped = |map: &str, count| {
        let text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MAP:URI=\"{map}\"\n");
        parse(&(text + &"#EXTINF:2,\ns\n".repeat(count)))
    };
    for (what, known, next, why) in [
        ("an origin that restarts at 0 with the same names", live(100, 6), live(0, 3), SequenceReset),
        ("the same, some versions later", live(100, 6), live(0, 6), SequenceReset),
        ("an origin that begins at 1", live(100, 6), live(1, 3), SequenceReset),
        ("a stream that was young", live(5, 6), live(0, 3), SequenceReset),
        ("an event that restarts", live(0, 500), live(0, 3), SequenceReset),
        ("numbers that were never seen", live(1_000, 6), live(500, 6), SequenceReset),
        ("new names, as far back as a lag", live(100, 6), named("new-#.ts", 99, 6, ""), ChangedUri),
        ("new names for the same numbers", live(3, 6), named("new-#.ts", 3, 6, ""), ChangedUri),
        ("new names further on", live(3, 6), named("new-#.ts", 5, 6, ""), ChangedUri),
        ("a new directory", live(3, 6), named("run2/seg-#.ts", 4, 6, ""), ChangedUri),
        ("a new initialisation section", mapped("a.mp4", 3), mapped("b.mp4", 4), ChangedMap),
    ] {
        assert_eq!(judged(&[known], &next), Step::Restarted(why), "{what}");
    }
}

#[test]
fn a_new_initialisation_section_after_the_known_segments_is_no_restart() {
    let text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MAP:URI=\"a\"\n#EXTINF:2,\n0\n";
    let next = format!("{text}#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"b\"\n#EXTINF:2,\n1\n");
    let mut timeline = timeline_after(&[parse(text)]);
    assert_eq!(timeline.observe(&parse(&next), seconds(2)), Step::Forward);
    let announced: Vec<_> =
        timeline.take_announcements().iter().map(|announcement| announcement.uri.to_string()).collect();
    assert_eq!(announced, ["b", "1"]);
    assert_eq!(timeline.map().and_then(|map| map.uri.as_deref()), Some("b"));
}

#[test]
fn a_restart_forgets_the_old_stream() {
    let mut timeline = timeline_after(&[live(100, 6)]);
    assert_eq!(timeline.observe(&live(0, 3), seconds(2)), Step::Restarted(Restart::SequenceReset));
    assert_eq!(timeline.restarts(), 1);
    assert!(timeline.announces("seg-0.ts") && !timeline.announces("seg-105.ts"));
    assert_eq!(timeline.uri(100), None);
    assert_eq!(timeline.observe(&live(0, 4), seconds(4)), Step::Forward);
    // The old upstream still sends the old stream.
    assert_eq!(timeline.judge(&live(101, 6), seconds(4)), Step::Forward);
}

#[test]
fn a_timeline_that_has_slept_knows_its_newest_version() {
    let mut timeline = timeline_after(&[live(2, 2), parse(PARTS)]);
    let (newest, moved) = (parse(PARTS), timeline.moved_at());
    timeline.sleep();
    assert_eq!((timeline.uri(5), timeline.announces("6.0")), (None, false));
    assert_eq!(timeline.position(), Some(newest.position()));
    timeline.wake(&newest);
    assert!(timeline.announces("5") && timeline.announces("6.0") && !timeline.announces("seg-3.ts"));
    assert_eq!(timeline.moved_at(), moved);
}

/// An upstream may lag behind by any distance: as long as its list might be remembered, it is no restart.
#[test]
fn a_timeline_that_has_slept_judges_a_lagging_upstream_alike() {
    let reset = Step::Restarted(Restart::SequenceReset);
    for listed in [6, 100] {
        let versions: Vec<Media> = (800..=900).map(|first| live(first, listed)).collect();
        let (awake, mut slept) = (timeline_after(&versions), timeline_after(&versions));
        slept.sleep();
        slept.wake(versions.last().unwrap());
        for by in 1..=listed + 100 {
            let next = live(900 - by, listed);
            let step = if by < listed + 64 { Step::Backward { by } } else { reset };
            assert_eq!(awake.judge(&next, seconds(1000)), step, "{listed} are listed, {by} behind");
            assert_eq!(slept.judge(&next, seconds(1000)), step, "{listed} are listed, {by} behind");
        }
        let others = named("other-#.ts", 900 - listed + 1, listed, "");
        assert_eq!(slept.judge(&others, seconds(1000)), Step::Restarted(Restart::ChangedUri));
        // The price: other names are not noticed where the lists have no segment in common.
        let other = named("other-#.ts", 900 - listed - 2, listed, "");
        assert_eq!(awake.judge(&other, seconds(1000)), Step::Restarted(Restart::ChangedUri));
        assert_eq!(slept.judge(&other, seconds(1000)), Step::Backward { by: listed + 2 });
    }
}

/// Section 6.3.3: a player starts three target durations from the end of the list.
#[test]
fn a_restart_is_pending_until_it_can_be_played() {
    let reset = Step::Restarted(Restart::SequenceReset);
    let mut timeline = timeline_after(&[live(100, 6)]);
    for (now, count, step) in [(2, 1, Step::Restarting), (4, 2, Step::Restarting), (6, 3, reset)] {
        assert_eq!(timeline.observe(&live(0, count), seconds(now)), step);
        assert!(step == reset || timeline.position() == Some(Position { sequence: 106, parts: 0 }));
    }
    // A list that will never be long: it has lost its first segment, or stays as it is.
    let mut timeline = timeline_after(&[live(100, 6)]);
    assert_eq!(timeline.observe(&live(0, 2), seconds(2)), Step::Restarting);
    assert_eq!(timeline.judge(&live(1, 2), seconds(4)), reset);
    assert_eq!(timeline.judge(&live(0, 2), seconds(10)), Step::Restarting);
    assert_eq!(timeline.judge(&live(0, 2), seconds(11)), reset);
    assert_eq!(timeline.judge(&named("seg-#.ts", 0, 1, ENDLIST), seconds(4)), reset);
    // The old stream continues after all.
    assert_eq!(timeline.observe(&live(101, 6), seconds(4)), Step::Forward);
    assert_eq!(timeline.judge(&live(0, 2), seconds(11)), Step::Restarting);
}

/// With parts, players stay closer to the end.
#[test]
fn a_low_latency_stream_that_restarts_needs_few_parts() {
    let head = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-PART-INF:PART-TARGET=0.5\n\
                #EXT-X-SERVER-CONTROL:PART-HOLD-BACK=1.5\n";
    let parts = |count| parse(&(head.to_owned() + &"#EXT-X-PART:DURATION=0.5,URI=\"p\"\n".repeat(count)));
    let (timeline, reset) = (timeline_after(&[live(100, 6)]), Step::Restarted(Restart::SequenceReset));
    assert_eq!(timeline.judge(&parts(2), seconds(4)), Step::Restarting);
    assert_eq!(timeline.judge(&parts(3), seconds(4)), reset);
    // Viewers of the old stream have long reached its end.
    assert_eq!(timeline.judge(&parts(2), seconds(30)), reset);
}

#[test]
fn a_lag_that_lasts_is_the_stream_from_then_on() {
    let mut timeline = timeline_after(&[live(100, 6)]);
    // An upstream that is 20 segments behind and moves, while the one that was ahead is frozen.
    let mut steps = Vec::new();
    for second in 1..=9 {
        assert_eq!(timeline.observe(&live(100, 6), seconds(second)), Step::Unchanged);
        steps.push(timeline.observe(&live(80 + second, 6), seconds(second)));
    }
    assert!(steps.iter().all(|step| matches!(step, Step::Backward { .. })), "{steps:?}");
    assert_eq!(timeline.observe(&live(90, 6), seconds(10)), Step::Restarted(Restart::Lagged));

    // One that does not move is not better than the known version.
    let mut timeline = timeline_after(&[live(100, 6)]);
    for second in 1..=30 {
        assert_eq!(timeline.observe(&live(97, 6), seconds(second)), Step::Backward { by: 3 });
    }
    // One that was behind and has caught up no longer lags.
    assert_eq!(timeline.observe(&live(101, 6), seconds(31)), Step::Forward);
    assert_eq!(timeline.observe(&live(99, 6), seconds(31)), Step::Backward { by: 2 });
}

/// Section 6.3.4: unchanged for more than one and a half target durations.
#[test]
fn an_unchanged_playlist_is_frozen_until_it_moves_or_ends() {
    let mut timeline = Timeline::default();
    assert!(!timeline.is_frozen(seconds(100)));
    timeline.observe(&live(10, 3), seconds(10));
    assert!(!timeline.is_frozen(seconds(0)));
    assert!(!timeline.is_frozen(seconds(13)));
    assert!(timeline.is_frozen(seconds(13) + Duration::from_millis(1)));
    timeline.observe(&live(10, 3), seconds(14));
    timeline.observe(&live(9, 3), seconds(14));
    assert!(timeline.is_frozen(seconds(14)), "neither is a move");
    timeline.observe(&live(11, 3), seconds(14));
    assert!(!timeline.is_frozen(seconds(17)));
    timeline.observe(&named("seg-#.ts", 12, 3, ENDLIST), seconds(16));
    assert!(timeline.is_ended() && !timeline.is_frozen(seconds(1_000)));
    assert_eq!((timeline.frozen_after(), timeline.next_poll(0)), (None, None));
}

#[test]
fn segments_longer_than_announced_do_not_freeze_a_playlist() {
    let text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:3.5,\na\n";
    assert_eq!(timeline_after(&[parse(text)]).frozen_after(), Some(Duration::from_millis(5_250)));
    let text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:99999,\na\n";
    assert_eq!(timeline_after(&[parse(text)]).frozen_after(), Some(seconds(6)));
}

const PARTS: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-PART-INF:PART-TARGET=1\n\
    #EXT-X-MEDIA-SEQUENCE:4\n#EXT-X-MAP:URI=\"init\"\n#EXTINF:2,\n4\n\
    #EXT-X-PART:DURATION=1,URI=\"5.0\"\n#EXT-X-PART:DURATION=1,URI=\"5.1\"\n#EXTINF:2,\n5\n\
    #EXT-X-PART:DURATION=1,URI=\"6.0\"\n";

/// Section 6.2.2: clients may request listed and hinted objects, even before they exist.
#[test]
fn listed_and_hinted_objects_are_announced() {
    let timeline = timeline_after(&[parse(&format!("{PARTS}#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"6.1\"\n"))]);
    for (uri, expected) in
        [("4", true), ("5.1", true), ("6.0", true), ("6.1", true), ("init", true), ("6", false), ("3", false)]
    {
        assert_eq!(timeline.announces(uri), expected, "{uri}");
    }
    let timeline = timeline_after(&[live(10, 3), live(12, 3)]);
    assert!(timeline.announces("seg-14.ts") && timeline.announces("seg-12.ts"));
    assert!(!timeline.announces("seg-11.ts"), "no longer listed");
    assert_eq!(timeline.uri(11).map(|uri| &**uri), Some("seg-11.ts"));
}

#[test]
fn a_requested_resource_is_found_among_the_announced_uris() {
    let rules = QueryRules::default();
    let at = |target: &str| Resource::parse("live.example", target, &rules).unwrap();
    let text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\na/1.ts?x=1\n#EXTINF:2,\n/seg%7E2.ts\n\
        #EXTINF:2,\nhttps://other.example/3.ts\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"../4.ts\"\n";
    let timeline = timeline_after(&[parse(text)]);
    for (target, expected) in [
        ("/ch/a/1.ts?x=1", true),
        ("/ch/a/1.ts", false),
        ("/ch/1.ts?x=1", false),
        ("/seg~2.ts", true),
        ("/3.ts", false),
        ("/4.ts", true),
    ] {
        assert_eq!(timeline.announces_at(&at("/ch/live.m3u8"), &at(target), &rules), expected, "{target}");
    }
}

#[test]
fn announcements_are_the_objects_that_a_version_lists_first() {
    let announced = |timeline: &mut Timeline| -> Vec<(AnnouncementKind, String)> {
        timeline
            .take_announcements()
            .iter()
            .map(|announcement| (announcement.kind, announcement.uri.to_string()))
            .collect()
    };
    let new = |kind, uri: &str| (kind, uri.to_owned());
    let hint = AnnouncementKind::Hint(HintKind::Part);
    let first = format!("{PARTS}#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"6.1\"\n");
    let mut timeline = timeline_after(&[parse(&first)]);
    // No player starts further back than the newest segment.
    let expected = [
        new(AnnouncementKind::Map, "init"),
        new(AnnouncementKind::Part, "5.0"),
        new(AnnouncementKind::Part, "5.1"),
        new(AnnouncementKind::Segment, "5"),
        new(AnnouncementKind::Part, "6.0"),
        new(hint, "6.1"),
    ];
    assert_eq!(announced(&mut timeline), expected);
    assert_eq!(announced(&mut timeline), [], "announcements are returned once");
    timeline.observe(&parse(&first), seconds(1));
    assert_eq!(announced(&mut timeline), []);
    let second = format!(
        "{PARTS}#EXT-X-PART:DURATION=1,URI=\"6.1\"\n#EXTINF:2,\n6\n#EXT-X-GAP\n#EXTINF:2,\n7\n\
         #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"8.0\"\n"
    );
    timeline.observe(&parse(&second), seconds(2));
    assert_eq!(
        announced(&mut timeline),
        [new(AnnouncementKind::Part, "6.1"), new(AnnouncementKind::Segment, "6"), new(hint, "8.0")]
    );
    timeline.observe(&parse(PARTS), seconds(3));
    assert_eq!(announced(&mut timeline), []);
}

#[test]
fn a_delta_update_is_judged_like_the_full_playlist() {
    let delta = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:11\n\
        #EXT-X-SKIP:SKIPPED-SEGMENTS=4\n#EXTINF:2,\nseg-15.ts\n#EXTINF:2,\nseg-16.ts\n";
    let mut timeline = timeline_after(&[live(10, 6)]);
    assert_eq!(timeline.observe(&parse(delta), seconds(2)), Step::Forward);
    assert!(timeline.announces("seg-11.ts") && timeline.announces("seg-16.ts"));
    assert!(!timeline.announces("seg-10.ts"));
    let other = delta.replace("seg-15", "new-15");
    assert_eq!(timeline.judge(&parse(&other), seconds(4)), Step::Restarted(Restart::ChangedUri));
}
