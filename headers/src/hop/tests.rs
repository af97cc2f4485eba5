use http::Version;
use proptest::prelude::*;

use super::*;
use crate::forwarding::Forwarding;

fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    fields
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect()
}

#[test]
fn hop_by_hop_headers_and_headers_that_connection_lists_are_removed() {
    let message = headers(&[
        ("connection", "close, X-One"),
        ("connection", "x-two"),
        ("keep-alive", "timeout=5"),
        ("proxy-authorization", "Basic x"),
        ("te", "trailers"),
        ("trailer", "x"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("x-one", "1"),
        ("x-two", "2"),
        ("x-three", "3"),
        ("close", "a header of this name is listed too"),
    ]);
    let left = headers(&[("x-three", "3")]);
    assert_eq!(end_to_end(&message), left);
    assert_eq!(pass_headers(&message), left);
}

#[test]
fn connection_cannot_remove_framing_or_cdn_loop() {
    let message = headers(&[
        ("connection", "host, content-length, cdn-loop, cookie"),
        ("host", "h"),
        ("content-length", "5"),
        ("cdn-loop", "edge-1"),
        ("cookie", "a"),
    ]);
    assert_eq!(pass_headers(&message), headers(&[("content-length", "5"), ("cdn-loop", "edge-1")]));
    let left = headers(&[("host", "h"), ("content-length", "5"), ("cdn-loop", "edge-1")]);
    assert_eq!(end_to_end(&message), left);
}

#[test]
fn a_fill_carries_no_header_about_the_viewer() {
    let viewer = headers(&[
        ("host", "h"),
        ("user-agent", "player"),
        ("accept", "*/*"),
        ("accept-language", "de"),
        ("accept-encoding", "gzip, br"),
        ("cookie", "a=b"),
        ("authorization", "Bearer x"),
        ("range", "bytes=0-1"),
        ("if-none-match", "\"a\""),
        ("if-range", "\"a\""),
        ("origin", "https://site.example"),
        ("referer", "https://site.example/page"),
        ("access-control-request-method", "GET"),
        ("cache-control", "no-cache"),
        ("pragma", "no-cache"),
        ("cmcd-session", "sid=\"x\""),
        ("tidegate-slice", "?1"),
        ("tidegate-backup", "?1"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-host", "other.example"),
        ("x-original-url", "/admin"),
        ("x-http-method-override", "DELETE"),
        ("forwarded", "for=192.0.2.1"),
        ("content-length", "3"),
        ("content-type", "text/plain"),
        ("expect", "100-continue"),
        ("priority", "u=1"),
        ("sec-fetch-site", "cross-site"),
        ("connection", "x-listed"),
        ("x-listed", "1"),
        ("x-custom", "1"),
        ("x-custom", "2"),
        ("cdn-loop", "other-cdn"),
    ]);
    let expected = headers(&[
        ("user-agent", "player"),
        ("accept", "*/*"),
        ("accept-language", "de"),
        ("accept-encoding", "identity"),
        ("x-custom", "1"),
        ("x-custom", "2"),
        ("cdn-loop", "other-cdn"),
    ]);
    assert_eq!(Forwarding::default().fill_headers(&viewer), expected);
}

#[test]
fn a_pass_carries_all_headers_of_the_viewer_but_those_of_the_connection() {
    let viewer = headers(&[
        ("host", "h"),
        ("connection", "keep-alive"),
        ("cookie", "a=b"),
        ("authorization", "Bearer x"),
        ("range", "bytes=0-1"),
        ("if-none-match", "\"a\""),
        ("content-length", "3"),
        ("tidegate-slice", "?1"),
        ("tidegate-backup", "?1"),
    ]);
    let expected = headers(&[
        ("cookie", "a=b"),
        ("authorization", "Bearer x"),
        ("range", "bytes=0-1"),
        ("if-none-match", "\"a\""),
        ("content-length", "3"),
    ]);
    assert_eq!(pass_headers(&viewer), expected);
}

#[test]
fn a_response_keeps_the_marks_of_earlier_tiers_and_loses_its_age() {
    let response = headers(&[
        ("age", "3"),
        ("connection", "close"),
        ("cache-status", "shield-1; hit"),
        ("x-cache", "HIT"),
        ("via", "1.1 shield-1"),
        ("etag", "\"a\""),
    ]);
    let expected = headers(&[
        ("cache-status", "shield-1; hit"),
        ("x-cache", "HIT"),
        ("via", "1.1 shield-1"),
        ("etag", "\"a\""),
    ]);
    assert_eq!(end_to_end(&response), expected);
}

#[test]
fn via_lists_the_nodes_in_the_order_passed() {
    let mut message = HeaderMap::new();
    append_via(&mut message, Version::HTTP_11, "shield-1");
    append_via(&mut message, Version::HTTP_2, "edge-1");
    assert_eq!(message["via"], "1.1 shield-1, 2.0 edge-1");
}

#[test]
fn a_request_that_lists_this_node_is_a_loop() {
    for (value, is_loop) in [
        ("edge-1", true),
        ("Edge-1", true),
        ("other, edge-1; v=2", true),
        ("edge-10", false),
        ("other; id=edge-1", false),
        ("other; id=\"a, edge-1\"", false),
        ("other; id=\"a, edge-1", true),
        ("\", edge-1; v=\"2\"", true),
        ("", false),
    ] {
        assert_eq!(loops(&headers(&[("cdn-loop", value)]), "edge-1"), is_loop, "{value}");
    }
    assert!(loops(&headers(&[("cdn-loop", "a"), ("cdn-loop", "edge-1")]), "edge-1"));
    assert!(!loops(&HeaderMap::new(), "edge-1"));
}

#[test]
fn a_node_is_appended_after_the_others() {
    let mut request = headers(&[("cdn-loop", "other-cdn; x=1")]);
    append_cdn_loop(&mut request, "edge-1");
    assert_eq!(request["cdn-loop"], "other-cdn; x=1, edge-1");
    assert!(loops(&request, "edge-1"));
}

proptest! {
    #[test]
    fn hop_by_hop_and_listed_headers_are_removed_and_all_others_stay(
        present in prop::collection::vec("(x-[a-d]|te|upgrade|keep-alive|cookie|proxy-connection)", 0..10),
        listed in prop::collection::vec("(x-[a-d]|cookie|close|, |;)", 0..5),
    ) {
        let mut message = HeaderMap::new();
        for name in &present {
            message.append(HeaderName::try_from(name).unwrap(), HeaderValue::from_static("1"));
        }
        message.insert("connection", HeaderValue::try_from(listed.join(",")).unwrap());
        let left = end_to_end(&message);
        let ends = |name: &str| {
            ["te", "upgrade", "keep-alive", "proxy-connection"].contains(&name) || listed.iter().any(|l| l == name)
        };
        let expected = present.iter().filter(|name| !ends(name)).count();
        prop_assert_eq!(left.len(), expected);
        prop_assert!(left.keys().all(|name| !ends(name.as_str())));
    }
}

#[test]
fn a_cookie_in_crumbs_is_one_field_again() {
    let viewer = headers(&[("cookie", "a=1"), ("x", "y"), ("cookie", "b=2; c=3"), ("cookie", "d")]);
    assert_eq!(pass_headers(&viewer), headers(&[("cookie", "a=1; b=2; c=3; d"), ("x", "y")]));
    let viewer = headers(&[("cookie", ""), ("cookie", "a=1"), ("cookie", " ")]);
    assert_eq!(pass_headers(&viewer), headers(&[("cookie", "a=1")]));
    let dropped = headers(&[("cookie", "a=1"), ("cookie", "b=2"), ("connection", "cookie")]);
    assert_eq!(pass_headers(&dropped), headers(&[]));
}

#[test]
fn a_length_that_stands_several_times_is_one() {
    let viewer = headers(&[("content-length", "5"), ("content-length", "5, 5")]);
    assert_eq!(pass_headers(&viewer), headers(&[("content-length", "5")]));
}

#[test]
fn values_lose_the_whitespace_around_them() {
    let message = headers(&[("x-a", " 1"), ("x-b", "2 \t"), ("x-c", "\t 3 4 "), ("x-d", " "), ("x-e", "")]);
    let expected = headers(&[("x-a", "1"), ("x-b", "2"), ("x-c", "3 4"), ("x-d", ""), ("x-e", "")]);
    assert_eq!(pass_headers(&message), expected);
    assert_eq!(end_to_end(&message), expected);
}

#[test]
fn only_a_missing_or_invalid_date_is_set() {
    const SENT: &str = "Sat, 21 Nov 2026 10:00:00 GMT";
    let arrived = httpdate::parse_http_date("Sat, 21 Nov 2026 10:00:05 GMT").unwrap();
    for (fields, expected) in [
        (&[("date", SENT)][..], SENT),
        (&[], "Sat, 21 Nov 2026 10:00:05 GMT"),
        (&[("date", "yesterday")], "Sat, 21 Nov 2026 10:00:05 GMT"),
    ] {
        let mut response = headers(fields);
        date(&mut response, arrived);
        assert_eq!(response, headers(&[("date", expected)]));
    }
}
