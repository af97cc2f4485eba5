//! When the next version is due.

use proptest::prelude::*;

use super::*;

/// A poll whose response takes long reports late how things were when it was sent. If that misleads, the
/// belief is corrected within a few versions.
#[test]
fn a_moment_that_was_believed_too_late_is_corrected() {
    for wrong_by in [100, 500, 1_200, 1_900] {
        let wrong_by = Duration::from_millis(wrong_by);
        let mut timeline = Timeline::default();
        let published = |number: u64| seconds(10) + TARGET * u32::try_from(number).unwrap();
        for number in 0..8 {
            // Unchanged until just before, then moved.
            let seen = published(number) + wrong_by;
            timeline.observe(&live(0, number), seen.saturating_sub(Duration::from_millis(20)));
            timeline.observe(&live(0, number + 1), seen);
        }
        let (mut newest, mut now, mut late) = (7, published(7) + wrong_by, wrong_by);
        let mut empty_polls = 0;
        while newest < 23 {
            now = timeline.next_poll(empty_polls).unwrap().max(now);
            empty_polls += 1;
            if published(newest + 1) <= now {
                newest += 1;
                late = now.saturating_sub(published(newest));
                empty_polls = 0;
            }
            timeline.observe(&live(0, newest + 1), now);
        }
        assert!(late <= Duration::from_millis(150), "{late:?} late, after {wrong_by:?}");
    }
}

/// An origin that publishes `per_move` segments each `interval` from `phase` on, and a client that polls it.
/// Returns the lateness of each version, and the polls it took.
fn polls(
    interval: Duration,
    per_move: u64,
    phase: Duration,
    jitter: impl Fn(u64) -> Duration,
) -> Vec<(Duration, u32)> {
    let published = |number: u64| phase + interval * u32::try_from(number).unwrap() + jitter(number);
    let mut timeline = Timeline::default();
    let (mut seen, mut polls, mut now) = (0, 0, phase + interval * 2 / 3);
    let mut found = Vec::new();
    while found.len() < 60 {
        let newest = (seen..seen + 9).take_while(|&number| published(number) <= now).last().unwrap_or(seen);
        polls += 1;
        if timeline.observe(&live(0, (newest + 1) * per_move), now).replaces_latest() {
            found.push((now.saturating_sub(published(newest)), polls));
            (seen, polls) = (newest, 0);
        }
        now = timeline.next_poll(polls).unwrap().max(now);
    }
    found
}

fn check(found: &[(Duration, u32)]) -> Result<(), TestCaseError> {
    let steady = found.get(10..).unwrap_or_default();
    let total: u32 = steady.iter().map(|(_, polls)| polls).sum();
    prop_assert!(f64::from(total) <= 1.5 * 50.0, "{total} polls for 50 versions: {found:?}");
    prop_assert!(steady.iter().all(|&(_, polls)| polls <= 3), "{found:?}");
    let mut late: Vec<Duration> = steady.iter().map(|&(late, _)| late).collect();
    late.sort();
    prop_assert!(late[25] <= Duration::from_millis(70), "{late:?}");
    Ok(())
}

proptest! {
    #[test]
    fn the_moment_is_found_within_few_versions_and_few_polls(phase in 0..2_000_u64, first in 0..2_000_u64) {
        let phase = Duration::from_millis(10_000 + phase);
        check(&polls(TARGET, 1, phase, |_| Duration::ZERO))?;
        // An encoder whose versions are up to 10 ms late.
        check(&polls(TARGET, 1, phase, |number| Duration::from_millis((number * 7 + first) % 10)))?;
    }
}

/// Segments that are cut at keyframes have any length.
#[test]
fn versions_that_come_at_irregular_times_are_found_with_three_polls_each() {
    for spread in [50, 200, 500] {
        let jitter = |number: u64| Duration::from_millis(number * 7_919 % spread);
        let found = polls(TARGET, 1, seconds(10), jitter);
        assert!(found.iter().all(|&(_, polls)| polls <= 3), "{spread}: {found:?}");
        let mut late: Vec<_> = found.iter().map(|&(late, _)| late).collect();
        late.sort();
        assert!(late[30] <= Duration::from_millis(spread / 2 + 50), "{spread}: {late:?}");
    }
}

