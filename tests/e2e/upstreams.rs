//! Whom a tier asks, and whom it does not ask any more: health, probes, hedges, the retry budget, limits, groups.

use std::time::Duration;

use serde_json::Value;
use tidegate_origin_stub::Fault;
use tidegate_proxy::config::units::{Period, Share};
use tidegate_proxy::config::upstream::ProbeKind;
use tidegate_tests::{Origin, Tier, edge, origin, shield, until, viewer, viewers};

use crate::cluster::{PUSHED, playlist, push, put, sequence};

/// What a tier says of its upstreams, the first pool's first.
async fn upstreams(tier: &Tier) -> Value {
    let page = viewer(tier.admin()).get("/v1/upstreams").await;
    let page: Value = serde_json::from_slice(&page.body).expect("JSON");
    page["pools"][0]["upstreams"].clone()
}

async fn state(tier: &Tier, index: usize) -> String {
    upstreams(tier).await[index]["state"].as_str().unwrap_or_default().to_owned()
}

async fn pair() -> (Origin, Origin) {
    (origin().run().await, origin().run().await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_answer_is_overtaken_by_another_origins_and_its_request_is_given_up() {
    let (primary, backup) = pair().await;
    primary.fault(Fault::on("/bytes/1000").hold("late")).unwrap();
    let shield = shield().origin(&primary).origin(&backup).run().await;

    let answer = viewer(shield.addr()).get("/bytes/1000").await;

    assert_eq!((answer.status, answer.body.len()), (200, 1000));
    assert_eq!((primary.requests("/bytes/1000"), backup.requests("/bytes/1000")), (1, 1));
    until("the late one is let go", async || primary.held_now() == 0).await;
    assert_eq!(shield.count("tidegate_hedges_total", "").await, 1);
    assert_eq!(shield.count("tidegate_hedges_won_total", "").await, 1);
    assert_eq!(upstreams(&shield).await[0]["outpaced"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_late_but_good_is_taken_when_the_other_one_fails() {
    let (primary, backup) = pair().await;
    primary.fault(Fault::on("/bytes/1000").hold("late")).unwrap();
    backup.fault(Fault::on("/bytes/1000").status(503)).unwrap();
    let shield = shield().origin(&primary).origin(&backup).run().await;

    let asking = viewer(shield.addr());
    let (answer, ()) = tokio::join!(asking.get("/bytes/1000"), async {
        until("the other has failed", async || backup.requests("/bytes/1000") == 1).await;
        primary.release("late");
    });

    assert_eq!(answer.status, 200);
    assert_eq!(shield.count("tidegate_hedges_won_total", "").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_are_paid_from_a_share_of_the_traffic() {
    let (primary, backup) = pair().await;
    primary.fault(Fault::on("*").status(500)).unwrap();
    backup.fault(Fault::on("*").status(500)).unwrap();
    let shield = shield().origin(&primary).origin(&backup).with(|config| {
        config.upstream.retry_ratio = Share::percent(20);
        config.upstream.retries_per_second_min = 0;
        // Nobody is put out, so that each request would be made again.
        config.upstream.health.consecutive_failures = 1_000_000;
        config.upstream.health.error_rate_excess = Share::percent(1000);
    });
    let shield = shield.run().await;

    for number in 0..100 {
        assert_eq!(viewer(shield.addr()).get(&format!("/bytes/{number}")).await.status, 500);
    }

    assert_eq!((primary.total(), backup.total()), (100, 20), "one in five was made again");
    assert_eq!(shield.count("tidegate_retry_budget_exhausted_total", "").await, 80);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_finds_an_upstream_and_its_queue_full_is_told_at_once() {
    let origin = origin().run().await;
    origin.fault(Fault::on("/bytes/1*").hold("full")).unwrap();
    let shield = shield().origin(&origin).with(|config| {
        (config.upstream.requests_max, config.upstream.queue_max) = (2, 1);
        config.upstream.queue_timeout = Period::secs(20);
    });
    let shield = shield.run().await;
    let mut waiting = Vec::new();
    for path in ["/bytes/1001", "/bytes/1002", "/bytes/1003"] {
        waiting.push(viewer(shield.addr()).start("GET", path).await);
    }
    until("one waits for its turn", async || upstreams(&shield).await[0]["waiting"] == 1).await;

    let refused = viewer(shield.addr()).get("/bytes/5").await;

    assert_eq!((refused.status, refused.header("retry-after")), (503, "1"));
    assert!(refused.header("proxy-status").contains("error=connection_limit_reached"), "{refused:?}");
    assert_eq!(state(&shield, 0).await, "up", "it is not the origin's fault");
    origin.release("full");
    for mut connection in waiting {
        assert_eq!(connection.rest().await.status, 200);
    }
    assert_eq!(shield.count("tidegate_upstream_queue_overflows_total", "").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_fails_more_often_than_its_peers_is_put_out() {
    let (primary, backup) = pair().await;
    let failing = primary.fault(Fault::on("*").status(500)).unwrap();
    let shield = shield().origin(&primary).origin(&backup).with(|config| {
        config.upstream.health.ejection_time = Period::millis(300);
        config.upstream.health.slow_start = Period::millis(300);
    });
    let shield = shield.run().await;

    for number in 0..20 {
        assert_eq!(viewer(shield.addr()).get(&format!("/bytes/{number}")).await.status, 200);
    }
    assert_eq!(primary.total(), 5, "five failures in a row are enough");

    primary.remove(failing);
    until("it is back", async || state(&shield, 0).await == "up").await;
    primary.forget();
    assert_eq!(viewer(shield.addr()).get("/bytes/100").await.status, 200);
    assert_eq!(primary.total(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_one_is_never_put_out_for_its_answers() {
    let origin = origin().run().await;
    origin.fault(Fault::on("*").status(500).times(10)).unwrap();
    let shield = shield().origin(&origin).run().await;

    for number in 0..10 {
        assert_eq!(viewer(shield.addr()).get(&format!("/bytes/{number}")).await.status, 500);
    }

    assert_eq!(state(&shield, 0).await, "up");
    assert_eq!(viewer(shield.addr()).get("/bytes/11").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_find_out_by_themselves_and_the_primary_is_asked_again_when_it_was_good_for_a_while() {
    let (primary, backup) = pair().await;
    let down = primary.fault(Fault::on("*").refuse()).unwrap();
    primary.settled().await;
    let shield = shield().origin(&primary).origin(&backup).with(|config| {
        config.upstream.probe.kind = ProbeKind::Http;
        config.upstream.probe.interval = Period::millis(50);
        config.upstream.health.slow_start = Period::secs(1);
    });
    let shield = shield.run().await;
    until("it is found to be down", async || state(&shield, 0).await == "down").await;
    assert_eq!(shield.count("tidegate_failovers_total", "").await, 0, "and no viewer had to find out");
    assert_eq!(viewer(shield.addr()).get("/bytes/1").await.status, 200);
    assert_eq!(shield.count("tidegate_failovers_total", "").await, 0);

    primary.remove(down);
    primary.settled().await;
    until("it is found to be back", async || state(&shield, 0).await == "returning").await;
    assert_eq!(viewer(shield.addr()).get("/bytes/2").await.status, 200);
    assert_eq!((primary.requests("/bytes/2"), backup.requests("/bytes/2")), (0, 1), "not yet");
    until("it was good for long enough", async || state(&shield, 0).await == "up").await;
    assert_eq!(viewer(shield.addr()).get("/bytes/3").await.status, 200);
    assert_eq!((primary.requests("/bytes/3"), backup.requests("/bytes/3")), (1, 0));
    assert!(primary.seen("/").iter().all(|seen| seen.method == "HEAD"), "probes have a path of their own");
    assert!(shield.count("tidegate_upstream_probe_failures_total", "").await >= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_of_a_shield_reaches_no_origin() {
    let origin = origin().run().await;
    let shield = shield().origin(&origin).run().await;
    let edge = edge().shield(&shield).with(|config| {
        config.upstream.probe.kind = ProbeKind::Http;
        config.upstream.probe.interval = Period::millis(20);
    });
    let edge = edge.run().await;

    until("it was probed", async || upstreams(&edge).await[0]["probes"]["good"].as_u64() > Some(5)).await;

    assert_eq!(origin.total(), 0);
    assert_eq!(upstreams(&edge).await[0]["probes"]["failed"], 0);
    assert!(upstreams(&edge).await[0]["round_trip_seconds"].as_f64() < Some(0.5));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_all_are_out_the_origins_are_tried_by_few_and_nobody_storms_them() {
    let origin = origin().run().await;
    let down = origin.fault(Fault::on("*").refuse()).unwrap();
    origin.settled().await;
    let shield = shield().origin(&origin).with(|config| config.cache.failure_lifetime = Period::millis(1));
    let shield = shield.run().await;
    assert_eq!(viewer(shield.addr()).get("/bytes/1").await.status, 502);

    for number in 0..50 {
        let answers = viewers(4, &[&shield]).get(&format!("/bytes/{number}")).await;
        assert!(answers.iter().all(|answer| answer.status == 502));
    }

    let tried = shield.count("tidegate_origin_requests_total", "").await;
    assert!(tried < 20, "two hundred requests were made, and the origin was tried {tried} times");
    origin.remove(down);
    origin.settled().await;
    until("it answers again", async || viewer(shield.addr()).get("/bytes/1").await.status == 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_stream_that_stands_still_moves_to_the_backup() {
    const OTHER: &str = "/ingest/ch2/index.m3u8";
    let (primary, backup) = pair().await;
    for origin in [&primary, &backup] {
        push(origin, &playlist(1, 10..16, "")).await;
        put(origin, OTHER, playlist(1, 10..16, "").as_bytes()).await;
    }
    let shield = shield().origin(&primary).origin(&backup).run().await;
    let edge = edge().shield(&shield).run().await;
    assert_eq!(sequence(&viewer(edge.addr()).get(PUSHED).await), 10);
    assert_eq!(sequence(&viewer(edge.addr()).get(OTHER).await), 10);

    // The backup's stream goes on, the primary's does not; the other one goes on at both.
    for next in 11..16 {
        push(&backup, &playlist(1, next..next + 6, "")).await;
        for origin in [&primary, &backup] {
            put(origin, OTHER, playlist(1, next..next + 6, "").as_bytes()).await;
        }
        until("both are there", async || {
            sequence(&viewer(edge.addr()).get(PUSHED).await) == next
                && sequence(&viewer(edge.addr()).get(OTHER).await) == next
        })
        .await;
    }

    let refused = async |reason| shield.count("tidegate_failovers_total", reason).await;
    let refused = refused("reason=\"frozen\"").await + refused("reason=\"backward\"").await;
    assert!((1..=3).contains(&refused), "it goes round the primary: {refused} of its versions were refused");
    assert_eq!(backup.requests(OTHER), 0, "the other stream stays where it is");
    assert_eq!(state(&shield, 0).await, "up");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_shield_an_edge_asks_the_origin_where_the_site_allows_it() {
    let origin = origin().run().await;
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (direct, status) in [(true, 200), (false, 502)] {
        let edge = edge().shield_at(&format!("http://{nowhere}")).origin(&origin);
        let edge = edge.with(|config| config.site[0].direct = direct).run().await;
        assert_eq!(viewer(edge.addr()).get("/bytes/10").await.status, status);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sites_share_a_host_by_their_paths_and_say_what_their_origins_are_sent() {
    let (vod, live) = pair().await;
    let shield = shield().origin(&live).with(|config| {
        let mut site = config.site[0].clone();
        site.name = "vod".to_owned().try_into().unwrap();
        site.paths = vec!["/vod/".to_owned()];
        site.origins = vec![format!("{}/bytes/", vod.url()).parse().unwrap()];
        site.origin_headers = [("X-Key".to_owned(), "secret".to_owned())].into();
        site.origin_host = Some("vod.example".to_owned());
        config.site.push(site);
    });
    let shield = shield.run().await;

    assert_eq!(viewer(shield.addr()).get("/bytes/10").await.status, 200);
    viewer(shield.addr()).get("/vod/10").await;

    assert_eq!((live.requests("/bytes/10"), vod.requests("/bytes/vod/10")), (1, 1));
    let seen = vod.seen("/bytes/vod/10");
    assert_eq!((seen[0].header("x-key"), seen[0].header("host")), ("secret", "vod.example"));
}

#[tokio::test(flavor = "multi_thread")]
async fn origins_of_one_group_share_the_streams_and_the_next_group_backs_them_up() {
    let (one, two, backup) = (origin().run().await, origin().run().await, origin().run().await);
    let shield = shield().origin(&one).origin(&two).origin(&backup).with(|config| {
        let origins = std::mem::take(&mut config.site[0].origins);
        let groups = [1, 1, 2];
        config.site[0].origins =
            origins.into_iter().zip(groups).map(|(origin, group)| origin.in_group(group)).collect();
    });
    let shield = shield.run().await;
    for stream in 0..40 {
        let path = format!("/live/ch{stream}/none.ts");
        viewer(shield.addr()).get(&path).await;
    }
    assert!(one.total() > 8 && two.total() > 8, "{} and {}", one.total(), two.total());
    assert_eq!(backup.total(), 0);

    for origin in [&one, &two] {
        origin.fault(Fault::on("*").refuse()).unwrap();
        origin.settled().await;
    }
    assert_eq!(viewer(shield.addr()).get("/bytes/10").await.status, 200);
    assert_eq!(backup.total(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shield_that_hangs_is_overtaken_and_put_out() {
    let (hung, origin) = pair().await;
    // What looks like a shield and accepts everything without ever answering.
    hung.fault(Fault::on("*").hold("for ever")).unwrap();
    let shield = shield().origin(&origin).run().await;
    let edge = edge().shield_at(&hung.url()).shield(&shield).with(|config| {
        config.upstream.hedge_delay = Period::millis(50);
        config.upstream.retries_per_second_min = 100;
    });
    let edge = edge.run().await;
    let began = tokio::time::Instant::now();

    // Each stream has one shield; the one that hangs owns about half of them.
    for number in 0..60 {
        assert_eq!(viewer(edge.addr()).get(&format!("/live/ch{number}/ts/index.m3u8")).await.status, 200);
    }

    assert_eq!(state(&edge, 0).await, "ejected");
    assert!(began.elapsed() < Duration::from_secs(10), "nobody waited for a deadline");
    assert_eq!(edge.count("tidegate_hedges_won_total", "").await, 5);
}
