//! Objects that a playlist announces are prefetched, and a 404 for them is never final.

use tidegate_origin_stub::Fault;
use tidegate_proxy::config::units::Period;
use tidegate_tests::{edge, origin, shield, until, viewer};

use crate::cluster::{Cluster, FOLDER, PLAYLIST, PUSHED, TARGET, playlist, push, put, segments, sequence};

#[tokio::test(flavor = "multi_thread")]
async fn a_listed_segment_missing_at_one_origin_is_requested_from_the_other() {
    let (primary, backup) = (origin().run().await, origin().run().await);
    for origin in [&primary, &backup] {
        push(origin, &playlist(600, 10..16, "")).await;
    }
    put(&backup, "/ingest/ch1/12.ts", b"twelve").await;
    let shield = shield().origin(&primary).origin(&backup).run().await;
    let edge = edge().shield(&shield).run().await;
    viewer(edge.addr()).get(PUSHED).await;

    viewer(edge.addr()).get("/ingest/ch1/12.ts").await.is(200, b"twelve");
    // No playlist announces this segment: it is missing, and the backup receives no request.
    assert_eq!(viewer(edge.addr()).get("/ingest/ch1/99.ts").await.status, 404);
    assert_eq!(backup.requests("/ingest/ch1/99.ts"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listed_segment_that_does_not_exist_yet_is_retried() {
    let cluster = Cluster::standing_still().await;
    let (early, never) = ("/ingest/ch1/12.ts", "/ingest/ch1/13.ts");
    put(&cluster.origin, early, b"twelve").await;
    push(&cluster.origin, &playlist(600, 10..16, "")).await;
    cluster.get(PUSHED).await;

    cluster.origin.fault(Fault::on(early).status(404).times(4)).unwrap();
    cluster.get(early).await.is(200, b"twelve");
    assert_eq!(cluster.origin.requests(early), 5);
    // The retries end.
    assert_eq!(cluster.get(never).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_announcement_clears_a_remembered_404() {
    let origin = origin().run().await;
    let forever = Period::secs(600);
    let shield = shield().origin(&origin).with(|shield| {
        (shield.site[0].lifetimes.negative, shield.cache.failure_lifetime) = (forever, forever);
    });
    let shield = shield.run().await;
    let edge = edge().shield(&shield).with(|edge| {
        (edge.site[0].lifetimes.negative, edge.cache.failure_lifetime) = (forever, forever);
    });
    let edge = edge.run().await;
    let get = async |path: &str| viewer(edge.addr()).get(path).await;
    push(&origin, &playlist(1, 10..16, "")).await;
    assert_eq!(sequence(&get(PUSHED).await), 10);

    let early = "/ingest/ch1/16.ts";
    assert_eq!(get(early).await.status, 404);
    put(&origin, early, b"sixteen").await;
    assert_eq!(get(early).await.status, 404, "no playlist announces it");
    push(&origin, &playlist(1, 11..17, "")).await;
    until("it is announced", async || sequence(&get(PUSHED).await) == 11).await;
    get(early).await.is(200, b"sixteen");
}

#[tokio::test(flavor = "multi_thread")]
async fn prefetching_is_bounded_and_its_use_is_counted() {
    let origin = origin().run().await;
    let shield = shield().origin(&origin).with(|shield| shield.cache.prefetch_max = 0).run().await;
    let edge = edge().shield(&shield).run().await;
    for (name, body) in [("12.ts", b"twelve"), ("13.ts", b"13teen")] {
        put(&origin, &format!("/ingest/ch1/{name}"), body).await;
    }
    let get = async |path: &str| viewer(edge.addr()).get(path).await;
    push(&origin, &playlist(1, 9..12, "")).await;
    for tier in [&edge, &shield] {
        until("it is followed", async || {
            get(PUSHED).await;
            tier.count("tidegate_followed_playlists", "").await == 1
        })
        .await;
    }
    assert_eq!(edge.count("tidegate_prefetches_total", "").await, 0, "a first version is not prefetched");
    push(&origin, &playlist(1, 10..13, "")).await;
    until("the edge has it", async || {
        get(PUSHED).await;
        edge.count("tidegate_prefetches_total", "").await == 1
    })
    .await;
    assert_eq!(shield.count("tidegate_prefetches_total", "").await, 0);
    assert_eq!(shield.count("tidegate_prefetch_skips_total", "").await, 1);

    assert_eq!(edge.count("tidegate_prefetch_hits_total", "").await, 0);
    for _ in 0..2 {
        get("/ingest/ch1/12.ts").await.is(200, b"twelve");
    }
    assert_eq!(edge.count("tidegate_prefetch_hits_total", "").await, 1);
    push(&origin, &playlist(1, 11..14, "")).await;
    until("the edge has it", async || {
        get(PUSHED).await;
        edge.count("tidegate_prefetches_total", "").await == 2
    })
    .await;
    // A prefetched object without a request is dropped with its stream.
    push(&origin, &playlist(1, 11..14, "").replace(".ts", "-b.ts")).await;
    until("the unused object is counted", async || {
        get(PUSHED).await;
        edge.count("tidegate_prefetch_waste_total", "").await > 0
    })
    .await;
    assert_eq!(edge.count("tidegate_prefetch_hits_total", "").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_viewer_of_a_new_segment_gets_a_hit() {
    let cluster = Cluster::standing_still().await;
    let first = cluster.get(PLAYLIST).await;
    cluster.origin.advance(TARGET);
    cluster.reaches(PLAYLIST, sequence(&first) + 1).await;
    let newest = format!("{FOLDER}/{}.ts", sequence(&first) + segments(&first));
    for edge in [&cluster.edges[0], &cluster.shield] {
        until("the segment is cached", async || {
            let objects = edge.status().await["objects"].as_array().cloned().unwrap_or_default();
            objects.iter().any(|object| object["path"] == newest.as_str())
        })
        .await;
    }
    let segment = cluster.get(&newest).await;
    assert_eq!((segment.status, segment.header("x-cache").ends_with("HIT")), (200, true));
    assert_eq!(cluster.origin.requests(&newest), 1);
    assert!(cluster.edges[0].count("tidegate_prefetches_total", "").await > 0);
}
