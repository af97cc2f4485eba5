//! Streams that begin anew: told on in the numbers that viewers know.
//!
//! Of a run (`tidegate_hls::Run`) each tier knows what it has seen itself. A tier that has not seen it begin, because it
//! was started later or was not asked before, has the origin's own numbers; whoever asks it knows better, and finds the
//! run again by the marks in what was given out last, or in what other renditions give out.

use std::sync::Arc;

use bytes::Bytes;
use tidegate_cache::Head;
use tidegate_hls::{Media, Playlist, Restart, Run, Step};

use super::Stream;
use crate::conditional;
use crate::request::Request;
use crate::site::config::Restarts;
use crate::tier::Tier;

/// A version of a media playlist as it is given out.
#[derive(Debug)]
pub(crate) struct Version {
    pub(crate) media: Media,
    pub(crate) body: Bytes,
    /// The run that it belongs to; `None` if it goes out as it came.
    pub(crate) run: Option<Arc<Run>>,
    /// The run begins with it.
    pub(crate) begins: bool,
}

impl Version {
    /// The head that it is given out with.
    pub(crate) fn head(&self, head: Head) -> Head {
        match self.run {
            Some(_) => Head { headers: conditional::altered(&head.headers), ..head },
            None => head,
        }
    }
}

/// Makes of a version what is given out of it. `published` is what was given out last, if it is held.
pub(crate) fn version(
    tier: &Tier,
    request: &Request,
    stream: &Stream,
    raw: &Media,
    body: &Bytes,
    published: impl FnOnce() -> Option<Bytes>,
) -> Version {
    let written = |run: Arc<Run>, begins| in_run(request, raw, body, run, begins);
    let as_it_came = || Version { media: raw.clone(), body: body.clone(), run: None, begins: false };
    if request.site.restarts == Restarts::Pass {
        return as_it_came();
    }
    let Some(known) = stream.media() else {
        let run = of_siblings(tier, request, raw);
        return run.and_then(|run| written(Arc::new(run), false)).unwrap_or_else(as_it_came);
    };
    let numbered = |run: &Run| {
        let media = run.numbered(raw);
        (connects(&known, &media), stream.is_moved_by(&media), media)
    };
    let own = stream.run();
    let mut judged = None;
    if let Some(run) = &own {
        let (connects_so, fits, media) = numbered(run);
        // Whoever was asked may know the run as well, and number it itself.
        if connects_so || !connects(&known, raw) {
            if fits && let Some(version) = written(Arc::clone(run), false) {
                return version;
            }
            judged = Some(media);
        }
    }
    if let Some(run) = Run::found(&known, raw) {
        let (connects, fits, _) = numbered(&run);
        if connects
            && fits
            && let Some(version) = written(Arc::new(run), false)
        {
            return version;
        }
    }
    if stream.begins_anew(judged.as_ref().unwrap_or(raw)) == Some(Restart::SequenceReset) {
        let run = Run::after(&published().unwrap_or_default(), &known, raw);
        if let Some(version) = written(Arc::new(run), true) {
            return version;
        }
    }
    let own = own.filter(|_| judged.is_some());
    own.and_then(|run| written(run, false)).unwrap_or_else(as_it_came)
}

/// `None` if what was written cannot be read, which would be a fault of ours: then it goes out as it came.
fn in_run(request: &Request, raw: &Media, body: &Bytes, run: Arc<Run>, begins: bool) -> Option<Version> {
    let is_ours = |uri: &str| request.resource.resolve(uri, &request.site.query).is_some();
    let body = Bytes::from(run.write(body, raw, is_ours));
    match Playlist::parse(&body) {
        Ok(Playlist::Media(media)) => Some(Version { media, body, run: Some(run), begins }),
        Ok(Playlist::Multivariant(_)) | Err(_) => None,
    }
}

/// The run of the other renditions, if they are about as far as this would be in it.
fn of_siblings(tier: &Tier, request: &Request, raw: &Media) -> Option<Run> {
    let siblings = tier.streams().renditions.of(&request.key)?;
    siblings.iter().filter_map(|sibling| tier.streams().of(sibling)?.media()).find_map(|sibling| {
        let run = Run::found(&sibling, raw)?;
        let next = raw.next_sequence().saturating_add(run.added());
        (next.abs_diff(sibling.next_sequence()) <= APART_MAX).then_some(run)
    })
}

/// Renditions of one stream are made together; so many segments may lie between the moments when they were asked for.
const APART_MAX: u64 = 3;

/// Does a list go on where another one ends, or lie within it?
const fn connects(known: &Media, media: &Media) -> bool {
    media.media_sequence <= known.next_sequence() && media.next_sequence() >= known.media_sequence
}

impl Stream {
    /// The run that what is given out belongs to, as far as this tier makes it.
    pub(super) fn run(&self) -> Option<Arc<Run>> {
        self.run.lock().clone()
    }

    /// What is added to the numbers of whoever is asked.
    pub(super) fn added(&self) -> u64 {
        self.run.lock().as_ref().map_or(0, |run| run.added())
    }

    /// What is given out belongs to this run from now on.
    pub(crate) fn is_in(&self, run: Option<Arc<Run>>) {
        self.timeline.lock().counts_from(run.as_ref().map_or(0, |run| run.added()));
        *self.run.lock() = run;
    }

    fn is_moved_by(&self, media: &Media) -> bool {
        let step = self.timeline.lock().judge(media, self.now());
        matches!(step, Step::Forward | Step::Unchanged | Step::Ended)
    }

    fn begins_anew(&self, media: &Media) -> Option<Restart> {
        self.timeline.lock().begins_anew(media, self.now())
    }
}
