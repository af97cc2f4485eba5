//! Live playlists whose segments leave the list without being counted: `EXT-X-MEDIA-SEQUENCE` is missing, or
//! has the same number always.

use std::time::Duration;

use tidegate_tests::{until, viewer};
use tokio::time::Instant;

use super::feed::{Feed, M3U8};

const PATH: &str = "/live/index.m3u8";

fn version(sequence: &str, first: u64) -> String {
    let head = format!("#EXTM3U\n#EXT-X-TARGETDURATION:1\n{sequence}");
    (first..first + 4).fold(head, |list, number| format!("{list}#EXTINF:1,\n{number}.ts\n"))
}

/// Each tier may be half a target duration behind. Three more are for a busy machine; a request that blocks
/// for a number that never comes takes longer.
#[tokio::test(flavor = "multi_thread")]
async fn each_version_arrives_soon_through_two_tiers() {
    for sequence in
        ["", "#EXT-X-MEDIA-SEQUENCE:0\n", "#EXT-X-MEDIA-SEQUENCE:1\n", "#EXT-X-MEDIA-SEQUENCE:0x64\n"]
    {
        let feed = Feed::run().await;
        let (edge, _shield) = feed.tiers().await;
        for first in 0..8 {
            let version = version(sequence, first);
            feed.set(PATH, M3U8, version.as_bytes());
            let set = Instant::now();
            until(&version, async || {
                let asked = Instant::now();
                let response = viewer(edge.addr()).get(PATH).await;
                assert_eq!(response.status, 200);
                assert!(asked.elapsed() < Duration::from_secs(2), "{sequence}{first}: a request blocks");
                response.text() == version
            })
            .await;
            assert!(set.elapsed() < Duration::from_secs(4), "{sequence}{first}: {:?}", set.elapsed());
        }
        let response = viewer(edge.addr()).get(&format!("{PATH}?_HLS_msn=9")).await;
        assert_eq!(
            (response.status, response.text()),
            (200, version(sequence, 7)),
            "no number is waited for"
        );
    }
}
