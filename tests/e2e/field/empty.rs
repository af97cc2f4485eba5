//! Segments and initialisation sections without any bytes: their files have just been created.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tidegate_tests::{edge, until, viewer};

use super::feed::Feed;
use super::scripted::{Asked, Scripted, reply};

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

/// A shield that has just received an empty segment confirms it to the edge.
#[tokio::test(flavor = "multi_thread")]
async fn an_empty_segment_that_an_upstream_confirms_is_soon_requested_again() {
    let is_complete = Arc::new(AtomicBool::new(false));
    let complete = Arc::clone(&is_complete);
    let origin = Scripted::run(move |asked: &Asked| {
        let fields = [("Cache-Control", "max-age=600"), ("ETag", "\"1\"")];
        match asked.header("if-none-match") {
            _ if complete.load(Ordering::SeqCst) => {
                reply(200, &[("Cache-Control", "max-age=600")], b"complete")
            }
            "" => reply(200, &fields, b""),
            _ => reply(304, &fields, b""),
        }
    })
    .await;
    let edge = edge().origin_at(&origin.url).run().await;
    until("the origin has confirmed it", async || {
        assert_eq!(viewer(edge.addr()).get("/1.ts").await.body, b"");
        origin.seen("/1.ts").len() >= 2
    })
    .await;
    is_complete.store(true, Ordering::SeqCst);
    until("complete", async || viewer(edge.addr()).get("/1.ts").await.body == b"complete").await;
}
