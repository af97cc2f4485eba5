use proptest::prelude::*;

use super::*;

fn parse(target: &str) -> Result<Resource, ResourceError> {
    Resource::parse("example.com", target, &QueryRules::default())
}

fn key(target: &str) -> String {
    parse(target).unwrap().path_and_query().into_owned()
}

#[test]
fn a_plain_target_is_itself() {
    let resource = parse("/ch1/720p/seg-17.m4s").unwrap();
    assert_eq!(resource.path, "/ch1/720p/seg-17.m4s");
    assert_eq!(resource.query, None);
    assert_eq!(resource.kind, Kind::Segment);
    assert!(matches!(resource.path_and_query(), Cow::Borrowed(_)));
}

#[test]
fn empty_segments_stay() {
    assert_eq!(key("//ch1//live.m3u8/"), "//ch1//live.m3u8/");
}

#[test]
fn only_origin_form_is_accepted() {
    for target in ["", "*", "example.com:443", "http://example.com/a", "?a=1", "a/b"] {
        assert_eq!(parse(target), Err(ResourceError::NotOriginForm), "{target}");
    }
}

#[test]
fn dot_segments_are_refused_in_every_disguise() {
    for (target, offset) in [
        ("/..", 1),
        ("/.", 1),
        ("/a/../b", 3),
        ("/a/./b", 3),
        ("/a/%2e%2E/b", 3),
        ("/%41/.%2e", 5),
        ("/a/%2e", 3),
        ("/a/..?x=1", 3),
        ("/a%2f..%2fb", 5),
        ("/a\\..\\b", 3),
        ("/%5c%2e%2e", 4),
    ] {
        assert_eq!(parse(target), Err(ResourceError::DotSegment { offset }), "{target}");
    }
    for harmless in ["/...", "/.hidden", "/a..b/", "/..a?x=/../"] {
        assert!(parse(harmless).is_ok(), "{harmless}");
    }
}

#[test]
fn lengths_are_bounded_as_sent_and_in_normal_form() {
    let rules = QueryRules { path_bytes_max: 8, query_bytes_max: 6, params_max: 3, ..QueryRules::default() };
    let parse = |target: &str| Resource::parse("h", target, &rules);
    assert!(parse("/1234567?a=1&b=").is_ok());
    assert_eq!(parse("/12345678"), Err(ResourceError::PathTooLong { len: 9, max: 8 }));
    assert_eq!(parse("/|||"), Err(ResourceError::PathTooLong { len: 10, max: 8 }));
    assert_eq!(parse("/?a=12345"), Err(ResourceError::QueryTooLong { len: 7, max: 6 }));
    assert_eq!(parse("/?a=||"), Err(ResourceError::QueryTooLong { len: 8, max: 6 }));
    assert_eq!(parse("/?a&b&c&"), Err(ResourceError::TooManyParams { max: 3 }));
    assert_eq!(parse("/12345678").unwrap_err().status(), 414);
    assert_eq!(parse("/?a&b&c&").unwrap_err().status(), 400);
}

#[test]
fn parameters_are_sorted_by_name_and_empty_ones_vanish() {
    assert_eq!(key("/a?c=3&a=1&b=2"), "/a?a=1&b=2&c=3");
    assert_eq!(key("/a?&&b&&a&"), "/a?a&b");
    assert_eq!(key("/a?"), "/a");
    assert_eq!(key("/a?&"), "/a");
    assert_eq!(key("/a?a-b=1&a=1"), "/a?a=1&a-b=1");
    assert_eq!(key("/a?a=2&a=1"), "/a?a=2&a=1");
    assert_eq!(key("/a?b=/../?&%61=x"), "/a?a=x&b=/../?");
}

#[test]
fn sorting_can_be_left_out() {
    let rules = QueryRules { sort: false, ..QueryRules::default() };
    let resource = Resource::parse("h", "/a?b=2&a=1", &rules).unwrap();
    assert_eq!(resource.path_and_query(), "/a?b=2&a=1");
}

#[test]
fn delivery_directives_are_parsed_and_kept() {
    let rules = QueryRules { default: QueryDefault::Drop, ..QueryRules::default() };
    let target = "/l.m3u8?token=x&_HLS_skip=YES&_HLS_part=01&%5FHLS_msn=007&_HLS_pathway=a&_HLS_throughput=9";
    let resource = Resource::parse("h", target, &rules).unwrap();
    let expected = Directives { msn: Some(7), part: Some(1), skip: Some(Skip::Segments) };
    assert_eq!(resource.directives, expected);
    assert!(resource.directives.blocks());
    assert_eq!(resource.path_and_query(), "/l.m3u8?_HLS_msn=7&_HLS_part=1&_HLS_skip=YES");
    assert_eq!(parse("/?_HLS_skip=v2").unwrap().directives.skip, Some(Skip::SegmentsAndDateranges));
    assert_eq!(key("/?_HLS_skip=v9"), "/");
}

