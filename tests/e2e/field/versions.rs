//! Origins whose validators do not distinguish the versions of a playlist: a date that never moves, a weak or
//! constant entity tag, none at all.

use tidegate_origin_stub::Fault;
use tidegate_tests::viewer;

use crate::cluster::{Cluster, PUSHED, playlist, push, sequence};

const CONSTANT: &str = "Sun, 19 Nov 2000 08:52:00 GMT";
const FUTURE: &str = "Fri, 01 Jan 2038 00:00:00 GMT";

/// RFC 9110 section 8.8.2.2: a tier does not take one version for another, and neither does a viewer.
#[tokio::test(flavor = "multi_thread")]
async fn new_versions_arrive_whatever_validators_the_origin_sends() {
    let on = || Fault::on(PUSHED);
    for (name, fault) in [
        ("date", on().without_header("etag").header("last-modified", CONSTANT)),
        ("future date", on().without_header("etag").header("last-modified", FUTURE)),
        ("weak tag", on().without_header("last-modified").header("etag", "W/\"1\"")),
        ("tag", on().without_header("last-modified").header("etag", "\"1\"")),
        ("tag and date", on().header("etag", "\"1\"").header("last-modified", CONSTANT)),
        ("nothing", on().without_header("last-modified").without_header("etag")),
    ] {
        let cluster = Cluster::standing_still().await;
        cluster.origin.fault(fault).unwrap();
        push(&cluster.origin, &playlist(1, 7..10, "")).await;
        let mut before = cluster.get(PUSHED).await;
        assert_eq!(sequence(&before), 7, "{name}");
        for first in [8, 9] {
            push(&cluster.origin, &playlist(1, first..first + 3, "")).await;
            cluster.reaches(PUSHED, first).await;
            let now = cluster.get(PUSHED).await;
            let tag = now.header("etag").to_owned();
            let edge = || viewer(cluster.edges[0].addr());
            let unchanged = edge().header("if-none-match", &tag).get(PUSHED).await;
            assert_eq!(unchanged.status, 304, "{name}: {tag}");
            if before.header("etag") != "\"1\"" {
                let changed = edge().header("if-none-match", before.header("etag")).get(PUSHED).await;
                assert_eq!((changed.status, sequence(&changed)), (200, first), "{name}");
            }
            let changed = edge().header("if-modified-since", FUTURE).get(PUSHED).await;
            assert_eq!((changed.status, sequence(&changed)), (200, first), "{name}");
            assert_eq!(now.header("last-modified"), "", "{name}");
            assert_eq!(now.header("tidegate-version"), "", "{name}: it is for tiers");
            before = now;
        }
    }
}

/// The origin's own tag is kept where it does its work.
#[tokio::test(flavor = "multi_thread")]
async fn a_strong_tag_that_moves_reaches_the_viewer() {
    let cluster = Cluster::standing_still().await;
    push(&cluster.origin, &playlist(1, 7..10, "")).await;
    let at_origin = viewer(cluster.origin.addr()).get(PUSHED).await;
    let at_edge = cluster.get(PUSHED).await;
    assert!(at_origin.header("etag").starts_with('"'));
    assert_eq!(at_edge.header("etag"), at_origin.header("etag"));
}

/// Between tiers a stored object that is not a playlist is renewed by its version alone, too.
#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_changes_under_one_date_is_replaced() {
    let target = "/ingest/ch1/now.jpg";
    let cluster = Cluster::standing_still().await;
    let fault = Fault::on(target).without_header("etag").header("last-modified", CONSTANT);
    cluster.origin.fault(fault.header("cache-control", "no-cache")).unwrap();
    for body in [&b"one"[..], b"two", b"six"] {
        crate::cluster::put(&cluster.origin, target, body).await;
        cluster.get(target).await.is(200, body);
    }
}
