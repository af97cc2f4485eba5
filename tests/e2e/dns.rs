//! Upstreams are resolved by name. A name that changes, vanishes or cannot be resolved causes no error for
//! viewers.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tidegate_origin_stub::synthetic_bytes;
use tidegate_proxy::config::units::Period;
use tidegate_tests::dns::Service;
use tidegate_tests::{
    Kind, Origin, Resolver, Running, edge, origin, resolver, shield, until, viewer, viewers,
};
use tidegate_upstream::dns::Family;
use tidegate_upstream::{Discover, Dns, UpstreamError, Watch};
use tokio::time::{Instant, timeout};

const NAME: &str = "origin.test";
const SERVICE: &str = "_hls._tcp.origin.test";
const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_address_is_used_after_its_ttl_and_no_request_fails() {
    let (here, there) = two_addresses().await;
    let dns = resolver().await;
    dns.host(NAME, 1, &["127.0.0.1"]);
    let shield = behind(&dns, &url(&here)).await;
    for number in 0..10 {
        fetch(&shield, number).await;
    }
    assert_eq!((here.total(), there.total()), (10, 0));

    dns.host(NAME, 1, &["127.0.0.2"]);
    let number = fetch_while(&shield, 10, || there.total() == 0).await;
    let left_behind = here.total();
    here.stop().await;
    for number in number..number + 10 {
        fetch(&shield, number).await;
    }

    assert_eq!(left_behind + there.total(), number + 10, "each request succeeded at the first attempt");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_resolver_leaves_the_last_good_address_in_use_without_delay() {
    let origin = origin().run().await;
    let dns = resolver().await;
    dns.host(NAME, 1, &["127.0.0.1"]);
    let shield = behind(&dns, &url(&origin)).await;
    fetch(&shield, 0).await;

    dns.silence(NAME);
    let queries = dns.queries(NAME, Kind::A);
    let number = fetch_while(&shield, 1, || dns.queries(NAME, Kind::A) == queries).await;
    // A query is under way that takes seconds to time out.
    let begun = Instant::now();
    for number in number..number + 100 {
        fetch(&shield, number).await;
    }
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_vanishes_or_fails_keeps_its_last_address() {
    let origin = origin().run().await;
    let dns = resolver().await;
    dns.host(NAME, 1, &["127.0.0.1"]);
    let shield = behind(&dns, &url(&origin)).await;
    fetch(&shield, 0).await;

    let mut number = 1;
    for breaks in [Resolver::remove, Resolver::fail] {
        breaks(&dns, NAME);
        let queries = dns.queries(NAME, Kind::A);
        number = fetch_while(&shield, number, || dns.queries(NAME, Kind::A) < queries + 2).await;
    }
    fetch(&shield, number).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_initially_unknown_name_is_served_once_it_resolves() {
    let origin = origin().run().await;
    let dns = resolver().await;
    let shield = behind(&dns, &url(&origin)).await;

    let response = viewer(shield.addr()).get("/bytes/1000").await;
    assert_eq!(response.status, 502);
    let why = response.headers["proxy-status"].to_str().unwrap();
    assert!(why.contains("error=dns_error"), "{why}");

    dns.host(NAME, 1, &["127.0.0.1"]);
    until("the name is served", async || viewer(shield.addr()).get("/bytes/1000").await.status == 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resolver_that_never_responds_is_a_timeout() {
    let dns = resolver().await;
    dns.silence(NAME);
    let shield = shield().origin_at("http://origin.test:80").with(|config| {
        config.upstream.dns = vec![dns.addr()];
        config.upstream.connect_timeout = Period::millis(200);
    });
    let response = viewer(shield.run().await.addr()).get("/bytes/1000").await;
    assert_eq!(response.status, 504);
    let why = response.headers["proxy-status"].to_str().unwrap();
    assert!(why.contains("error=dns_timeout"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_on_an_unresolved_name_makes_one_query() {
    let origin = origin().run().await;
    let dns = resolver().await;
    dns.host(NAME, 60, &["127.0.0.1"]);
    let shield = behind(&dns, &url(&origin)).await;

    for response in viewers(200, &[&shield]).get("/bytes/1000?private=1").await {
        assert_eq!(response.status, 200);
    }

    // The resolver may repeat a UDP query on a busy machine.
    let queries = dns.queries(NAME, Kind::A);
    assert!((1..=4).contains(&queries), "{queries} queries");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_refuses_connections_is_replaced_by_the_next_one() {
    let origin = origin().run().await;
    let dns = resolver().await;
    dns.host(NAME, 60, &["127.0.0.1", "127.0.0.3"]);
    let shield = behind(&dns, &url(&origin)).await;

    let get = async || viewer(shield.addr()).get("/bytes/1000").await.status;
    until("the listening address is found", async || get().await == 200).await;
    fetch(&shield, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_reached_on_the_port_of_its_srv_record() {
    let origin = origin().run().await;
    let dns = resolver().await;
    dns.service(SERVICE, 60, &[(10, 1, origin.addr().port(), NAME), (20, 1, 9, "backup.test")]);
    dns.host(NAME, 60, &["127.0.0.1"]);
    dns.host("backup.test", 60, &["127.0.0.3"]);
    let shield = behind(&dns, &format!("srv+http://{SERVICE}")).await;
    fetch(&shield, 0).await;
}

#[tokio::test]
async fn all_addresses_behind_a_name_and_its_aliases_are_found() {
    let dns = resolver().await;
    dns.alias("live.test", 7, NAME);
    dns.host(NAME, 60, &["192.0.2.2", "192.0.2.1", "2001:db8::1"]);

    let found = asking(&dns).find(&addresses("live.test"), PATIENCE).await.unwrap();

    let places: Vec<_> = found.members.iter().map(|member| member.address.to_string()).collect();
    assert_eq!(places, ["192.0.2.1:8080", "192.0.2.2:8080", "[2001:db8::1]:8080"]);
    assert!(found.members.iter().all(|member| member.host == "live.test" && member.weight == 1));
    assert_eq!((found.valid_for.as_secs(), found.unanswered.len()), (7, 0), "an alias has a lifetime, too");
}

#[tokio::test]
async fn all_servers_of_a_service_are_found_with_port_weight_and_priority() {
    let dns = resolver().await;
    let servers: &[Service<'_>] =
        &[(2, 30, 8082, "B.test"), (1, 10, 8081, "a.test"), (1, 1, 80, "gone.test")];
    dns.service(SERVICE, 60, servers);
    dns.host("a.test", 20, &["192.0.2.1", "2001:db8::1"]);
    dns.host("b.test", 60, &["192.0.2.1"]);

    let found = asking(&dns).find(&services(), PATIENCE).await.unwrap();

    let members: Vec<_> = found
        .members
        .iter()
        .map(|member| (member.priority, member.address.to_string(), member.host.as_str(), member.weight))
        .collect();
    let expected = [
        (1, "192.0.2.1:8081".to_owned(), "a.test", 10),
        (1, "[2001:db8::1]:8081".to_owned(), "a.test", 10),
        (2, "192.0.2.1:8082".to_owned(), "b.test", 30),
    ];
    assert_eq!(members, expected);
    assert_eq!(found.valid_for.as_secs(), 20);
}

#[tokio::test]
async fn missing_records_fail_immediately_and_failing_targets_are_reported_separately() {
    let dns = resolver().await;
    let asking = asking(&dns);
    let find = async |what: &Discover| asking.find(what, PATIENCE).await;
    let begun = Instant::now();
    assert_eq!(find(&addresses(NAME)).await, Err(UpstreamError::DnsError), "no such name");
    dns.service(NAME, 60, &[]);
    assert_eq!(find(&addresses(NAME)).await, Err(UpstreamError::DnsError), "no such records");
    assert_eq!(find(&addresses("not..a name")).await, Err(UpstreamError::DnsError));
    dns.service(SERVICE, 60, &[(0, 0, 0, ".")]);
    assert_eq!(find(&services()).await, Err(UpstreamError::DnsError), "explicitly not offered");
    dns.fail(NAME);
    assert_eq!(find(&addresses(NAME)).await, Err(UpstreamError::DnsError));
    assert!(begun.elapsed() < PATIENCE);

    dns.service(SERVICE, 60, &[(1, 1, 80, NAME), (1, 1, 80, "a.test")]);
    dns.host("a.test", 60, &["192.0.2.1"]);
    let found = find(&services()).await.unwrap();
    assert_eq!(found.members.len(), 1);
    let unanswered: Vec<_> =
        found.unanswered.iter().map(|unanswered| (&*unanswered.host, unanswered.family)).collect();
    assert_eq!(unanswered, [(NAME, Family::V4), (NAME, Family::V6)]);
}

#[tokio::test]
async fn the_loopback_name_needs_no_resolver() {
    let dns = resolver().await;
    let found = asking(&dns).find(&addresses("localhost"), PATIENCE).await.unwrap();
    assert!(found.members.iter().all(|member| member.address.ip().is_loopback()), "{found:?}");
    assert_eq!(dns.queries("localhost", Kind::A), 0);
}

#[tokio::test]
async fn a_watch_reports_added_and_removed_servers() {
    let dns = resolver().await;
    dns.host(NAME, 1, &["192.0.2.1"]);
    let mut watch = Watch::new(asking(&dns), addresses(NAME));
    for addresses in [&["192.0.2.1"][..], &["192.0.2.1", "192.0.2.2"], &["192.0.2.2"]] {
        dns.host(NAME, 1, addresses);
        let members = timeout(PATIENCE, watch.changed()).await.unwrap();
        let places: Vec<_> = members.iter().map(|member| member.address.ip().to_string()).collect();
        assert_eq!(places, addresses);
    }
    dns.remove(NAME);
    assert_eq!(timeout(PATIENCE, watch.answer()).await.unwrap(), None);
    assert_eq!((watch.members().len(), watch.error()), (1, Some(UpstreamError::DnsError)));
}

/// A shield whose only origin is found by name. The long connect timeout makes a wait for a name visible.
async fn behind(dns: &Resolver, url: &str) -> Running {
    let shield = shield().origin_at(url).with(|config| {
        config.upstream.dns = vec![dns.addr()];
        config.upstream.connect_timeout = Period::secs(20);
    });
    shield.run().await
}

async fn fetch(shield: &Running, number: u64) {
    let path = format!("/bytes/1000/{number}");
    viewer(shield.addr()).get(&path).await.is(200, &synthetic_bytes(&path, 0..1000));
}

/// An object in its own folder: each folder has a shield.
async fn fetch_folder(tier: &Running, number: u64) {
    let path = format!("/bytes/1000/{number}/x");
    viewer(tier.addr()).get(&path).await.is(200, &synthetic_bytes(&path, 0..1000));
}

/// Fetches one object after the other from this number on; returns the number of the next one.
async fn fetch_while(shield: &Running, mut number: u64, condition: impl Fn() -> bool) -> u64 {
    let begun = Instant::now();
    while condition() {
        assert!(begun.elapsed() < tidegate_tests::PATIENCE, "timed out after {number} objects");
        fetch(shield, number).await;
        number += 1;
    }
    number
}

fn asking(dns: &Resolver) -> Dns {
    Dns::at(&[dns.addr()])
}

fn addresses(host: &str) -> Discover {
    Discover::Addresses { host: host.to_owned(), port: 8080 }
}

fn services() -> Discover {
    Discover::Services { name: SERVICE.to_owned() }
}

fn url(origin: &Origin) -> String {
    format!("http://{NAME}:{}", origin.addr().port())
}

/// Two origins on one port of two addresses.
async fn two_addresses() -> (Origin, Origin) {
    let here = origin().run().await;
    let there = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), here.addr().port()));
    (here, origin().with(|config| config.listen = there).run().await)
}

#[tokio::test(flavor = "multi_thread")]
async fn shields_behind_a_name_may_change_and_no_request_fails() {
    let origin = origin().run().await;
    let one = shield().origin(&origin).run().await;
    let port = one.addr().port();
    let two = shield().origin(&origin).with(|config| config.listen.viewers = ([127, 0, 0, 2], port).into());
    let two = two.run().await;
    let dns = resolver().await;
    dns.host("shields.test", 1, &["127.0.0.1"]);
    let edge = edge().shield_at(&format!("dns+http://shields.test:{port}"));
    let edge = edge.with(|config| config.upstream.dns = vec![dns.addr()]).run().await;
    let taken = async |shield: &Running| shield.count("tidegate_requests_total", "").await;
    fetch(&edge, 0).await;

    dns.host("shields.test", 1, &["127.0.0.1", "127.0.0.2"]);
    let number = AtomicU64::new(1);
    until("the new shield receives a request", async || {
        fetch_folder(&edge, number.fetch_add(1, Ordering::Relaxed)).await;
        taken(&two).await > 0
    })
    .await;
    dns.host("shields.test", 1, &["127.0.0.2"]);
    until("the old shield is removed", async || {
        members(&edge).await == [format!("http://shields.test:{port}#127.0.0.2")]
    })
    .await;
    let left = taken(&one).await;
    for number in 10_000..10_020 {
        fetch_folder(&edge, number).await;
    }
    assert_eq!(taken(&one).await, left, "a removed shield receives no further request");
}

/// The names of the members of a tier's pool.
async fn members(tier: &Running) -> Vec<String> {
    let page = viewer(tier.admin()).get("/v1/upstreams").await;
    let page: serde_json::Value = serde_json::from_slice(&page.body).unwrap();
    let members = page["pools"][0]["upstreams"].as_array().unwrap().iter();
    members.map(|member| member["address"].as_str().unwrap().to_owned()).collect()
}
