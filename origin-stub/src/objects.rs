//! From a path to an object: the stub's routes for reading.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;

use crate::answer::{Content, Object, Refusal, etag};
use crate::config::Config;
use crate::faults::effects::Effects;
use crate::media::{Packing, Rendition, Track};
use crate::playlist;
use crate::stream::{Kind, View, Window};
use crate::synthetic::synthetic_bytes;

/// A stream's file, as its path names it.
#[derive(Debug)]
pub(crate) struct File {
    kind: Kind,
    packing: Packing,
    what: What,
}

#[derive(Debug)]
enum What {
    Multivariant,
    Playlist(&'static Rendition),
    Init(&'static Rendition),
    Segment(&'static Rendition, u64),
}

/// When the committed media were made: Last-Modified of objects without a time of their own.
pub(crate) const MADE: Duration = Duration::from_secs(1_750_000_000);

impl File {
    /// Parses `/live/{name}/ts/{rendition}/{file}` and its like.
    pub(crate) fn parse(kind: Kind, path: &str) -> Result<Self, Refusal> {
        let parts: Vec<&str> = path.split('/').collect();
        let (name, packing, rest) = match parts.as_slice() {
            [name, packing, rest @ ..] => (*name, *packing, rest),
            _ => return Err(missing("a stream's path is /{live|event|vod}/{name}/{ts|cmaf}/index.m3u8")),
        };
        if !is_name(name) {
            return Err(missing("a stream's name has 1 to 32 letters of a-z, 0-9 and -"));
        }
        let packing = match packing {
            "ts" => Packing::Ts,
            "cmaf" => Packing::Cmaf,
            _ => return Err(missing("there are streams as ts and as cmaf")),
        };
        let what = match rest {
            ["index.m3u8"] => What::Multivariant,
            [rendition, file] => {
                let rendition =
                    packing.rendition(rendition).ok_or_else(|| missing("there is no such rendition"))?;
                What::parse(rendition, file).ok_or_else(|| missing("a rendition has no such file"))?
            }
            _ => return Err(missing("a stream has no such file")),
        };
        Ok(Self { kind, packing, what })
    }

    /// The object as it is now.
    pub(crate) fn object(&self, config: &Config, view: &View, effects: &Effects) -> Result<Object, Refusal> {
        let window = Window::at(self.kind, view, config);
        let immutable = config.live.segment_cache_control.clone();
        let (content, content_type, made, cache_control) = match self.what {
            What::Multivariant => (playlist::multivariant(self.packing).into(), PLAYLIST, MADE, immutable),
            What::Playlist(rendition) => {
                let text = playlist::media(self.kind, rendition, &window, view.skew_ms);
                let moved = window.complete(window.end - 1).unwrap_or(MADE);
                let lifetime =
                    if window.ended { immutable } else { config.live.playlist_cache_control.clone() };
                (text.into(), PLAYLIST, moved, lifetime)
            }
            What::Init(rendition) => {
                let init = rendition.init(view.epoch.number).unwrap_or_default();
                (init, content_type(rendition), MADE, immutable)
            }
            What::Segment(rendition, number) => {
                exists(&window, number)?;
                let made = window.complete(number).unwrap_or(MADE);
                (rendition.segment(window.media(number)), content_type(rendition), made, immutable)
            }
        };
        Ok(object(content, content_type, cache_control, made, effects))
    }
}

impl What {
    fn parse(rendition: &'static Rendition, file: &str) -> Option<Self> {
        match (file, rendition.packing) {
            ("index.m3u8", _) => Some(Self::Playlist(rendition)),
            ("init.mp4", Packing::Cmaf) => Some(Self::Init(rendition)),
            _ => {
                let (number, extension) = file.split_once('.')?;
                let number = self::number(number)?;
                (extension == rendition.packing.extension()).then_some(Self::Segment(rendition, number))
            }
        }
    }
}

/// An object of a stream. A fault turns playlists into noise.
pub(crate) fn object(
    content: Bytes,
    content_type: &str,
    cache_control: String,
    made: Duration,
    effects: &Effects,
) -> Object {
    let content = if effects.garbage && content_type == PLAYLIST {
        synthetic_bytes("garbage", 0..content.len() as u64)
    } else {
        content
    };
    Object {
        etag: Some(etag(&content)),
        content: Content::Whole(content),
        content_type: content_type.to_owned(),
        cache_control,
        last_modified: Some(made),
    }
}

/// A number in the one spelling that playlists use.
pub(crate) fn number(text: &str) -> Option<u64> {
    let canonical = text == "0" || !text.starts_with(['0', '+']);
    text.parse().ok().filter(|_| canonical)
}

/// `/bytes/{size}[/{anything}]`: an object that is a pure function of its path.
#[derive(Debug)]
pub(crate) struct SyntheticObject {
    size: u64,
    path: Arc<str>,
}

impl SyntheticObject {
    /// Parses the path, of which `rest` is the part after `/bytes/`.
    pub(crate) fn parse(path: &str, rest: &str, config: &Config) -> Result<Self, Refusal> {
        let (size, _) = rest.split_once('/').unwrap_or((rest, ""));
        let size = size.parse().map_err(|_not_a_number| {
            Refusal::new(StatusCode::BAD_REQUEST, "a synthetic object's path is /bytes/{size}[/{anything}]")
        })?;
        let max = config.bytes.object_bytes_max;
        if size > max {
            return Err(Refusal::new(
                StatusCode::BAD_REQUEST,
                format!("{size} bytes are too many: at most {max}"),
            ));
        }
        Ok(Self { size, path: Arc::from(path) })
    }

    pub(crate) fn object(self, config: &Config, variant: u64) -> Object {
        let name = format!("{} {variant} {}", self.path, self.size);
        Object {
            content: Content::Synthetic { path: self.path, variant, size: self.size },
            content_type: "application/octet-stream".to_owned(),
            cache_control: config.bytes.cache_control.clone(),
            etag: Some(etag(name.as_bytes())),
            last_modified: Some(MADE),
        }
    }
}

/// The content type by the extension of a file.
pub(crate) fn type_by_name(path: &str) -> Option<&'static str> {
    let (_, extension) = path.rsplit_once('.')?;
    Some(match extension {
        "m3u8" => PLAYLIST,
        "ts" => "video/mp2t",
        "m4s" | "mp4" | "m4v" => "video/mp4",
        "m4a" => "audio/mp4",
        "aac" => "audio/aac",
        "vtt" => "text/vtt",
        _ => return None,
    })
}

pub(crate) const PLAYLIST: &str = "application/vnd.apple.mpegurl";

pub(crate) fn content_type(rendition: &Rendition) -> &'static str {
    match (rendition.packing, rendition.track) {
        (Packing::Ts, _) => "video/mp2t",
        (Packing::Cmaf, Track::Picture(..)) => "video/mp4",
        (Packing::Cmaf, Track::Sound) => "audio/mp4",
    }
}

pub(crate) fn exists(window: &Window, number: u64) -> Result<(), Refusal> {
    let (oldest, end) = (window.oldest, window.end);
    if number < oldest {
        return Err(missing(&format!("segment {number} has expired: {oldest} to {} exist", end - 1)));
    }
    if number >= end {
        return Err(missing(&format!("segment {number} does not exist yet: {oldest} to {} exist", end - 1)));
    }
    Ok(())
}

pub(crate) fn is_name(name: &str) -> bool {
    let valid = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=32).contains(&name.len()) && name.bytes().all(valid)
}

