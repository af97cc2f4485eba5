//! Low latency, with parts that exist for a third of a second before the next one does.
//!
//! The origin stub stands in for a packager: no package registry has a program that makes low-latency HLS. On
//! crates.io `xiu` makes no parts, nor does npm's `shaka-packager` for HLS. On `PyPI`, `gpac` is bindings to
//! a library that Debian bookworm does not have, `mediamtx-py` fetches its program from elsewhere, and `biim`
//! is not there. The programs in Debian bookworm (nginx, ffmpeg, `gstreamer`) make no parts.

use std::collections::BTreeMap;
use std::time::Duration;

use tidegate_origin_stub::Fault;
use tidegate_tests::chromium::{self, Watch};
use tokio::task::JoinSet;

use crate::blocking_player::{self, Updates};
use crate::process::until;
use crate::scenarios::ONE_AT_A_TIME;
use crate::stub::Stub;
use crate::tiers::Tiers;

const STREAM: &str = "/ll/show/cmaf/index.m3u8";
const PERIOD: Duration = Duration::from_mins(1);
const OFFERED_PERIOD: Duration = Duration::from_secs(20);
const RESTARTED_PERIOD: Duration = Duration::from_secs(40);
const SMALL_PLAYERS: usize = 20;
/// The latency that the two tiers may add.
const TIERS_MAY_ADD: Duration = Duration::from_millis(300);
/// A minute of parts, at three per second.
const PARTS_OF_PERIOD: usize = 180;

/// One browser watches through the tiers, and another one, at the same time, an origin with the same stream:
/// delays that both of them suffer on a busy machine are not the tiers' fault.
#[tokio::test(flavor = "multi_thread")]
async fn two_tiers_preserve_low_latency_and_request_each_part_once() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let (origin, twin) = (Stub::start().await, Stub::start().await);
    let mut tiers = Tiers::in_front_of(&[&origin.http]).await;
    let urls = tiers.urls(STREAM);

    let mut players = JoinSet::new();
    for viewer in 0..SMALL_PLAYERS {
        let (url, rendition) = (urls[viewer % urls.len()].clone(), viewer / urls.len());
        let updates = if rendition % 2 == 0 { Updates::Full } else { Updates::Delta };
        players.spawn(blocking_player::watch(url, rendition, updates, PERIOD));
    }
    let watch = Watch { low_latency: true, ..Watch::lasting(PERIOD) };
    let through_tiers = chromium::play(urls[0].clone(), watch);
    let direct = chromium::play(format!("{}{STREAM}", twin.http), watch);
    let (through_tiers, direct) = tokio::join!(through_tiers, direct);

    for (number, player) in players.join_all().await.into_iter().enumerate() {
        assert_eq!(player.errors, Vec::<String>::new(), "small player {number}");
        // The last parts may still be incomplete.
        assert!(player.parts >= PARTS_OF_PERIOD - 6, "small player {number} saw {} parts", player.parts);
    }
    for seen in [&direct, &through_tiers] {
        seen.assert_smooth();
    }
    // As the player estimates it, and by the encoder's clock, which is more precise.
    for latency in ["latency", "behind"] {
        let (ours, theirs) = (through_tiers.seconds(latency), direct.seconds(latency));
        assert!(ours <= theirs + TIERS_MAY_ADD, "{latency}: {ours:?}, but {theirs:?} directly");
    }
    tiers.assert_alive();
    assert_each_was_requested_once(&origin.targets());
}

/// The encoder's numbers and timestamps start over in the middle of a segment. No player may stall for long.
#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_low_latency_encoder_is_played_on() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let origin = Stub::start().await;
    let mut tiers = Tiers::in_front_of(&[&origin.http]).await;
    let url = tiers.urls(STREAM)[0].clone();
    let stall_max = Duration::from_secs(3);
    let watch = Watch { low_latency: true, stall_max, ..Watch::lasting(RESTARTED_PERIOD) };
    let restarts = async {
        until("the player is at the edge of the stream", RESTARTED_PERIOD, async || {
            (tiers.at_edges("tidegate_blocked_requests").await > 0).then_some(())
        })
        .await;
        tokio::time::sleep(RESTARTED_PERIOD / 4).await;
        origin.control.fault(Fault::on("/ll/*").sequence_reset()).expect("a fault");
    };
    let (seen, ()) = tokio::join!(chromium::play(url, watch), restarts);
    seen.assert_smooth();
    assert!(tiers.at_shield("tidegate_stream_restarts_total").await > 0);
    assert_eq!(tiers.at_edges("tidegate_backward_playlists_total").await, 0);
    tiers.assert_alive();
}

/// HLS section 4.4.3.8: a player that is offered blocking reload uses it.
#[tokio::test(flavor = "multi_thread")]
async fn players_use_the_offer_in_front_of_an_origin_that_knows_nothing_of_it() {
    const PLAIN: &str = "/live/show/ts/360p/index.m3u8";
    let _alone = ONE_AT_A_TIME.lock().await;
    let origin = Stub::start().await;
    let mut tiers = Tiers::with(&[&origin.http], "low_latency = \"offer\"").await;
    let url = tiers.urls(PLAIN)[0].clone();

    let watch = Watch { low_latency: true, once: true, ..Watch::lasting(OFFERED_PERIOD) };
    let waits = until("the player waits at the edge", OFFERED_PERIOD, async || {
        (tiers.at_edges("tidegate_blocked_requests").await > 0).then_some(())
    });
    let (seen, ()) = tokio::join!(chromium::play(url, watch), waits);
    seen.assert_smooth();

    tiers.assert_alive();
    let directives: Vec<_> = origin.targets().into_keys().filter(|target| target.contains("_HLS_")).collect();
    assert!(directives.is_empty(), "the origin received {directives:?}");
}

/// The first version of a playlist may be any; every later one is requested with a directive, and each part
/// once.
fn assert_each_was_requested_once(targets: &BTreeMap<String, u64>) {
    let is_reload = |target: &str| target.contains("_HLS_msn=");
    let is_media = |target: &str| target.rsplit('.').next() == Some("m4s");
    let requested = |is_one: &dyn Fn(&str) -> bool| {
        targets.iter().filter(|(target, _)| is_one(target)).map(|(_, count)| *count).collect::<Vec<_>>()
    };
    let again: Vec<_> = targets
        .iter()
        .filter(|(target, count)| (is_reload(target) || is_media(target)) && **count != 1)
        .collect();
    assert!(again.is_empty(), "requested from the origin more than once: {again:?}");
    // Three renditions were watched throughout.
    let (reloads, media) = (requested(&is_reload).len(), requested(&is_media).len());
    assert!(reloads >= 3 * (PARTS_OF_PERIOD - 6), "the origin saw {reloads} blocked reloads only");
    assert!(
        media >= 3 * (PARTS_OF_PERIOD - 6),
        "the origin saw {media} requests for parts and segments only"
    );
}
