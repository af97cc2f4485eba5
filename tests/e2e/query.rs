//! Query parameters: which make another object, and which go upstream.

use tidegate_origin_stub::Seen;
use tidegate_proxy::site::config::{Query, Unlisted};
use tidegate_tests::{edge, origin, shield, viewer};

const PATH: &str = "/bytes/1000";

/// The queries that the origin was asked with, for viewers who asked with `asked`.
async fn upstream(rules: Query, asked: &[&str]) -> Vec<String> {
    let origin = origin().run().await;
    let shield = shield().origin(&origin).with(|config| config.site[0].query = rules.clone()).run().await;
    let edge = edge().shield(&shield).with(|config| config.site[0].query = rules.clone()).run().await;
    for query in asked {
        let answer = viewer(edge.addr()).get(&format!("{PATH}{query}")).await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.text());
    }
    let seen = origin.seen(PATH);
    seen.iter().map(|Seen { query, .. }| query.clone().unwrap_or_default()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_player_reports_about_itself_makes_no_object() {
    let asked = ["", "?CMCD=bl%3D900%2Cbr%3D3000", "?CMCD=bl%3D100", "?"];
    assert_eq!(upstream(Query::default(), &asked).await, [""]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_spelling_stands_for_all() {
    let asked = ["?a=1&b=2", "?b=2&a=1", "?b=2&&a=1&", "?%61=1&b=%32", "?CMCD=x&b=2&a=1"];
    assert_eq!(upstream(Query::default(), &asked).await, ["a=1&b=2"]);
    let ordered = Query { sort: false, ..Query::default() };
    assert_eq!(upstream(ordered, &["?a=1&b=2", "?b=2&a=1"]).await, ["a=1&b=2", "b=2&a=1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sites_rules_say_what_counts() {
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let dropping = Query { drop: names(&["utm_*", "session"]), ..Query::default() };
    let asked = ["?id=1&utm_source=mail&session=7", "?session=8&id=1", "?id=2&utm_x"];
    assert_eq!(upstream(dropping, &asked).await, ["id=1", "id=2"]);
    let keeping = Query { default: Unlisted::Drop, keep: names(&["id"]), ..Query::default() };
    assert_eq!(upstream(keeping, &["?id=1&a=1", "?a=2&id=1", "?b=1"]).await, ["id=1", ""]);
}

/// Sections 6.2.5 and 6.3.2 of HLS.
#[tokio::test(flavor = "multi_thread")]
async fn d1_the_directives_of_hls_always_count() {
    let rules = Query { default: Unlisted::Drop, ..Query::default() };
    let asked = ["?_HLS_msn=7&x=1", "?_HLS_msn=7", "?_HLS_part=2&_HLS_msn=7", "?_HLS_pathway=a"];
    assert_eq!(upstream(rules, &asked).await, ["_HLS_msn=7", "_HLS_msn=7&_HLS_part=2", ""]);
}
