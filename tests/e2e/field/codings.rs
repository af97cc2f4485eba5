//! Origins that compress whatever is requested: tiers store the decoded form, and compress it for viewers.

use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use tidegate_tests::{edge, shield, viewer};

use super::scripted::{M3U8, Scripted, live, reply};

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn zlib(plain: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn deflate(plain: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

/// One uncompressed metablock (RFC 7932 section 9.2).
fn brotli(plain: &[u8]) -> Vec<u8> {
    let head = ((u32::try_from(plain.len()).unwrap() - 1) << 4) | (1 << 20);
    [&head.to_le_bytes()[..3], plain, &[0b11]].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_playlist_is_stored_decoded_and_followed_whatever_its_coding() {
    let plain = live(7);
    let text = plain.as_bytes();
    for (coding, coded) in [
        ("gzip", gzip(text)),
        ("x-gzip", gzip(text)),
        ("deflate", zlib(text)),
        ("deflate", deflate(text)),
        ("br", brotli(text)),
        ("gzip, br", brotli(&gzip(text))),
        ("identity", text.to_vec()),
        ("aws-chunked", text.to_vec()),
        // Some servers add the label and forget the coding.
        ("gzip", text.to_vec()),
    ] {
        let origin = Scripted::run(move |_| {
            let fields =
                [M3U8, ("Content-Encoding", coding), ("ETag", "\"v7\""), ("Vary", "Accept-Encoding")];
            reply(200, &fields, &coded)
        });
        let origin = origin.await;
        let shield = shield().origin_at(&origin.url).run().await;
        let edge = edge().shield(&shield).run().await;
        for accepts in ["identity", "gzip", "br;q=1, identity;q=0.5", "*;q=0"] {
            let response = viewer(edge.addr()).header("accept-encoding", accepts).get("/live/a.m3u8").await;
            assert_eq!((response.status, response.whole), (200, true), "{coding} {accepts}");
            let is_gzip = accepts == "gzip";
            assert_eq!(response.header("content-encoding"), if is_gzip { "gzip" } else { "" }, "{coding}");
            let mut body = response.text();
            if is_gzip {
                body.clear();
                GzDecoder::new(&response.body[..]).read_to_string(&mut body).unwrap();
            }
            assert_eq!(body, plain, "{coding} {accepts}");
            assert_eq!(response.length(), Some(response.body.len()));
        }
        assert!(shield.count("tidegate_playlist_versions_total", "").await >= 1, "{coding}: it is parsed");
        // The origin's tag is that of the coded bytes.
        let tag = if ["identity", "aws-chunked"].contains(&coding) { "\"v7\"" } else { "\"tg-" };
        let response = viewer(shield.addr()).get("/live/a.m3u8").await;
        assert!(response.header("etag").starts_with(tag), "{coding}: {}", response.header("etag"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coded_segment_is_decoded_while_it_arrives_and_has_ranges() {
    let plain: Vec<u8> = (0..300_000_u32).flat_map(|number| (number % 999).to_le_bytes()).collect();
    let coded = gzip(&plain);
    let origin =
        Scripted::run(move |_| reply(200, &[("Content-Encoding", "gzip"), ("ETag", "\"a\"")], &coded)).await;
    let edge = edge().origin_at(&origin.url).run().await;
    viewer(edge.addr()).get("/live/1.ts").await.is(200, &plain);
    let part = viewer(edge.addr()).header("range", "bytes=1000-1999").get("/live/1.ts").await;
    part.is(206, &plain[1000..2000]);
    assert_eq!(part.header("content-range"), "bytes 1000-1999/1200000");
    assert_eq!((part.header("content-encoding"), part.header("etag")), ("", "W/\"a\""));
    assert_eq!(origin.requests("/live/1.ts"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_expands_beyond_the_limits_is_refused_with_its_reason() {
    let bomb = gzip(&vec![b'#'; 100 << 20]);
    let half = bomb[..bomb.len() / 2].to_vec();
    let origin = Scripted::run(move |asked| {
        let body = if asked.path().contains("half") { &half } else { &bomb };
        reply(200, &[M3U8, ("Content-Encoding", "gzip")], body)
    });
    let origin = origin.await;
    let edge = edge().origin_at(&origin.url).run().await;
    for path in ["/live/bomb.m3u8", "/live/half.m3u8"] {
        let response = viewer(edge.addr()).get(path).await;
        assert_eq!(response.status, 502);
        let why = response.header("proxy-status");
        assert!(why.contains("error=http_response_content_coding"), "{why}");
    }
    let cached = edge.status().await["cache"]["body_bytes"].as_u64().unwrap();
    assert!(cached < 1 << 20, "{cached} bytes are cached");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_coding_goes_out_as_it_came() {
    let origin = Scripted::run(|asked| {
        let media = if asked.path().ends_with("m3u8") { M3U8 } else { ("Content-Type", "video/mp2t") };
        reply(200, &[media, ("Content-Encoding", "dcb"), ("Cache-Control", "max-age=60")], b"coded")
    });
    let origin = origin.await;
    let edge = edge().origin_at(&origin.url).run().await;
    for accepts in ["identity", "gzip, dcb", "gzip", "*"] {
        for path in ["/live/a.m3u8", "/live/a.ts"] {
            let response = viewer(edge.addr()).header("accept-encoding", accepts).get(path).await;
            response.is(200, b"coded");
            assert_eq!(response.header("content-encoding"), "dcb", "{accepts}");
        }
    }
    assert_eq!(origin.requests("/live/a.ts"), 1);
    assert_eq!(origin.requests("/live/a.m3u8"), 4, "a playlist that cannot be read is not shared");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_response_is_decoded_for_a_viewer_that_refuses_its_coding() {
    let coded = gzip(b"mine");
    let fields = [("Content-Encoding", "gzip"), ("Cache-Control", "private")];
    let origin = Scripted::run(move |_| reply(200, &fields, &coded)).await;
    let edge = edge().origin_at(&origin.url).run().await;
    for (accepts, is_coded) in [("identity", false), ("gzip", true), ("identity", false)] {
        let viewer = viewer(edge.addr()).header("accept-encoding", accepts).header("cookie", "me=1");
        let response = viewer.get("/live/mine").await;
        assert_eq!(response.status, 200);
        assert_eq!(response.header("content-encoding") == "gzip", is_coded, "{accepts}");
        assert_eq!(&response.body == b"mine", !is_coded);
    }
}