#[test]
fn wrong_delivery_directives_are_refused() {
    use ResourceError::{BadNumber, PartWithoutMsn, RepeatedDirective};
    let (msn, part) = ("_HLS_msn", "_HLS_part");
    for (target, error) in [
        ("/?_HLS_msn=", BadNumber { name: msn, offset: 2 }),
        ("/?_HLS_msn", BadNumber { name: msn, offset: 2 }),
        ("/?_HLS_msn=-1", BadNumber { name: msn, offset: 2 }),
        ("/?_HLS_msn=+1", BadNumber { name: msn, offset: 2 }),
        ("/?_HLS_msn=1.5", BadNumber { name: msn, offset: 2 }),
        ("/?_HLS_msn=18446744073709551616", BadNumber { name: msn, offset: 2 }),
        ("/?a=1&_HLS_msn=1&_HLS_part=x", BadNumber { name: part, offset: 17 }),
        ("/?_HLS_msn=1&_HLS_msn=1", RepeatedDirective { name: msn, offset: 13 }),
        ("/?_HLS_skip=YES&_HLS_skip=v2", RepeatedDirective { name: "_HLS_skip", offset: 16 }),
        // Section 6.2.5.2.
        ("/?_HLS_part=1", PartWithoutMsn),
    ] {
        assert_eq!(parse(target), Err(error), "{target}");
    }
}

#[test]
fn cmcd_leaves_the_key_and_is_returned_as_sent() {
    let resource = parse("/1.ts?CMCD=bl%3d900%2Csid%3D%22x%22&a=1").unwrap();
    assert_eq!(resource.path_and_query(), "/1.ts?a=1");
    assert_eq!(resource.cmcd.as_deref(), Some("bl%3d900%2Csid%3D%22x%22"));

    let keeps = |pattern: &str| {
        let rules = QueryRules { keep: vec![pattern.parse().unwrap()], ..QueryRules::default() };
        Resource::parse("h", "/1.ts?CMCD=bl", &rules).unwrap().query
    };
    assert_eq!(keeps("CMCD").as_deref(), Some("CMCD=bl"));
    assert_eq!(keeps("C*"), None);
}

#[test]
fn a_broken_escape_in_the_query_is_found() {
    assert_eq!(parse("/a?b=1&c=%2"), Err(ResourceError::BadEscape { offset: 9 }));
    assert_eq!(parse("/a?b=\u{7}"), Err(ResourceError::Control { offset: 5 }));
}

#[test]
fn messages_say_what_and_where() {
    assert_eq!(parse("/a/%2e%2e/b").unwrap_err().to_string(), "dot segment at byte 3 of the target");
    assert_eq!(
        parse("/a?x=\u{e9}").unwrap_err().to_string(),
        "byte 0xc3 at byte 5 of the target must be percent-encoded"
    );
}

/// Text that resembles a target, so that the deeper checks are reached.
fn nearly_targets() -> impl Strategy<Value = String> {
    proptest::string::string_regex(
        r"/([a-z./|]|%[2-7][0-9a-f]|%c3%a9|\.\.){0,12}(\?([a-c&=/?]|%[0-9A-F]{2}|_HLS_(msn|part|skip)=[0-9]|CMCD=x|&){0,12})?",
    )
    .unwrap()
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(host in ".{0,40}", target in ".{0,200}") {
        if let Ok(resource) = Resource::parse(&host, &target, &QueryRules::default()) {
            prop_assert!(resource.path.starts_with('/'));
        }
    }

    #[test]
    fn parsing_the_normal_form_changes_nothing(target in nearly_targets()) {
        if let Ok(once) = parse(&target) {
            let twice = parse(&once.path_and_query()).unwrap();
            prop_assert_eq!(twice.target(), twice.path_and_query());
            prop_assert_eq!(twice, Resource { cmcd: None, spelling: None, ..once });
        }
    }

    #[test]
    fn the_order_of_parameters_does_not_matter(
        params in proptest::collection::btree_map("[a-z-]{1,6}", "[a-z0-9=/]{0,6}", 1..8),
        seed in any::<u64>(),
    ) {
        let mut shuffled: Vec<String> = params.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let sorted = key(&format!("/l.m3u8?{}", shuffled.join("&")));
        shuffled.sort_by_key(|param| {
            param.bytes().fold(seed, |hash, byte| hash.wrapping_mul(31).rotate_left(7) ^ u64::from(byte))
        });
        prop_assert_eq!(key(&format!("/l.m3u8?{}", shuffled.join("&"))), sorted);
    }

    #[test]
    fn the_normal_form_is_ascii_without_dot_segments(target in nearly_targets()) {
        if let Ok(resource) = parse(&target) {
            let text = resource.path_and_query().into_owned();
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert!(!resource.path.split('/').any(|segment| segment == "." || segment == ".."));
            // What goes upstream has the same meaning.
            let again = parse(&resource.target()).unwrap();
            prop_assert_eq!(again.path_and_query(), text);
        }
    }
}

