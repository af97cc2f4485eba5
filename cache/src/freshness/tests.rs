use std::time::UNIX_EPOCH;

use http::HeaderValue;
use proptest::prelude::*;

use super::*;

/// Sun, 06 Nov 1994 08:49:37 GMT, the example date of RFC 9110 section 5.6.7.
const NOW: Duration = Duration::from_secs(784_111_777);

fn head(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

fn judged(status: u16, lines: &[(&'static str, &str)], policy: &Policy) -> Verdict {
    let status = StatusCode::from_u16(status).unwrap();
    judge(&RequestFacts::default(), status, &head(lines), policy, UNIX_EPOCH + NOW)
}

fn stored(status: u16, lines: &[(&'static str, &str)], policy: &Policy) -> Lifetimes {
    match judged(status, lines, policy) {
        Verdict::Store(lifetimes) => lifetimes,
        Verdict::Uncacheable(why) => panic!("{lines:?} is uncacheable: {why:?}"),
    }
}

/// The lifetime in seconds under RFC 9111 alone.
fn ttl(lines: &[(&'static str, &str)]) -> u64 {
    stored(200, lines, &Policy::default()).ttl.as_secs()
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A site's defaults for a live playlist of 4 s: HLS's lifetime comes first.
fn live() -> Policy {
    Policy {
        hls_ttl: Some(secs(2)),
        hls_over_no_cache: true,
        cap_at_hls: true,
        stale_while_revalidate: secs(10),
        stale_if_error: secs(60),
        ..Policy::default()
    }
}

#[test]
fn the_more_specific_field_decides() {
    let expires = ("expires", "Sun, 06 Nov 1994 08:50:37 GMT");
    let control = ("cache-control", "max-age=50");
    let shared = ("cache-control", "s-maxage=40");
    let surrogate = ("surrogate-control", "max-age=30");
    let cdn = ("cdn-cache-control", "max-age=20");
    // RFC 9111 section 5.3; without Date the time of arrival is used.
    assert_eq!(ttl(&[expires]), 60);
    // RFC 9111 section 5.3: max-age beats Expires. Section 5.2.2.10: s-maxage beats both.
    assert_eq!(ttl(&[expires, control]), 50);
    assert_eq!(ttl(&[expires, control, shared]), 40);
    // Edge Architecture 1.0, RFC 9213 section 2.2.
    assert_eq!(ttl(&[expires, control, shared, surrogate]), 30);
    assert_eq!(ttl(&[expires, control, shared, surrogate, cdn]), 20);
    // RFC 9213 section 2.2: a field for CDNs replaces the others even if it gives no lifetime.
    assert_eq!(ttl(&[expires, control, ("cdn-cache-control", "public")]), 0);
    assert_eq!(ttl(&[("cache-control", "no-store"), cdn]), 20);
    // RFC 9213 section 2.1: an invalid or empty field counts as absent.
    assert_eq!(ttl(&[control, ("cdn-cache-control", "max-age=20, =")]), 50);
    assert_eq!(ttl(&[control, ("cdn-cache-control", "Max-Age=20")]), 50);
    assert_eq!(ttl(&[control, ("cdn-cache-control", "")]), 50);
}

#[test]
fn a_field_for_cdns_is_a_structured_dictionary() {
    let cdn = |value: &str| ttl(&[("cdn-cache-control", value)]);
    // RFC 9213 section 2.1: parameters mean nothing. RFC 9651 section 4.2.2: the last of two members counts.
    assert_eq!(cdn("max-age=20;a=b, public"), 20);
    assert_eq!(cdn("max-age=10, max-age=20"), 20);
    assert_eq!(cdn("max-age=-1"), 0);
    assert_eq!(cdn("max-age=2.5"), 0);
    assert_eq!(cdn("max-age=\"20\""), 0);
    assert_eq!(cdn("max-age=20, no-cache=?0"), 20);
    let why = |value: &str| judged(200, &[("cdn-cache-control", value)], &Policy::default());
    assert_eq!(why("max-age=20, no-store"), Verdict::Uncacheable(UncacheableReason::NoStore));
    assert_eq!(why("max-age=20, private=(\"a\" \"b\")"), Verdict::Uncacheable(UncacheableReason::Private));
    // Two lines are one dictionary.
    assert_eq!(ttl(&[("cdn-cache-control", "public"), ("cdn-cache-control", "max-age=7")]), 7);
}

#[test]
fn directives_are_read_as_servers_write_them() {
    let control = |value: &str| ttl(&[("cache-control", value)]);
    assert_eq!(control("max-age=10"), 10);
    // RFC 9111 section 5.2: names in any case, arguments quoted or not.
    assert_eq!(control("PUBLIC, Max-Age=\"10\""), 10);
    assert_eq!(control(" ,, max-age=10 ,"), 10);
    assert_eq!(control("ext=\"a, max-age=99\", max-age=10"), 10);
    assert_eq!(control("ext=\"a\\\", max-age=99\", max-age=10"), 10);
    // RFC 9111 section 1.2.2: larger numbers are 2^31.
    assert_eq!(control("max-age=99999999999999999999999"), 1 << 31);
    // RFC 9111 section 4.2.1: invalid numbers, and two that disagree, are stale.
    for garbled in ["max-age", "max-age=", "max-age=-5", "max-age=1.5", "max-age=1x", "max-age=\"10"] {
        let expected = if garbled == "max-age=\"10" { 10 } else { 0 };
        assert_eq!(control(garbled), expected, "{garbled}");
    }
    assert_eq!(control("max-age=10, max-age=20"), 0);
    assert_eq!(control("max-age=10, max-age=10"), 10);
    assert_eq!(ttl(&[("cache-control", "max-age=10"), ("cache-control", "max-age=20")]), 0);
}

#[test]
fn expires_is_measured_against_the_origins_own_clock() {
    let expires = ("expires", "Sun, 06 Nov 1994 08:50:37 GMT");
    // The origin's clock is an hour slow: the difference counts (RFC 9111 section 4.2.1).
    assert_eq!(ttl(&[expires, ("date", "Sun, 06 Nov 1994 08:50:27 GMT")]), 10);
    assert_eq!(ttl(&[expires, ("date", "Sun, 06 Nov 1994 07:50:37 GMT")]), 3600);
    assert_eq!(ttl(&[expires, ("date", "yesterday")]), 60);
    // RFC 9111 section 5.3: a date in the past, or none at all.
    assert_eq!(ttl(&[("expires", "Sun, 06 Nov 1994 08:00:00 GMT")]), 0);
    assert_eq!(ttl(&[("expires", "0")]), 0);
    assert_eq!(ttl(&[expires, ("expires", "Sun, 06 Nov 1994 09:50:37 GMT")]), 0);
}

#[test]
fn a_response_for_one_client_is_not_stored() {
    for (lines, why) in [
        // RFC 9111 sections 5.2.2.5 and 5.2.2.7; field names change nothing.
        (&[("cache-control", "max-age=9, no-store")][..], UncacheableReason::NoStore),
        (&[("cache-control", "no-store, must-understand")], UncacheableReason::NoStore),
        (&[("surrogate-control", "no-store-remote, max-age=9")], UncacheableReason::NoStore),
        (&[("cache-control", "private, max-age=9")], UncacheableReason::Private),
        (&[("cache-control", "private=\"set-cookie\", max-age=9")], UncacheableReason::Private),
        (&[("cache-control", "max-age=9"), ("set-cookie", "a=b")], UncacheableReason::SetCookie),
        // RFC 9111 section 4.1.
        (&[("cache-control", "max-age=9"), ("vary", "*")], UncacheableReason::VaryStar),
        (
            &[("cache-control", "max-age=9"), ("vary", "accept"), ("vary", "origin , *")],
            UncacheableReason::VaryStar,
        ),
    ] {
        assert_eq!(judged(200, lines, &Policy::default()), Verdict::Uncacheable(why), "{lines:?}");
        // HLS's lifetime never overrules it.
        assert_eq!(judged(200, lines, &live()), Verdict::Uncacheable(why), "{lines:?}");
    }
    let policy = Policy { ignored: vec![UncacheableReason::SetCookie], ..Policy::default() };
    let lines = [("cache-control", "max-age=9"), ("set-cookie", "a=b")];
    assert_eq!(stored(200, &lines, &policy).ttl, secs(9));
}

#[test]
fn a_response_to_an_authorised_request_is_shared_only_if_it_allows_that() {
    let authorised = |control: &str, policy: &Policy| {
        let request = RequestFacts { authorization: true };
        judge(&request, StatusCode::OK, &head(&[("cache-control", control)]), policy, UNIX_EPOCH + NOW)
    };
    // RFC 9111 section 3.5.
    for shared in ["public, max-age=9", "s-maxage=9", "max-age=9, must-revalidate"] {
        assert!(matches!(authorised(shared, &Policy::default()), Verdict::Store(_)), "{shared}");
    }
    for own in ["", "max-age=9", "no-cache", "max-age=9, proxy-revalidate"] {
        assert_eq!(authorised(own, &live()), Verdict::Uncacheable(UncacheableReason::Authorization), "{own}");
    }
}

#[test]
fn the_status_decides_whether_a_response_may_be_stored() {
    let fresh = &[("cache-control", "max-age=9")][..];
    // RFC 9110 section 15.1.
    for status in [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501] {
        assert!(matches!(judged(status, &[], &Policy::default()), Verdict::Store(_)), "{status}");
    }
    // RFC 9111 section 3.
    for status in [302, 303, 307, 400, 403, 429] {
        assert_eq!(judged(status, &[], &live()), Verdict::Uncacheable(UncacheableReason::Status), "{status}");
        assert_eq!(stored(status, fresh, &Policy::default()).ttl, secs(9), "{status}");
    }
    for status in [100, 101, 304, 500, 502, 503, 504] {
        assert_eq!(
            judged(status, fresh, &live()),
            Verdict::Uncacheable(UncacheableReason::Status),
            "{status}"
        );
    }
    assert_eq!(judged(206, fresh, &live()), Verdict::Uncacheable(UncacheableReason::PartialContent));
}

#[test]
fn the_hls_lifetime_comes_after_the_origins_unless_the_site_trusts_it() {
    let obeying = Policy { hls_over_no_cache: false, cap_at_hls: false, ..live() };
    for (control, obeyed, trusted) in [
        ("", 2, 2),
        ("max-age=1", 1, 1),
        ("max-age=60", 60, 2),
        ("s-maxage=60", 60, 2),
        ("max-age=0", 0, 2),
        ("no-cache", 0, 2),
        ("no-cache, max-age=60", 0, 2),
        ("no-cache=\"set-cookie\", max-age=60", 0, 2),
        ("no-cache, must-revalidate, max-age=0", 0, 2),
    ] {
        let lines = [("cache-control", control)];
        assert_eq!(stored(200, &lines, &obeying).ttl, secs(obeyed), "{control}, obeyed");
        assert_eq!(stored(200, &lines, &live()).ttl, secs(trusted), "{control}, trusted");
    }
    assert_eq!(stored(200, &[("expires", "0")], &live()).ttl, secs(2));
}

#[test]
fn without_a_lifetime_from_origin_or_hls_the_site_decides() {
    let unknown = Policy {
        hls_ttl: None,
        stale_while_revalidate: secs(10),
        stale_if_error: secs(60),
        ..Policy::default()
    };
    // No lifetime at all: revalidated before each use, so that grace must not make it look fresh.
    let lifetimes = stored(200, &[], &unknown);
    assert_eq!(
        (lifetimes.ttl, lifetimes.stale_while_revalidate, lifetimes.stale_if_error),
        (secs(0), secs(0), secs(60))
    );
    let with_default = Policy { default: Some(secs(5)), ..unknown.clone() };
    assert_eq!(stored(200, &[], &with_default).ttl, secs(5));
    assert_eq!(stored(200, &[("cache-control", "max-age=9")], &with_default).ttl, secs(9));
    assert_eq!(stored(200, &[("cache-control", "no-cache")], &with_default).ttl, secs(0));
    // Errors have their own lifetime.
    let with_errors = Policy { error_ttl: secs(3), ..with_default };
    let lifetimes = stored(404, &[], &with_errors);
    assert_eq!(
        (lifetimes.ttl, lifetimes.stale_while_revalidate, lifetimes.stale_if_error),
        (secs(3), secs(0), secs(0))
    );
    assert_eq!(stored(404, &[("cache-control", "max-age=9")], &with_errors).ttl, secs(9));
    assert_eq!(stored(404, &[], &Policy { error_ttl: secs(3), ..live() }).ttl, secs(2));
}

#[test]
fn a_lifetime_is_guessed_only_on_request() {
    let guessing = Policy { heuristic: true, ..Policy::default() };
    // A hundred seconds before now; RFC 9111 section 4.2.2 suggests a tenth.
    let changed = ("last-modified", "Sun, 06 Nov 1994 08:47:57 GMT");
    assert_eq!(stored(200, &[changed], &Policy::default()).ttl, secs(0));
    assert_eq!(stored(200, &[changed], &guessing).ttl, secs(10));
    let slow_clock = ("date", "Sun, 06 Nov 1994 08:48:07 GMT");
    assert_eq!(stored(200, &[changed, slow_clock], &guessing).ttl, secs(1));
    assert_eq!(stored(200, &[changed, ("cache-control", "max-age=3")], &guessing).ttl, secs(3));
    assert_eq!(stored(200, &[changed], &Policy { default: Some(secs(7)), ..guessing.clone() }).ttl, secs(7));
    let long_ago = ("last-modified", "Thu, 01 Jan 1970 00:00:00 GMT");
    assert_eq!(stored(200, &[long_ago], &guessing).ttl, secs(86_400));
    assert_eq!(stored(200, &[("last-modified", "Mon, 06 Nov 2034 08:49:37 GMT")], &guessing).ttl, secs(0));
}

#[test]
fn stale_use_is_granted_by_the_origin_or_the_site_and_forbidden_by_the_origin() {
    let site = Policy { stale_while_revalidate: secs(10), stale_if_error: secs(60), ..Policy::default() };
    for (control, stale_while_revalidate, stale_if_error, must_revalidate) in [
        ("max-age=9", 10, 60, false),
        // RFC 5861 sections 3 and 4.
        ("max-age=9, stale-while-revalidate=1", 1, 60, false),
        ("max-age=9, stale-if-error=2", 10, 2, false),
        ("max-age=0, stale-while-revalidate=5", 5, 60, false),
        ("max-age=9, stale-while-revalidate=x", 0, 60, false),
        ("max-age=0", 0, 60, false),
        // RFC 9111 section 4.2.4: never against these.
        ("max-age=9, must-revalidate, stale-if-error=2", 0, 0, true),
        ("max-age=9, proxy-revalidate, stale-while-revalidate=2", 0, 0, true),
        ("no-cache", 0, 0, true),
        // RFC 9111 section 5.2.2.10, with and without a grant beside it.
        ("s-maxage=9", 0, 0, true),
        ("s-maxage=9, stale-while-revalidate=1", 1, 0, false),
        ("s-maxage=9, stale-if-error=2", 0, 2, false),
    ] {
        let lifetimes = stored(200, &[("cache-control", control)], &site);
        assert_eq!(
            (lifetimes.stale_while_revalidate, lifetimes.stale_if_error),
            (secs(stale_while_revalidate), secs(stale_if_error)),
            "{control}"
        );
        assert_eq!(lifetimes.must_revalidate, must_revalidate, "{control}");
    }
}

#[test]
fn a_trusted_hls_lifetime_overrules_the_whole_no_cache_idiom() {
    let idiom = [("cache-control", "no-cache, must-revalidate, max-age=0")];
    let lifetimes = stored(200, &idiom, &live());
    assert_eq!((lifetimes.stale_while_revalidate, lifetimes.stale_if_error), (secs(10), secs(60)));
    assert!(!lifetimes.must_revalidate);
    // A lifetime that the origin chose keeps the origin's conditions.
    let lifetimes = stored(200, &[("cache-control", "max-age=60, must-revalidate")], &live());
    assert_eq!(
        (lifetimes.ttl, lifetimes.stale_while_revalidate, lifetimes.stale_if_error),
        (secs(2), secs(0), secs(0))
    );
}

#[test]
fn age_comes_from_the_age_field_alone() {
    let age = |lines: &[(&'static str, &str)]| stored(200, lines, &Policy::default()).age.as_secs();
    assert_eq!(age(&[]), 0);
    assert_eq!(age(&[("age", "7")]), 7);
    // RFC 9111 section 5.1: the first member counts; invalid numbers are ignored.
    assert_eq!(age(&[("age", "7, 9"), ("age", "11")]), 7);
    assert_eq!(age(&[("age", "-1")]), 0);
    assert_eq!(age(&[("age", "7.5")]), 0);
    assert_eq!(age(&[("age", "99999999999999999999")]), 1 << 31);
    assert_eq!(age(&[("date", "Sun, 06 Nov 1994 08:00:00 GMT")]), 0);
}

/// Field values close to what the parsers know.
fn values() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>().prop_filter("a legal byte", |b| *b >= 32 && *b != 127), 0..60),
        r#"((no-store|no-cache|private|public|max-age|s-maxage|stale-if-error|must-revalidate)(=("?)[0-9x\\]{0,12}("?))?[ ,;]{0,2}){0,5}"#
            .prop_map(String::into_bytes),
        r"(Sun|Mon), [0-3][0-9] Nov (1994|9999) [0-2][0-9]:49:37 GMT".prop_map(String::into_bytes),
    ]
}

proptest! {
    #[test]
    fn no_head_makes_judge_panic_and_every_lifetime_is_bounded(
        lines in proptest::collection::vec((0..8_usize, values()), 0..8),
        status in 100..600_u16,
        switches in any::<[bool; 4]>(),
    ) {
        let names = [
            "cache-control", "cdn-cache-control", "surrogate-control", "expires", "date", "age", "vary",
            "last-modified",
        ];
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(names[name], HeaderValue::from_bytes(&value).unwrap());
        }
        let [authorization, hls_over_no_cache, cap_at_hls, heuristic] = switches;
        let policy = Policy { hls_over_no_cache, cap_at_hls, heuristic, ..live() };
        let status = StatusCode::from_u16(status).unwrap();
        let request = RequestFacts { authorization };
        match judge(&request, status, &headers, &policy, UNIX_EPOCH + NOW) {
            Verdict::Store(lifetimes) => {
                for span in [lifetimes.ttl, lifetimes.stale_while_revalidate, lifetimes.stale_if_error, lifetimes.age] {
                    prop_assert!(span <= control::DELTA_MAX);
                }
                prop_assert!(!lifetimes.must_revalidate || lifetimes.stale_while_revalidate.is_zero() && lifetimes.stale_if_error.is_zero());
            }
            Verdict::Uncacheable(why) => prop_assert!(!why.as_str().is_empty()),
        }
    }
}

/// An origin that is a cache itself sends ages beyond the lifetimes of HLS.
#[test]
fn hls_lifetime_counts_from_arrival_for_a_response_that_is_older() {
    let policy = Policy { hls_from: CountedFrom::Arrival, ..live() };
    let ttl = |fields: &[(&'static str, &'static str)]| {
        let lifetimes = stored(200, fields, &policy);
        lifetimes.ttl.saturating_sub(lifetimes.age)
    };
    assert_eq!(ttl(&[("age", "3000"), ("cache-control", "max-age=86400")]), secs(2));
    assert_eq!(ttl(&[("age", "3000")]), secs(2));
    assert_eq!(ttl(&[("age", "1")]), secs(1), "a tier above counts from generation");
    assert_eq!(
        ttl(&[("age", "3000"), ("cache-control", "max-age=3001")]),
        secs(1),
        "the origin's own lifetime"
    );
    assert_eq!(ttl(&[("age", "3000"), ("cache-control", "max-age=60")]), secs(0));
}
