//! Origins that redirect: tiers follow to the site's own servers, and say when players leave.

use tidegate_tests::{edge, shield, until, viewer, viewers};

use super::scripted::{M3U8, Reply, Scripted, live, reply};

fn redirect(status: u16, location: &str) -> Reply {
    reply(status, &[("Location", location)], b"moved")
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_to_the_same_folder_are_followed_and_shared() {
    let origin = Scripted::run(|asked| match asked.path() {
        "/live/301.m3u8" => redirect(301, "current.m3u8?session=1"),
        "/live/302.m3u8" => redirect(302, "/live/current.m3u8?session=2"),
        "/live/303.m3u8" => redirect(303, "./303b.m3u8"),
        "/live/303b.m3u8" => redirect(307, "current.m3u8"),
        "/live/308.m3u8" => redirect(308, &format!("http://{}/live/current.m3u8", asked.header("host"))),
        "/live/current.m3u8" => reply(200, &[M3U8], live(5).as_bytes()),
        "/live/s5.ts" => redirect(302, "/storage/elsewhere/s5.ts"),
        "/storage/elsewhere/s5.ts" => reply(200, &[], b"segment"),
        _ => reply(404, &[], b""),
    })
    .await;
    let shield = shield().origin_at(&origin.url).with(|config| config.site[0].prefetch = false).run().await;
    let edge = edge().shield(&shield).with(|config| config.site[0].prefetch = false).run().await;
    for status in [301, 302, 303, 308] {
        let path = format!("/live/{status}.m3u8");
        for response in viewers(20, &[&edge]).get(&path).await {
            response.is(200, live(5).as_bytes());
        }
        assert!(origin.requests(&path) <= 2, "{path}: {} requests", origin.requests(&path));
    }
    for response in viewers(20, &[&edge]).get("/live/s5.ts").await {
        response.is(200, b"segment");
    }
    assert_eq!((origin.requests("/live/s5.ts"), origin.requests("/storage/elsewhere/s5.ts")), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_playlist_in_another_folder_is_passed_or_rewritten() {
    let origin = Scripted::run(|asked| match asked.path() {
        "/go/a.m3u8" => redirect(302, "/live/x/a.m3u8"),
        "/live/x/a.m3u8" => reply(200, &[M3U8], live(5).as_bytes()),
        "/live/x/s5.ts" => reply(200, &[], b"segment"),
        "/abs/a.m3u8" => {
            let text = live(5).replace("s5.ts", &format!("http://{}/live/x/s5.ts", asked.header("host")));
            reply(200, &[M3U8, ("ETag", "\"1\"")], text.as_bytes())
        }
        _ => reply(404, &[], b""),
    })
    .await;
    let passing = edge().origin_at(&origin.url).run().await;
    let response = viewer(passing.addr()).get("/go/a.m3u8").await;
    assert_eq!((response.status, response.header("location")), (302, "/live/x/a.m3u8"));
    assert!(viewer(passing.addr()).get("/abs/a.m3u8").await.text().contains("http://127.0.0.1"));
    assert_eq!(
        passing.count("tidegate_leaving_playlists_total", "").await,
        1,
        "the playlist names the origin"
    );

    let rewriting =
        shield().origin_at(&origin.url).with(|config| config.site[0].rewrite_uris = true).run().await;
    let edge = edge().shield(&rewriting).run().await;
    let response = viewer(edge.addr()).get("/go/a.m3u8").await;
    assert_eq!(response.status, 200);
    assert!(response.text().contains("\n/live/x/s5.ts\n"), "{}", response.text());
    viewer(edge.addr()).get("/live/x/s5.ts").await.is(200, b"segment");
    let response = viewer(edge.addr()).get("/abs/a.m3u8").await;
    assert!(
        response.text().contains("\n/live/x/s5.ts\n") && !response.text().contains("http"),
        "{}",
        response.text()
    );
    assert!(response.header("etag").starts_with("\"tg-"), "the origin's tag is of other bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_hosts_are_followed_only_where_the_site_lists_them() {
    let media = Scripted::run(|asked| {
        assert_eq!(asked.header("x-secret"), "", "fields for the origins stay with the origins");
        reply(200, &[], b"segment")
    })
    .await;
    let there = media.url.clone();
    let origin = Scripted::run(move |_| redirect(302, &format!("{there}/deep/s1.ts"))).await;
    let secret = [("X-Secret".to_owned(), "1".to_owned())];
    let passing = edge().origin_at(&origin.url).run().await;
    let response = viewer(passing.addr()).get("/live/s1.ts").await;
    assert_eq!((response.status, response.header("location")), (302, &*format!("{}/deep/s1.ts", media.url)));
    assert_eq!(media.requests("/deep/s1.ts"), 0);

    let url = media.url.clone();
    let following = edge().origin_at(&origin.url).with(move |config| {
        config.site[0].redirect_hosts = vec![url.parse().unwrap()];
        config.site[0].origin_headers.extend(secret);
    });
    let following = following.run().await;
    viewer(following.addr()).get("/live/s1.ts").await.is(200, b"segment");
    assert_eq!(media.requests("/deep/s1.ts"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn loops_end_with_a_clear_failure() {
    let origin = Scripted::run(|asked| match asked.path() {
        "/live/self.m3u8" => redirect(302, "/live/self.m3u8"),
        "/live/ping.ts" => redirect(302, "/live/pong.ts"),
        "/live/pong.ts" => redirect(302, "/live/ping.ts"),
        _ => redirect(302, &format!("{}?n={}", asked.path(), asked.number)),
    })
    .await;
    let edge = edge().origin_at(&origin.url).run().await;
    for (path, most) in [("/live/self.m3u8", 1), ("/live/ping.ts", 1), ("/live/longer.ts", 7)] {
        let response = viewer(edge.addr()).get(path).await;
        assert_eq!(response.status, 502, "{path}");
        assert!(origin.requests(path) <= most, "{path}: {}", origin.requests(path));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn players_that_leave_are_counted() {
    let origin = Scripted::run(|asked| match asked.path() {
        "/live/away.m3u8" => redirect(302, "https://cdn.example/live/a.m3u8?token=1"),
        _ => reply(200, &[M3U8], live(5).replace("s6", "https://cdn.example/s6").as_bytes()),
    })
    .await;
    let edge = edge().origin_at(&origin.url).run().await;
    let left = async || edge.count("tidegate_leaving_playlists_total", "").await;
    let response = viewer(edge.addr()).get("/live/away.m3u8").await;
    assert_eq!((response.status, left().await), (302, 1));
    viewer(edge.addr()).get("/live/uris.m3u8").await;
    until("it is counted", async || left().await >= 2).await;
    let status = edge.status().await;
    let leaving = status["leaving"].as_array().expect("a list");
    let mut leaving: Vec<_> = leaving
        .iter()
        .map(|left| ["playlist", "by", "to"].map(|field| left[field].as_str().unwrap_or_default()))
        .collect();
    leaving.sort_unstable();
    assert_eq!(
        leaving,
        [
            ["/live/away.m3u8", "redirect", "https://cdn.example/live/a.m3u8"],
            ["/live/uris.m3u8", "uri", "https://cdn.example/s6.ts"],
        ]
    );
}

/// An origin that insists on HTTPS is another server than the configured one: its redirect is for the viewer.
#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_to_https_on_the_same_host_is_passed_on() {
    let origin =
        Scripted::run(|asked| redirect(301, &format!("https://{}{}", asked.header("host"), asked.path())))
            .await;
    let plain = edge().origin_at(&origin.url).run().await;
    for path in ["/live/a.m3u8", "/live/s1.ts", "/page"] {
        let response = viewer(plain.addr()).get(path).await;
        assert_eq!(response.status, 301, "{path}");
        assert!(response.header("location").starts_with("https://"), "{path}");
    }
    let there = origin.url.trim_start_matches("http://").to_owned();
    let origin = Scripted::run(move |asked| redirect(302, &format!("https://{there}{}", asked.path()))).await;
    let listed = edge().origin_at(&origin.url).with(|config| {
        config.site[0].redirect_hosts = vec![origin.url.parse().unwrap()];
    });
    let response = viewer(listed.run().await.addr()).get("/live/s1.ts").await;
    assert_eq!(response.status, 302, "the listed host speaks plain HTTP");
}

/// Each viewer receives a stored redirect without another request to the origin.
#[tokio::test(flavor = "multi_thread")]
async fn stored_redirects_to_other_hosts_are_reported() {
    for status in [301, 302, 307, 308] {
        let origin = Scripted::run(move |_| redirect(status, "https://cdn.example/live/a.m3u8")).await;
        let edge = edge().origin_at(&origin.url).run().await;
        assert_eq!(viewer(edge.addr()).get("/live/a.m3u8").await.status, status);
        assert_eq!(edge.count("tidegate_leaving_playlists_total", "").await, 1, "{status}");
    }
}
