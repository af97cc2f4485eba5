//! Something breaks behind the tiers while a browser watches: it must play on.
//!
//! Two origins serve the output of one encoder; where one must be behind in time, the other one's clock is
//! set ahead. The browser plays one rendition, so that a segment requested or appended twice is caused by the
//! playlists that it received.

use std::time::Duration;

use tidegate_origin_stub::Fault;
use tidegate_tests::chromium::{self, Seen, Watch};
use tokio::time::timeout;

use crate::process::until;
use crate::scenarios::ONE_AT_A_TIME;
use crate::stub::Stub;
use crate::tiers::Tiers;

const PLAYLIST: &str = "/live/drill/ts/360p/index.m3u8";
const SEGMENTS: &str = "/live/drill/ts/360p/*.ts";
const SEGMENT: Duration = Duration::from_secs(2);
const PERIOD: Duration = Duration::from_secs(24);
/// A player begins three segments before the live edge.
const BEGINNING: u64 = 3;

/// Two origins, and the tiers in front of them.
struct Stage {
    primary: Stub,
    backup: Stub,
    tiers: Tiers,
}

impl Stage {
    /// Sets the primary's clock ahead of the backup's by this much.
    async fn with_primary_ahead(by: Duration) -> Self {
        let (primary, backup) = (Stub::start().await, Stub::start().await);
        primary.control.advance(by);
        let tiers = Tiers::in_front_of(&[&primary.http, &backup.http]).await;
        Self { primary, backup, tiers }
    }

    /// Lets a browser watch through the tiers while the drill breaks something behind them.
    async fn watch(&self, watch: Watch) -> Seen {
        chromium::play(self.tiers.urls(PLAYLIST)[0].clone(), watch).await
    }

    /// Waits until an origin has received this many segment requests in all, and until the tiers have the
    /// responses: a later fault does not affect announced segments.
    async fn wait_for_segments(&self, origin: &Stub, segments: u64) {
        let requested = timeout(PERIOD, origin.control.arrived(SEGMENTS, segments)).await;
        requested.unwrap_or_else(|late| panic!("{segments} segments were not requested: {late}"));
        self.tiers.shield_is_idle().await;
    }
}

/// The picture may stall for less than two target durations, and no segment may arrive twice.
const fn plays_on() -> Watch {
    Watch { stall_max: SEGMENT.saturating_mul(2), once: true, ..Watch::lasting(PERIOD) }
}

fn order(origin: &Stub, fault: Fault) {
    origin.control.fault(fault).expect("a fault");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_three_segments_behind_does_not_take_the_player_back() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let stage = Stage::with_primary_ahead(SEGMENT * 3).await;
    let drill = async {
        stage.wait_for_segments(&stage.primary, BEGINNING + 3).await;
        order(&stage.primary, Fault::on("*").refuse());
        stage.wait_for_segments(&stage.backup, 3).await;
    };
    let (seen, ()) = tokio::join!(stage.watch(plays_on()), drill);
    seen.assert_smooth();

    assert!(stage.tiers.at_shield("tidegate_backward_playlists_total").await >= 1);
    assert_eq!(stage.tiers.at_shield("tidegate_stream_restarts_total").await, 0);
    assert_eq!(stage.tiers.at_edges("tidegate_stream_restarts_total").await, 0);
    assert_eq!(stage.tiers.at_edges("tidegate_backward_playlists_total").await, 0);
}

/// Both origins receive the output of the restarted encoder. It marks no discontinuity, and its timestamps
/// start again as its numbers do: a player that saw this would stall for several seconds (hls.js) or for
/// good.
#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_encoder_is_played_on() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let stage = Stage::with_primary_ahead(Duration::ZERO).await;
    let drill = async {
        stage.wait_for_segments(&stage.primary, BEGINNING + 2).await;
        // In the middle of a segment, so that the encoders agree about their first one.
        until("the middle of a segment", SEGMENT * 2, async || {
            let into_segment = stage.primary.control.now().as_millis() % SEGMENT.as_millis();
            (500..1500).contains(&into_segment).then_some(())
        })
        .await;
        for origin in [&stage.primary, &stage.backup] {
            order(origin, Fault::on("/live/*").sequence_reset());
        }
    };
    let (seen, ()) = tokio::join!(stage.watch(plays_on()), drill);
    seen.assert_smooth();

    assert_eq!(stage.tiers.at_shield("tidegate_stream_restarts_total").await, 1);
    assert_eq!(stage.tiers.at_edges("tidegate_stream_restarts_total").await, 0);
    assert_eq!(stage.tiers.at_edges("tidegate_backward_playlists_total").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_with_a_frozen_playlist_is_replaced_by_the_backup() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let stage = Stage::with_primary_ahead(Duration::ZERO).await;
    let drill = async {
        stage.wait_for_segments(&stage.primary, BEGINNING + 3).await;
        order(&stage.primary, Fault::on("/live/*").frozen());
        stage.wait_for_segments(&stage.backup, 4).await;
    };
    let (seen, ()) = tokio::join!(stage.watch(plays_on()), drill);
    seen.assert_smooth();

    assert!(stage.tiers.at_shield("tidegate_frozen_playlists_total").await >= 1);
    assert_eq!(stage.tiers.at_shield("tidegate_stream_restarts_total").await, 0);
    assert_eq!(stage.tiers.at_edges("tidegate_frozen_playlists_total").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_over_and_back_between_origins_at_different_times_is_not_visible() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let stage = Stage::with_primary_ahead(SEGMENT * 3 / 2).await;
    let drill = async {
        stage.wait_for_segments(&stage.primary, BEGINNING + 2).await;
        order(&stage.primary, Fault::on("*").refuse());
        stage.wait_for_segments(&stage.backup, 3).await;
        let so_far = stage.primary.control.requests(SEGMENTS);
        stage.primary.control.clear();
        stage.wait_for_segments(&stage.primary, so_far + 3).await;
    };
    let (seen, ()) = tokio::join!(stage.watch(plays_on()), drill);
    seen.assert_smooth();

    assert!(stage.tiers.at_shield("tidegate_backward_playlists_total").await >= 1);
    assert_eq!(stage.tiers.at_shield("tidegate_stream_restarts_total").await, 0);
    assert_eq!(stage.tiers.at_edges("tidegate_backward_playlists_total").await, 0);
}
