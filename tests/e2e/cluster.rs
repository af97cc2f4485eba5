//! Two edges and a shield in front of an origin with live playlists, for the tests of live streams.

use std::time::Duration;

use tidegate_tests::{Origin, Response, Running, edge, origin, shield, until, viewer};

pub(crate) const PLAYLIST: &str = "/live/ch1/ts/360p/index.m3u8";
pub(crate) const FOLDER: &str = "/live/ch1/ts/360p";
pub(crate) const PUSHED: &str = "/ingest/ch1/index.m3u8";
/// The target duration of the stub's live stream.
pub(crate) const TARGET: Duration = Duration::from_secs(2);

/// Two edges, a shield and an origin.
pub(crate) struct Cluster {
    pub(crate) origin: Origin,
    pub(crate) shield: Running,
    pub(crate) edges: [Running; 2],
}

impl Cluster {
    /// Two edges in front of an origin that cannot block requests and whose clock stands still.
    pub(crate) async fn standing_still() -> Self {
        let origin = origin().run().await;
        origin.stop_clock();
        let shield = shield().origin(&origin).run().await;
        let edges = [edge().shield(&shield).run().await, edge().named("edge-2").shield(&shield).run().await];
        Self { origin, shield, edges }
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        viewer(self.edges[0].addr()).get(path).await
    }

    /// Waits until the first edge has a version that begins with this segment.
    pub(crate) async fn reaches(&self, playlist: &str, first: u64) {
        until("the edge has the version", async || sequence(&self.get(playlist).await) == first).await;
    }
}

/// A playlist with these segments; `end` is its last line.
pub(crate) fn playlist(target: u64, numbers: std::ops::Range<u64>, end: &str) -> String {
    let head = format!(
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:{target}\n#EXT-X-MEDIA-SEQUENCE:{}\n",
        numbers.start
    );
    numbers.fold(head, |list, number| list + &format!("#EXTINF:{target}.0,\n{number}.ts\n")) + end
}

/// Pushes a playlist to the origin, as an encoder does.
pub(crate) async fn push(origin: &Origin, playlist: &str) {
    put(origin, PUSHED, playlist.as_bytes()).await;
}

pub(crate) async fn put(origin: &Origin, path: &str, body: &[u8]) {
    let put = viewer(origin.addr()).body(body).ask("PUT", path).await;
    assert!(put.status < 300, "{}", put.text());
    origin.forget();
}

pub(crate) fn sequence(playlist: &Response) -> u64 {
    let text = playlist.text();
    let number = text.lines().find_map(|line| line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:"));
    number.expect(&text).parse().unwrap()
}

pub(crate) fn segments(playlist: &Response) -> u64 {
    playlist.text().lines().filter(|line| line.starts_with("#EXTINF:")).count() as u64
}
