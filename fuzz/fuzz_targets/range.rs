//! Any text as a `Range` field, and any length of the object: no panic, and every span is within the object.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_headers::range::{Growing, Resolved, Span, parse};

const RANGES_MAX: usize = 16;

fuzz_target!(|input: (u64, &str)| {
    let (len, header) = input;
    let Some(ranges) = parse(header, RANGES_MAX) else { return };
    assert!(ranges.iter().count() <= RANGES_MAX);
    match ranges.resolve(len) {
        Resolved::Unsatisfiable => {}
        Resolved::One(span) => check(&[span], len),
        Resolved::Many(spans) => check(&spans, len),
    }
    if let Growing::Span(span) | Growing::Follow(span) = ranges.resolve_growing() {
        assert!(span.start <= span.end_inclusive);
    }
});

fn check(spans: &[Span], len: u64) {
    let mut sorted: Vec<&Span> = spans.iter().collect();
    sorted.sort_by_key(|span| span.start);
    assert!(spans.iter().all(|span| span.start <= span.end_inclusive && span.end_inclusive < len));
    assert!(sorted.windows(2).all(|pair| pair[0].end_inclusive < pair[1].start), "spans overlap");
}
