//! Origins that ignore ranges, or answer other ranges than the requested ones: players get exact slices.

use tidegate_tests::{edge, shield, viewer, viewers};

use super::scripted::{Asked, M3U8, Reply, Scripted, reply};

const FILE: &str = "/v/file.mp4";
const SLICES: [(usize, usize); 6] =
    [(0, 999), (1000, 9999), (10_000, 18_999), (19_000, 27_999), (5000, 14_999), (59_000, 59_999)];

fn body() -> Vec<u8> {
    (0..60_000_usize).map(|place| u8::try_from((place * 7 + place / 256) % 256).unwrap()).collect()
}

fn playlist() -> String {
    let mut text = "#EXTM3U\n#EXT-X-VERSION:4\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:0\n\
        #EXT-X-MAP:URI=\"file.mp4\",BYTERANGE=\"1000@0\"\n"
        .to_owned();
    for number in 0..6 {
        let segment = "#EXTINF:4,\n#EXT-X-BYTERANGE:9000@{start}\nfile.mp4\n";
        text += &segment.replace("{start}", &(1000 + 9000 * number).to_string());
    }
    text
}

/// The responses of an origin to requests for a range of the file.
type Answer = fn(&Asked, usize, usize, &[u8]) -> Reply;

fn ignored(_: &Asked, _: usize, _: usize, body: &[u8]) -> Reply {
    reply(200, &[("ETag", "\"f\"")], body)
}