/// Section 6.2.5.
#[test]
fn a_playlist_takes_other_directives() {
    let rules = QueryRules::default();
    let asked = |target: &str, directives| {
        let resource = Resource::parse("live.example", target, &rules).unwrap();
        resource.with_directives(directives).path_and_query().into_owned()
    };
    let next = Directives { msn: Some(7), part: Some(2), skip: None };
    let plain = Directives::default();
    for (target, directives, expected) in [
        ("/a.m3u8", next, "/a.m3u8?_HLS_msn=7&_HLS_part=2"),
        ("/a.m3u8?b=1&A=2", next, "/a.m3u8?A=2&_HLS_msn=7&_HLS_part=2&b=1"),
        ("/a.m3u8?_HLS_msn=6&_HLS_skip=YES&b=1", next, "/a.m3u8?_HLS_msn=7&_HLS_part=2&b=1"),
        ("/a.m3u8?_HLS_msn=6&_HLS_skip=YES&b=1", plain, "/a.m3u8?b=1"),
        ("/a.m3u8?_HLS_msn=6", plain, "/a.m3u8"),
    ] {
        assert_eq!(asked(target, directives), expected);
    }
}

#[test]
fn a_mark_counts_under_all_rules_and_is_hidden_from_origins() {
    let rules = QueryRules { default: QueryDefault::Drop, ..QueryRules::default() };
    let query = |target: &str| Resource::parse("live.example", target, &rules).unwrap().query;
    assert_eq!(query("/1.ts?a=1&tidegate_run=56").as_deref(), Some("tidegate_run=56"));
    for none in ["/1.ts?tidegate_run=x", "/1.ts?tidegate_run=056", "/live.m3u8?tidegate_run=56"] {
        assert_eq!(query(none), None, "{none}");
    }
    assert_eq!(query("/1.ts?tidegate_run=56&tidegate_run=57").as_deref(), Some("tidegate_run=56"));
    let unmarking = QueryRules { marks: false, ..QueryRules::default() };
    assert_eq!(Resource::parse("live.example", "/1.ts?tidegate_run=56", &unmarking).unwrap().query, None);
    for (marked, own) in [
        ("/1.ts?tidegate_run=2.56", "/1.ts"),
        ("/1.ts?a=1&tidegate_run=2.56&z=3", "/1.ts?a=1&z=3"),
        ("/1.ts?a=tidegate_run=1", "/1.ts?a=tidegate_run=1"),
        ("/tidegate_run=1.1", "/tidegate_run=1.1"),
    ] {
        assert_eq!(without_mark(marked), own);
    }
}

#[test]
fn a_target_goes_upstream_as_it_was_sent() {
    let rules = QueryRules { drop: vec!["utm_*".parse().unwrap()], ..QueryRules::default() };
    for (target, upstream, key) in [
        ("/a?b=2&a=1", "/a?b=2&a=1", "/a?a=1&b=2"),
        ("/%7ea%2fb?x=%2f", "/%7ea%2fb?x=%2f", "/~a%2Fb?x=%2F"),
        ("/a|b\\c<d>\"`?{^}", "/a|b\\c<d>\"`?{^}", "/a%7Cb\\c%3Cd%3E%22%60?%7B%5E%7D"),
        ("/caf%E9?&a=1&", "/caf%E9?&a=1&", "/caf%E9?a=1"),
        ("/a?", "/a?", "/a"),
        ("/a?utm_x=1", "/a", "/a"),
        ("/a?z=%7e&utm_x=1&CMCD=bl%3d1&a", "/a?z=%7e&a", "/a?a&z=~"),
        ("/a.m3u8?z=1&_HLS_msn=07&a=%7e", "/a.m3u8?z=1&_HLS_msn=07&a=%7e", "/a.m3u8?_HLS_msn=7&a=~&z=1"),
    ] {
        let resource = Resource::parse("h", target, &rules).unwrap();
        assert_eq!((&*resource.target(), &*resource.path_and_query()), (upstream, key));
    }
    let next = Directives { msn: Some(8), part: None, skip: None };
    let playlist = Resource::parse("h", "/%7ea.m3u8?z=1&_HLS_msn=07", &rules).unwrap();
    assert_eq!(playlist.with_directives(next).target(), "/%7ea.m3u8?_HLS_msn=8&z=1");
    assert_eq!(playlist.with_directives(Directives::default()).target(), "/%7ea.m3u8?z=1");
    assert_eq!(playlist.with_directives(next).path_and_query(), "/~a.m3u8?_HLS_msn=8&z=1");
}
