//! `low_latency = "offer"`: players use blocking reload and delta updates at an edge, in front of an origin
//! that supports neither.

use tidegate_proxy::site::config::LowLatency;
use tidegate_tests::{Origin, Running, edge, origin, shield, until, viewer};

const PUSHED: &str = "/ingest/ch1/index.m3u8";

struct Cluster {
    origin: Origin,
    shield: Running,
    edge: Running,
}

impl Cluster {
    async fn offering() -> Self {
        let origin = origin().run().await;
        let shield = shield().origin(&origin).run().await;
        let edge = edge().shield(&shield).with(|edge| edge.site[0].low_latency = LowLatency::Offer);
        Self { edge: edge.run().await, origin, shield }
    }

    async fn push(&self, playlist: &str) {
        let put = viewer(self.origin.addr()).body(playlist.as_bytes()).ask("PUT", PUSHED).await;
        assert!(put.status < 300, "{}", put.text());
    }
}

/// Twelve segments of two seconds.
fn playlist(first: u64, control: &str) -> String {
    let head = format!(
        "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:2\n{control}#EXT-X-MEDIA-SEQUENCE:{first}\n"
    );
    (first..first + 12).fold(head, |list, number| list + &format!("#EXTINF:2.0,\n{number}.ts\n"))
}

const OFFER: &str = "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12.0\n";

/// HLS sections 4.4.3.8 and 6.2.5.2.
#[tokio::test(flavor = "multi_thread")]
async fn players_block_at_the_edge_and_the_origin_sees_no_directive() {
    let cluster = Cluster::offering().await;
    cluster.push(&playlist(7, "")).await;
    let edge = viewer(cluster.edge.addr());
    edge.get(PUSHED).await.is(200, playlist(7, OFFER).as_bytes());
    viewer(cluster.shield.addr()).get(PUSHED).await.is(200, playlist(7, "").as_bytes());

    let mut waiting = edge.start("GET", &format!("{PUSHED}?_HLS_msn=19")).await;
    until("the request is blocked", async || cluster.edge.count("tidegate_blocked_requests", "").await == 1)
        .await;
    cluster.push(&playlist(8, "")).await;
    waiting.rest().await.is(200, playlist(8, OFFER).as_bytes());
    let seen = cluster.origin.seen(PUSHED);
    assert!(seen.iter().all(|request| request.query.is_none()), "{seen:?}");
}

/// HLS section 6.2.5.1.
#[tokio::test(flavor = "multi_thread")]
async fn a_delta_update_is_offered_as_well() {
    let cluster = Cluster::offering().await;
    cluster.push(&playlist(7, "")).await;
    let delta = viewer(cluster.edge.addr()).get(&format!("{PUSHED}?_HLS_skip=YES")).await.text();
    assert!(delta.contains("#EXT-X-SKIP:SKIPPED-SEGMENTS=6\n") && !delta.contains("12.ts"), "{delta}");
    assert!(delta.contains(OFFER) && delta.contains("13.ts"), "{delta}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_origins_own_server_control_is_kept() {
    let cluster = Cluster::offering().await;
    cluster.push(&playlist(7, "#EXT-X-SERVER-CONTROL:HOLD-BACK=8.0\n")).await;
    let control = "#EXT-X-SERVER-CONTROL:HOLD-BACK=8.0,CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12.0\n";
    viewer(cluster.edge.addr()).get(PUSHED).await.is(200, playlist(7, control).as_bytes());
    // An ended playlist is not reloaded.
    let ended = playlist(8, "") + "#EXT-X-ENDLIST\n";
    cluster.push(&ended).await;
    until("the ended playlist has arrived", async || {
        viewer(cluster.edge.addr()).get(PUSHED).await.body == ended.as_bytes()
    })
    .await;
}

/// RFC 9110 section 8.8.1: the edge's playlist differs from the origin's in its bytes.
#[tokio::test(flavor = "multi_thread")]
async fn the_entity_tag_is_weak_and_still_validates() {
    let cluster = Cluster::offering().await;
    cluster.push(&playlist(7, "")).await;
    let at_shield = viewer(cluster.shield.addr()).get(PUSHED).await.header("etag").to_owned();
    let at_edge = viewer(cluster.edge.addr()).get(PUSHED).await.header("etag").to_owned();
    assert!(at_shield.starts_with('"'), "{at_shield}");
    assert_eq!(at_edge, format!("W/{at_shield}"));
    let again = viewer(cluster.edge.addr()).header("if-none-match", &at_edge).get(PUSHED).await;
    assert_eq!(again.status, 304);
}

/// The origin has promised nothing: an encoder that pauses must not show an error to players.
#[tokio::test(flavor = "multi_thread")]
async fn players_receive_the_present_version_while_the_encoder_pauses() {
    let cluster = Cluster::offering().await;
    // A target duration of 0 stands for segments of less than half a second: requests block for 1.5 s.
    let short = playlist(7, "").replace("TARGETDURATION:2", "TARGETDURATION:0");
    cluster.push(&short).await;
    let edge = viewer(cluster.edge.addr());
    let present = edge.get(PUSHED).await;
    edge.get(&format!("{PUSHED}?_HLS_msn=19")).await.is(200, &present.body);
}
