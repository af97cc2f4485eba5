//! Segments that are byte ranges of one resource (HLS section 4.4.4.2): each is a separate object, so that a
//! growing file is not fetched again for each segment. The same for parts that are byte ranges of a growing
//! segment.

use tidegate_origin_stub::{Fault, Seen, synthetic_bytes};
use tidegate_tests::{Response, edge, origin, shield, viewer, viewers};

use crate::cluster::{Cluster, PUSHED, push, put};
use crate::low_latency::{PART, begin_segment};

const FILE: &str = "/ingest/ch1/all.ts";
/// The size of each segment.
const BYTES: u64 = 1000;

/// Segments of a second each, which follow each other in one file.
fn playlist(first: u64, count: u64, end: &str) -> String {
    let head = format!("#EXTM3U\n#EXT-X-VERSION:4\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:{first}\n");
    let segment = |number| format!("#EXTINF:1.0,\n#EXT-X-BYTERANGE:{BYTES}@{}\nall.ts\n", number * BYTES);
    (first..first + count).fold(head, |list, number| list + &segment(number)) + end
}

/// The file with this many segments.
fn file(segments: u64) -> Vec<u8> {
    (0..segments * BYTES).map(|at| u8::try_from(at / BYTES).expect("a small number")).collect()
}

fn bytes(segment: u64) -> String {
    format!("bytes={}-{}", segment * BYTES, (segment + 1) * BYTES - 1)
}

async fn get(cluster: &Cluster, segment: u64) -> Response {
    viewer(cluster.edges[0].addr()).header("range", &bytes(segment)).get(FILE).await
}

fn assert_is(response: &Response, segment: u64, total: u64) {
    let expected = vec![u8::try_from(segment).expect("a small number"); 1000];
    assert_eq!((response.status, &response.body), (206, &expected), "{}", response.header("cache-status"));
    let range = bytes(segment).replace('=', " ");
    assert_eq!(response.header("content-range"), format!("{range}/{total}"));
}

/// A file of four segments, and a live playlist of them that the first edge has.
async fn live() -> Cluster {
    let cluster = Cluster::standing_still().await;
    put(&cluster.origin, FILE, &file(4)).await;
    push(&cluster.origin, &playlist(0, 4, "")).await;
    cluster.get(PUSHED).await;
    cluster
}

#[tokio::test(flavor = "multi_thread")]
async fn the_segments_of_a_growing_file_are_fetched_once_each() {
    let cluster = live().await;
    for segment in 0..4 {
        for _ in 0..2 {
            assert_is(&get(&cluster, segment).await, segment, 4 * BYTES);
        }
    }
    let file_before = cluster.origin.seen(FILE);
    put(&cluster.origin, FILE, &file(5)).await;
    push(&cluster.origin, &playlist(1, 4, "")).await;
    cluster.reaches(PUSHED, 1).await;
    assert_is(&get(&cluster, 4).await, 4, 5 * BYTES);

    let mut ranges: Vec<_> = file_before.iter().chain(&cluster.origin.seen(FILE)).map(range_of).collect();
    ranges.sort();
    let expected: Vec<_> = (0..5).map(bytes).collect();
    assert_eq!(ranges, expected, "each slice once, and never the whole file");
}

