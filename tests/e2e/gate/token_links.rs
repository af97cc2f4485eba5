//! The links of a playlist get the viewer's token when the playlist is sent, and the stored playlist has
//! none.

use tidegate_tests::{Response, until, viewer};

use super::token::{Gated, PLAYLIST, token};
use crate::cluster::{PUSHED, push, put};

/// The paths that players request next: the URIs of a playlist, with their tokens.
fn uris(playlist: &Response) -> Vec<String> {
    let text = playlist.text();
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(str::to_owned);
    lines.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_player_with_a_query_token_plays_all_of_a_stream() {
    let gated = Gated::new().await;
    let token = token("/vod/film");
    let main = "/vod/film/ts/index.m3u8";
    let mut checked = 0;
    let mut next = vec![(main.to_owned(), format!("{main}?token={token}"))];
    while let Some((folder_of, target)) = next.pop() {
        let response = gated.get(&target).await;
        assert_eq!(response.status, 200, "{target}");
        checked += 1;
        if !response.text().starts_with("#EXTM3U") || checked > 20 {
            continue;
        }
        let folder = folder_of.rsplit_once('/').unwrap().0;
        for uri in uris(&response).into_iter().take(3) {
            assert!(uri.ends_with(&format!("?token={token}")), "{uri}");
            let path = format!("{folder}/{}", uri.split('?').next().unwrap());
            next.push((path, format!("{folder}/{uri}")));
        }
    }
    assert!(checked > 5, "{checked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_linked_form_is_a_representation_of_its_own() {
    let gated = Gated::new().await;
    let (one, two) = (token("/vod/film"), token("/vod"));
    let get = async |fields: &[(&str, &str)], target: String| {
        let viewer =
            fields.iter().fold(viewer(gated.edge.addr()), |viewer, (name, value)| viewer.header(name, value));
        viewer.get(&target).await
    };
    let plain = get(&[], format!("/~{one}{PLAYLIST}")).await;
    // Once from the fill, then from the cache, over both paths of a request.
    for connection in ["close", "keep-alive", "keep-alive"] {
        for token in [&one, &two] {
            let linked = get(&[("connection", connection)], format!("{PLAYLIST}?token={token}")).await;
            let expected = plain.text().replace(".ts\n", &format!(".ts?token={token}\n"));
            linked.is(200, expected.as_bytes());
            assert_eq!(linked.length(), Some(expected.len()));
            assert_eq!(linked.header("etag"), format!("W/{}", plain.header("etag")));
            assert_eq!((linked.header("content-encoding"), linked.header("accept-ranges")), ("", ""));
            assert_eq!(linked.header("vary"), "Accept-Encoding");

            let coded = [("connection", connection), ("accept-encoding", "gzip")];
            get(&coded, format!("{PLAYLIST}?token={token}")).await.is(200, expected.as_bytes());
            let ranged = [("connection", connection), ("range", "bytes=0-9")];
            get(&ranged, format!("{PLAYLIST}?token={token}")).await.is(200, expected.as_bytes());
            let tag = linked.header("etag").to_owned();
            let renewed = [("connection", connection), ("if-none-match", tag.as_str())];
            assert_eq!(get(&renewed, format!("{PLAYLIST}?token={token}")).await.status, 304);
            let head = viewer(gated.edge.addr()).header("connection", connection);
            let head = head.ask("HEAD", &format!("{PLAYLIST}?token={token}")).await;
            assert_eq!(head.header("content-length"), expected.len().to_string());
        }
        // In the path nothing changes, so the gzip form is shared.
        let coded = [("connection", connection), ("accept-encoding", "gzip")];
        let coded = get(&coded, format!("/~{one}{PLAYLIST}")).await;
        assert_eq!(coded.header("content-encoding"), "gzip");
    }
    assert_eq!(gated.origin.requests(PLAYLIST), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn links_to_other_hosts_and_other_links_stay() {
    let gated = Gated::new().await;
    let playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:1\n\
        #EXT-X-KEY:METHOD=AES-128,URI=\"/keys/1\"\n#EXT-X-MAP:URI=\"init.mp4?v=1\"\n\
        #EXT-X-DATERANGE:ID=\"a\",START-DATE=\"2026-01-01T00:00:00Z\",X-ASSET-URI=\"https://ads.example/1.m3u8\"\n\
        #EXTINF:2,\nhttps://edge.example/ingest/ch1/1.ts\n#EXTINF:2,\nhttps://cdn.example/2.ts\n\
        #EXTINF:2,\n3.ts\n#EXT-X-ENDLIST\n";
    push(&gated.origin, playlist).await;
    let token = token("/ingest");
    let get = async |target: String| viewer(gated.edge.addr()).host("edge.example").get(&target).await.text();
    let added = format!("token={token}");
    let expected = playlist
        .replace("/keys/1", &format!("/keys/1?{added}"))
        .replace("?v=1", &format!("?v=1&{added}"))
        .replace("/1.ts", &format!("/1.ts?{added}"))
        .replace("\n3.ts", &format!("\n3.ts?{added}"));
    let expected_path = playlist
        .replace("\"/keys/1", &format!("\"/~{token}/keys/1"))
        .replace("edge.example/ingest", &format!("edge.example/~{token}/ingest"));
    for _ in 0..2 {
        assert_eq!(get(format!("{PUSHED}?{added}")).await, expected);
        assert_eq!(get(format!("/~{token}{PUSHED}")).await, expected_path);
    }
}

/// A live playlist of low latency: hints, reports, parts and delta updates.
#[tokio::test(flavor = "multi_thread")]
async fn delta_updates_and_hints_have_the_token() {
    let gated = Gated::new().await;
    gated.origin.stop_clock();
    let head = "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:1\n\
         #EXT-X-SERVER-CONTROL:CAN-SKIP-UNTIL=6,PART-HOLD-BACK=0.9\n#EXT-X-PART-INF:PART-TARGET=0.3\n\
         #EXT-X-MEDIA-SEQUENCE:7\n";
    let list = (7..19).fold(head.to_owned(), |list, number| list + &format!("#EXTINF:1.0,\n{number}.ts\n"));
    let list = list
        + "#EXT-X-PART:DURATION=0.3,URI=\"19.0.ts\"\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"19.1.ts\"\n\
           #EXT-X-RENDITION-REPORT:URI=\"../ch2/index.m3u8\",LAST-MSN=19\n";
    push(&gated.origin, &list).await;
    let token = token("/ingest");
    let full = gated.get(&format!("{PUSHED}?token={token}")).await.text();
    for name in ["18.ts", "19.0.ts", "19.1.ts", "../ch2/index.m3u8"] {
        assert!(full.contains(&format!("{name}?token={token}")), "{full}");
    }
    let delta = gated.get(&format!("{PUSHED}?_HLS_skip=YES&token={token}")).await;
    let text = delta.text();
    assert!(
        text.contains("#EXT-X-SKIP:SKIPPED-SEGMENTS=6") && text.contains(&format!("18.ts?token={token}")),
        "{text}"
    );
    assert_eq!(delta.length(), Some(text.len()));
    let blocked = gated.get(&format!("{PUSHED}?_HLS_msn=18&token={token}")).await.text();
    assert!(blocked.contains(&format!("18.ts?token={token}")), "{blocked}");
    until("it is stored once", async || gated.origin.requests(PUSHED) >= 1).await;
    let by_path = gated.get(&format!("/~{token}{PUSHED}")).await.text();
    assert!(!by_path.contains(&token), "{by_path}");
}

/// A playlist for one viewer alone is not stored, and gets the token as well.
#[tokio::test(flavor = "multi_thread")]
async fn a_private_playlist_has_the_token() {
    let gated = Gated::new().await;
    let token = token("/");
    let path = "/ingest/own/index.m3u8";
    put(&gated.origin, path, b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n1.ts\n#EXT-X-ENDLIST\n").await;
    let authorized = viewer(gated.edge.addr()).header("authorization", "Basic eA==");
    let response = authorized.get(&format!("{path}?token={token}")).await;
    assert!(response.text().contains(&format!("\n1.ts?token={token}\n")), "{}", response.text());
    assert_eq!(response.length(), Some(response.body.len()));
}
