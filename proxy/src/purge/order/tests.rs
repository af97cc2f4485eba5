use tidegate_upstream::SitePools;

use super::*;
use crate::site;

/// Two sites share one host, by path; a third one has all others.
fn sites() -> Sites {
    let site = |name: &str, hosts: &[&str], paths: &[&str]| {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let name = crate::config::NodeName::try_from(name.to_owned()).unwrap();
        let config =
            site::Config { name, hosts: owned(hosts), paths: owned(paths), ..site::Config::default() };
        let site = Arc::new(Site::new(&config, SitePools::of(Vec::new())));
        (config, site)
    };
    Sites::new(vec![
        site("live", &["tv.example"], &["/live/"]),
        site("vod", &["tv.example"], &["/"]),
        site("rest", &["*"], &["/"]),
    ])
}

fn scope(json: &str) -> Result<Arc<Scope>, Invalid> {
    Ok(Order::parse(json.as_bytes())?.resolve(&sites())?.scope)
}

/// Whether an order selects the object with this path and query at this site.
#[track_caller]
fn selects(json: &str, site: &str, target: &str) -> bool {
    use tidegate_cache::Selection as _;
    scope(json).unwrap().selects_key(&Key::new(site, target))
}

#[test]
fn a_url_is_one_resource_in_its_normal_form() {
    let order = r#"{"files":"https://TV.example:8443/live/%7Echannel/1.ts?b=2&a=1#t=5"}"#;
    assert!(selects(order, "live", "/live/~channel/1.ts?a=1&b=2"));
    assert!(
        !selects(order, "live", "/live/~channel/1.ts")
            && !selects(order, "vod", "/live/~channel/1.ts?a=1&b=2")
    );
    let order = r#"{"files":["http://tv.example/1.ts","http://other.example"]}"#;
    assert!(selects(order, "vod", "/1.ts") && selects(order, "rest", "/"));
    assert!(selects(r#"{"files":"/1.ts","site":"live"}"#, "live", "/1.ts"));
}

#[test]
fn the_versions_of_a_playlist_go_with_it() {
    let order = r#"{"files":"http://tv.example/live/1.m3u8?_HLS_msn=5"}"#;
    assert!(selects(order, "live", "/live/1.m3u8") && selects(order, "live", "/live/1.m3u8?_HLS_msn=5"));
}

#[test]
fn a_prefix_concerns_all_sites_of_its_host() {
    let order = r#"{"prefixes":"https://tv.example/"}"#;
    assert!(selects(order, "live", "/live/1.ts") && selects(order, "vod", "/1.ts"));
    assert!(!selects(order, "rest", "/1.ts"));
    let order = r#"{"prefixes":["/live/a","/live/b"],"site":"live"}"#;
    assert!(selects(order, "live", "/live/b/1.ts") && !selects(order, "live", "/live/c/1.ts"));
    assert!(!selects(order, "vod", "/live/a/1.ts"));
}

#[test]
fn a_host_has_all_its_sites_and_all_is_all() {
    let order = r#"{"hosts":"TV.example:80"}"#;
    assert!(selects(order, "live", "/live/1.ts") && selects(order, "vod", "/1.ts"));
    assert!(!selects(order, "rest", "/1.ts"));
    assert!(selects(r#"{"hosts":"any.example"}"#, "rest", "/"));
    assert!(
        selects(r#"{"everything":true}"#, "rest", "/")
            && !selects(r#"{"everything":true,"site":"vod"}"#, "rest", "/")
    );
}

#[test]
fn a_fault_names_its_field() {
    for (order, field) in [
        ("{}", ""),
        ("", ""),
        (r#"{"urls":"x"}"#, ""),
        (r#"{"everything":false}"#, ""),
        (r#"{"files":"https://tv.example/","everything":true}"#, "everything"),
        (r#"{"files":"https://tv.example/","tags":"x"}"#, "tags"),
        (r#"{"files":"tv.example/1.ts"}"#, "files"),
        (r#"{"files":"/1.ts"}"#, "files"),
        (r#"{"files":"ftp://tv.example/1.ts"}"#, "files"),
        (r#"{"files":"https:///1.ts"}"#, "files"),
        (r#"{"files":"https://tv.example/../1.ts"}"#, "files"),
        (r#"{"prefixes":"https://tv.example/?x=1"}"#, "prefixes"),
        (r#"{"prefixes":["https://tv.example/","https://other.example/"]}"#, "prefixes"),
        (r#"{"tags":""}"#, "tags"),
        (r#"{"everything":true,"site":"none"}"#, "site"),
        (r#"{"hosts":"tv.example","site":"vod"}"#, "site"),
    ] {
        assert_eq!(scope(order).unwrap_err().field, field, "{order}");
    }
    let many = format!(r#"{{"tags":{:?}}}"#, vec!["x"; NAMES_MAX + 1]);
    assert_eq!(scope(&many).unwrap_err().field, "tags");
}

#[test]
fn an_order_is_written_as_it_is_read() {
    let order = Order { tags: Names(vec!["a".to_owned()]), soft: true, ..Order::default() };
    let json = serde_json::to_string(&order).unwrap();
    assert_eq!(json, r#"{"tags":["a"],"soft":true}"#);
    assert_eq!(Order::parse(json.as_bytes()).unwrap(), order);
}
