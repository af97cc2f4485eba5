//! The viewers of all sites and streams of an edge.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use parking_lot::{Mutex, RwLock};
use tidegate_access::ClientAddress;
use tidegate_cache::Key;
use tidegate_headers::cmcd::Cmcd;
use tidegate_upstream::folder_of;

use super::health::Health;
use super::identity::Identities;
use super::recent::Recent;
use super::sessions::Sessions;
use super::set::Viewers;
use crate::config;

/// The viewers of one edge.
#[derive(Debug)]
pub(crate) struct Audience {
    /// The number of the present step. The window has [`STEPS`] of them.
    step: AtomicU32,
    pub(super) step_len: Duration,
    /// Changes with the key of the numbers.
    generation: AtomicU64,
    identities: Identities,
    hasher: ahash::RandomState,
    pub(super) sites: RwLock<HashMap<Box<str>, Arc<Mutex<Viewers>>>>,
    /// By site and folder, as [`folder_of`] finds it in a key.
    pub(super) streams: RwLock<HashMap<Box<str>, Arc<Watched>>>,
    /// What sessions watch, if players post reports.
    sessions: Option<Sessions<Watched>>,
    /// Set while the sets together have no room for another viewer.
    is_full: AtomicBool,
    uncounted: AtomicU64,
}

/// A stream, and its viewers.
#[derive(Debug)]
pub(crate) struct Watched {
    /// Site and folder.
    pub(super) name: Box<str>,
    pub(super) viewers: Mutex<Viewers>,
    /// By the path of the playlist.
    pub(super) renditions: Mutex<HashMap<Box<str>, Viewers>>,
    pub(super) health: Mutex<Health>,
    idle_steps: AtomicU32,
}

/// What makes one viewer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Viewer<'a> {
    /// The session that the player names.
    pub(super) session: Option<&'a str>,
    pub(super) address: ClientAddress,
    pub(super) user_agent: &'a [u8],
}

impl Audience {
    pub(crate) fn new(config: &config::Audience, now: SystemTime) -> Self {
        Self {
            step: AtomicU32::new(1),
            step_len: (config.window.get() / STEPS).max(Duration::from_millis(1)),
            generation: AtomicU64::new(0),
            identities: Identities::new(now),
            hasher: ahash::RandomState::new(),
            sites: RwLock::default(),
            streams: RwLock::default(),
            sessions: config.reports_path.is_some().then(Sessions::new),
            is_full: AtomicBool::new(false),
            uncounted: AtomicU64::new(0),
        }
    }

    /// The number of the present step.
    pub(crate) fn step(&self) -> u32 {
        self.step.load(Ordering::Relaxed)
    }

    /// A number for the place of an object: requests in one place count for the same stream and rendition.
    pub(crate) fn place(&self, key: &Key, is_segment: bool) -> u64 {
        self.hasher.hash_one(if is_segment { folder_of(key.as_str()) } else { key.as_str() })
    }

    /// Requests that were not counted, because there was no room for another viewer.
    pub(crate) fn uncounted(&self) -> u64 {
        self.uncounted.load(Ordering::Relaxed)
    }

    /// A number for all that makes this viewer, to compare it with another request of the same connection.
    pub(super) fn fingerprint(&self, viewer: Viewer<'_>) -> u64 {
        let generation = self.generation.load(Ordering::Relaxed);
        match viewer.session {
            Some(session) => self.hasher.hash_one((generation, 0, session)),
            None => self.hasher.hash_one((generation, 1, viewer.address, viewer.user_agent)),
        }
    }

    /// The number of a viewer; `None` if the system has no random bytes for a key.
    pub(super) fn number(&self, recent: &Recent, fingerprint: u64, viewer: Viewer<'_>) -> Option<u64> {
        recent.viewer(fingerprint, || match viewer.session {
            Some(session) => self.identities.of_session(session),
            None => self.identities.of_client(viewer.address, viewer.user_agent),
        })
    }

