//! The primary origin is lost, hangs, or is only as good as not there.

use std::time::Duration;

use tidegate_origin_stub::Fault;

use crate::ONE_AT_A_TIME;
use crate::audience::{Audience, LARGE, STREAMS};
use crate::house::House;

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_is_killed_in_mid_segment_is_replaced_from_the_next_byte_on() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let mut house = House::plain().await;
    let audience = Audience::of(&house).await;

    audience.watches_until(Duration::from_secs(3)).await;
    house.primary.is_in_mid_segment().await;
    house.primary.dies().await;
    audience.watches_until(Duration::from_secs(13)).await;
    house.primary.returns().await;
    audience.stays_content().await;

    let rescued = house.at_shields("tidegate_rescued_bodies_total", "").await;
    assert!(rescued >= 1, "{rescued} bodies were rescued: it was not in mid-segment");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_hangs_is_left_alone() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let house = House::plain().await;
    let audience = Audience::of(&house).await;

    audience.watches_until(Duration::from_secs(3)).await;
    house.primary.hangs().await;
    audience.watches_until(Duration::from_secs(17)).await;
    house.primary.goes_on().await;
    audience.stays_content().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_fails_for_a_third_of_requests_costs_no_viewer_anything() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let house = misbehaving(Fault::on("*").status(500).percent(30), &STREAMS).await;
    assert!(house.primary.answered(500).await > 5, "it has failed hardly ever");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_answers_a_tenth_of_requests_ten_seconds_late_costs_no_viewer_anything() {
    let _alone = ONE_AT_A_TIME.lock().await;
    misbehaving(Fault::on("*").latency(Duration::from_secs(10)).percent(10), &STREAMS).await;
}

/// A segment of the small rendition takes hardly longer at this pace than it lasts; one of the large takes three times as
/// long.
#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_sends_20_kib_per_second_costs_no_viewer_anything() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let house = misbehaving(Fault::on("*").bytes_per_second(20 * 1024), &LARGE).await;
    assert!(house.backup.asked("/live/", ".ts").await > 0, "whoever is too slow is left for the backup");
}

/// Everybody is content although the primary misbehaves from the third second on.
async fn misbehaving(fault: Fault, paths: &[&str; 2]) -> House {
    let house = House::plain().await;
    let audience = Audience::watching(&house, paths).await;
    audience.watches_until(Duration::from_secs(3)).await;
    let before = house.primary.total().await;
    house.primary.is_told(fault).await;
    audience.stays_content().await;
    assert!(house.primary.total().await > before, "nobody has met the fault");
    house
}
