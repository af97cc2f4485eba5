//! A private stream plays in a browser and in ffmpeg, by each carrier of a token that they can use.
//!
//! hls.js and ffmpeg do not pass the query of a playlist's URL on to its segments. With the path they need
//! not; with the query the edge adds the token to the links. ffmpeg sends a cookie with each request. hls.js
//! does so if it is configured to; its page is on another web origin than the edge, which allows it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tidegate_access::token::{Claims, Key, sign};
use tidegate_tests::chromium::{self, Watch};

use crate::ffmpeg;
use crate::process::free_port;
use crate::scenarios::ONE_AT_A_TIME;
use crate::stub::Stub;
use crate::tiers::Tiers;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// A multivariant playlist, with renditions in folders below it, and one of CMAF with an init section.
const STREAMS: [&str; 2] = ["/live/show/ts/index.m3u8", "/live/show/cmaf/index.m3u8"];
const IN_2100: u64 = 4_102_444_800;
const PERIOD: Duration = Duration::from_secs(15);

/// A token for what is below `path`.
pub(crate) fn token(path: &str) -> String {
    let claims = Claims { exp: IN_2100, path: path.to_owned(), ..Claims::default() };
    sign(&claims, &Key::parse("a", SECRET).expect("a key")).expect("a token")
}

/// The file of the key that signs the tokens.
pub(crate) fn key_in(folder: &Path) -> PathBuf {
    let key = folder.join("a.key");
    std::fs::write(&key, SECRET).expect("a file");
    key
}

#[tokio::test(flavor = "multi_thread")]
async fn players_play_a_private_stream_by_each_carrier() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let folder = tempfile::tempdir().expect("a folder");
    let key = key_in(folder.path());
    let origin = Stub::start().await;
    let tiers = Tiers::with(&[&origin.http], &format!("[site.token]\nkeys = [{key:?}]\n")).await;
    let token = token("/live/show");
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

#[tokio::test(flavor = "multi_thread")]
async fn a_page_on_another_web_origin_plays_a_private_stream_by_cookie() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let folder = tempfile::tempdir().expect("a folder");
    let key = key_in(folder.path());
    let origin = Stub::start().await;
    let page_port = free_port();
    let setting = format!(
        "cors_credentials = [\"http://127.0.0.1:{page_port}\"]\n\
         [site.token]\nkeys = [{key:?}]\ncarriers = [\"cookie\"]\n"
    );
    let tiers = Tiers::with(&[&origin.http], &setting).await;
    let cookie = format!("token={}", token("/live/show"));
    let url = &tiers.urls(STREAMS[0])[0];
    let watch = Watch::lasting(Duration::from_secs(10));
    chromium::play_with_cookie(url, &cookie, page_port, watch).await.assert_smooth();
}
