//! Any bytes as the header fields of a request and of a response, one `name:value` per line: a list is the
//! sum of its members, a node finds its own mark, and what is forwarded has no field of one connection.
#![no_main]

use http::{HeaderMap, HeaderName, HeaderValue, Method, Version, header};
use libfuzzer_sys::fuzz_target;
use tidegate_headers::conditional::{self, Validators};
use tidegate_headers::forwarding::Forwarding;
use tidegate_headers::vary::{self, Selection};
use tidegate_headers::{cache_control, cache_tags, coding, compress, field, hop, range};

const NODE: &str = "edge-1";

fuzz_target!(|bytes: &[u8]| {
    let headers = head(bytes);
    for value in headers.values().filter_map(|value| value.to_str().ok()) {
        lists(value);
    }
    marks(&headers);
    forwarded(&headers);
    if let Selection::By(vary) = vary::parse(&headers, &Forwarding::default()) {
        assert!((1..=vary::NAMES_MAX).contains(&vary.names().len()));
        assert_eq!(vary.variant(&headers).lines().count(), vary.names().len());
    }
    let validators = Validators::of(&headers);
    for method in [Method::GET, Method::PUT] {
        let _outcome = conditional::evaluate(&headers, &method, &validators);
    }
    if let Some(value) = headers.get(header::IF_RANGE) {
        let has_validator = validators.tag().is_some() || validators.last_modified().is_some();
        assert!(has_validator || !range::if_range(value, &validators));
    }
    let _renewed = conditional::renew(&headers, &headers);
    let _conditions = conditional::revalidation_between_tiers(&headers);
    let _coded =
        (compress::accepts_gzip(&headers), coding::accepts(&headers, "br"), coding::codings(&headers));
    let _cached = cache_control::is_only_if_cached(&headers);
    tags(&headers);
});

fn head(bytes: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|&byte| byte == b'\n') {
        let mut halves = line.splitn(2, |&byte| byte == b':');
        let name = halves.next().and_then(|name| HeaderName::from_bytes(name).ok());
        let value = halves.next().and_then(|value| HeaderValue::from_bytes(value).ok());
        if let (Some(name), Some(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    headers
}

fn lists(value: &str) {
    let parts: Vec<&str> = field::split(value, b';').collect();
    assert_eq!(parts.join(";"), value);
    let members: Vec<&str> = field::members(value).collect();
    let joined = members.join(", ");
    assert_eq!(field::members(&joined).collect::<Vec<_>>(), members);
    assert!(members.iter().all(|member| !member.is_empty() && field::trim(member) == *member));
}

fn marks(headers: &HeaderMap) {
    let mut sent = headers.clone();
    hop::append_via(&mut sent, Version::HTTP_2, NODE);
    hop::append_cdn_loop(&mut sent, NODE);
    assert!(hop::loops(&sent, NODE), "{sent:?}");
    assert_eq!(sent.get_all(hop::CDN_LOOP.clone()).iter().count(), 1);
}

fn forwarded(headers: &HeaderMap) {
    let response = hop::end_to_end(headers);
    let (fill, pass) = (Forwarding::default().fill_headers(headers), hop::pass_headers(headers));
    for sent in [&response, &fill, &pass] {
        assert!(!sent.keys().any(hop::is_hop_by_hop));
        let is_padded = |value: &HeaderValue| value.as_bytes().trim_ascii() != value.as_bytes();
        assert!(!sent.values().any(is_padded));
    }
    assert!(fill.keys().all(|name| *name == header::ACCEPT_ENCODING || hop::is_sent_on_fill(name)));
    assert!(pass.get_all(header::COOKIE).iter().count() <= 1 && !pass.contains_key(header::HOST));
}

fn tags(headers: &HeaderMap) {
    let values = headers.get_all("surrogate-key").iter().filter_map(|value| value.to_str().ok());
    for tag in values.flat_map(str::split_ascii_whitespace) {
        assert!(cache_tags::has_any(headers, &[tag.to_owned()]));
    }
    assert!(!cache_tags::has_any(headers, &[]));
}
