//! Everybody who watches: a browser, ffmpeg and twenty small players, spread over the edges.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use tokio::process::Command;
use tokio::task::JoinSet;

use crate::player;

const PERIOD: Duration = Duration::from_secs(30);
const SMALL_PLAYERS: usize = 20;

/// What everybody saw.
#[derive(Debug)]
pub(crate) struct Reports {
    browser: Output,
    ffmpeg: Output,
    players: Vec<player::Watched>,
}

/// Lets everybody watch the same stream for half a minute; `urls` are the stream's addresses, one per edge.
pub(crate) async fn watch(urls: &[String]) -> Reports {
    let edge = |viewer: usize| urls[viewer % urls.len()].clone();
    let mut players = JoinSet::new();
    for viewer in 0..SMALL_PLAYERS {
        players.spawn(player::watch(edge(viewer), viewer / urls.len(), PERIOD));
    }
    let (browser, ffmpeg) = tokio::join!(in_chromium(edge(0)), in_ffmpeg(edge(1)));
    Reports { browser, ffmpeg, players: players.join_all().await }
}

impl Reports {
    /// Nobody has anything to complain of.
    pub(crate) fn assert_content(&self) {
        let browser = String::from_utf8_lossy(&self.browser.stdout);
        let browser_errors = String::from_utf8_lossy(&self.browser.stderr);
        assert!(self.browser.status.success(), "Chromium with hls.js: {browser}\n{browser_errors}");

        let ffmpeg = String::from_utf8_lossy(&self.ffmpeg.stderr);
        assert!(
            self.ffmpeg.status.success() && ffmpeg.is_empty(),
            "ffmpeg: {}\n{ffmpeg}",
            self.ffmpeg.status
        );

        for (number, player) in self.players.iter().enumerate() {
            assert_eq!(player.complaints, Vec::<String>::new(), "small player {number}");
            // Half a minute of two-second segments, the first and the last of which may be on their way.
            assert!(player.segments >= 12, "small player {number} saw {} segments", player.segments);
        }
    }
}

async fn in_chromium(url: String) -> Output {
    let script = tests().join("players/play.mjs");
    let seconds = PERIOD.as_secs().to_string();
    let mut command = Command::new("node");
    command.arg(script).args(["--url", &url, "--seconds", &seconds]).kill_on_drop(true);
    command.output().await.expect("node runs")
}

/// Decodes every picture and sample of the stream's next half minute and throws them away.
async fn in_ffmpeg(url: String) -> Output {
    let seconds = PERIOD.as_secs().to_string();
    let mut command = Command::new("ffmpeg");
    command.args([
        "-hide_banner",
        "-nostdin",
        "-loglevel",
        "error",
        "-i",
        &url,
        "-t",
        &seconds,
        "-f",
        "null",
        "-",
    ]);
    let limit = PERIOD * 3;
    let output = tokio::time::timeout(limit, command.kill_on_drop(true).output());
    output.await.unwrap_or_else(|_| panic!("ffmpeg still plays after {limit:?}")).expect("ffmpeg runs")
}

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}
