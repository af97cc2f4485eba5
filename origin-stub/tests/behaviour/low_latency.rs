//! Low-latency streams: what exists, what is awaited, and what is refused.

use std::time::Duration;

use tidegate_origin_stub::Fault;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::harness::{End, Origin, PATIENCE, drain, origin};

const FOLDER: &str = "/ll/ch1/cmaf/240p";
/// A third of a second, and the nanosecond that it is rounded up by.
const A_PART: Duration = Duration::from_nanos(333_333_334);

/// An origin whose clock is stopped at the start of a segment, and the number of that segment, of which
/// nothing exists.
async fn at_a_start() -> (Origin, u64) {
    let origin = origin().await;
    let now = origin.control.now();
    let segment = now.as_secs() / 2 + 1;
    origin.control.advance(Duration::from_secs(segment * 2).saturating_sub(now));
    (origin, segment)
}

#[tokio::test]
async fn a_segment_is_its_parts_one_after_the_other() {
    let (origin, next) = at_a_start().await;
    let mut parts = Vec::new();
    for part in 0..6 {
        let reply = origin.get(&format!("{FOLDER}/{}.{part}.m4s", next - 1)).await;
        assert_eq!((reply.status, reply.header("content-type")), (200, Some("video/mp4")));
        parts.extend(reply.body);
    }
    let segment = origin.get(&format!("{FOLDER}/{}.m4s", next - 1)).await;
    assert_eq!((segment.status, segment.body), (200, parts));
    assert_eq!(origin.get(&format!("{FOLDER}/{next}.m4s")).await.status, 404);
    let counted = origin.control.counted();
    assert_eq!((counted.parts, counted.segments), (6, 2));
}

#[tokio::test]
async fn a_reload_blocks_until_the_part_exists() {
    let (origin, next) = at_a_start().await;
    let path = format!("{FOLDER}/index.m3u8?_HLS_msn={next}&_HLS_part=1");
    let (reply, ()) = tokio::join!(origin.get(&path), async {
        origin.control.blocked(1).await;
        origin.control.advance(A_PART);
        assert_eq!(origin.control.blocked_now(), 1);
        origin.control.advance(A_PART);
    });
    let text = reply.text();
    assert!(text.contains(&format!("URI=\"{next}.1.m4s\"\n")), "{text}");
    assert!(text.contains(&format!("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{next}.2.m4s\"\n")), "{text}");
    assert_eq!(origin.control.blocked_now(), 0);
    // A newer playlist satisfies an older request, which gets all of it.
    let old = origin.get(&format!("{FOLDER}/index.m3u8?_HLS_msn=1&_HLS_part=0")).await;
    assert_eq!((old.status, old.text()), (200, text));
}

#[tokio::test]
async fn a_reload_blocks_until_a_whole_segment_exists() {
    let (origin, next) = at_a_start().await;
    let path = format!("{FOLDER}/index.m3u8?_HLS_msn={next}");
    let (reply, ()) = tokio::join!(origin.get(&path), async {
        origin.control.blocked(1).await;
        origin.control.advance(A_PART * 5);
        assert_eq!(origin.control.blocked_now(), 1);
        origin.control.advance(A_PART);
    });
    assert!(reply.text().contains(&format!("\n{next}.m4s\n")), "{}", reply.text());
}

#[tokio::test]
async fn a_request_for_a_hinted_part_blocks_and_for_an_unknown_one_does_not() {
    let (origin, next) = at_a_start().await;
    assert_eq!(origin.get(&format!("{FOLDER}/{next}.1.m4s")).await.status, 404);
    let path = format!("{FOLDER}/{next}.0.m4s");
    let (reply, ()) = tokio::join!(origin.get(&path), async {
        origin.control.blocked(1).await;
        origin.control.advance(A_PART);
    });
    assert_eq!((reply.status, &reply.body), (200, &origin.get(&path).await.body));
    assert!(reply.header("content-length").is_some(), "it is sent once it is complete");
}

#[tokio::test]
async fn a_running_clock_unblocks_requests() {
    let (origin, _) = at_a_start().await;
    origin.control.run_clock();
    let next = origin.control.now().as_secs() / 2 + 1;
    let reply = origin.get(&format!("{FOLDER}/index.m3u8?_HLS_msn={next}&_HLS_part=0")).await;
    assert_eq!(reply.status, 200);
    assert!(reply.text().contains(&format!("URI=\"{next}.0.m4s\"")), "{}", reply.text());
}

#[tokio::test]
async fn invalid_requests_are_refused_immediately() {
    let (origin, next) = at_a_start().await;
    for query in
        [format!("_HLS_msn={}", next + 2), "_HLS_part=0".to_owned(), format!("_HLS_msn={next}&_HLS_part=99")]
    {
        assert_eq!(origin.get(&format!("{FOLDER}/index.m3u8?{query}")).await.status, 400, "{query}");
    }
}