pub(crate) fn missing(why: &str) -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::Epoch;

    fn object(kind: Kind, path: &str, now: u64) -> Result<Object, StatusCode> {
        let now = Duration::from_secs(now);
        let view = View { now, started: now, epoch: Epoch::default(), skew_ms: 0 };
        let file = File::parse(kind, path).map_err(|refusal| refusal.status)?;
        file.object(&Config::default(), &view, &Effects::default()).map_err(|refusal| refusal.status)
    }

    #[test]
    fn only_what_exists_is_found() {
        for (path, found) in [
            ("ch1/ts/index.m3u8", true),
            ("ch1/ts/240p/index.m3u8", true),
            ("ch1/ts/240p/499.ts", true),
            ("ch1/ts/240p/500.ts", false),
            ("ch1/ts/240p/482.ts", true),
            ("ch1/ts/240p/481.ts", false),
            ("ch1/ts/240p/0499.ts", false),
            ("ch1/ts/240p/499.m4s", false),
            ("ch1/ts/240p/init.mp4", false),
            ("ch1/ts/audio/index.m3u8", false),
            ("ch1/cmaf/audio/init.mp4", true),
            ("ch1/cmaf/audio/499.m4s", true),
            ("Ch1/ts/index.m3u8", false),
            ("/ts/index.m3u8", false),
            ("ch1/ts", false),
            ("ch1/ts/240p/index.m3u8/", false),
        ] {
            assert_eq!(object(Kind::Live, path, 1000).is_ok(), found, "{path}");
        }
    }

    #[test]
    fn every_listed_file_exists() {
        for kind in [Kind::Live, Kind::Event, Kind::Vod] {
            for packing in ["ts", "cmaf"] {
                let master = object(kind, &format!("ch/{packing}/index.m3u8"), 1000).unwrap();
                for rendition in uris(&master) {
                    let playlist = object(kind, &format!("ch/{packing}/{rendition}"), 1000).unwrap();
                    let (folder, _) = rendition.split_once('/').unwrap();
                    let files = uris(&playlist);
                    assert!(files.len() >= 6, "{files:?}");
                    for file in files {
                        object(kind, &format!("ch/{packing}/{folder}/{file}"), 1000).unwrap();
                    }
                }
            }
        }
    }

    fn uris(playlist: &Object) -> Vec<String> {
        let bytes = playlist.content.slice(0..playlist.content.len());
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let quoted = text.split("URI=\"").skip(1).filter_map(|tail| tail.split_once('"')).map(|(uri, _)| uri);
        text.lines().filter(|line| !line.starts_with('#')).chain(quoted).map(str::to_owned).collect()
    }

    #[test]
    fn a_segment_keeps_its_validators_over_time() {
        let early = object(Kind::Live, "ch1/ts/240p/499.ts", 1000).unwrap();
        let late = object(Kind::Live, "ch1/ts/240p/499.ts", 1030).unwrap();
        assert_eq!((early.etag, early.last_modified), (late.etag, late.last_modified));
    }
}
