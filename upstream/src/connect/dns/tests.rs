//! How results are merged, and how a watch continues; without a network.

use hickory_resolver::lookup::Lookup;
use hickory_resolver::proto::op::{Message, OpCode, Query};
use hickory_resolver::proto::rr::rdata::{A, CNAME, SRV};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use proptest::prelude::*;
use tokio::time::Instant;

use super::script::{Script, found, member};
use super::*;

const ONE: &str = "192.0.2.1:80";
const TWO: &str = "192.0.2.2:80";
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
    script.says(Duration::ZERO, Ok(found(&[ONE], 10)));
    let mut watch = watch(&script);
    let begun = Instant::now();
    assert_eq!(watch.changed().await[..], [member(ONE)]);
    assert_eq!(begun.elapsed(), Duration::ZERO);

    let (still, changing) = (script.clone(), script.clone());
    let change = async move {
        tokio::time::sleep(Duration::from_secs(35)).await;
        assert_eq!(still.asked(), 4, "at 0, 10, 20 and 30 seconds");
        changing.says(Duration::ZERO, Ok(found(&[ONE, TWO], 10)));
    };
    let (members, ()) = tokio::join!(watch.changed(), change);
    assert_eq!(members[..], [member(ONE), member(TWO)]);
    assert_eq!(begun.elapsed().as_secs(), 40);
}

#[tokio::test(start_paused = true)]
async fn a_watch_keeps_its_members_while_lookups_fail() {
    let script = Script::new();
    script.says(Duration::ZERO, Ok(found(&[ONE, SIX], 10)));
    let mut watch = watch(&script);
    watch.changed().await;
    script.says(Duration::from_secs(5), Err(UpstreamError::DnsTimeout));
    for _ in 0..10 {
        assert_eq!(watch.answer().await, None);
        assert_eq!(watch.members(), [member(ONE), member(SIX)]);
        assert_eq!(watch.error(), Some(UpstreamError::DnsTimeout));
    }
    script.says(Duration::ZERO, Ok(found(&[TWO], 10)));
    assert_eq!(watch.changed().await[..], [member(TWO)]);
    assert_eq!(watch.error(), None);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_dropped_while_it_waits_misses_nothing() {
    let script = Script::new();
    script.says(Duration::from_secs(1), Ok(found(&[ONE], 10)));
    let mut watch = watch(&script);
    for _ in 0..3 {
        assert!(timeout(Duration::from_millis(900), watch.changed()).await.is_err());
    }
    assert_eq!(watch.changed().await[..], [member(ONE)]);
}

/// Reads the response of a resolver as a lookup of services does, with the addresses that it has itself.
fn read(response: &[u8]) -> Option<Found> {
    let message = Message::from_vec(response).ok()?;
    let lookup = Lookup::new_with_max_ttl(message.queries.first()?.clone(), message.answers);
    let addresses =
        Addresses::together(answers::Answer::of(Ok(lookup.clone())), answers::Answer::None).ok()?;
    let (services, lifetime) = answers::services(&lookup);
    let mut gathered = Gathered { lifetime: Some(lifetime), ..Gathered::default() };
    for service in &services {
        gathered.add(service, &addresses);
    }
    gathered.finish().ok()
}

/// A response with two services, one of them with a lifetime of no time, an alias and an address.
fn response() -> Vec<u8> {
    let name = |text: &str| text.parse::<Name>().unwrap();
    let record = |of: &str, ttl, data| Record::from_rdata(name(of), ttl, data);
    let mut message = Message::response(7, OpCode::Query);
    message.add_query(Query::query(name("_http._tcp.a.test."), RecordType::SRV));
    message.add_answers([
        record("_http._tcp.a.test.", 42, RData::SRV(SRV::new(2, 10, 8080, name("B.test.")))),
        record("_http._tcp.a.test.", 0, RData::SRV(SRV::new(1, 0, 80, name("a.test.")))),
        record("_http._tcp.a.test.", 9, RData::SRV(SRV::new(0, 0, 80, Name::root()))),
        record("a.test.", 60, RData::CNAME(CNAME(name("b.test.")))),
        record("b.test.", 60, RData::A(A::new(192, 0, 2, 1))),
    ]);
    message.to_vec().unwrap()
}

/// What holds for the members in any response.
fn check(found: &Found) {
    assert!((1..=1000).contains(&found.members.len()) && found.members.is_sorted());
    assert!((VALID_MIN..=VALID_MAX).contains(&found.valid_for));
    for member in &found.members {
        let host = member.host.as_bytes();
        assert!(host.iter().all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase()), "{member:?}");
        assert!(!host.is_empty() && !host.ends_with(b".") && member.address.port() != 0, "{member:?}");
    }
}

#[test]
fn a_response_is_read() {
    let found = read(&response()).unwrap();
    check(&found);
    let hosts: Vec<_> = found.members.iter().map(|member| (member.priority, member.host.as_str())).collect();
    assert_eq!(hosts, [(1, "a.test"), (2, "b.test")]);
    assert_eq!(found.valid_for, VALID_MIN);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn no_response_gives_members_that_a_request_cannot_use(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        len in any::<prop::sample::Index>(),
        is_cut in prop::bool::weighted(0.1),
    ) {
        let mut bytes = response();
        for (at, byte) in &changes {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
        if is_cut {
            bytes.truncate(len.index(bytes.len()));
        }
        if let Some(found) = read(&bytes) {
            check(&found);
        }
    }

    #[test]
    fn no_bytes_make_the_reader_of_responses_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Some(found) = read(&bytes) {
            check(&found);
        }
    }
}
