//! Any bytes as a response head, one `name:value` per line after a byte of switches: judging it never panics,
//! and every lifetime is bounded.
#![no_main]

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use libfuzzer_sys::fuzz_target;
use tidegate_cache::freshness::{Policy, RequestFacts, Verdict, judge};

fuzz_target!(|bytes: &[u8]| {
    let Some((switches, lines)) = bytes.split_first() else { return };
    let is_on = |bit: u8| switches & (1 << bit) != 0;
    let policy = Policy {
        hls_ttl: is_on(0).then_some(Duration::from_secs(3)),
        hls_over_no_cache: is_on(1),
        cap_at_hls: is_on(2),
        heuristic: is_on(3),
        ..Policy::default()
    };
    let request = RequestFacts { authorization: is_on(4) };
    let status = if is_on(5) { StatusCode::NOT_FOUND } else { StatusCode::OK };
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_750_000_000);
    let most = Duration::from_secs(1 << 31);
    if let Verdict::Store(lifetimes) = judge(&request, status, &head(lines), &policy, now) {
        assert!(lifetimes.ttl <= most && lifetimes.age <= most);
        assert!(lifetimes.stale_while_revalidate <= most && lifetimes.stale_if_error <= most);
        assert!(!lifetimes.must_revalidate || lifetimes.stale_while_revalidate.is_zero() && lifetimes.stale_if_error.is_zero());
    }
});

fn head(bytes: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|&byte| byte == b'\n') {
        let mut halves = line.splitn(2, |&byte| byte == b':');
        let name = halves.next().and_then(|name| HeaderName::from_bytes(name).ok());
        let value = halves.next().and_then(|value| HeaderValue::from_bytes(value.trim_ascii()).ok());
        if let (Some(name), Some(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    headers
}
