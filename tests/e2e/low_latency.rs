//! Parts and hints, in front of an origin that can block requests and of one that cannot.

use std::time::Duration;

use tidegate_origin_stub::Fault;
use tidegate_tests::{Origin, Response, Running, until, viewer, viewers};

use crate::cluster::{Cluster, PLAYLIST, TARGET, segments};

pub(crate) const LOW_LATENCY: &str = "/ll/ch1/cmaf/360p/index.m3u8";
const PARTS: &str = "/ll/ch1/cmaf/360p";
/// A sixth of a segment, rounded up.
pub(crate) const PART: Duration = Duration::from_nanos(333_333_334);

/// Stops the origin's clock where a segment begins to grow; returns its number.
pub(crate) fn begin_segment(origin: &Origin) -> u64 {
    let now = origin.now();
    let number = now.as_secs() / TARGET.as_secs() + 1;
    origin.advance((TARGET * u32::try_from(number).expect("a small number")).saturating_sub(now));
    number
}

/// HLS section 6.2.5.2, with an origin that can block requests itself.
#[tokio::test(flavor = "multi_thread")]
async fn requests_for_the_next_part_block_and_make_one_origin_request() {
    let cluster = Cluster::standing_still().await;
    let growing = begin_segment(&cluster.origin);
    assert!(!cluster.get(LOW_LATENCY).await.text().contains(&format!("{growing}.0.m4s\",INDEPENDENT")));
    for part in 0..3 {
        let ahead = format!("{LOW_LATENCY}?_HLS_msn={growing}&_HLS_part={part}");
        let waiting = viewers(20, &[&cluster.edges[0], &cluster.edges[1]]).start(&ahead).await;
        until("all requests are blocked", async || {
            let blocked = async |edge: &Running| edge.count("tidegate_blocked_requests", "").await;
            blocked(&cluster.edges[0]).await + blocked(&cluster.edges[1]).await == 20
        })
        .await;
        cluster.origin.blocked(1).await;
        cluster.origin.advance(PART);
        for mut viewer in waiting {
            let response = viewer.rest().await;
            assert_eq!(response.status, 200);
            assert!(
                response.text().contains(&format!("URI=\"{growing}.{part}.m4s\"")),
                "{}",
                response.text()
            );
        }
        let query = format!("_HLS_msn={growing}&_HLS_part={part}");
        let seen = cluster.origin.seen(LOW_LATENCY);
        let same = seen.iter().filter(|request| request.query.as_deref() == Some(&query)).count();
        assert_eq!(same, 1, "{query}");
    }
}

/// HLS section 6.2.5.1.
#[tokio::test(flavor = "multi_thread")]
async fn a_delta_update_is_made_at_the_edge() {
    let cluster = Cluster::standing_still().await;
    begin_segment(&cluster.origin);
    let full = cluster.get(LOW_LATENCY).await;
    let delta = cluster.get(&format!("{LOW_LATENCY}?_HLS_skip=YES")).await;

    assert_eq!(delta.status, 200);
    let text = delta.text();
    let skipped = text.lines().find_map(|line| line.strip_prefix("#EXT-X-SKIP:SKIPPED-SEGMENTS="));
    let skipped: u64 = skipped.expect("a delta update").parse().unwrap();
    assert_eq!(skipped + segments(&delta), segments(&full));
    assert!(skipped > 0 && delta.body.len() < full.body.len());
    assert_eq!(delta.header("etag"), "", "it is another representation");
    let seen = cluster.origin.seen(LOW_LATENCY);
    assert!(
        seen.iter().all(|request| !request.query.as_deref().unwrap_or_default().contains("skip")),
        "{seen:?}"
    );
    // A playlist that does not offer delta updates is sent in full.
    let plain = cluster.get(&format!("{PLAYLIST}?_HLS_skip=YES")).await;
    assert!(!plain.text().contains("EXT-X-SKIP"));
}

