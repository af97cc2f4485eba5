//! The edge compresses playlists with gzip, once per version, from one request to the origin.

use std::io::Read as _;

use flate2::read::GzDecoder;
use tidegate_tests::viewer::Response;
use tidegate_tests::{Origin, Running, edge, origin, shield, viewer, viewers};

const PLAYLIST: &str = "/vod/film/ts/240p/index.m3u8";

struct Cluster {
    origin: Origin,
    shield: Running,
    edge: Running,
}

impl Cluster {
    async fn new() -> Self {
        let origin = origin().run().await;
        let shield = shield().origin(&origin).run().await;
        let edge = edge().shield(&shield).run().await;
        Self { origin, shield, edge }
    }

    async fn gzip(&self) -> Response {
        viewer(self.edge.addr()).header("accept-encoding", "br, gzip").get(PLAYLIST).await
    }
}

fn decoded(response: &Response) -> String {
    let mut text = String::new();
    GzDecoder::new(&response.body[..]).read_to_string(&mut text).expect("gzip");
    text
}

/// HLS appendix B.1.
#[tokio::test(flavor = "multi_thread")]
async fn a_playlist_is_sent_in_gzip_to_viewers_that_accept_it() {
    let cluster = Cluster::new().await;
    let coded = cluster.gzip().await;
    let plain = viewer(cluster.edge.addr()).get(PLAYLIST).await;
    let declined = viewer(cluster.edge.addr()).header("accept-encoding", "gzip;q=0").get(PLAYLIST).await;

    assert_eq!((coded.status, coded.whole, coded.header("content-encoding")), (200, true, "gzip"));
    assert_eq!(coded.length(), Some(coded.body.len()));
    assert!(plain.text().starts_with("#EXTM3U"));
    assert_eq!(decoded(&coded), plain.text());
    assert!(coded.body.len() * 2 < plain.body.len());
    for response in [&plain, &declined] {
        response.is(200, &plain.body);
        assert_eq!(response.header("content-encoding"), "");
    }
    for response in [&coded, &plain, &declined] {
        assert_eq!(response.header("vary"), "Accept-Encoding");
        assert_eq!(response.header("content-type"), "application/vnd.apple.mpegurl");
    }
    assert_eq!(coded.header("etag"), format!("W/{}", plain.header("etag")));
    assert_eq!(cluster.origin.requests(PLAYLIST), 1);
    assert_eq!(cluster.origin.seen(PLAYLIST)[0].header("accept-encoding"), "identity");
}

#[tokio::test(flavor = "multi_thread")]
async fn simultaneous_requests_get_the_same_bytes() {
    let cluster = Cluster::new().await;
    let responses = viewers(50, &[&cluster.edge]).header("accept-encoding", "gzip").get(PLAYLIST).await;
    for response in &responses {
        response.is(200, &responses[0].body);
    }
    assert_eq!(cluster.origin.requests(PLAYLIST), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_entity_tags_validate_and_a_head_describes_the_same_form() {
    let cluster = Cluster::new().await;
    let coded = cluster.gzip().await;
    let plain = viewer(cluster.edge.addr()).get(PLAYLIST).await;
    for (accepts, tag) in
        [("gzip", plain.header("etag")), ("gzip", coded.header("etag")), ("br", coded.header("etag"))]
    {
        let asking =
            viewer(cluster.edge.addr()).header("accept-encoding", accepts).header("if-none-match", tag);
        let response = asking.get(PLAYLIST).await;
        assert_eq!((response.status, response.header("vary")), (304, "Accept-Encoding"));
    }
    let head = viewer(cluster.edge.addr()).header("accept-encoding", "gzip").ask("HEAD", PLAYLIST).await;
    assert_eq!((head.header("content-encoding"), head.length()), ("gzip", Some(coded.body.len())));
    let range = viewer(cluster.edge.addr()).header("accept-encoding", "gzip").header("range", "bytes=0-6");
    range.get(PLAYLIST).await.is(206, b"#EXTM3U");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_playlists_are_compressed_and_only_by_the_edge() {
    let cluster = Cluster::new().await;
    let segment =
        viewer(cluster.edge.addr()).header("accept-encoding", "gzip").get("/vod/film/ts/240p/0.ts").await;
    assert_eq!((segment.status, segment.header("content-encoding"), segment.header("vary")), (200, "", ""));
    let shield = viewer(cluster.shield.addr()).header("accept-encoding", "gzip").get(PLAYLIST).await;
    assert_eq!((shield.status, shield.header("content-encoding")), (200, ""));
    let off = edge().shield(&cluster.shield).with(|config| config.site[0].gzip = false).run().await;
    let response = viewer(off.addr()).header("accept-encoding", "gzip").get(PLAYLIST).await;
    assert_eq!((response.status, response.header("content-encoding")), (200, ""));
}
