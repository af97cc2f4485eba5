use std::sync::Arc;
use std::time::Duration;

use crate::{Media, Playlist};

mod delta;
mod epoch;
mod offer;

pub(super) fn parse(text: &[u8]) -> Media {
    match Playlist::parse(text) {
        Ok(Playlist::Media(media)) => Arc::unwrap_or_clone(media),
        other => panic!("not a media playlist: {other:?}"),
    }
}

pub(super) fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

pub(super) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
