//! A small HLS player: multivariant playlist, media playlist every target duration, each new segment once.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::time::Instant;

/// The results of one player.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    pub(crate) segments: usize,
    pub(crate) errors: Vec<String>,
}

/// Plays one rendition for a while; `rendition` is an index into those of the multivariant playlist.
pub(crate) async fn watch(url: String, rendition: usize, period: Duration) -> Watched {
    let viewer = Viewer::new();
    let end = Instant::now() + period;
    let mut watched = Watched::default();
    if let Err(error) = viewer.play(&url, rendition, end, &mut watched).await {
        watched.errors.push(error);
    }
    watched
}

/// The text of the response, or an error message.
pub(crate) async fn text(url: &str) -> Result<String, String> {
    Viewer::new().text(url).await
}

/// The HTTP client of a player, with its connections.
#[derive(Debug)]
pub(crate) struct Viewer {
    client: Client<HttpConnector, Empty<Bytes>>,
}

impl Viewer {
    pub(crate) fn new() -> Self {
        Self { client: Client::builder(TokioExecutor::new()).build_http() }
    }

    async fn play(
        &self,
        url: &str,
        rendition: usize,
        end: Instant,
        watched: &mut Watched,
    ) -> Result<(), String> {
        let media = self.media_playlist(url, rendition).await?;
        let mut seen = BTreeSet::new();
        while Instant::now() < end {
            let started = Instant::now();
            let playlist = self.text(&media).await?;
            let fresh: Vec<_> = lines(&playlist).filter(|line| !seen.contains(line)).collect();
            // A player that joins fetches the last three segments, as real ones do.
            let wanted = if seen.is_empty() { fresh.len().saturating_sub(3) } else { 0 };
            for segment in &fresh[wanted..] {
                let body = self.body(&resolve(&media, segment)).await?;
                if body.is_empty() {
                    return Err(format!("{segment} is empty"));
                }
                watched.segments += 1;
            }
            seen.extend(fresh);
            tokio::time::sleep_until((started + target_duration(&playlist)).min(end)).await;
        }
        Ok(())
    }

    pub(crate) async fn media_playlist(&self, url: &str, rendition: usize) -> Result<String, String> {
        let playlist = self.text(url).await?;
        if !playlist.contains("#EXT-X-STREAM-INF") {
            return Ok(url.to_owned());
        }
        let renditions: Vec<_> = lines(&playlist).collect();
        let chosen = renditions.get(rendition % renditions.len().max(1)).ok_or("no rendition is listed")?;
        Ok(resolve(url, chosen))
    }

    pub(crate) async fn text(&self, url: &str) -> Result<String, String> {
        String::from_utf8(self.body(url).await?.to_vec()).map_err(|error| format!("{url}: {error}"))
    }

    pub(crate) async fn body(&self, url: &str) -> Result<Bytes, String> {
        let complain = |error: &dyn std::error::Error| format!("{url}: {error}");
        let address = url.parse().map_err(|error: http::uri::InvalidUri| complain(&error))?;
        let response = self.client.get(address).await.map_err(|error| complain(&error))?;
        if response.status() != StatusCode::OK {
            return Err(format!("{url}: {}", response.status()));
        }
        Ok(response.into_body().collect().await.map_err(|error| complain(&error))?.to_bytes())
    }
}

fn lines(playlist: &str) -> impl Iterator<Item = String> {
    playlist
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
}

fn target_duration(playlist: &str) -> Duration {
    let tag = playlist.lines().find_map(|line| line.strip_prefix("#EXT-X-TARGETDURATION:"));
    Duration::from_secs(tag.and_then(|seconds| seconds.trim().parse().ok()).unwrap_or(2))
}

/// A playlist's references are relative to it, or to its host.
pub(crate) fn resolve(base: &str, reference: &str) -> String {
    if reference.contains("://") {
        return reference.to_owned();
    }
    let (scheme, rest) = base.split_once("://").expect("an absolute address");
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    match reference.strip_prefix('/') {
        Some(absolute) => format!("{scheme}://{host}/{absolute}"),
        None => format!(
            "{scheme}://{host}/{}{reference}",
            path.rsplit_once('/').map_or_else(String::new, |(folder, _)| format!("{folder}/"))
        ),
    }
}

#[test]
fn references_are_resolved_against_their_playlist() {
    let base = "http://h:1/live/v0/a.m3u8";
    assert_eq!(resolve(base, "s1.ts"), "http://h:1/live/v0/s1.ts");
    assert_eq!(resolve(base, "/x/s1.ts"), "http://h:1/x/s1.ts");
    assert_eq!(resolve("http://h:1/a.m3u8", "v0/b.m3u8"), "http://h:1/v0/b.m3u8");
    assert_eq!(resolve(base, "http://o/s1.ts"), "http://o/s1.ts");
}
