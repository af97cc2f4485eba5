//! Something breaks behind the tiers while a browser watches: it must play on.
//!
//! Two origins serve what one encoder makes; where one is to be behind in time, the other one's clock is moved ahead.
//! The browser plays one rendition, so that every segment it asks for twice, or appends twice, is the fault of what it
//! was told.

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
    /// The primary's clock is ahead of the backup's by so much.
    async fn with_primary_ahead(by: Duration) -> Self {
        let (primary, backup) = (Stub::start().await, Stub::start().await);
        primary.control.advance(by);
        let tiers = Tiers::in_front_of(&[&primary.http, &backup.http]).await;
        Self { primary, backup, tiers }
    }

    /// Lets a browser watch, at the tiers, what the drill breaks behind them.
    async fn watch(&self, watch: Watch) -> Seen {
        chromium::play(self.tiers.urls(PLAYLIST)[0].clone(), watch).await
    }

    /// Waits until an origin was asked for so many segments in all, and until the tiers have them: what breaks then
    /// takes nothing with it that has been announced.
    async fn has_given(&self, origin: &Stub, segments: u64) {
        let given = timeout(PERIOD, origin.control.arrived(SEGMENTS, segments)).await;
        given.unwrap_or_else(|late| panic!("{segments} segments were not asked for: {late}"));
        self.tiers.shield_has_all().await;
    }
}

/// The picture may stand still for less than two target durations, and no segment may come twice.
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
        stage.has_given(&stage.primary, BEGINNING + 3).await;
        order(&stage.primary, Fault::on("*").refuse());
        stage.has_given(&stage.backup, 3).await;
    };
    let (seen, ()) = tokio::join!(stage.watch(plays_on()), drill);
    seen.assert_content();

    assert!(stage.tiers.at_shield("tidegate_backward_playlists_total").await >= 1);
    assert_eq!(stage.tiers.at_shield("tidegate_stream_restarts_total").await, 0);
    assert_eq!(stage.tiers.at_edges("tidegate_stream_restarts_total").await, 0);
    assert_eq!(stage.tiers.at_edges("tidegate_backward_playlists_total").await, 0);
}

/// Both origins are fed by the encoder that restarts. It marks nothing as discontinuous, and times begin anew as the
/// numbers do: a player that is told as much stands still for several seconds (hls.js) or for good.
#[tokio::test(flavor = "multi_thread")]
async fn an_encoder_that_counts_anew_is_played_on() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let stage = Stage::with_primary_ahead(Duration::ZERO).await;
    let drill = async {
        stage.has_given(&stage.primary, BEGINNING + 2).await;
        // In the middle of a segment, so that the encoders agree in what is their first one.
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
    seen.assert_content();

    assert_eq!(stage.tiers.at_shield("tidegate_stream_restarts_total").await, 1);
    assert_eq!(stage.tiers.at_edges("tidegate_stream_restarts_total").await, 0);
    assert_eq!(stage.tiers.at_edges("tidegate_backward_playlists_total").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_whose_playlist_freezes_is_left_for_the_backup() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let stage = Stage::with_primary_ahead(Duration::ZERO).await;
    let drill = async {
        stage.has_given(&stage.primary, BEGINNING + 3).await;
        order(&stage.primary, Fault::on("/live/*").frozen());
        stage.has_given(&stage.backup, 4).await;
    };
    let (seen, ()) = tokio::join!(stage.watch(plays_on()), drill);
    seen.assert_content();

    assert!(stage.tiers.at_shield("tidegate_frozen_playlists_total").await >= 1);
    assert_eq!(stage.tiers.at_shield("tidegate_stream_restarts_total").await, 0);
    assert_eq!(stage.tiers.at_edges("tidegate_frozen_playlists_total").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_over_and_back_between_origins_that_are_apart_in_time_is_not_seen() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let stage = Stage::with_primary_ahead(SEGMENT * 3 / 2).await;
    let drill = async {
        stage.has_given(&stage.primary, BEGINNING + 2).await;
        order(&stage.primary, Fault::on("*").refuse());
        stage.has_given(&stage.backup, 3).await;
        let so_far = stage.primary.control.requests(SEGMENTS);
        stage.primary.control.clear();
        stage.has_given(&stage.primary, so_far + 3).await;
    };
    let (seen, ()) = tokio::join!(stage.watch(plays_on()), drill);
    seen.assert_content();

    assert!(stage.tiers.at_shield("tidegate_backward_playlists_total").await >= 1);
    assert_eq!(stage.tiers.at_shield("tidegate_stream_restarts_total").await, 0);
    assert_eq!(stage.tiers.at_edges("tidegate_backward_playlists_total").await, 0);
}
