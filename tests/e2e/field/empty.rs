//! Segments and initialisation sections without any bytes: their files have just been created.

use tidegate_tests::{until, viewer};

use super::feed::Feed;

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_segment_is_soon_requested_again() {
    let feed = Feed::run().await;
    let (edge, _shield) = feed.tiers().await;
    let fields = "Content-Type: video/mp4\r\nCache-Control: max-age=600\r\n";
    for (path, is_chunked) in
        [("/a/init.mp4", false), ("/a/1.ts", false), ("/b/init.mp4", true), ("/b/1.ts", true)]
    {
        if is_chunked {
            feed.set_chunked(path, fields, b"");
        } else {
            feed.set(path, fields, b"");
        }
        let empty = viewer(edge.addr()).get(path).await;
        assert_eq!((empty.status, empty.body.len()), (200, 0), "{path}");
        feed.set(path, fields, b"complete");
        until(path, async || viewer(edge.addr()).get(path).await.body == b"complete").await;
        let requests = feed.requests(path);
        assert_eq!(viewer(edge.addr()).get(path).await.body, b"complete");
        assert_eq!(feed.requests(path), requests, "and then it is cached");
    }
}