/// HLS appendix C: neither the time that a request was blocked nor the age of the previous version is part of
/// `Age`.
#[tokio::test(flavor = "multi_thread")]
async fn a_version_after_a_blocking_request_is_fresh() {
    let cluster = Cluster::standing_still().await;
    let growing = begin_segment(&cluster.origin);
    cluster.origin.fault(Fault::on(LOW_LATENCY).header("age", "4").times(1)).unwrap();
    let age = |response: &Response| -> u64 { response.header("age").parse().expect("an age") };
    let first = cluster.get(LOW_LATENCY).await;
    assert!(age(&first) >= 4, "{}", age(&first));

    let ahead = format!("{LOW_LATENCY}?_HLS_msn={growing}&_HLS_part=0");
    let mut waiting = viewer(cluster.edges[0].addr()).start("GET", &ahead).await;
    until("the request is blocked", async || {
        cluster.edges[0].count("tidegate_blocked_requests", "").await == 1
    })
    .await;
    cluster.origin.blocked(1).await;
    cluster.origin.advance(PART);
    let blocked = waiting.rest().await;
    assert!(blocked.text().contains(&format!("URI=\"{growing}.0.m4s\"")), "{}", blocked.text());
    assert!(age(&blocked) < 4, "{}", age(&blocked));
}

/// HLS section 4.4.5.4: reports arrive as the origin made them, in delta updates too, with the positions of
/// the other renditions.
#[tokio::test(flavor = "multi_thread")]
async fn rendition_reports_are_passed_on() {
    let cluster = Cluster::standing_still().await;
    begin_segment(&cluster.origin);
    let reports = |text: &str| -> Vec<String> {
        text.lines().filter(|line| line.starts_with("#EXT-X-RENDITION-REPORT:")).map(str::to_owned).collect()
    };
    let at_origin = reports(&viewer(cluster.origin.addr()).get(LOW_LATENCY).await.text());
    assert!(!at_origin.is_empty());
    assert_eq!(reports(&cluster.get(LOW_LATENCY).await.text()), at_origin);
    assert_eq!(reports(&cluster.get(&format!("{LOW_LATENCY}?_HLS_skip=YES")).await.text()), at_origin);
}

/// HLS section 6.2.2: a hinted part may be requested before it is available.
#[tokio::test(flavor = "multi_thread")]
async fn a_hinted_part_is_requested_once_and_awaited() {
    let cluster = Cluster::standing_still().await;
    let growing = begin_segment(&cluster.origin);
    let hinted = format!("{PARTS}/{growing}.0.m4s");
    assert!(cluster.get(LOW_LATENCY).await.text().contains("#EXT-X-PRELOAD-HINT:TYPE=PART"));
    let waiting = viewers(20, &[&cluster.edges[0], &cluster.edges[1]]).start(&hinted).await;
    until("all wait", async || cluster.edges[0].joined().await + cluster.edges[1].joined().await >= 20).await;
    cluster.origin.advance(PART);

    let expected = viewer(cluster.origin.addr()).get(&hinted).await;
    for mut viewer in waiting {
        viewer.rest().await.is(200, &expected.body);
    }
    assert_eq!(cluster.origin.requests(&hinted), 2, "once by the tiers, once by this test");
}

/// In front of an origin whose parts appear but that cannot block requests.
#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_cannot_block_is_polled_for_its_parts() {
    let cluster = Cluster::standing_still().await;
    let growing = begin_segment(&cluster.origin);
    let playlist = LOW_LATENCY.replace("/cmaf/", "/cmaf-unblocked/");
    cluster.get(&playlist).await;
    let ahead = format!("{playlist}?_HLS_msn={growing}&_HLS_part=0");
    let mut waiting = viewer(cluster.edges[0].addr()).start("GET", &ahead).await;
    until("the request is blocked", async || {
        cluster.edges[0].count("tidegate_blocked_requests", "").await == 1
    })
    .await;
    cluster.origin.advance(PART);
    assert!(waiting.rest().await.text().contains(&format!("URI=\"{growing}.0.m4s\"")));
    assert!(cluster.origin.seen(&playlist).iter().all(|request| request.query.is_none()));
}
