//! Any bytes as a playlist: parsing never panics, and what it accepts is sound.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_hls::{Directives, Kind, Lifetimes, Playlist};

fuzz_target!(|bytes: &[u8]| {
    let Ok(playlist) = Playlist::parse(bytes) else { return };
    let next = playlist.as_media().map_or(0, |media| {
        if let Some(segment) = media.segments.last() {
            assert_eq!(Some(segment.sequence), media.last_sequence());
        }
        media.next_sequence()
    });
    for msn in [None, Some(0), Some(next), Some(u64::MAX)] {
        let directives = Directives { msn, part: msn, skip: None };
        for status in [200, 404, 503] {
            let lifetime = Lifetimes::default().of(Kind::Playlist, Some(&playlist), status, &directives);
            assert!(!lifetime.unwrap().is_zero());
        }
    }
});
