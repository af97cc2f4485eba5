//! The three ways to make HLS, each from encoder to viewer.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::Mutex;

use crate::nginx::Nginx;
use crate::process::until;
use crate::stub::Stub;
use crate::tiers::Tiers;
use crate::{audience, encoder, player};

/// Scenarios measure real time, so each has the machine to itself.
pub(crate) static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// The time that an encoder may take to its third segment.
const ON_AIR_WITHIN: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn files_written_by_ffmpeg_and_served_by_nginx_play_everywhere() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let mut origin = Nginx::serving_files();
    let mut encoder = encoder::writing_files(&origin.media(), origin.folder.path());
    on_air(&origin.http, "/v1/live.m3u8").await;

    plays_everywhere(&origin.http, "/main.m3u8").await;
    encoder.assert_alive();
    origin.process.assert_alive();
    assert_each_segment_was_read_once(&origin.reads());
}

#[tokio::test(flavor = "multi_thread")]
async fn rtmp_packaged_by_nginx_plays_everywhere() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let mut origin = Nginx::making_hls_of_rtmp();
    origin.wait_until_ready().await;
    let mut encoder = encoder::publishing_rtmp(&origin.rtmp, origin.folder.path());
    on_air(&origin.http, "/show.m3u8").await;

    plays_everywhere(&origin.http, "/show.m3u8").await;
    encoder.assert_alive();
    origin.process.assert_alive();
    assert_each_segment_was_read_once(&origin.reads());
}

#[tokio::test(flavor = "multi_thread")]
async fn hls_pushed_by_ffmpeg_plays_everywhere() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let logs = tempfile::TempDir::with_prefix("tidegate-push-").expect("a folder for the encoder");
    let origin = Stub::start().await;
    let mut encoder = encoder::pushing_hls(&format!("{}/ingest/show", origin.http), logs.path());
    on_air(&origin.http, "/ingest/show/v1/live.m3u8").await;

    plays_everywhere(&origin.http, "/ingest/show/main.m3u8").await;
    encoder.assert_alive();
    assert_each_segment_was_read_once(&origin.reads());
}

/// Puts a shield and two edges in front of the origin and lets all viewers watch.
async fn plays_everywhere(origin: &str, stream: &str) {
    let mut tiers = Tiers::in_front_of(&[origin]).await;
    audience::watch(&tiers.urls(stream)).await.assert_smooth();
    tiers.assert_alive();
}

fn assert_each_segment_was_read_once(reads: &BTreeMap<String, u64>) {
    let segments: Vec<_> = reads.iter().filter(|(path, _)| path.rsplit('.').next() == Some("ts")).collect();
    let again: Vec<_> = segments.iter().filter(|(_, count)| **count != 1).collect();
    assert!(again.is_empty(), "segments requested from the origin more than once: {again:?}");
    // Half a minute of two-second segments, whatever the number of renditions.
    assert!(segments.len() >= 14, "only {} segments were requested from the origin", segments.len());
}

/// Waits until three segments are listed: every player begins with these.
pub(crate) async fn on_air(origin: &str, media_playlist: &str) {
    let url = format!("{origin}{media_playlist}");
    until(&format!("three segments at {url}"), ON_AIR_WITHIN, async || {
        let playlist = player::text(&url).await.ok()?;
        (playlist.matches("#EXTINF").count() >= 3).then_some(())
    })
    .await;
}
