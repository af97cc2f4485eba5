//! Origins that mark what every viewer may have as private: the operator learns of it, with the switch that
//! shares it.

use tidegate_origin_stub::Fault;
use tidegate_proxy::site::config::PrivateSign;
use tidegate_tests::{Tier, edge, origin, shield, viewer, viewers};

use super::scripted::{M3U8, Scripted, live, reply};

const PLAYLIST: &str = "/vod/film/ts/240p/index.m3u8";
const SEGMENT: &str = "/vod/film/ts/240p/0.ts";
const OTHER: &str = "/bytes/1000/key.bin";

/// The marks, as an origin sends them: header field, value, reason, switch.
const MARKS: [(&str, &str, &str, PrivateSign); 4] = [
    ("cache-control", "no-store", "no-store", PrivateSign::NoStore),
    ("cache-control", "private, max-age=0", "private", PrivateSign::Private),
    ("set-cookie", "session=1", "set-cookie", PrivateSign::SetCookie),
    ("vary", "*", "vary", PrivateSign::Vary),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_private_playlist_is_reported_with_the_switch_that_shares_it() {
    for (name, value, reason, _) in MARKS {
        let origin = origin().run().await;
        origin.fault(Fault::on("*").header(name, value)).unwrap();
        let edge = edge().origin(&origin).run().await;
        for _viewer in 0..4 {
            assert_eq!(viewer(edge.addr()).get(PLAYLIST).await.status, 200);
        }
        assert_eq!(origin.requests(PLAYLIST), 4, "{reason}: private responses stay private");
        assert!(edge.count("tidegate_unshared_fills_total", reason).await >= 1, "{reason}");
        let noted = &unshared(&edge).await[0];
        assert_eq!(noted["reason"], reason);
        assert_eq!(noted["last_path"], PLAYLIST);
        assert_eq!(noted["switch"], format!("[site.sharing] ignore = [\"{reason}\"]"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_shares_playlists_and_segments_whose_mark_it_ignores() {
    for (name, value, reason, mark) in MARKS {
        let origin = origin().run().await;
        origin.fault(Fault::on("*").header(name, value)).unwrap();
        let shield = shield().origin(&origin).with(|config| config.site[0].sharing.ignore = vec![mark]);
        let shield = shield.run().await;
        let edge =
            edge().shield(&shield).with(|config| config.site[0].sharing.ignore = vec![mark]).run().await;
        for path in [PLAYLIST, SEGMENT] {
            for response in viewers(10, &[&edge]).get(path).await {
                assert_eq!((response.status, response.whole), (200, true), "{reason} {path}");
                assert_eq!(response.header("set-cookie"), "", "{reason} {path}");
            }
            assert_eq!(origin.requests(path), 1, "{reason} {path}");
        }
        // A key, or anything else that is no part of the stream, keeps its mark.
        for _viewer in 0..3 {
            assert_eq!(viewer(edge.addr()).get(OTHER).await.status, 200);
        }
        assert_eq!(origin.requests(OTHER), 3, "{reason}");
        assert!(unshared(&edge).await.is_empty(), "{reason}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_differs_for_each_viewer_is_reported_with_its_names() {
    let origin = origin().run().await;
    let edge = edge().origin(&origin).run().await;
    for id in 0..10 {
        let target = format!("{PLAYLIST}?quality=1&token={id}");
        assert_eq!(viewer(edge.addr()).get(&target).await.status, 200);
    }
    assert_eq!(edge.count("tidegate_unshared_fills_total", "query").await, 2, "the ninth and the tenth");
    let noted = &unshared(&edge).await[0];
    assert_eq!(noted["switch"], "[site.query] drop = [\"token\"]");
}

/// The notes of the status page about its first site.
async fn unshared(tier: &Tier) -> Vec<serde_json::Value> {
    tier.status().await["sites"][0]["unshared"].as_array().unwrap().clone()
}

/// Neither the name nor the type says that it is a playlist, and its segments have no extension.
#[tokio::test(flavor = "multi_thread")]
async fn a_site_shares_a_stream_whose_names_say_nothing() {
    for (name, value, reason, mark) in MARKS {
        let origin = Scripted::run(move |asked| {
            let is_list = asked.path() == "/live/index";
            let list = live(10).replace(".ts", "");
            let (content_type, body) =
                if is_list { ("text/plain", list.as_bytes()) } else { ("video/mp2t", &b"segment"[..]) };
            reply(200, &[("Content-Type", content_type), (name, value)], body)
        })
        .await;
        let edge = edge().origin_at(&origin.url);
        let edge = edge.with(|config| config.site[0].sharing.ignore = vec![mark]).run().await;
        for path in ["/live/index", "/live/s10", "/live/s13"] {
            for _viewer in 0..3 {
                let response = viewer(edge.addr()).get(path).await;
                assert_eq!((response.status, response.header("set-cookie")), (200, ""), "{reason} {path}");
            }
            assert_eq!(origin.requests(path), 1, "{reason} {path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_playlist_that_varies_by_its_viewers_is_reported() {
    let origin = Scripted::run(|_| reply(200, &[M3U8, ("Vary", "User-Agent")], live(10).as_bytes())).await;
    let edge = edge().origin_at(&origin.url).run().await;
    assert_eq!(viewer(edge.addr()).get("/live/a.m3u8").await.status, 200);
    let noted = &unshared(&edge).await[0];
    assert_eq!((&noted["reason"], &noted["last_path"]), (&"vary".into(), &"/live/a.m3u8".into()));
}
