//! Vary (RFC 9110 section 12.5.5): variants are cached separately, and requests with the same selecting
//! fields share one.

use std::collections::BTreeSet;

use tidegate_origin_stub::{Fault, synthetic_bytes, synthetic_variant};
use tidegate_proxy::site::config::Unlisted;
use tidegate_tests::{Origin, Running, edge, origin, shield, viewer, viewers};

const PATH: &str = "/bytes/5000";
const SIZE: u64 = 5000;

async fn cluster() -> (Origin, Running, Running) {
    let origin = origin().run().await;
    let shield = shield().origin(&origin).run().await;
    let edge = edge().shield(&shield).run().await;
    (origin, shield, edge)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_variant_is_fetched_once_and_served_to_matching_requests() {
    for name in ["user-agent", "x-device", "accept-language"] {
        let (origin, _shield, edge) = cluster().await;
        origin.fault(Fault::on(PATH).header("vary", name)).unwrap();
        // The first request gets variant 1, all others variant 0.
        origin.fault(Fault::on(PATH).times(1).variant(1)).unwrap();
        for _cold_then_warm in 0..3 {
            let one = viewer(edge.addr()).header(name, "one").get(PATH).await;
            let two = viewer(edge.addr()).header(name, "two").get(PATH).await;
            let none = viewer(edge.addr()).get(PATH).await;
            one.is(200, &synthetic_variant(PATH, 1, 0..SIZE));
            two.is(200, &synthetic_bytes(PATH, 0..SIZE));
            none.is(200, &synthetic_bytes(PATH, 0..SIZE));
            for response in [one, two, none] {
                assert_eq!(response.header("vary"), name);
            }
        }
        let seen = origin.seen(PATH);
        let sent: Vec<_> = seen.iter().map(|seen| seen.header(name)).collect();
        assert_eq!(sent, ["one", "two", ""], "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_that_join_a_fill_do_not_get_another_variant() {
    let (origin, _shield, edge) = cluster().await;
    origin.fault(Fault::on(PATH).header("vary", "x-device").hold("head")).unwrap();
    origin.fault(Fault::on(PATH).times(1).variant(1)).unwrap();
    let ask = |device: &str| {
        let crowd = viewers(20, &[&edge]).header("x-device", device);
        tokio::spawn(async move { crowd.get(PATH).await })
    };
    // It is not known yet that the response varies, so all requests wait for one fill.
    let (phones, screens) = (ask("phone"), ask("screen"));
    origin.waiting("head", 1).await;
    tidegate_tests::until("all wait", async || edge.status().await["fills"]["viewers"] == 40).await;
    origin.release("head");

    let bodies = |responses: Vec<tidegate_tests::Response>| -> BTreeSet<Vec<u8>> {
        responses
            .into_iter()
            .map(|response| {
                assert_eq!((response.status, response.whole), (200, true));
                response.body
            })
            .collect()
    };
    let (phones, screens) = (bodies(phones.await.unwrap()), bodies(screens.await.unwrap()));
    assert_eq!((phones.len(), screens.len()), (1, 1));
    assert_ne!(phones, screens);
    assert_eq!(origin.requests(PATH), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_varies_by_everything_is_not_shared() {
    let (origin, _shield, edge) = cluster().await;
    origin.fault(Fault::on(PATH).header("vary", "*")).unwrap();
    for _ in 0..3 {
        viewer(edge.addr()).get(PATH).await.is(200, &synthetic_bytes(PATH, 0..SIZE));
    }
    assert_eq!(origin.requests(PATH), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn header_fields_that_no_fill_carries_make_no_variants() {
    let (origin, _shield, edge) = cluster().await;
    origin.fault(Fault::on(PATH).header("vary", "Origin, Accept-Encoding, Cookie")).unwrap();
    for (name, value) in [
        ("origin", "https://one.example"),
        ("origin", "https://two.example"),
        ("accept-encoding", "br"),
        ("cookie", "a=b"),
    ] {
        let response = viewer(edge.addr()).header(name, value).get(PATH).await;
        response.is(200, &synthetic_bytes(PATH, 0..SIZE));
    }
    assert_eq!(origin.requests(PATH), 1);
    let seen = &origin.seen(PATH)[0];
    assert_eq!((seen.header("origin"), seen.header("accept-encoding")), ("", "identity"));
}

/// A field that only one viewer sent cannot change the response to the others.
#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_drops_unlisted_fields_sends_the_listed_ones_alone() {
    let origin = origin().run().await;
    origin.fault(Fault::on(PATH).header("vary", "X-Device, Accept-Language")).unwrap();
    let edge = edge().origin(&origin).with(|config| {
        let rules = &mut config.site[0].request_headers;
        rules.default = Unlisted::Drop;
    });
    let edge = edge.run().await;
    for (device, language) in [("phone", "de"), ("screen", "de"), ("phone", "fr")] {
        let viewer = viewer(edge.addr()).header("x-device", device).header("accept-language", language);
        viewer.get(PATH).await.is(200, &synthetic_bytes(PATH, 0..SIZE));
    }
    let sent: Vec<_> =
        origin.seen(PATH).iter().map(|seen| seen.header("accept-language").to_owned()).collect();
    assert_eq!(sent, ["de", "fr"]);
    assert!(origin.seen(PATH).iter().all(|seen| seen.header("x-device").is_empty()));
}
