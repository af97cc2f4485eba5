//! A private stream plays in a browser and in ffmpeg, by each carrier of a token that they can use.
//!
//! hls.js and ffmpeg do not pass the query of a playlist's URL on to its segments. With the path they need
//! not; with the query the edge adds the token to the links. ffmpeg sends a cookie with each request. A
//! browser does so only for a page of the edge's own domain.

use std::time::Duration;

use tidegate_access::token::{Claims, Key, sign};
use tidegate_tests::chromium::{self, Watch};

use crate::ffmpeg;
use crate::scenarios::ONE_AT_A_TIME;
use crate::stub::Stub;
use crate::tiers::Tiers;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// A multivariant playlist, with renditions in folders below it, and one of CMAF with an init section.
const STREAMS: [&str; 2] = ["/live/show/ts/index.m3u8", "/live/show/cmaf/index.m3u8"];
const IN_2100: u64 = 4_102_444_800;
const PERIOD: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread")]
async fn players_play_a_private_stream_by_each_carrier() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let folder = tempfile::tempdir().expect("a folder");
    let key = folder.path().join("a.key");
    std::fs::write(&key, SECRET).expect("a file");
    let origin = Stub::start().await;
    let tiers = Tiers::with(&[&origin.http], &format!("[site.token]\nkeys = [{key:?}]\n")).await;
    let claims = Claims { exp: IN_2100, path: "/live/show".to_owned(), ..Claims::default() };
    let token = sign(&claims, &Key::parse("a", SECRET).expect("a key")).expect("a token");
    let watch = Watch::lasting(PERIOD);
    for stream in STREAMS {
        let [one, other] = [0, 1].map(|edge| tiers.urls("")[edge].clone());
        let by_path = format!("{one}/~{token}{stream}");
        let by_query = format!("{other}{stream}?token={token}");
        let by_cookie = format!("{other}{stream}");
        let cookie = format!("Cookie: token={token}\r\n");
        let (browser, second) =
            tokio::join!(chromium::play(by_path.clone(), watch), ffmpeg::play(&by_query, PERIOD));
        browser.assert_smooth();
        second.assert_smooth();
        let cookie = ["-headers", &cookie];
        let (browser, second, third) = tokio::join!(
            chromium::play(by_query, watch),
            ffmpeg::play(&by_path, PERIOD),
            ffmpeg::play_with(&by_cookie, &cookie, PERIOD)
        );
        browser.assert_smooth();
        second.assert_smooth();
        third.assert_smooth();
    }
    for (target, _count) in origin.targets() {
        assert!(!target.contains(&token) && !target.contains("token"), "{target}");
    }
}
