//! All viewers of a scenario: a browser, ffmpeg and twenty small players, spread over the edges.

use std::time::Duration;

use tidegate_tests::chromium::{self, Watch};
use tokio::task::JoinSet;

use crate::{ffmpeg, player};

const PERIOD: Duration = Duration::from_secs(30);
const SMALL_PLAYERS: usize = 20;

/// The reports of all viewers.
#[derive(Debug)]
pub(crate) struct Reports {
    browser: chromium::Seen,
    ffmpeg: ffmpeg::Seen,
    players: Vec<player::Watched>,
}

/// Lets all viewers watch the same stream for half a minute; `urls` are the stream's addresses, one per edge.
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
    /// Asserts that no viewer reported an error.
    pub(crate) fn assert_smooth(&self) {
        self.browser.assert_smooth();
        self.ffmpeg.assert_smooth();
        for (number, player) in self.players.iter().enumerate() {
            assert_eq!(player.errors, Vec::<String>::new(), "small player {number}");
            // Half a minute of two-second segments; the first and the last may still be incomplete.
            assert!(player.segments >= 12, "small player {number} saw {} segments", player.segments);
        }
    }
}
