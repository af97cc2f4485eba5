//! A page that sends cookies may read responses where the site lists its web origin. Other pages read them
//! without cookies, and all share one object.

use http::header;
use tidegate_tests::{Response, viewer};

use super::token::{Gated, PLAYLIST, token};

const PAGE: &str = "https://www.example";

/// The web origin that may read a response, and whether with credentials.
#[track_caller]
fn readers(response: &Response) -> (&str, &str) {
    let allowed = response.headers.get_all(header::ACCESS_CONTROL_ALLOW_ORIGIN);
    assert_eq!(allowed.iter().count(), 1, "{allowed:?}");
    (response.header("access-control-allow-origin"), response.header("access-control-allow-credentials"))
}

fn varies_by_page(response: &Response) -> bool {
    let vary = response.headers.get_all(header::VARY).iter().filter_map(|line| line.to_str().ok());
    vary.flat_map(|line| line.split(", ")).any(|name| name.eq_ignore_ascii_case("origin"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listed_page_may_send_cookies_and_all_pages_share_the_object() {
    let gated = Gated::with(|config, _| config.site[0].cors_credentials = vec![PAGE.to_owned()]).await;
    let cookie = format!("token={}", token("/vod/film"));
    let from = |page: &str| viewer(gated.edge.addr()).header("origin", page).header("cookie", &cookie);
    let (with, without) = ((PAGE, "true"), ("*", ""));
    // A fill, then hits on the fast path.
    for (page, expected) in [
        (PAGE, with),
        (PAGE, with),
        ("https://other.example", without),
        ("https://www.example:8443", without),
        ("null", without),
        (PAGE, with),
    ] {
        let response = from(page).get(PLAYLIST).await;
        assert_eq!((response.status, readers(&response)), (200, expected), "{page}");
        assert!(varies_by_page(&response));
    }
    let response = viewer(gated.edge.addr()).header("cookie", &cookie).get(PLAYLIST).await;
    assert_eq!((response.status, readers(&response), varies_by_page(&response)), (200, without, true));
    assert_eq!(gated.edge.count("tidegate_fast_path_hits_total", "").await, 6);

    let revalidation = from(PAGE).header("if-none-match", response.header("etag")).get(PLAYLIST).await;
    assert_eq!((revalidation.status, readers(&revalidation)), (304, with));
    let refusal = viewer(gated.edge.addr()).header("origin", PAGE).get(PLAYLIST).await;
    assert_eq!((refusal.status, readers(&refusal)), (403, with));
    let preflight = from(PAGE).header("access-control-request-method", "GET").ask("OPTIONS", PLAYLIST).await;
    assert_eq!((preflight.status, readers(&preflight)), (204, with));
    assert_eq!(gated.origin.requests(PLAYLIST), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_list_no_page_may_send_cookies() {
    let gated = Gated::new().await;
    let cookie = format!("token={}", token("/vod/film"));
    for _ in 0..2 {
        let viewer = viewer(gated.edge.addr()).header("origin", PAGE).header("cookie", &cookie);
        let response = viewer.get(PLAYLIST).await;
        assert_eq!((response.status, readers(&response), varies_by_page(&response)), (200, ("*", ""), false));
    }
}
