//! How results are merged, and how a watch continues; without a network.

use tokio::time::Instant;

use super::script::{Script, found, member};
use super::*;

const A: &str = "192.0.2.1:80";
const B: &str = "192.0.2.2:80";
const SIX: &str = "[2001:db8::6]:80";

fn service(host: &str, port: u16, priority: u16) -> Service {
    Service { host: host.to_owned(), port, priority, weight: 10 }
}

fn addresses(ips: &[&str], seconds: u64) -> Addresses {
    let ips = ips.iter().map(|ip| ip.parse().unwrap()).collect();
    Addresses { ips, lifetime: Some(Duration::from_secs(seconds)), unanswered: Vec::new() }
}

fn watch(script: &Script) -> Watch {
    Watch::new(script.dns(), Discover::Addresses { host: "origin.test".to_owned(), port: 80 })
}

#[test]
fn members_are_sorted_and_stand_once_with_their_best_priority() {
    let mut gathered = Gathered::default();
    gathered.add(&service("b.test", 80, 2), &addresses(&["192.0.2.9", "192.0.2.1"], 60));
    gathered.add(&service("a.test", 80, 1), &addresses(&["192.0.2.5"], 30));
    gathered.add(&service("a.test", 80, 7), &addresses(&["192.0.2.5"], 90));

    let found = gathered.finish().unwrap();

    let places: Vec<_> =
        found.members.iter().map(|member| (member.priority, member.address.to_string())).collect();
    let expected = [(1, "192.0.2.5:80"), (2, "192.0.2.1:80"), (2, "192.0.2.9:80")];
    assert_eq!(places, expected.map(|(priority, place)| (priority, place.to_owned())));
    assert_eq!(found.valid_for, Duration::from_secs(30), "a set lives as long as its shortest record");
}

#[test]
fn lifetimes_are_kept_between_a_second_and_five_minutes() {
    for (lifetime, kept) in [(0, 1), (1, 1), (42, 42), (300, 300), (86_400, 300)] {
        let mut gathered = Gathered::default();
        gathered.add(&service("a.test", 80, 0), &addresses(&["192.0.2.1"], lifetime));
        assert_eq!(gathered.finish().unwrap().valid_for, Duration::from_secs(kept), "{lifetime}");
    }
}

#[test]
fn no_members_are_an_error_with_its_reason() {
    assert_eq!(Gathered::default().finish(), Err(UpstreamError::DnsError));
    let late = Gathered { error: UpstreamError::DnsTimeout, ..Gathered::default() };
    assert_eq!(late.finish(), Err(UpstreamError::DnsTimeout));
}

#[test]
fn the_same_resolvers_are_the_same() {
    let [one, other] = [53, 54].map(|port| Dns::at(&[SocketAddr::from(([127, 0, 0, 1], port))]));
    assert!(one == one.clone() && one != other && Dns::at(&[]) == Dns::system());
}

#[test]
fn random_fractions_are_from_0_to_below_1_and_differ() {
    let thrown: Vec<_> = (0..100).map(|_| random_fraction()).collect();
    assert!(thrown.iter().all(|number| (0.0..1.0).contains(number)));
    assert!(thrown.iter().any(|number| *number < 0.5) && thrown.iter().any(|number| *number >= 0.5));
}

#[tokio::test(start_paused = true)]
async fn a_watch_looks_up_by_lifetime_and_returns_only_changes() {
    let script = Script::new();
    script.says(Duration::ZERO, Ok(found(&[A], 10)));
    let mut watch = watch(&script);
    let begun = Instant::now();
    assert_eq!(watch.changed().await[..], [member(A)]);
    assert_eq!(begun.elapsed(), Duration::ZERO);

    let (still, changing) = (script.clone(), script.clone());
    let change = async move {
        tokio::time::sleep(Duration::from_secs(35)).await;
        assert_eq!(still.asked(), 4, "at 0, 10, 20 and 30 seconds");
        changing.says(Duration::ZERO, Ok(found(&[A, B], 10)));
    };
    let (members, ()) = tokio::join!(watch.changed(), change);
    assert_eq!(members[..], [member(A), member(B)]);
    assert_eq!(begun.elapsed().as_secs(), 40);
}

#[tokio::test(start_paused = true)]
async fn a_watch_keeps_its_members_while_lookups_fail() {
    let script = Script::new();
    script.says(Duration::ZERO, Ok(found(&[A, SIX], 10)));
    let mut watch = watch(&script);
    watch.changed().await;
    script.says(Duration::from_secs(5), Err(UpstreamError::DnsTimeout));
    for _ in 0..10 {
        assert_eq!(watch.answer().await, None);
        assert_eq!(watch.members(), [member(A), member(SIX)]);
        assert_eq!(watch.error(), Some(UpstreamError::DnsTimeout));
    }
    script.says(Duration::ZERO, Ok(found(&[B], 10)));
    assert_eq!(watch.changed().await[..], [member(B)]);
    assert_eq!(watch.error(), None);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_dropped_while_it_waits_misses_nothing() {
    let script = Script::new();
    script.says(Duration::from_secs(1), Ok(found(&[A], 10)));
    let mut watch = watch(&script);
    for _ in 0..3 {
        assert!(timeout(Duration::from_millis(900), watch.changed()).await.is_err());
    }
    assert_eq!(watch.changed().await[..], [member(A)]);
}
