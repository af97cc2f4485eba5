//! A small low-latency player: it requests each version of a playlist before it exists (blocking reload, HLS
//! section 6.2.5.2), the hinted part at the same time, and fetches each part once.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::player::{Viewer, resolve};

/// The results of one player.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    pub(crate) parts: usize,
    pub(crate) errors: Vec<String>,
}

/// The form in which a player requests its playlists.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Updates {
    Full,
    /// Without what the player has already (HLS section 6.2.5.1).
    Delta,
}

/// No response takes longer: a blocked request times out after three target durations, which is six seconds.
const RESPONSE_WITHIN: Duration = Duration::from_secs(15);

/// Plays one rendition for a while; `rendition` is an index into those of the multivariant playlist.
pub(crate) async fn watch(url: String, rendition: usize, updates: Updates, period: Duration) -> Watched {
    let viewer = Viewer::new();
    let end = Instant::now() + period;
    let mut watched = Watched::default();
    if let Err(error) = play(&viewer, &url, rendition, updates, end, &mut watched).await {
        watched.errors.push(error);
    }
    watched
}

async fn play(
    viewer: &Viewer,
    url: &str,
    rendition: usize,
    updates: Updates,
    end: Instant,
    watched: &mut Watched,
) -> Result<(), String> {
    let media = viewer.media_playlist(url, rendition).await?;
    let mut playlist = in_time(viewer.text(&media)).await?;
    // A player that joins begins with the next part.
    let mut taken: BTreeSet<String> = parts(&playlist).into_iter().collect();
    while Instant::now() < end {
        let wanted = Position::after(&playlist);
        let skip = match updates {
            Updates::Full => "",
            Updates::Delta => "&_HLS_skip=YES",
        };
        let reload = format!("{media}?_HLS_msn={}&_HLS_part={}{skip}", wanted.segment, wanted.part);
        let hint = hinted(&playlist).filter(|hint| !taken.contains(hint));
        let take_hint = async || match &hint {
            Some(hint) => take(viewer, &media, hint).await.map(|()| 1),
            None => Ok(0),
        };
        let (next, hints) = tokio::join!(in_time(viewer.text(&reload)), take_hint());
        let next = next?;
        watched.parts += hints?;
        taken.extend(hint);
        if Position::after(&next) <= wanted {
            return Err(format!("{reload} was answered without anything new:\n{next}"));
        }
        for part in parts(&next) {
            if taken.insert(part.clone()) {
                take(viewer, &media, &part).await?;
                watched.parts += 1;
            }
        }
        playlist = next;
    }
    Ok(())
}

async fn take(viewer: &Viewer, media: &str, part: &str) -> Result<(), String> {
    let body = in_time(viewer.body(&resolve(media, part))).await?;
    if body.is_empty() { Err(format!("{part} is empty")) } else { Ok(()) }
}

async fn in_time<T>(response: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    timeout(RESPONSE_WITHIN, response).await.unwrap_or_else(|late| Err(format!("no response: {late}")))
}

/// A part's position in its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Position {
    segment: u64,
    part: usize,
}

impl Position {
    /// The position of the part after the last listed one.
    fn after(playlist: &str) -> Self {
        let first = tag(playlist, "#EXT-X-MEDIA-SEQUENCE:").and_then(|text| text.parse().ok()).unwrap_or(0);
        let skipped = tag(playlist, "#EXT-X-SKIP:").and_then(|text| attribute(text, "SKIPPED-SEGMENTS="));
        let skipped = skipped.and_then(|text| text.parse().ok()).unwrap_or(0);
        let listed = playlist.matches("#EXTINF:").count() as u64;
        let newest = playlist.rsplit("#EXTINF:").next().unwrap_or_default();
        Self { segment: first + skipped + listed, part: parts(newest).len() }
    }
}

fn parts(playlist: &str) -> Vec<String> {
    let parts = playlist.lines().filter_map(|line| line.strip_prefix("#EXT-X-PART:"));
    parts.filter_map(|part| attribute(part, "URI=")).map(str::to_owned).collect()
}

fn hinted(playlist: &str) -> Option<String> {
    let hints = playlist.lines().filter_map(|line| line.strip_prefix("#EXT-X-PRELOAD-HINT:TYPE=PART,"));
    hints.filter_map(|hint| attribute(hint, "URI=")).map(str::to_owned).next()
}

fn tag<'a>(playlist: &'a str, name: &str) -> Option<&'a str> {
    playlist.lines().find_map(|line| line.strip_prefix(name))
}

/// The value of the attribute `name`, which includes the equals sign; none of these values contains a comma.
fn attribute<'a>(list: &'a str, name: &str) -> Option<&'a str> {
    list.split(',').find_map(|attribute| attribute.strip_prefix(name)).map(|value| value.trim_matches('"'))
}

#[test]
fn the_next_part_follows_those_that_are_listed_or_skipped() {
    let playlist = "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n\
                    #EXT-X-PART:DURATION=1,URI=\"10.0.m4s\"\n#EXTINF:2,\n10.m4s\n\
                    #EXT-X-PART:DURATION=1,URI=\"11.0.m4s\"\n\
                    #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"11.1.m4s\"\n";
    assert_eq!(Position::after(playlist), Position { segment: 11, part: 1 });
    assert_eq!(parts(playlist), ["10.0.m4s", "11.0.m4s"]);
    assert_eq!(hinted(playlist).as_deref(), Some("11.1.m4s"));
}
