//! Everybody who watches: a browser, ffmpeg and twenty small players, spread over the edges.

use std::time::Duration;

use tidegate_tests::chromium::{self, Watch};
use tokio::task::JoinSet;

use crate::{ffmpeg, player};

const PERIOD: Duration = Duration::from_secs(30);
const SMALL_PLAYERS: usize = 20;

/// What everybody saw.
#[derive(Debug)]
pub(crate) struct Reports {
    browser: chromium::Seen,
    ffmpeg: ffmpeg::Seen,
    players: Vec<player::Watched>,
}

/// Lets everybody watch the same stream for half a minute; `urls` are the stream's addresses, one per edge.
pub(crate) async fn watch(urls: &[String]) -> Reports {
    let edge = |viewer: usize| urls[viewer % urls.len()].clone();
    let mut players = JoinSet::new();
    for viewer in 0..SMALL_PLAYERS {
        players.spawn(player::watch(edge(viewer), viewer / urls.len(), PERIOD));
    }
    let ffmpeg = edge(1);
    let (browser, ffmpeg) =
        tokio::join!(chromium::play(edge(0), Watch::lasting(PERIOD)), ffmpeg::play(&ffmpeg, PERIOD));
    Reports { browser, ffmpeg, players: players.join_all().await }
}

impl Reports {
    /// Nobody has anything to complain of.
    pub(crate) fn assert_content(&self) {
        self.browser.assert_content();
        self.ffmpeg.assert_content();
        for (number, player) in self.players.iter().enumerate() {
            assert_eq!(player.complaints, Vec::<String>::new(), "small player {number}");
            // Half a minute of two-second segments, the first and the last of which may be on their way.
            assert!(player.segments >= 12, "small player {number} saw {} segments", player.segments);
        }
    }
}