#[test]
fn an_unchanged_playlist_is_polled_when_it_is_frozen_and_then_each_half_target() {
    let mut timeline = timeline_after(&[live(0, 3), live(0, 4), live(0, 5)]);
    let moved = seconds(4);
    for empty_polls in 0..8 {
        let poll = timeline.next_poll(empty_polls).unwrap();
        assert_eq!(empty_polls >= 3, poll > moved + TARGET * 3 / 2, "{empty_polls}: {poll:?}");
        timeline.observe(&live(0, 5), poll);
        assert_eq!(timeline.is_frozen(poll), empty_polls >= 3);
    }
    assert_eq!(timeline.next_poll(9).unwrap(), timeline.next_poll(8).unwrap() + TARGET / 2);
}

#[test]
fn an_unknown_or_ended_playlist_has_no_next_version() {
    assert_eq!((Timeline::default().next_poll(0), Timeline::default().due()), (None, None));
    let timeline = timeline_after(&[live(0, 3), named("seg-#.ts", 0, 4, "#EXT-X-ENDLIST\n")]);
    assert_eq!((timeline.next_poll(0), timeline.due()), (None, None));
}

/// A client whose blocking request returns each version as it appears never sees that it was missing just
/// before. That makes the time of a poll uncertain, but not the time at which the version is late.
#[test]
fn a_version_that_is_sent_when_it_appears_is_not_due_before_its_time() {
    let mut timeline = Timeline::default();
    for number in 0..40 {
        let now = seconds(10 + 2 * number);
        timeline.observe(&live(number, 3), now);
        let due = timeline.due().unwrap();
        assert!(due >= now + TARGET && due <= now + TARGET + TARGET / 16, "{number}: {due:?}");
    }
    assert!(timeline.next_poll(0).unwrap() < timeline.due().unwrap());
}

#[test]
fn an_interval_is_a_part_if_there_may_be_parts_and_the_last_segment_if_not() {
    let due = |text: &str| {
        let mut timeline = Timeline::default();
        timeline.observe(&parse(text), seconds(100));
        timeline.next_poll(0).unwrap().saturating_sub(seconds(100))
    };
    let head = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-PART-INF:PART-TARGET=1\n";
    // For a first version only half of the interval certainly has to pass.
    let half_a_part = Duration::from_millis(500);
    assert_eq!(due(&format!("{head}#EXTINF:4,\na\n")), half_a_part);
    assert_eq!(due(&format!("{head}#EXTINF:4,\na\n#EXT-X-PART:DURATION=1,URI=\"b\"\n")), half_a_part);
    assert_eq!(due("#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\na\n"), seconds(2));
    assert_eq!(due("#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:3,\na\n"), Duration::from_millis(1_500));
    assert_eq!(due("#EXTM3U\n#EXT-X-TARGETDURATION:4\n"), seconds(2));
    assert_eq!(due("#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:900,\na\n"), seconds(2));
    let half_of_the_least_target = Media::default().clamped_target_duration() / 2;
    assert_eq!(due("#EXTM3U\n#EXT-X-TARGETDURATION:0\n#EXTINF:0,\na\n"), half_of_the_least_target);
}

/// A client that was cut off for some time, or kept waiting by a backup that lags behind, does not expect
/// that again.
#[test]
fn an_interruption_is_not_taken_for_the_rhythm() {
    let mut timeline = Timeline::default();
    for number in 0..5 {
        timeline.observe(&live(number, 3), seconds(2 * number));
    }
    timeline.observe(&live(5, 3), seconds(16));
    let due = timeline.next_poll(0).unwrap();
    assert!(due <= seconds(18) + TARGET / 16, "{due:?}");
}

/// An encoder that continues while no poll reaches it is found with one poll again, after any time.
#[test]
fn an_encoder_keeps_its_time_while_the_path_to_it_is_cut() {
    for missed in [3, 7, 40] {
        let published = |number: u64| seconds(10) + TARGET * u32::try_from(number).unwrap();
        let mut timeline = Timeline::default();
        for number in 0..12 {
            timeline.observe(&live(number, 3), published(number).saturating_sub(TARGET / 64));
            timeline.observe(&live(number + 1, 3), published(number));
        }
        let newest = 11 + missed;
        timeline.observe(&live(newest + 1, 3), published(newest) + TARGET * 2 / 3);
        let due = timeline.next_poll(0).unwrap();
        let late = due.checked_sub(published(newest + 1)).expect("not too early");
        assert!(late <= TARGET / 16, "{late:?} after {missed}");
    }
}