fn ignored_without_length(_: &Asked, _: usize, _: usize, body: &[u8]) -> Reply {
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunks = body
        .chunks(7000)
        .flat_map(|chunk| [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
    Reply::Bytes(head.iter().copied().chain(chunks).chain(*b"0\r\n\r\n").collect())
}

fn partial(first: usize, last: usize, body: &[u8], content_range: &str) -> Reply {
    reply(206, &[("Content-Range", content_range), ("ETag", "\"f\"")], &body[first..=last])
}

fn everything_as_206(_: &Asked, _: usize, _: usize, body: &[u8]) -> Reply {
    partial(0, 59_999, body, "bytes 0-59999/60000")
}

fn aligned(_: &Asked, first: usize, last: usize, body: &[u8]) -> Reply {
    let (first, last) = (first / 4096 * 4096, (last / 4096 * 4096 + 4095).min(59_999));
    partial(first, last, body, &format!("bytes {first}-{last}/60000"))
}

fn misspelt(_: &Asked, first: usize, last: usize, body: &[u8]) -> Reply {
    partial(first, last, body, &format!("Bytes={first}-{last}/60000"))
}

fn of_unknown_length(_: &Asked, first: usize, last: usize, body: &[u8]) -> Reply {
    partial(first, last, body, &format!("bytes {first}-{last}/*"))
}

fn without_content_range(_: &Asked, first: usize, last: usize, body: &[u8]) -> Reply {
    reply(206, &[], &body[first..=last])
}

fn of_another_place(_: &Asked, first: usize, last: usize, body: &[u8]) -> Reply {
    let length = last - first;
    partial(0, length, body, &format!("bytes 0-{length}/60000"))
}

fn clamped(_: &Asked, first: usize, last: usize, body: &[u8]) -> Reply {
    let last = last.min(first + 499);
    partial(first, last, body, &format!("bytes {first}-{last}/60000"))
}

fn with_fewer_bytes(_: &Asked, first: usize, last: usize, body: &[u8]) -> Reply {
    partial(first, last - 10, body, &format!("bytes {first}-{last}/60000"))
}

fn multipart(_: &Asked, first: usize, last: usize, body: &[u8]) -> Reply {
    let part = format!("--x\r\nContent-Range: bytes {first}-{last}/60000\r\n\r\n");
    let parts = [part.as_bytes(), &body[first..=last], b"\r\n--x--\r\n"].concat();
    reply(206, &[("Content-Type", "multipart/byteranges; boundary=x")], &parts)
}

fn denied(_: &Asked, _: usize, _: usize, _: &[u8]) -> Reply {
    reply(416, &[("Content-Range", "bytes */60000")], b"no ranges here")
}

async fn origin(answer: Answer) -> Scripted {
    let body = body();
    let is_ranged = !std::ptr::fn_addr_eq(answer, ignored as Answer);
    Scripted::run(move |asked| {
        if asked.path().contains(".m3u8") {
            return reply(200, &[M3U8], playlist().as_bytes());
        }
        match asked.range() {
            Some((first, _)) if first >= body.len() && is_ranged => {
                reply(416, &[("Content-Range", "bytes */60000")], b"")
            }
            Some((first, last)) => answer(asked, first, last.min(body.len() - 1), &body),
            None => reply(200, &[("ETag", "\"f\"")], &body),
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_slice_is_exact_whatever_the_origin_does_with_ranges() {
    let body = body();
    let answers: [(&str, Answer, bool); 12] = [
        ("ignored", ignored, true),
        ("ignored, without a length", ignored_without_length, true),
        ("all bytes as 206", everything_as_206, false),
        ("aligned to blocks", aligned, false),
        ("misspelt", misspelt, false),
        ("of unknown length", of_unknown_length, false),
        ("without Content-Range", without_content_range, true),
        ("of another place", of_another_place, true),
        ("clamped", clamped, true),
        ("with fewer bytes than it says", with_fewer_bytes, true),
        ("multipart", multipart, true),
        ("denied", denied, true),
    ];
    for (name, answer, is_whole) in answers {
        let origin = origin(answer).await;
        let shield =
            shield().origin_at(&origin.url).with(|config| config.site[0].prefetch = false).run().await;
        let edge = edge().shield(&shield).with(|config| config.site[0].prefetch = false).run().await;
        assert_eq!(viewer(edge.addr()).get("/v/list.m3u8").await.status, 200);
        for _cold_then_warm in 0..2 {
            for (first, last) in SLICES {
                let range = format!("bytes={first}-{last}");
                let response = viewer(edge.addr()).header("range", &range).get(FILE).await;
                response.is(206, &body[first..=last]);
                let sent = response.header("content-range");
                let is_unknown = sent == format!("bytes {first}-{last}/*") && name.contains("length");
                assert!(sent == format!("bytes {first}-{last}/60000") || is_unknown, "{name}: {sent}");
            }
        }
        let requests = origin.requests(FILE);
        // The first slice may be right by chance.
        let limit = if is_whole { 3 } else { SLICES.len() };
        assert!(requests <= limit, "{name}: {requests} requests for {} slices", SLICES.len());
        if name != "ignored, without a length" {
            let behind = viewer(edge.addr()).header("range", "bytes=60000-60001").get(FILE).await;
            assert_eq!(behind.status, 416, "{name}");
        }
        viewer(edge.addr()).get(FILE).await.is(200, &body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_for_one_slice_of_an_unranged_file_makes_one_request() {
    let origin = origin(ignored).await;
    let edge = edge().origin_at(&origin.url).with(|config| config.site[0].prefetch = false).run().await;
    viewer(edge.addr()).get("/v/list.m3u8").await;
    for response in viewers(50, &[&edge]).header("range", "bytes=1000-9999").get(FILE).await {
        response.is(206, &body()[1000..=9999]);
    }
    assert_eq!(origin.requests(FILE), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slice_of_a_file_that_is_too_large_to_store_is_cut_from_it() {
    let origin = origin(ignored).await;
    let small = tidegate_proxy::config::units::Size::kib(40);
    let edge = edge().origin_at(&origin.url).with(|config| {
        config.site[0].prefetch = false;
        config.cache.playlist_max = small;
        config.cache.object_max = small;
    });
    let edge = edge.run().await;
    viewer(edge.addr()).get("/v/list.m3u8").await;
    for _cold_then_warm in 0..2 {
        for (first, last) in SLICES {
            let range = format!("bytes={first}-{last}");
            let response = viewer(edge.addr()).header("range", &range).get(FILE).await;
            response.is(206, &body()[first..=last]);
            assert_eq!(response.header("content-range"), format!("bytes {first}-{last}/60000"));
        }
    }
    assert_eq!(origin.requests(FILE), SLICES.len(), "each slice is stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_206_of_all_bytes_without_a_range_is_stored_as_the_whole() {
    let origin = Scripted::run(|asked| {
        let body = [b'a'; 1000];
        match (asked.path(), asked.range()) {
            ("/all.ts", _) | ("/again.ts", Some((0, _))) => {
                reply(206, &[("Content-Range", "bytes 0-999/1000")], &body)
            }
            ("/bare.ts", _) => reply(206, &[], &body),
            _ => reply(206, &[("Content-Range", "bytes 0-99/1000")], &body[..100]),
        }
    })
    .await;
    let shield = shield().origin_at(&origin.url).run().await;
    let edge = edge().shield(&shield).run().await;
    for (path, requests) in [("/all.ts", 1), ("/bare.ts", 1), ("/again.ts", 2)] {
        for _cold_then_warm in 0..2 {
            let response = viewer(edge.addr()).get(path).await;
            response.is(200, &[b'a'; 1000]);
            assert_eq!(response.header("content-range"), "");
        }
        assert_eq!(origin.requests(path), requests, "{path}");
    }
    let part = viewer(edge.addr()).get("/part.ts").await;
    assert_eq!(part.status, 502, "a part is never a whole");
}
