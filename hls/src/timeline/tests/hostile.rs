//! Playlists that are not written by mistake.

use proptest::prelude::*;

use super::*;

#[test]
fn of_a_hundred_thousand_segments_the_newest_are_remembered() {
    let mut timeline = Timeline::default();
    for first in [0, 1] {
        timeline.observe(&live(first, 100_000), seconds(first));
    }
    assert_eq!(timeline.position().map(|position| position.sequence), Some(100_001));
    assert!(timeline.announces("seg-100000.ts") && timeline.announces("seg-99000.ts"));
    assert!(!timeline.announces("seg-5.ts"));
    assert_eq!((timeline.take_announcements().len(), timeline.uri(5)), (1, None));
    assert_eq!(timeline.judge(&live(1, 3), seconds(9)), Step::Restarted(Restart::SequenceReset));
}

#[test]
fn sequence_numbers_work_up_to_the_last_one() {
    for first in [1 << 63, u64::MAX - 3] {
        let mut timeline = timeline_after(&[live(first, 2), live(first + 1, 2)]);
        assert_eq!(timeline.judge(&live(first, 2), seconds(9)), Step::Backward { by: 1 });
        assert_eq!(timeline.observe(&live(0, 3), seconds(9)), Step::Restarted(Restart::SequenceReset));
        assert_eq!(timeline.observe(&live(first, 2), seconds(9)), Step::Forward);
    }
}

#[test]
fn a_megabyte_of_uri_is_not_remembered() {
    let long = "x".repeat(1 << 20);
    let timeline = timeline_after(&[named(&long, 7, 2, "")]);
    assert_eq!(timeline.uri(7), None);
    assert!(!timeline.announces(&long));
    assert_eq!(timeline.judge(&live(7, 3), seconds(9)), Step::Forward);
}

#[test]
fn ten_thousand_parts_and_hints_are_bounded_announcements() {
    let mut text = String::from("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-PART-INF:PART-TARGET=1\n");
    for number in 0..10_000 {
        writeln!(
            text,
            "#EXT-X-PART:DURATION=1,URI=\"{number}\"\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"h{number}\""
        )
        .unwrap();
    }
    let mut timeline = timeline_after(&[parse(&text)]);
    assert_eq!(timeline.take_announcements().len(), 256);
    assert!(timeline.announces("9999") && timeline.announces("h0") && !timeline.announces("h9999"));
}

/// A version of some stream: its first number, its length, its names.
fn version() -> impl Strategy<Value = Media> {
    (0..40_u64, 0..8_u64, 0..2_u64, 0..3_usize).prop_map(|(first, count, name, parts)| {
        let more = "#EXT-X-PART:DURATION=1,URI=\"p\"\n".repeat(parts);
        named(&format!("{name}-#.ts"), first, count, &more)
    })
}

proptest! {
    /// Promise 5: for any versions that upstreams send, an accepted one never goes back within one
    /// epoch.
    #[test]
    fn no_order_of_versions_takes_a_stream_back(versions in proptest::collection::vec(version(), 1..40)) {
        let mut timeline = Timeline::default();
        for (now, media) in (0..).zip(&versions) {
            let (before, restarts) = (timeline.position(), timeline.restarts());
            let step = timeline.observe(media, seconds(now));
            if timeline.restarts() == restarts {
                prop_assert!(timeline.position() >= before);
            } else {
                prop_assert!(matches!(step, Step::Restarted(_)));
            }
            if step.replaces_latest() {
                prop_assert_eq!(timeline.position(), Some(media.position()));
                prop_assert_eq!(timeline.judge(media, seconds(now)), Step::Unchanged);
                let is_announced = |uri: &Option<Arc<str>>| timeline.announces(uri.as_deref().unwrap());
                prop_assert!(media.segments.iter().all(|segment| is_announced(&segment.uri)));
            }
        }
    }

    /// Promise 5, for a stream that has had no viewers for a while. Its newest version is enough to judge by,
    /// except for the names of earlier segments.
    #[test]
    fn a_sleep_changes_no_judgement(
        versions in proptest::collection::vec(version(), 1..20), next in version(), now in 0..60_u64,
    ) {
        let (mut awake, mut slept) = (timeline_after(&versions), timeline_after(&versions));
        let newest = versions.iter().rfind(|media| awake.judge(media, seconds(40)) == Step::Unchanged).unwrap();
        let name = |media: &Media| media.segments.first().map(|first| first.uri.as_ref().unwrap()[..1].to_owned());
        let has_other_name = |media| name(media).is_some_and(|known| name(&next).is_some_and(|name| name != known));
        prop_assume!(next.media_sequence >= newest.media_sequence || !versions.iter().any(has_other_name));
        slept.sleep();
        slept.wake(newest);
        let now = seconds(now);
        prop_assert_eq!(slept.judge(&next, now), awake.judge(&next, now));
        prop_assert_eq!(slept.observe(&next, now), awake.observe(&next, now));
        prop_assert_eq!(slept.next_poll(0), awake.next_poll(0));
    }
}