#[tokio::test]
async fn an_origin_that_cannot_block_ignores_directives() {
    let (origin, next) = at_a_start().await;
    let folder = "/ll/ch1/cmaf-unblocked/240p";
    let plain = origin.get(&format!("{folder}/index.m3u8")).await.text();
    let query = format!("_HLS_msn={}&_HLS_part=0&_HLS_skip=YES", next + 9);
    assert_eq!(origin.get(&format!("{folder}/index.m3u8?{query}")).await.text(), plain);
    assert!(plain.contains("#EXT-X-PART:"), "{plain}");
    assert_eq!(origin.get(&format!("{folder}/{next}.0.m4s")).await.status, 404);
}

#[tokio::test]
async fn a_freeze_blocks_requests_and_its_end_unblocks_them() {
    let (origin, next) = at_a_start().await;
    let path = format!("{FOLDER}/index.m3u8?_HLS_msn={next}&_HLS_part=0");
    let (reply, ()) = tokio::join!(origin.get(&path), async {
        origin.control.blocked(1).await;
        origin.control.fault(Fault::on("/ll/*").frozen()).unwrap();
        origin.control.advance(Duration::from_secs(2));
        assert_eq!(origin.get(&format!("{FOLDER}/{next}.1.m4s")).await.status, 404);
        assert_eq!(origin.control.blocked_now(), 1);
        origin.control.clear();
    });
    assert_eq!(reply.status, 200);
    assert!(reply.text().contains(&format!("\n{next}.m4s\n")), "{}", reply.text());
}

#[tokio::test]
async fn a_freeze_blocks_no_request_longer_than_three_target_durations() {
    let (origin, next) = at_a_start().await;
    origin.control.fault(Fault::on("/ll/*").frozen()).unwrap();
    let (playlist, part) = (format!("{FOLDER}/index.m3u8?_HLS_msn={next}"), format!("{FOLDER}/{next}.0.m4s"));
    let (playlist, part, ()) = tokio::join!(origin.get(&playlist), origin.get(&part), async {
        origin.control.blocked(2).await;
        origin.control.advance(Duration::from_secs(6));
    });
    assert_eq!((playlist.status, part.status), (503, 503));
}

#[tokio::test]
async fn an_origin_that_goes_down_resets_blocked_requests() {
    let (origin, next) = at_a_start().await;
    let mut stream = origin.connect().await;
    let request = format!("GET {FOLDER}/{next}.0.m4s HTTP/1.1\r\nHost: origin\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    origin.control.blocked(1).await;
    origin.control.fault(Fault::on("*").down()).unwrap();
    assert_eq!(drain(&mut stream).await, (Vec::new(), End::Reset));
}

#[tokio::test]
async fn a_client_that_leaves_is_no_longer_blocked() {
    let (origin, next) = at_a_start().await;
    let mut stream = origin.connect().await;
    let request = format!("GET {FOLDER}/{next}.0.m4s HTTP/1.1\r\nHost: origin\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    origin.control.blocked(1).await;
    drop(stream);
    let gone = async {
        while origin.control.blocked_now() > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, gone).await.unwrap();
}

#[tokio::test]
async fn a_restarted_encoder_counts_parts_from_zero() {
    let (origin, next) = at_a_start().await;
    let last = format!("{FOLDER}/index.m3u8?_HLS_msn={next}&_HLS_part=0");
    let (reply, ()) = tokio::join!(origin.get(&last), async {
        origin.control.blocked(1).await;
        origin.control.fault(Fault::on("/ll/*").sequence_reset()).unwrap();
    });
    assert_eq!(reply.status, 400, "the awaited part is far ahead now");
    let text = origin.get(&format!("{FOLDER}/index.m3u8")).await.text();
    assert!(text.contains("#EXT-X-MEDIA-SEQUENCE:0\n"), "{text}");
    assert!(text.contains("TYPE=PART,URI=\"1.0.m4s\""), "{text}");
    assert!(text.contains("URI=\"../audio/index.m3u8\",LAST-MSN=0,LAST-PART=5\n"), "{text}");
}

#[tokio::test]
async fn a_report_is_correct_for_a_single_frozen_rendition() {
    let (origin, next) = at_a_start().await;
    origin.control.fault(Fault::on("/ll/ch1/cmaf/audio/*").frozen()).unwrap();
    origin.control.advance(Duration::from_secs(2));
    let text = origin.get(&format!("{FOLDER}/index.m3u8")).await.text();
    assert!(text.contains(&format!("\"../audio/index.m3u8\",LAST-MSN={},LAST-PART=5\n", next - 1)), "{text}");
    assert!(text.contains(&format!("\"../360p/index.m3u8\",LAST-MSN={next},LAST-PART=5\n")), "{text}");
}

#[tokio::test]
async fn parts_break_like_everything_else() {
    let (origin, next) = at_a_start().await;
    let path = format!("{FOLDER}/{}.2.m4s", next - 1);
    origin.control.fault(Fault::on(&path).cut_at(100).times(1)).unwrap();
    let reply = origin.get(&path).await;
    assert_eq!((reply.body.len(), reply.end), (100, End::Reset));
    origin.control.fault(Fault::on(&path).status(404).times(1)).unwrap();
    assert_eq!(origin.get(&path).await.status, 404);
    let part = origin.ask("GET", &path, "Range: bytes=0-9\r\n").await;
    assert_eq!((part.status, part.body.len()), (206, 10));
}

const RANGES: &str = "/ll/ch1/cmaf-ranges/240p";

/// The ends of a segment's parts, from its playlist.
async fn ends(origin: &Origin, segment: u64) -> Vec<usize> {
    let text = origin.get(&format!("{RANGES}/index.m3u8")).await.text();
    let ranges = text.lines().filter(|line| line.contains(&format!("URI=\"{segment}.m4s\",BYTERANGE=")));
    let numbers = ranges.map(|line| {
        let (length, start) = line.split("BYTERANGE=\"").nth(1).unwrap().split_once('@').unwrap();
        let start = start.split('"').next().unwrap();
        length.parse::<usize>().unwrap() + start.parse::<usize>().unwrap()
    });
    numbers.collect()
}

async fn read(stream: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    timeout(PATIENCE, stream.read_exact(&mut bytes)).await.unwrap().unwrap();
    bytes
}

async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(PATIENCE, stream.read_u8()).await.unwrap().unwrap());
    }
    String::from_utf8(head).unwrap()
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:X}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

