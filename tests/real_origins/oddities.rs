//! Players judge a sample of the odd playlists: what hls.js and ffmpeg read from the origin directly, they
//! read through an edge and a shield, and find the same.

use std::path::Path;
use std::process::Output;
use std::time::Duration;

use tidegate_tests::PATIENCE;
use tokio::process::Command;

use crate::corpus::{Odd, corpus};
use crate::feed::{Feed, M3U8};

/// As many as take some seconds.
const SAMPLE: usize = 32;
/// ffmpeg reads one after the other, and some players share the machine.
const ALL_WITHIN: Duration = Duration::from_mins(2);

/// Playlists from the whole corpus at the same distance: each feature and most oddities are among them.
fn sample() -> Vec<Odd> {
    let all = corpus();
    let step = all.len() / SAMPLE;
    all.into_iter().step_by(step).collect()
}

/// An origin that has a version of each in a folder of its own. Returns it with their paths and names.
async fn origin(ended: bool) -> (Feed, Vec<(String, String)>) {
    let feed = Feed::run().await;
    let segment = segment().await;
    let serve = |(number, odd): (usize, Odd)| {
        let folder = format!("/odd/{number}");
        feed.set(&format!("{folder}/index.m3u8"), M3U8, &odd.bytes(0, ended));
        for name in ["s10.ts", "s11.ts", "s12.ts", "s13.ts"] {
            feed.set(&format!("{folder}/{name}"), "Content-Type: video/mp2t\r\n", &segment);
        }
        (format!("{folder}/index.m3u8"), odd.name())
    };
    let paths = sample().into_iter().enumerate().map(serve).collect();
    (feed, paths)
}

/// Two seconds of a picture.
async fn segment() -> Vec<u8> {
    let mut command = Command::new("ffmpeg");
    command.args(["-loglevel", "error", "-f", "lavfi", "-i", "testsrc=size=64x64:rate=10", "-t", "2"]);
    command.args(["-c:v", "mpeg2video", "-f", "mpegts", "-"]);
    let made = finished(command, PATIENCE).await;
    assert!(made.status.success() && !made.stdout.is_empty(), "{}", String::from_utf8_lossy(&made.stderr));
    made.stdout
}

async fn finished(mut command: Command, within: Duration) -> Output {
    let output = tokio::time::timeout(within, command.kill_on_drop(true).output());
    output.await.expect("an end in time").expect("it is installed")
}

/// What hls.js finds at these URLs, in their order.
async fn hls_js(urls: impl Iterator<Item = String>) -> Vec<serde_json::Value> {
    let mut command = Command::new("node");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("players/read.mjs")).args(urls);
    let output = finished(command, ALL_WITHIN).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).expect("text");
    lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn hls_js_finds_the_same_in_odd_playlists_through_two_tiers() {
    let (feed, playlists) = origin(false).await;
    let (edge, _shield) = feed.tiers().await;
    let at = |base: String| playlists.iter().map(move |(path, _)| format!("{base}{path}"));
    let direct = hls_js(at(feed.url().to_owned())).await;
    let through = hls_js(at(format!("http://{}", edge.addr()))).await;
    assert_eq!((direct.len(), through.len()), (playlists.len(), playlists.len()));
    for (((_, name), direct), through) in playlists.iter().zip(&direct).zip(&through) {
        assert_eq!(through, direct, "{name}");
    }
    let read = |field: &'static str| {
        direct.iter().filter(move |found| found[field].as_u64().is_some_and(|count| count > 0))
    };
    assert!(read("levels").count() * 10 >= playlists.len() * 8, "{direct:?}");
    assert!(read("fragments").count() >= SAMPLE / 2, "{direct:?}");
}

/// The streams and packets that ffmpeg finds, if it accepts the playlist and sees its end.
async fn ffmpeg(url: &str) -> Option<String> {
    let mut command = Command::new("ffprobe");
    command.args(["-loglevel", "error", "-count_packets", "-of", "compact"]);
    command.args(["-show_entries", "stream=codec_name,width,nb_read_packets", url]);
    let output = tokio::time::timeout(END_WITHIN, command.kill_on_drop(true).output()).await.ok()?;
    let output = output.expect("it is installed");
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// ffmpeg waits for the next version of a playlist whose end it does not understand.
const END_WITHIN: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn ffmpeg_accepts_through_two_tiers_what_it_accepts_directly() {
    let (feed, playlists) = origin(true).await;
    let (edge, _shield) = feed.tiers().await;
    let mut accepted = 0;
    for (path, name) in &playlists {
        if let Some(direct) = ffmpeg(&format!("{}{path}", feed.url())).await {
            accepted += 1;
            let through = ffmpeg(&format!("http://{}{path}", edge.addr())).await;
            assert_eq!(through, Some(direct), "{name}");
        }
    }
    // The multivariant playlists name renditions that are not there.
    assert!(accepted >= SAMPLE / 2, "{accepted} of {}", playlists.len());
}