fn range_of(seen: &Seen) -> String {
    seen.header("range").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_in_one_file_is_sliced_by_shields_that_have_not_seen_the_playlist() {
    let origin = origin().run().await;
    let one = shield().origin(&origin).run().await;
    let two = shield().origin(&origin).with(|shield| shield.node = "shield-2".to_owned().try_into().unwrap());
    let two = two.run().await;
    let edge = edge().shield(&one).shield(&two).run().await;
    put(&origin, FILE, &file(20)).await;
    push(&origin, &playlist(0, 20, "#EXT-X-ENDLIST\n")).await;
    viewer(edge.addr()).get(PUSHED).await;
    // The shield that has seen the playlist stops.
    let has_seen_it = one.count("tidegate_origin_requests_total", "").await > 0;
    let (owner, other) = if has_seen_it { (one, two) } else { (two, one) };
    owner.drain();
    owner.ended().await;
    for segment in 0..20 {
        let response = viewer(edge.addr()).header("range", &bytes(segment)).get(FILE).await;
        assert_is(&response, segment, 20 * BYTES);
    }
    let seen = origin.seen(FILE);
    assert!(
        seen.iter().all(|seen| seen.header("tidegate-slice").is_empty()),
        "the field stays between tiers"
    );
    let mut ranges: Vec<_> = seen.iter().map(range_of).collect();
    ranges.sort();
    let mut expected: Vec<_> = (0..20).map(bytes).collect();
    expected.sort();
    assert_eq!(ranges, expected);
    assert_eq!(other.count("tidegate_origin_requests_total", "").await, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_slice_resumes_at_the_other_origin() {
    let (primary, backup) = (origin().run().await, origin().run().await);
    let path = "/bytes/4000";
    for origin in [&primary, &backup] {
        push(origin, &playlist(0, 4, "#EXT-X-ENDLIST\n").replace("all.ts", path)).await;
    }
    primary.fault(Fault::on(path).cut_at(300)).unwrap();
    let shield = shield().origin(&primary).origin(&backup).run().await;
    let edge = edge().shield(&shield).run().await;
    viewer(edge.addr()).get(PUSHED).await;

    let response = viewer(edge.addr()).header("range", &bytes(2)).get(path).await;
    response.is(206, &synthetic_bytes(path, 2 * BYTES..3 * BYTES));
    assert_eq!(response.header("content-range"), "bytes 2000-2999/4000");
    assert_eq!(backup.seen(path).iter().map(range_of).collect::<Vec<_>>(), ["bytes=2300-2999"]);
    assert_eq!(shield.count("tidegate_rescued_bodies_total", "").await, 1);
}

/// A listed slice that does not exist yet (416) is requested again, and other bytes than those of the slice
/// are never served in its place.
#[tokio::test(flavor = "multi_thread")]
async fn another_response_is_never_served_as_the_slice() {
    let cluster = live().await;
    cluster.origin.fault(Fault::on(FILE).status(416).times(1)).unwrap();
    assert_is(&get(&cluster, 1).await, 1, 4 * BYTES);
    // The same where only a part of it exists.
    put(&cluster.origin, FILE, &file(4)[..2500]).await;
    let mut waiting = viewer(cluster.edges[0].addr()).header("range", &bytes(2)).start("GET", FILE).await;
    cluster.origin.answered(FILE, 1).await;
    put(&cluster.origin, FILE, &file(4)).await;
    assert_is(&waiting.rest().await, 2, 4 * BYTES);
    // A request beyond the end for a range that no playlist lists gets the bytes that exist.
    let more = viewer(cluster.edges[0].addr()).header("range", "bytes=3500-9999").get(FILE).await;
    assert_eq!(
        (more.status, more.body.len(), more.header("content-range")),
        (206, 500, "bytes 3500-3999/4000")
    );

    cluster.origin.fault(Fault::on(FILE).header("content-range", "bytes 1-1000/4000")).unwrap();
    assert_is(&get(&cluster, 0).await, 0, 4 * BYTES);
    let last = cluster.origin.seen(FILE).pop().unwrap();
    assert_eq!(range_of(&last), "", "it is cut from the whole");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_slice_is_passed_as_a_slice() {
    let cluster = Cluster::standing_still().await;
    cluster.origin.fault(Fault::on(FILE).header("cache-control", "private")).unwrap();
    put(&cluster.origin, FILE, &file(4)).await;
    push(&cluster.origin, &playlist(0, 4, "#EXT-X-ENDLIST\n")).await;
    cluster.get(PUSHED).await;
    for _ in 0..2 {
        assert_is(&get(&cluster, 1).await, 1, 4 * BYTES);
    }
    let seen = cluster.origin.seen(FILE);
    assert!(seen.iter().all(|seen| range_of(seen) == bytes(1)), "never the whole file");
    assert!(
        seen.iter().all(|seen| seen.header("tidegate-slice").is_empty()),
        "the field stays between tiers"
    );
}

const RANGES: &str = "/ll/ch1/cmaf-ranges/360p";

/// HLS sections 4.4.5.3 and 6.2.2: a part that is a byte range of a growing segment may be requested before
/// it exists.
#[tokio::test(flavor = "multi_thread")]
async fn hinted_parts_of_a_growing_segment_are_awaited_and_the_segment_is_fetched_once() {
    let cluster = Cluster::standing_still().await;
    let growing = begin_segment(&cluster.origin);
    let (playlist, segment) = (format!("{RANGES}/index.m3u8"), format!("{RANGES}/{growing}.m4s"));
    let hint = cluster.get(&playlist).await.text();
    let hint =
        hint.lines().find(|line| line.starts_with("#EXT-X-PRELOAD-HINT:TYPE=PART")).unwrap().to_owned();
    assert!(hint.contains(&format!("{growing}.m4s")) && hint.contains("BYTERANGE-START=0"), "{hint}");

    // Each part is requested by its hint before it exists, together with the bytes that follow it.
    let (mut start, mut following) = (0, Vec::new());
    for part in 0..PARTS {
        let open_end = format!("bytes={start}-9007199254740991");
        let viewers = viewers(4, &[&cluster.edges[0], &cluster.edges[1]]).header("range", &open_end);
        let mut waiting = viewers.start(&segment).await;
        cluster.origin.advance(PART);
        let ahead = format!("{playlist}?_HLS_msn={growing}&_HLS_part={part}");
        let text = cluster.get(&ahead).await.text();
        let (length, at) = ranges_of(&text, growing).last().copied().expect("a part");
        assert_eq!(at, start, "{text}");
        for viewer in &mut waiting {
            assert!(viewer.begins(usize::try_from(length).expect("a part")).await, "the part is there");
        }
        following.push((start, waiting));
        start += length;
    }
    assert_eq!(cluster.origin.requests(&segment), 1);
    let whole = viewer(cluster.origin.addr()).get(&segment).await.body;
    for (start, waiting) in following {
        for mut viewer in waiting {
            viewer.rest().await.is(206, &whole[usize::try_from(start).expect("a position")..]);
        }
    }
}

/// The number of parts of a segment.
const PARTS: u64 = 6;

/// Length and first byte of the parts of a segment, as its playlist lists them.
fn ranges_of(playlist: &str, segment: u64) -> Vec<(u64, u64)> {
    let of_segment = format!("URI=\"{segment}.m4s\"");
    let parts =
        playlist.lines().filter(|line| line.starts_with("#EXT-X-PART:") && line.contains(&of_segment));
    let range = |line: &str| {
        let (_, range) = line.split_once("BYTERANGE=\"")?;
        let (length, at) = range.split('"').next()?.split_once('@')?;
        Some((length.parse().ok()?, at.parse().ok()?))
    };
    parts.filter_map(range).collect()
}