#[tokio::test]
async fn a_growing_segment_is_sent_part_by_part() {
    let (origin, next) = at_a_start().await;
    origin.control.advance(A_PART);
    let start = ends(&origin, next).await[0];
    let mut stream = origin.connect().await;
    let request = format!(
        "GET {RANGES}/{next}.m4s HTTP/1.1\r\nHost: origin\r\nConnection: close\r\nRange: bytes={start}-9007199254740991\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    origin.control.blocked(1).await;
    let mut received = Vec::new();
    for part in 1..6 {
        origin.control.blocked(1).await;
        origin.control.advance(A_PART);
        if part == 1 {
            let head = read_head(&mut stream).await;
            assert!(head.starts_with("HTTP/1.1 206"), "{head}");
            assert!(head.contains(&format!("content-range: bytes {start}-9007199254740991/*\r\n")), "{head}");
            assert!(head.contains("transfer-encoding: chunked\r\n"), "{head}");
        }
        let part = origin.get(&format!("{FOLDER}/{next}.{part}.m4s")).await.body;
        let expected = chunk(&part);
        assert!(read(&mut stream, expected.len()).await == expected, "a part is sent whole");
        received.extend(part);
    }
    assert_eq!(drain(&mut stream).await, (b"0\r\n\r\n".to_vec(), End::Closed));
    let whole = origin.get(&format!("{RANGES}/{next}.m4s")).await.body;
    assert!(whole[start..] == received, "the parts are those of the segment");
}

#[tokio::test]
async fn a_part_of_a_growing_segment_is_a_range_of_it() {
    let (origin, next) = at_a_start().await;
    origin.control.advance(A_PART * 2);
    let ends = ends(&origin, next).await;
    assert_eq!(ends.len(), 2);
    let path = format!("{RANGES}/{next}.m4s");
    let range = format!("Range: bytes={}-{}\r\n", ends[0], ends[1] - 1);
    let part = origin.ask("GET", &path, &range).await;
    assert_eq!((part.status, part.body.len()), (206, ends[1] - ends[0]));
    let said = format!("bytes {}-{}/*", ends[0], ends[1] - 1);
    assert_eq!((part.header("content-range"), part.header("etag")), (Some(said.as_str()), None));
    assert!(part.body == origin.get(&format!("{FOLDER}/{next}.1.m4s")).await.body);
    let unhinted = origin.ask("GET", &path, "Range: bytes=90000-\r\n").await;
    assert_eq!(unhinted.status, 416);
    assert_eq!(origin.get(&format!("{RANGES}/{}.m4s", next + 1)).await.status, 404);
}

#[tokio::test]
async fn a_growing_segment_breaks_off_when_its_encoder_hangs() {
    let (origin, next) = at_a_start().await;
    origin.control.advance(A_PART);
    let start = ends(&origin, next).await[0];
    let path = format!("{RANGES}/{next}.m4s");
    let (reply, ()) = tokio::join!(origin.get(&path), async {
        origin.control.blocked(1).await;
        origin.control.fault(Fault::on("/ll/*").frozen()).unwrap();
        origin.control.advance(Duration::from_secs(6));
    });
    let first = origin.get(&format!("{FOLDER}/{next}.0.m4s")).await.body;
    assert_eq!((reply.status, first.len()), (200, start));
    assert!(reply.body == chunk(&first), "one part, and no last chunk");
}
