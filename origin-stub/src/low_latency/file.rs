//! The files of a low-latency stream: what a path means, what must exist before the response, and the
//! response.

use http::StatusCode;

use super::directives::{Directives, Extent};
use super::growth::{Growth, Parts};
use super::watch::Watch;
use super::{Cut, Flavour, Position, Progress};
use crate::answer::{Content, Object, Refusal};
use crate::config::Config;
use crate::faults::effects::Effects;
use crate::media::{Packing, Rendition};
use crate::objects::{self, MADE, PLAYLIST, content_type, exists, missing, number};
use crate::playlist;
use crate::playlist::low_latency::{Report, Sheet};
use crate::stream::View;

/// A stream's file, as its path names it.
#[derive(Debug)]
pub(crate) struct File {
    name: String,
    flavour: Flavour,
    what: What,
}

#[derive(Debug)]
enum What {
    Multivariant,
    Playlist(&'static Rendition),
    Init(&'static Rendition),
    Segment(&'static Rendition, u64),
    Part(&'static Rendition, Position),
}

/// The inputs of a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look<'a> {
    pub(crate) config: &'a Config,
    pub(crate) progress: &'a Progress,
    pub(crate) view: &'a View,
    pub(crate) effects: &'a Effects,
    pub(crate) reports: &'a [Report],
}

impl File {
    /// Parses the path after `/ll/`: `{name}/{flavour}/{rendition}/{file}` and its like.
    pub(crate) fn parse(path: &str) -> Result<Self, Refusal> {
        let parts: Vec<&str> = path.split('/').collect();
        let [name, flavour, rest @ ..] = parts.as_slice() else {
            return Err(missing("a low-latency stream's path is /ll/{name}/{flavour}/index.m3u8"));
        };
        if !objects::is_name(name) {
            return Err(missing("a stream's name has 1 to 32 letters of a-z, 0-9 and -"));
        }
        let found = Flavour::ALL.into_iter().find(|found| found.as_str() == *flavour);
        let flavour = found.ok_or_else(|| {
            missing("low-latency streams come as cmaf, as cmaf-ranges and as cmaf-unblocked")
        })?;
        let what = match rest {
            ["index.m3u8"] => What::Multivariant,
            [rendition, file] => {
                let rendition = Packing::Cmaf
                    .rendition(rendition)
                    .ok_or_else(|| missing("there is no such rendition"))?;
                What::parse(flavour, rendition, file)
                    .ok_or_else(|| missing("a rendition has no such file"))?
            }
            _ => return Err(missing("a stream has no such file")),
        };
        Ok(Self { name: (*name).to_owned(), flavour, what })
    }

    /// The cut of this stream.
    pub(crate) fn cut(&self, config: &Config) -> Cut {
        Cut::of(&self.name, config)
    }

    /// The directives in the query. Only playlists have directives, and only where requests can be blocked.
    pub(crate) fn directives(&self, query: &str) -> Result<Directives, Refusal> {
        match self.what {
            What::Playlist(_) if self.flavour.can_block() => Directives::parse(query),
            _ => Ok(Directives::default()),
        }
    }

    /// The part that must exist before the file can be sent from `first_byte` on. Refuses one that is not
    /// announced.
    pub(crate) fn needs(
        &self,
        progress: &Progress,
        directives: &Directives,
        first_byte: u64,
    ) -> Result<Option<Position>, Refusal> {
        match self.what {
            What::Playlist(_) => directives.wanted(progress),
            What::Part(_, position) => {
                // The next part is hinted, and may be requested before it exists (HLS section 6.2.6).
                let is_hinted = self.flavour.can_block() && position == progress.next();
                if position.part >= progress.cut.per_segment {
                    return Err(missing("a segment has no such part"));
                }
                if position > progress.last() && !is_hinted {
                    return Err(missing("this part does not exist yet"));
                }
                Ok(Some(position))
            }
            What::Segment(rendition, segment) if self.grows(progress, segment) => {
                let part = parts(rendition, progress, segment).of_byte(first_byte);
                let hinted = part.filter(|part| *part <= progress.next().part);
                let unknown =
                    || Refusal::new(StatusCode::RANGE_NOT_SATISFIABLE, "these bytes are not hinted");
                hinted.map(|part| Some(Position { segment, part })).ok_or_else(unknown)
            }
            _ => Ok(None),
        }
    }

    /// The growing segment, where it can be requested before it is complete.
    pub(crate) fn growing(&self, look: &Look<'_>, watch: Watch) -> Option<Object> {
        let What::Segment(rendition, segment) = self.what else { return None };
        let Look { progress, config, .. } = *look;
        if !self.grows(progress, segment) {
            return None;
        }
        let bytes = rendition.segment_in_parts(progress.window.media(segment), progress.cut.per_segment);
        let growth = Growth { watch, segment, parts: parts(rendition, progress, segment) };
        Some(Object {
            content: Content::Growing { bytes, growth: Box::new(growth) },
            content_type: content_type(rendition).to_owned(),
            cache_control: config.live.segment_cache_control.clone(),
            // Bytes that do not exist yet have no validator.
            etag: None,
            last_modified: None,
        })
    }

    /// The object as it is now.
    pub(crate) fn object(&self, look: &Look<'_>, extent: Extent) -> Result<Object, Refusal> {
        let Look { config, progress, view, effects, reports } = *look;
        let (window, cut) = (&progress.window, progress.cut);
        let lifetime = &config.live.segment_cache_control;
        let (content, content_type, made, cache_control) = match self.what {
            What::Multivariant => {
                (playlist::multivariant(Packing::Cmaf).into(), PLAYLIST, Some(MADE), lifetime)
            }
            What::Playlist(rendition) => {
                let sheet =
                    Sheet { rendition, progress, flavour: self.flavour, reports, skew_ms: view.skew_ms };
                let moved = progress.complete(progress.last());
                (sheet.text(extent).into(), PLAYLIST, moved, &config.live.playlist_cache_control)
            }
            What::Init(rendition) => {
                let init = rendition.init(view.epoch.number).unwrap_or_default();
                (init, content_type(rendition), Some(MADE), lifetime)
            }
            What::Segment(rendition, number) => {
                exists(window, number)?;
                let segment = rendition.segment_in_parts(window.media(number), cut.per_segment);
                (segment, content_type(rendition), window.complete(number), lifetime)
            }
            What::Part(rendition, position) => {
                let Position { segment, part } = position;
                if segment < window.oldest {
                    return Err(missing("this part has expired"));
                }
                let content = rendition.part(window.media(segment), part, cut.per_segment);
                let content = content.ok_or_else(|| {
                    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the committed media cannot be cut")
                })?;
                (content, content_type(rendition), progress.complete(position), lifetime)
            }
        };
        let made = made.unwrap_or(MADE);
        Ok(objects::object(content, content_type, cache_control.clone(), made, effects))
    }

    /// The other renditions' names and playlists, for the reports in a playlist.
    pub(crate) fn others(&self) -> Vec<(&'static str, String)> {
        let What::Playlist(own) = self.what else { return Vec::new() };
        let others = Packing::Cmaf.renditions().filter(|other| other.name != own.name);
        let path = |other: &str| format!("/ll/{}/{}/{other}/index.m3u8", self.name, self.flavour.as_str());
        others.map(|other| (other.name, path(other.name))).collect()
    }

    fn grows(&self, progress: &Progress, segment: u64) -> bool {
        self.flavour == Flavour::Ranges && segment == progress.window.end
    }
}

fn parts(rendition: &Rendition, progress: &Progress, segment: u64) -> Parts {
    let parts = rendition.parts(progress.window.media(segment), progress.cut.per_segment);
    let ends = parts.iter().scan(0, |end, part| {
        *end += part.bytes;
        Some(*end)
    });
    Parts(ends.collect())
}

impl What {
    fn parse(flavour: Flavour, rendition: &'static Rendition, file: &str) -> Option<Self> {
        match file {
            "index.m3u8" => return Some(Self::Playlist(rendition)),
            "init.mp4" => return Some(Self::Init(rendition)),
            _ => {}
        }
        let stem = file.strip_suffix(".m4s")?;
        match stem.split_once('.') {
            None => Some(Self::Segment(rendition, number(stem)?)),
            Some(_) if flavour == Flavour::Ranges => None,
            Some((segment, part)) => {
                let position = Position { segment: number(segment)?, part: number(part)? };
                Some(Self::Part(rendition, position))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::progress;
    use super::*;

    /// Whether a file exists or is awaited, or the error status.
    fn state(path: &str, query: &str) -> Result<&'static str, u16> {
        let progress = progress(1_000_700);
        let look = || {
            let file = File::parse(path)?;
            let needed = file.needs(&progress, &file.directives(query)?, 0)?;
            Ok(if needed > Some(progress.last()) { "wait" } else { "there" })
        };
        look().map_err(|refusal: Refusal| refusal.status.as_u16())
    }

    #[test]
    fn the_hinted_part_is_awaited_and_later_ones_are_unknown() {
        for (path, expected) in [
            ("ch1/cmaf/240p/499.5.m4s", Ok("there")),
            ("ch1/cmaf/240p/499.6.m4s", Err(404)),
            ("ch1/cmaf/240p/500.1.m4s", Ok("there")),
            ("ch1/cmaf/240p/500.2.m4s", Ok("wait")),
            ("ch1/cmaf/240p/500.3.m4s", Err(404)),
            ("ch1/cmaf/240p/501.0.m4s", Err(404)),
            ("ch1/cmaf/240p/500.02.m4s", Err(404)),
            ("ch1/cmaf-unblocked/240p/500.1.m4s", Ok("there")),
            ("ch1/cmaf-unblocked/240p/500.2.m4s", Err(404)),
            ("ch1/cmaf-ranges/240p/499.m4s", Ok("there")),
            ("ch1/cmaf-ranges/240p/500.m4s", Ok("there")),
            ("ch1/cmaf-ranges/240p/500.1.m4s", Err(404)),
            ("ch1/ts/240p/500.1.m4s", Err(404)),
        ] {
            assert_eq!(state(path, ""), expected, "{path}");
        }
    }

    #[test]
    fn only_a_playlist_that_can_block_obeys_directives() {
        let query = "_HLS_msn=500&_HLS_part=2";
        assert_eq!(state("ch1/cmaf/240p/index.m3u8", query), Ok("wait"));
        assert_eq!(state("ch1/cmaf/240p/index.m3u8", "_HLS_part=2"), Err(400));
        assert_eq!(state("ch1/cmaf-unblocked/240p/index.m3u8", query), Ok("there"));
        assert_eq!(state("ch1/cmaf-unblocked/240p/index.m3u8", "_HLS_part=2"), Ok("there"));
        assert_eq!(state("ch1/cmaf/index.m3u8", "_HLS_part=2"), Ok("there"));
    }

    #[test]
    fn a_segment_is_its_parts() {
        let rendition = Packing::Cmaf.rendition("360p").unwrap();
        let parts: Vec<_> = (0..6).map(|part| rendition.part(499, part, 6).unwrap()).collect();
        assert_eq!(rendition.segment_in_parts(499, 6), parts.concat());
    }
}
