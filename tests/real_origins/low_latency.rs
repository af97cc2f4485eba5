//! Low latency, from parts that exist for a third of a second before the next one does.
//!
//! The origin stub stands in for a packager: none that makes low-latency HLS comes as a program from a package
//! registry. On crates.io `xiu` makes no parts, nor does npm's `shaka-packager` for HLS. On `PyPI`, `gpac` is bindings to a
//! library that Debian bookworm does not have, `mediamtx-py` fetches its program from elsewhere, and `biim` is not
//! there. What Debian bookworm has (nginx, ffmpeg, `gstreamer`) makes no parts.

use std::collections::BTreeMap;
use std::time::Duration;

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
const SMALL_PLAYERS: usize = 20;
/// How much further behind a viewer may be for the two tiers in between.
const TIERS_MAY_ADD: Duration = Duration::from_millis(300);
/// A minute of parts, of which three come in a second.
const PARTS_OF_PERIOD: usize = 180;

/// One browser watches through the tiers and another one, at the same time, another origin that has the same: what
/// both of them lose to a busy machine is not the tiers' fault.
#[tokio::test(flavor = "multi_thread")]
async fn low_latency_is_kept_through_two_tiers_and_asked_of_the_origin_once() {
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
        assert_eq!(player.complaints, Vec::<String>::new(), "small player {number}");
        // The last ones may be on their way.
        assert!(player.parts >= PARTS_OF_PERIOD - 6, "small player {number} saw {} parts", player.parts);
    }
    for seen in [&direct, &through_tiers] {
        seen.assert_content();
    }
    // By what the player believes, and by the encoder's clock, which knows better.
    for latency in ["latency", "behind"] {
        let (ours, theirs) = (through_tiers.seconds(latency), direct.seconds(latency));
        assert!(ours <= theirs + TIERS_MAY_ADD, "{latency}: {ours:?}, but {theirs:?} directly");
    }
    tiers.assert_alive();
    assert_each_was_asked_for_once(&origin.targets());
}

/// Section 4.4.3.8: a player that is offered blocking reload uses it.
#[tokio::test(flavor = "multi_thread")]
async fn an_offer_is_taken_up_in_front_of_an_origin_that_knows_nothing_of_it() {
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
    seen.assert_content();

    tiers.assert_alive();
    let told: Vec<_> = origin.targets().into_keys().filter(|target| target.contains("_HLS_")).collect();
    assert!(told.is_empty(), "the origin was asked {told:?}");
}

/// The first version of a playlist may be any; from then on each is waited for, and each part is there once.
fn assert_each_was_asked_for_once(targets: &BTreeMap<String, u64>) {
    let is_reload = |target: &str| target.contains("_HLS_msn=");
    let is_media = |target: &str| target.rsplit('.').next() == Some("m4s");
    let asked = |is_one: &dyn Fn(&str) -> bool| {
        targets.iter().filter(|(target, _)| is_one(target)).map(|(_, count)| *count).collect::<Vec<_>>()
    };
    let again: Vec<_> = targets
        .iter()
        .filter(|(target, count)| (is_reload(target) || is_media(target)) && **count != 1)
        .collect();
    assert!(again.is_empty(), "the origin was asked more than once: {again:?}");
    // Three renditions of pictures were watched throughout.
    let (reloads, media) = (asked(&is_reload).len(), asked(&is_media).len());
    assert!(reloads >= 3 * (PARTS_OF_PERIOD - 6), "the origin saw {reloads} blocked reloads only");
    assert!(media >= 3 * (PARTS_OF_PERIOD - 6), "the origin was asked for {media} parts and segments only");
}
