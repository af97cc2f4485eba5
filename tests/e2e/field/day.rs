//! Playlists with a day of segments: many of them are followed at the same time, and none is forgotten.

use tidegate_tests::{until, viewer};

use super::feed::{Feed, M3U8};
use crate::cluster::sequence;

const PLAYLISTS: usize = 45;
const SEGMENTS: usize = 14_400;

/// A version of about a megabyte.
fn day(first: usize) -> String {
    let segments = (first..first + SEGMENTS).map(|number| {
        format!("#EXTINF:2.00000,\nvideo/1080p/2026-11-30/the-name-of-a-segment-{number:08}.m4s\n")
    });
    let segments = segments.collect::<String>();
    format!(
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{first}\n\
         #EXT-X-MAP:URI=\"init.mp4\"\n{segments}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn forty_five_playlists_of_a_day_have_forty_five_followers() {
    let feed = Feed::run().await;
    let path = |number: usize| format!("/channel/{number}/index.m3u8");
    let publish = |first: usize| {
        let text = day(first);
        (0..PLAYLISTS).for_each(|number| feed.set(&path(number), M3U8, text.as_bytes()));
        text
    };
    publish(100);
    let (edge, shield) = feed.tiers().await;
    let all_are_known = async || {
        let mut all = true;
        for tier in [&edge, &shield] {
            for name in ["tidegate_followed_playlists", "tidegate_known_playlists"] {
                all &= tier.count(name, "").await == PLAYLISTS as u64;
            }
        }
        all
    };
    until("all are followed", async || {
        for number in 0..PLAYLISTS {
            assert_eq!(viewer(edge.addr()).get(&path(number)).await.status, 200);
        }
        all_are_known().await
    })
    .await;
    for first in [101, 102] {
        let text = publish(first);
        for number in 0..PLAYLISTS {
            until("the version is there", async || {
                let response = viewer(edge.addr()).get(&path(number)).await;
                assert_eq!((response.status, response.whole), (200, true));
                assert!(sequence(&response) >= first as u64 - 1, "a playlist went back");
                response.body == text.as_bytes()
            })
            .await;
        }
        assert!(all_are_known().await, "each has one follower, and none is forgotten");
    }
}
