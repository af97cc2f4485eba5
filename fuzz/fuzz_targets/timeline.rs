//! Any bytes as versions of one playlist, with an empty line before each `#EXTM3U` but the first: no order of
//! versions takes a stream back, and a rewritten version says what the version says.
#![no_main]

use std::sync::Arc;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use tidegate_hls::{Directives, Media, Offer, Playlist, Reload, Step, Timeline, delta, offer};

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut timeline = Timeline::default();
    let mut now = Duration::from_secs(10);
    for (index, version) in text.split("\n\n#EXTM3U").enumerate() {
        let version = if index == 0 { version.to_owned() } else { format!("#EXTM3U{version}") };
        let Some(media) = read(version.as_bytes()) else { continue };
        watch(&mut timeline, &media, now);
        rewrite(version.as_bytes(), &media);
        block(&media);
        now += Duration::from_millis(700);
    }
});

fn read(bytes: &[u8]) -> Option<Media> {
    match Playlist::parse(bytes) {
        Ok(Playlist::Media(media)) if media.is_numbered() => Some(Arc::unwrap_or_clone(media)),
        _ => None,
    }
}

fn watch(timeline: &mut Timeline, media: &Media, now: Duration) {
    let (position, restarts) = (timeline.position(), timeline.restarts());
    let judged = timeline.judge(media, now);
    let step = timeline.observe(media, now);
    assert_eq!(step, judged);
    assert_eq!(timeline.restarts() != restarts, matches!(step, Step::Restarted(_)));
    assert!(timeline.restarts() != restarts || timeline.position() >= position);
    if step.replaces_latest() {
        assert_eq!(timeline.position(), Some(media.position()));
        assert_eq!(timeline.judge(media, now), Step::Unchanged);
        assert!(!timeline.is_frozen(now));
    }
    // A day is the longest target duration.
    let is_soon = |due: Duration| due <= now + Duration::from_hours(24 * 8);
    assert!(timeline.take_announcements().len() <= 256 && timeline.next_poll(0).is_none_or(is_soon));
}

fn rewrite(version: &[u8], media: &Media) {
    if let Some(delta) = delta(version, media, &[]) {
        let short = read(&delta).expect("a delta update is a playlist");
        assert_eq!(short.position(), media.position());
        assert!(short.skipped > 0);
        let rest = media.segments.get(usize::try_from(short.skipped).unwrap()..).unwrap();
        assert!(short.segments.iter().zip(rest).all(|(one, other)| one.uri == other.uri));
    }
    let offered = read(&offer(version, media, Offer::Both)).expect("an offer is a playlist");
    assert!(media.is_ended() || offered.server_control.can_block_reload);
    assert_eq!(offered.segments, media.segments);
}

fn block(media: &Media) {
    let next = media.next_sequence();
    for msn in [None, Some(0), Some(next), next.checked_add(1), Some(u64::MAX)] {
        for part in [None, Some(0), Some(u64::MAX)] {
            let directives = Directives { msn, part, skip: None };
            match media.reload(&directives) {
                Reload::Ready | Reload::Ignored => assert!(media.satisfies(&directives)),
                Reload::Block { max } => assert!(!media.satisfies(&directives) && !max.is_zero()),
                Reload::Refused(_) => {}
            }
        }
    }
}
