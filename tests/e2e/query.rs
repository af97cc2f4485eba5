//! Query parameters: which of them make another object, and which go upstream.

use tidegate_origin_stub::Seen;
use tidegate_proxy::site::config::{Query, Unlisted};
use tidegate_tests::{edge, origin, shield, viewer};

const PATH: &str = "/bytes/1000";

/// The queries that reach the origin for viewers that send the queries `sent`.
async fn upstream(rules: Query, sent: &[&str]) -> Vec<String> {
    let origin = origin().run().await;
    let shield = shield().origin(&origin).with(|config| config.site[0].query = rules.clone()).run().await;
    let edge = edge().shield(&shield).with(|config| config.site[0].query = rules.clone()).run().await;
    for query in sent {
        let response = viewer(edge.addr()).get(&format!("{PATH}{query}")).await;
        assert_eq!(response.status, 200, "{query}: {}", response.text());
    }
    let seen = origin.seen(PATH);
    seen.iter().map(|Seen { query, .. }| query.clone().unwrap_or_default()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_of_players_make_no_separate_object() {
    let sent = ["", "?CMCD=bl%3D900%2Cbr%3D3000", "?CMCD=bl%3D100", "?"];
    assert_eq!(upstream(Query::default(), &sent).await, [""]);
}

#[tokio::test(flavor = "multi_thread")]
async fn equivalent_queries_share_one_object() {
    let sent = ["?a=1&b=2", "?b=2&a=1", "?b=2&&a=1&", "?%61=1&b=%32", "?CMCD=x&b=2&a=1"];
    assert_eq!(upstream(Query::default(), &sent).await, ["a=1&b=2"]);
    let ordered = Query { sort: false, ..Query::default() };
    assert_eq!(upstream(ordered, &["?a=1&b=2", "?b=2&a=1"]).await, ["a=1&b=2", "b=2&a=1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sites_rules_decide_which_parameters_count() {
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let dropping = Query { drop: names(&["utm_*", "session"]), ..Query::default() };
    let sent = ["?id=1&utm_source=mail&session=7", "?session=8&id=1", "?id=2&utm_x"];
    assert_eq!(upstream(dropping, &sent).await, ["id=1", "id=2"]);
    let keeping = Query { default: Unlisted::Drop, keep: names(&["id"]), ..Query::default() };
    assert_eq!(upstream(keeping, &["?id=1&a=1", "?a=2&id=1", "?b=1"]).await, ["id=1", ""]);
}

/// HLS sections 6.2.5 and 6.3.2.
#[tokio::test(flavor = "multi_thread")]
async fn the_directives_of_hls_always_count() {
    let rules = Query { default: Unlisted::Drop, ..Query::default() };
    let sent = ["?_HLS_msn=7&x=1", "?_HLS_msn=7", "?_HLS_part=2&_HLS_msn=7", "?_HLS_pathway=a"];
    assert_eq!(upstream(rules, &sent).await, ["_HLS_msn=7", "_HLS_part=2&_HLS_msn=7", ""]);
}
