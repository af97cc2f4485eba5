use http::HeaderMap;
use proptest::prelude::*;

use super::*;

fn one(spec: RangeSpec) -> Ranges {
    Ranges { first: spec, rest: Vec::new() }
}

fn span(start: u64, end_inclusive: u64) -> Span {
    Span { start, end_inclusive }
}

#[test]
fn single_ranges_are_read() {
    for (header, spec) in [
        ("bytes=0-0", RangeSpec::From(0, Some(0))),
        ("bytes=5-", RangeSpec::From(5, None)),
        ("BYTES=5-9", RangeSpec::From(5, Some(9))),
        ("bytes=-7", RangeSpec::Suffix(7)),
        ("bytes=-0", RangeSpec::Suffix(0)),
        ("bytes= 1-2 ", RangeSpec::From(1, Some(2))),
        ("bytes=,1-2,", RangeSpec::From(1, Some(2))),
        ("bytes=007-0008", RangeSpec::From(7, Some(8))),
        ("bytes=0-9007199254740991", RangeSpec::From(0, Some(9_007_199_254_740_991))),
        ("bytes=0-99999999999999999999999", RangeSpec::From(0, Some(u64::MAX))),
        ("bytes=99999999999999999999999-", RangeSpec::From(u64::MAX, None)),
    ] {
        assert_eq!(parse(header, 4), Some(one(spec)), "{header}");
    }
}

#[test]
fn a_value_that_is_not_a_bytes_range_is_ignored() {
    for header in [
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes=-",
        "bytes=a-b",
        "bytes=1",
        "bytes=5-4",
        "bytes=1-2-3",
        "bytes=+1-2",
        "bytes=1 - 2",
        "bytes =1-2",
        "bytes=1-2;3-4",
        "bytes=--1",
        "bytes=0x1-2",
        "items=0-5",
        "bytes: 0-5",
        "bytes=0-1,x",
        "bytes=0-1,5-4",
        "\u{e9}=0-1",
        "bytes=\u{661}-2",
    ] {
        assert_eq!(parse(header, 4), None, "{header}");
    }
}

#[test]
fn more_ranges_than_allowed_are_ignored() {
    assert_eq!(parse("bytes=0-0,2-2,4-4", 3).map(|ranges| ranges.iter().count()), Some(3));
    assert_eq!(parse("bytes=0-0,2-2,4-4", 2), None);
    assert_eq!(parse("bytes=0-0", 0), None);
}

#[test]
fn ranges_resolve_against_the_length() {
    for (header, len, resolved) in [
        ("bytes=0-", 10, Resolved::One(span(0, 9))),
        ("bytes=9-", 10, Resolved::One(span(9, 9))),
        ("bytes=10-", 10, Resolved::Unsatisfiable),
        ("bytes=3-99", 10, Resolved::One(span(3, 9))),
        ("bytes=-3", 10, Resolved::One(span(7, 9))),
        ("bytes=-99", 10, Resolved::One(span(0, 9))),
        ("bytes=-0", 10, Resolved::Unsatisfiable),
        ("bytes=0-0", 0, Resolved::Unsatisfiable),
        ("bytes=-5", 0, Resolved::Unsatisfiable),
        ("bytes=0-9007199254740991", 10, Resolved::One(span(0, 9))),
        ("bytes=0-1,4-5", 10, Resolved::Many(vec![span(0, 1), span(4, 5)])),
        ("bytes=4-5,0-1", 10, Resolved::Many(vec![span(4, 5), span(0, 1)])),
        ("bytes=0-1,2-3", 10, Resolved::One(span(0, 3))),
        ("bytes=8-9,0-1,1-4", 10, Resolved::Many(vec![span(8, 9), span(0, 4)])),
        ("bytes=0-1,4-5,8-9,1-8", 10, Resolved::One(span(0, 9))),
        ("bytes=20-,0-1", 10, Resolved::One(span(0, 1))),
        ("bytes=20-,30-", 10, Resolved::Unsatisfiable),
    ] {
        assert_eq!(parse(header, 4).unwrap().resolve(len), resolved, "{header} of {len}");
    }
}

#[test]
fn only_a_single_range_with_an_end_resolves_before_the_length_is_known() {
    for (header, growing) in [
        ("bytes=3-9", Growing::Span(span(3, 9))),
        ("bytes=3-9007199254740990", Growing::Span(span(3, 9_007_199_254_740_990))),
        ("bytes=3-9007199254740991", Growing::Follow(span(3, 9_007_199_254_740_991))),
        ("bytes=3-", Growing::Wait),
        ("bytes=-3", Growing::Wait),
        ("bytes=0-1,4-5", Growing::Wait),
    ] {
        assert_eq!(parse(header, 4).unwrap().resolve_growing(), growing, "{header}");
    }
}

#[test]
fn content_range_is_rendered_in_all_three_forms() {
    assert_eq!(span(0, 499).content_range(Some(1234)), "bytes 0-499/1234");
    assert_eq!(span(0, 499).content_range(None), "bytes 0-499/*");
    assert_eq!(unsatisfied_content_range(1234), "bytes */1234");
}