/// An encoder that was interrupted itself resumes at another moment: its rhythm is unknown.
#[test]
fn an_encoder_that_was_interrupted_has_another_rhythm() {
    let published = |number: u64| seconds(10) + TARGET * u32::try_from(number).unwrap();
    let mut timeline = Timeline::default();
    for number in 0..12 {
        timeline.observe(&live(number, 3), published(number).saturating_sub(TARGET / 64));
        timeline.observe(&live(number + 1, 3), published(number));
    }
    let seen = published(30);
    timeline.observe(&live(15, 3), seen);
    assert_eq!(timeline.next_poll(0).unwrap(), seen + TARGET / 2);
}

#[test]
fn an_encoder_that_publishes_two_segments_together_is_recognised() {
    check(&polls(TARGET * 2, 2, seconds(10), |_| Duration::ZERO)).unwrap();
}

/// Segments of two seconds in six parts, of which the playlist lists those of the segment in progress alone.
#[test]
fn parts_are_polled_for_one_by_one_though_complete_segments_list_none() {
    let part = Duration::from_nanos(333_333_333);
    let version = |number: u64| {
        let (segments, parts) = (number / 6, number % 6);
        let head = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-PART-INF:PART-TARGET=0.334\n".to_owned();
        let listed = (0..segments).map(|segment| format!("#EXTINF:2,\n{segment}\n"));
        let begun = (0..parts).map(|part| format!("#EXT-X-PART:DURATION=0.333,URI=\"{segments}.{part}\"\n"));
        parse(&listed.chain(begun).fold(head, |list, lines| list + &lines))
    };
    // Also if the first version has no part, or the clock has just started.
    for first in [12, 13, 17, 0, 1] {
        let mut timeline = Timeline::default();
        let (mut now, mut polls, mut all, mut found) = (part * first + part / 4, 0, 0, 0);
        while now < part * (first + 187) {
            (polls, all) = (polls + 1, all + 1);
            let number = u64::try_from(now.as_nanos() / part.as_nanos()).unwrap();
            if timeline.observe(&version(number), now).replaces_latest() {
                (polls, found) = (0, found + 1);
            }
            now = timeline.next_poll(polls).unwrap().max(now);
        }
        assert!(found >= 160 && all <= 320, "{found} of 187 versions in {all} polls, first {first}");
    }
}

/// Some packagers write EXT-X-PART-INF and no parts.
#[test]
fn parts_that_are_announced_and_never_come_cost_a_few_polls_once() {
    let version = |number: u64| {
        let head = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-PART-INF:PART-TARGET=0.5\n".to_owned();
        let listed = (0..=number).map(|segment| format!("#EXTINF:4,\n{segment}\n"));
        parse(&listed.fold(head, |list, lines| list + &lines))
    };
    let mut timeline = Timeline::default();
    let (mut now, mut polls, mut all) = (seconds(21), 0, 0);
    let mut late = Vec::new();
    while now < seconds(220) {
        (polls, all) = (polls + 1, all + 1);
        let number = now.as_secs() / 4;
        if timeline.observe(&version(number), now).replaces_latest() {
            late.push(now.saturating_sub(seconds(4 * number)));
            polls = 0;
        }
        now = timeline.next_poll(polls).unwrap().max(now);
    }
    assert!(all <= 50 * 3 / 2 + 8, "{all} polls for 50 versions");
    late.drain(..10);
    late.sort();
    assert!(late[20] <= Duration::from_millis(150), "{late:?}");
}

/// Encoders that do not know a segment's duration write 0 or -1, and some write it in another unit.
#[test]
fn durations_that_no_segment_has_cost_no_more_polls() {
    for duration in ["-1", "0", "0.004", "nonsense", "4000"] {
        let version = |number: u64| {
            let head = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n".to_owned();
            let listed = (0..=number).map(|segment| format!("#EXTINF:{duration},\n{segment}\n"));
            parse(&listed.fold(head, |list, lines| list + &lines))
        };
        let mut timeline = Timeline::default();
        let (mut now, mut polls, mut all, mut found) = (seconds(21), 0, 0, 0);
        while now < seconds(220) {
            (polls, all) = (polls + 1, all + 1);
            if timeline.observe(&version(now.as_secs() / 4), now).replaces_latest() {
                (polls, found) = (0, found + 1);
            }
            now = timeline.next_poll(polls).unwrap().max(now);
        }
        assert!(found >= 45 && all <= 100, "{duration}: {found} of 50 versions in {all} polls");
    }
}
