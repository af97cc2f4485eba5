//! Any text as host (first line) and request target (second line): parsing never panics, and its result is a
//! fixed point.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_hls::{QueryRules, Resource};

fuzz_target!(|text: &str| {
    let rules = QueryRules { drop: vec!["utm_*".parse().unwrap()], ..QueryRules::default() };
    let (host, target) = text.split_once('\n').unwrap_or(("example.com", text));
    let Ok(once) = Resource::parse(host, target, &rules) else { return };
    let key = once.path_and_query();
    assert!(key.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#'));
    assert!(!once.path.split('/').any(|segment| segment == "." || segment == ".."));
    let twice = Resource::parse(&once.host, &key, &rules).unwrap();
    let parts = |resource: &Resource| {
        let Resource { host, path, query, kind, directives, .. } = resource.clone();
        (host, path, query, kind, directives)
    };
    assert_eq!(parts(&twice), parts(&once));
});
