//! Any bytes as a playlist: parsing never panics, and every accepted playlist is consistent.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_hls::{Directives, Kind, Lifetimes, Mark, Media, Numbering, Playlist, Epoch};

fuzz_target!(|bytes: &[u8]| {
    let Ok(playlist) = Playlist::parse(bytes) else { return };
    if let Some(media) = playlist.as_media() {
        restart(bytes, media);
    }
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

/// An encoder that restarts with the same playlist is joined: the result is a consistent playlist.
fn restart(bytes: &[u8], media: &Media) {
    if !Epoch::can_rewrite(media) || media.segments.is_empty() || !media.is_numbered() {
        return;
    }
    let epoch = Epoch::restarted(Mark(1), media, Some(bytes), media, Numbering::of(bytes));
    let written = epoch.rewrite(bytes, media, |uri| !uri.is_empty());
    let Ok(Playlist::Media(received)) = Playlist::parse(&written) else {
        panic!("not a media playlist: {}", String::from_utf8_lossy(&written));
    };
    assert_eq!(received.next_sequence(), media.next_sequence().saturating_add_signed(epoch.shift()));
    assert_eq!(Numbering::of(&written), epoch.numbering());
    assert!(epoch.shift() == 0 || received.segments.iter().any(|segment| segment.is_discontinuity));
}