    /// The stream in this folder, known from now on; `None` if too many are known.
    pub(super) fn stream(&self, folder: &str) -> Option<Arc<Watched>> {
        if let Some(known) = self.streams.read().get(folder) {
            return Some(Arc::clone(known));
        }
        let mut streams = self.streams.write();
        if streams.len() >= STREAMS_MAX && !streams.contains_key(folder) {
            self.uncounted.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        let stream = streams.entry(folder.into()).or_insert_with(|| Arc::new(Watched::new(folder)));
        Some(Arc::clone(stream))
    }

    /// The stream to which a segment in this folder belongs: one whose playlists are there or above.
    pub(super) fn stream_above(&self, folder: &str) -> Option<Arc<Watched>> {
        let streams = self.streams.read();
        let mut folder = folder;
        for _ in 0..LEVELS_MAX {
            if let Some(stream) = streams.get(folder) {
                return Some(Arc::clone(stream));
            }
            folder = folder.rsplit_once('/')?.0;
        }
        None
    }

    /// Counts a viewer of a stream, and of one of its renditions.
    pub(super) fn see(&self, stream: &Watched, rendition: Option<&str>, viewer: u64) {
        let (now, may_add) = (self.step(), !self.is_full.load(Ordering::Relaxed));
        let site = self.site(stream.site());
        let mut is_seen = site.lock().see(viewer, now, may_add);
        is_seen &= stream.viewers.lock().see(viewer, now, may_add);
        if let Some(rendition) = rendition {
            is_seen &= stream.see_rendition(rendition, viewer, now, may_add);
        }
        if !is_seen {
            self.uncounted.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Notes what a session watches.
    pub(super) fn note_session(&self, session: u64, stream: &Arc<Watched>) {
        if let Some(sessions) = &self.sessions {
            sessions.note(session, stream, self.step());
        }
    }

    /// Adds a report that a player has posted to the stream that its session watches, if that is known.
    pub(crate) fn add_posted(&self, cmcd: &Cmcd) {
        let session = cmcd.sid.as_deref().filter(|sid| !sid.is_empty());
        let sessions = self.sessions.as_ref().zip(session);
        let stream = sessions.and_then(|(sessions, sid)| sessions.stream(self.identities.of_session(sid)?));
        if let Some(stream) = stream {
            stream.report(cmcd);
        }
    }

    /// Ends a step: viewers that have left are forgotten, and so are streams without viewers for an hour.
    pub(crate) fn end_step(&self, wall: SystemTime) {
        let now = self.step() + 1;
        if self.identities.renew(wall) {
            self.generation.fetch_add(1, Ordering::Relaxed);
            self.each_set(|viewers| viewers.renumber(now));
            self.sessions.iter().for_each(Sessions::clear);
        }
        self.step.store(now, Ordering::Relaxed);
        let mut kept = 0;
        self.each_set(|viewers| {
            viewers.end_step(now);
            kept += viewers.len();
        });
        self.is_full.store(kept >= VIEWERS_MAX, Ordering::Relaxed);
        self.sessions.iter().for_each(|sessions| sessions.forget_after(SESSION_STEPS, now));
        let forget_after =
            u32::try_from(KEPT_FOR.as_millis() / self.step_len.as_millis()).unwrap_or(u32::MAX);
        self.streams.write().retain(|_, stream| stream.end_step() <= forget_after);
    }

    fn site(&self, name: &str) -> Arc<Mutex<Viewers>> {
        if let Some(known) = self.sites.read().get(name) {
            return Arc::clone(known);
        }
        let mut sites = self.sites.write();
        let new = || Arc::new(Mutex::new(Viewers::new(STREAM_CAPACITY, STEPS)));
        Arc::clone(sites.entry(name.into()).or_insert_with(new))
    }

    fn each_set(&self, mut visit: impl FnMut(&mut Viewers)) {
        for site in self.sites.read().values() {
            visit(&mut site.lock());
        }
        for stream in self.streams.read().values() {
            visit(&mut stream.viewers.lock());
            stream.renditions.lock().values_mut().for_each(&mut visit);
        }
    }
}

impl Watched {
    fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            viewers: Mutex::new(Viewers::new(STREAM_CAPACITY, STEPS)),
            renditions: Mutex::default(),
            health: Mutex::default(),
            idle_steps: AtomicU32::new(0),
        }
    }

    /// The name of its site.
    pub(super) fn site(&self) -> &str {
        self.name.split('\n').next().unwrap_or_default()
    }

    /// Its folder.
    pub(super) fn path(&self) -> &str {
        self.name.split('\n').nth(1).filter(|path| !path.is_empty()).unwrap_or("/")
    }

    /// Adds the report of a player.
    pub(super) fn report(&self, cmcd: &Cmcd) {
        self.health.lock().add(cmcd);
    }

    fn see_rendition(&self, path: &str, viewer: u64, now: u32, may_add: bool) -> bool {
        let mut renditions = self.renditions.lock();
        if let Some(viewers) = renditions.get_mut(path) {
            return viewers.see(viewer, now, may_add);
        }
        if !may_add || renditions.len() >= RENDITIONS_MAX {
            return false;
        }
        let viewers =
            renditions.entry(path.into()).or_insert_with(|| Viewers::new(RENDITION_CAPACITY, STEPS));
        viewers.see(viewer, now, may_add)
    }

    /// Returns for how many steps it had no viewers.
    fn end_step(&self) -> u32 {
        self.health.lock().end_step();
        self.renditions.lock().retain(|_, viewers| viewers.len() > 0);
        if self.viewers.lock().len() > 0 {
            self.idle_steps.store(0, Ordering::Relaxed);
            return 0;
        }
        self.idle_steps.fetch_add(1, Ordering::Relaxed)
    }
}

/// The folder that all playlists of a group are in. Where that would be the whole site, the first one's.
pub(super) fn common_folder(playlists: &[Key]) -> Option<&str> {
    let mut folders = playlists.iter().map(|key| folder_of(key.as_str()));
    let first = folders.next()?;
    let common = folders.fold(first, |common, folder| {
        let mut common = common;
        while !is_within(folder, common) {
            let Some((above, _)) = common.rsplit_once('/') else { return first };
            common = above;
        }
        common
    });
    let is_site = common.ends_with('\n') || !common.contains('\n');
    Some(if is_site { first } else { common })
}

fn is_within(folder: &str, other: &str) -> bool {
    folder.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Steps of the window. A viewer counts for this many steps after the step of its last request.
pub(super) const STEPS: u32 = 6;
/// Steps for which the stream of a session is known: a player that pauses still reports.
const SESSION_STEPS: u32 = 5 * STEPS;
/// Streams whose viewers are counted. A stream without viewers is forgotten after an hour.
const STREAMS_MAX: usize = 4096;
const KEPT_FOR: Duration = Duration::from_hours(1);
/// Renditions of one stream that are counted.
const RENDITIONS_MAX: usize = 64;
/// Viewers of one stream that are counted exactly: between 12,000 and 32,768 numbers are an error below 1 %.
const STREAM_CAPACITY: usize = 32_768;
/// The same for one rendition: below 2 %.
const RENDITION_CAPACITY: usize = 8192;
/// Numbers of viewers in all sets, of 16 bytes each: about 30 MB.
const VIEWERS_MAX: usize = 1 << 20;
/// Folders between a segment and its playlist.
const LEVELS_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn a_stream_is_the_folder_that_its_renditions_share() {
        for (playlists, folder) in [
            (&["/live/ch1/720p/i.m3u8", "/live/ch1/480p/i.m3u8"][..], "s\n/live/ch1"),
            (&["/live/ch1/hd.m3u8", "/live/ch1/sd.m3u8"], "s\n/live/ch1"),
            (&["/live/ch1/i.m3u8", "/live/ch12/i.m3u8"], "s\n/live"),
            (&["/720p/ch1.m3u8", "/480p/ch1.m3u8"], "s\n/720p"),
            (&["/hd.m3u8", "/sd.m3u8"], "s\n"),
        ] {
            let keys: Vec<_> = playlists.iter().map(|path| Key::new("s", path)).collect();
            assert_eq!(common_folder(&keys), Some(folder));
        }
    }

    #[test]
    fn a_segment_belongs_to_the_stream_above_it() {
        let audience = Audience::new(&config::Audience::default(), UNIX_EPOCH);
        audience.stream("s\n/live/ch1").unwrap();
        let path = |folder| audience.stream_above(folder).map(|stream| stream.path().to_owned());
        assert_eq!(path("s\n/live/ch1/720p").as_deref(), Some("/live/ch1"));
        assert_eq!(path("s\n/live/ch1").as_deref(), Some("/live/ch1"));
        assert_eq!(path("s\n/live/ch12"), None);
        assert_eq!(path("other\n/live/ch1"), None);
    }

    #[test]
    fn streams_are_bounded_and_forgotten_after_an_hour() {
        let audience = Audience::new(&config::Audience::default(), UNIX_EPOCH);
        for number in 0..STREAMS_MAX {
            audience.stream(&format!("s\n/{number}")).unwrap();
        }
        assert!(audience.stream("s\n/another").is_none());
        assert_eq!(audience.uncounted(), 1);
        for _ in 0..722 {
            audience.end_step(UNIX_EPOCH);
        }
        assert!(audience.stream("s\n/another").is_some());
    }
}