#[test]
fn if_range_needs_a_strong_match() {
    const MODIFIED: &str = "Sat, 21 Nov 2026 10:00:00 GMT";
    let object = |etag: &'static str, date: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert("etag", HeaderValue::from_static(etag));
        headers.insert("last-modified", HeaderValue::from_static(MODIFIED));
        headers.insert("date", HeaderValue::from_static(date));
        headers
    };
    let later = "Sat, 21 Nov 2026 10:00:01 GMT";
    for (value, etag, date, holds) in [
        ("\"a\"", "\"a\"", later, true),
        ("\"b\"", "\"a\"", later, false),
        ("W/\"a\"", "\"a\"", later, false),
        ("\"a\"", "W/\"a\"", later, false),
        ("W/\"a\"", "W/\"a\"", later, false),
        (MODIFIED, "\"a\"", later, true),
        (later, "\"a\"", later, false),
        ("Saturday, 21-Nov-26 10:00:00 GMT", "\"a\"", later, false),
        // Sent in the second of its change, it could have changed again in that second (RFC 9110 section
        // 8.8.2.2).
        (MODIFIED, "\"a\"", MODIFIED, false),
        ("nonsense", "\"a\"", later, false),
        ("", "\"a\"", later, false),
    ] {
        let headers = object(etag, date);
        let value = HeaderValue::from_static(value);
        assert_eq!(if_range(&value, &Validators::of(&headers)), holds, "{value:?} {etag} {date}");
    }
    assert!(!if_range(&HeaderValue::from_static("\"a\""), &Validators::of(&HeaderMap::new())));
}

#[test]
fn a_multipart_body_has_the_form_of_the_rfc() {
    let multipart = Multipart::with_boundary("SEP", Some(HeaderValue::from_static("video/mp4")), 8000);
    assert_eq!(multipart.content_type(), "multipart/byteranges; boundary=SEP");
    assert_eq!(
        multipart.part_head(&span(500, 999)),
        "\r\n--SEP\r\nContent-Type: video/mp4\r\nContent-Range: bytes 500-999/8000\r\n\r\n"
    );
    assert_eq!(multipart.close(), "\r\n--SEP--\r\n");
}

#[test]
fn two_multipart_responses_have_two_boundaries() {
    assert_ne!(Multipart::new(None, 1).content_type(), Multipart::new(None, 1).content_type());
}

fn specs() -> impl Strategy<Value = Vec<RangeSpec>> {
    let spec = prop_oneof![
        (0..60_u64, 0..60_u64).prop_map(|(a, b)| RangeSpec::From(a.min(b), Some(a.max(b)))),
        (0..60_u64).prop_map(|a| RangeSpec::From(a, None)),
        (0..60_u64).prop_map(RangeSpec::Suffix),
        any::<u64>().prop_map(|a| RangeSpec::From(a, Some(u64::MAX))),
    ];
    prop::collection::vec(spec, 1..8)
}

fn rendered(specs: &[RangeSpec]) -> String {
    let each = specs.iter().map(|spec| match spec {
        RangeSpec::From(first, Some(last)) => format!("{first}-{last}"),
        RangeSpec::From(first, None) => format!("{first}-"),
        RangeSpec::Suffix(count) => format!("-{count}"),
    });
    format!("bytes={}", each.collect::<Vec<_>>().join(", "))
}

/// The positions that the specs request, byte by byte, by the definition in RFC 9110 section 14.1.2.
fn requested(specs: &[RangeSpec], len: u64) -> Vec<u64> {
    let is_requested = |at: &u64| {
        specs.iter().any(|spec| match *spec {
            RangeSpec::From(first, last) => *at >= first && last.is_none_or(|last| *at <= last),
            RangeSpec::Suffix(count) => at.saturating_add(count) >= len,
        })
    };
    (0..len).filter(is_requested).collect()
}

proptest! {
    #[test]
    fn rendered_ranges_are_parsed_back(specs in specs()) {
        let parsed = parse(&rendered(&specs), 8).unwrap();
        prop_assert_eq!(parsed.iter().collect::<Vec<_>>(), specs);
    }

    #[test]
    fn any_text_is_parsed_or_ignored(text in "(bytes=)?[ -~]{0,40}", max in 0..5_usize, len in any::<u64>()) {
        if let Some(ranges) = parse(&text, max) {
            prop_assert!(ranges.iter().count() <= max);
            ranges.resolve(len);
        }
    }

    #[test]
    fn exactly_the_requested_bytes_are_resolved_and_each_once(specs in specs(), len in 0..70_u64) {
        let spans = match parse(&rendered(&specs), 8).unwrap().resolve(len) {
            Resolved::Unsatisfiable => Vec::new(),
            Resolved::One(span) => vec![span],
            Resolved::Many(spans) => { prop_assert!(spans.len() > 1); spans }
        };
        let mut resolved: Vec<u64> = spans.iter().flat_map(|span| span.start..=span.end_inclusive).collect();
        resolved.sort_unstable();
        prop_assert_eq!(resolved, requested(&specs, len));
    }

    #[test]
    fn a_multipart_response_is_as_long_as_announced(
        specs in specs(), len in 1..5000_u64, typed in any::<bool>(),
    ) {
        let content_type = typed.then(|| HeaderValue::from_static("video/mp2t"));
        let multipart = Multipart::new(content_type, len);
        if let Resolved::Many(spans) = parse(&rendered(&specs), 8).unwrap().resolve(len) {
            let mut body = Vec::new();
            for span in &spans {
                body.extend_from_slice(&multipart.part_head(span));
                body.resize(body.len() + usize::try_from(span.len()).unwrap(), b'x');
            }
            body.extend_from_slice(&multipart.close());
            prop_assert_eq!(multipart.content_length(&spans), body.len() as u64);
        }
    }
}
