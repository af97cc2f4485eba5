//! The requests that the origin received: counts by path, and the latest requests with their headers.

use std::collections::{BTreeMap, VecDeque};

use http::{HeaderMap, Method, StatusCode, Uri};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::watch;

use crate::config;
use crate::pattern::Pattern;

/// A request as the origin received it.
#[derive(Clone, Debug, Serialize)]
pub struct Seen {
    /// Numbers requests from 1, in the order of their arrival.
    pub number: u64,
    /// The method.
    #[serde(serialize_with = "display")]
    pub method: Method,
    /// The path without its query.
    pub path: String,
    /// The query, if there was one.
    pub query: Option<String>,
    /// The protocol version, like "HTTP/1.1".
    pub version: String,
    /// All headers.
    #[serde(serialize_with = "headers")]
    pub headers: HeaderMap,
    /// The status of the response; `None` while there is no response yet.
    pub status: Option<u16>,
}

impl Seen {
    /// A header's value as text; empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// The number of requests for one path, or for one kind of object.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Count {
    /// All requests.
    pub total: u64,
    /// Requests with a Range header.
    pub with_range: u64,
    /// By method.
    pub methods: BTreeMap<String, u64>,
    /// By status; a request without a response is missing here.
    pub statuses: BTreeMap<u16, u64>,
}

/// All counts.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Counted {
    /// All requests.
    pub total: u64,
    /// For playlists (`.m3u8`).
    pub playlists: u64,
    /// For segments (`.ts`, `.m4s`).
    pub segments: u64,
    /// For parts of segments (`{seq}.{part}.m4s`).
    pub parts: u64,
    /// For init sections (`.mp4`).
    pub inits: u64,
    /// For anything else.
    pub others: u64,
    /// Requests with a Range header.
    pub with_range: u64,
    /// By path, as many paths as the configuration allows.
    pub paths: BTreeMap<String, Count>,
}

/// The place where requests are counted.
#[derive(Debug)]
pub(crate) struct Ledger {
    pages: Mutex<Pages>,
    /// Grows with every request and every response.
    changes: watch::Sender<u64>,
    paths_max: u64,
    recent_max: u64,
}

#[derive(Debug, Default)]
struct Pages {
    counted: Counted,
    recent: VecDeque<Seen>,
    last: u64,
}

/// A counted request, whose response is counted later.
#[derive(Debug)]
pub(crate) struct CountedRequest {
    number: u64,
    path: String,
}

impl Ledger {
    pub(crate) fn new(config: &config::Counts) -> Self {
        Self {
            pages: Mutex::default(),
            changes: watch::Sender::new(0),
            paths_max: config.paths_max,
            recent_max: config.recent_max,
        }
    }

    /// Counts a request on arrival, before anything blocks it.
    pub(crate) fn arrived(
        &self,
        method: &Method,
        uri: &Uri,
        version: http::Version,
        headers: &HeaderMap,
    ) -> CountedRequest {
        let path = uri.path().to_owned();
        let with_range = u64::from(headers.contains_key(http::header::RANGE));
        let mut pages = self.pages.lock();
        pages.last += 1;
        let number = pages.last;
        pages.counted.add(&path, with_range);
        if let Some(count) = pages.counted.path(&path, self.paths_max) {
            count.total += 1;
            count.with_range += with_range;
            *count.methods.entry(method.to_string()).or_default() += 1;
        }
        while pages.recent.len() as u64 >= self.recent_max.max(1) {
            pages.recent.pop_front();
        }
        if self.recent_max > 0 {
            pages.recent.push_back(Seen {
                number,
                method: method.clone(),
                path: path.clone(),
                query: uri.query().map(str::to_owned),
                version: format!("{version:?}"),
                headers: headers.clone(),
                status: None,
            });
        }
        drop(pages);
        self.changes.send_modify(|changes| *changes += 1);
        CountedRequest { number, path }
    }

    /// Counts the status of the response.
    pub(crate) fn answered(&self, counted: &CountedRequest, status: StatusCode) {
        let mut pages = self.pages.lock();
        if let Some(count) = pages.counted.paths.get_mut(&counted.path) {
            *count.statuses.entry(status.as_u16()).or_default() += 1;
        }
        if let Some(seen) = pages.recent.iter_mut().rfind(|seen| seen.number == counted.number) {
            seen.status = Some(status.as_u16());
        }
        drop(pages);
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// Waits until requests for paths like `pattern` have been counted at least `count` times.
    pub(crate) async fn until(&self, pattern: &Pattern, count: u64) {
        let mut changes = self.changes.subscribe();
        let reached = changes.wait_for(|_| self.requests(pattern) >= count).await.is_ok();
        debug_assert!(reached, "this value owns the sender");
    }

    /// The same for responses.
    pub(crate) async fn until_response(&self, pattern: &Pattern, count: u64) {
        let mut changes = self.changes.subscribe();
        let reached = changes.wait_for(|_| self.answers(pattern) >= count).await.is_ok();
        debug_assert!(reached, "this value owns the sender");
    }

    fn answers(&self, pattern: &Pattern) -> u64 {
        let pages = self.pages.lock();
        let matching = pages.counted.paths.iter().filter(|(path, _)| pattern.matches(path));
        matching.flat_map(|(_, count)| count.statuses.values()).sum()
    }

    pub(crate) fn requests(&self, pattern: &Pattern) -> u64 {
        let pages = self.pages.lock();
        let paths = &pages.counted.paths;
        if pattern.is_any() {
            return pages.counted.total;
        }
        if pattern.is_exact() {
            return paths.get(pattern.as_str()).map_or(0, |count| count.total);
        }
        paths.iter().filter(|(path, _)| pattern.matches(path)).map(|(_, count)| count.total).sum()
    }

    pub(crate) fn counted(&self) -> Counted {
        self.pages.lock().counted.clone()
    }

    pub(crate) fn seen(&self, pattern: &Pattern) -> Vec<Seen> {
        self.pages.lock().recent.iter().filter(|seen| pattern.matches(&seen.path)).cloned().collect()
    }

    /// Forgets everything; the numbering continues.
    pub(crate) fn reset(&self) {
        let mut pages = self.pages.lock();
        pages.counted = Counted::default();
        pages.recent.clear();
    }
}

impl Counted {
    fn add(&mut self, path: &str, with_range: u64) {
        self.total += 1;
        self.with_range += with_range;
        let (stem, extension) = path.rsplit_once('.').unwrap_or_default();
        let is_part = path.starts_with("/ll/") && stem.contains('.');
        match extension {
            "m3u8" => self.playlists += 1,
            "m4s" if is_part => self.parts += 1,
            "ts" | "m4s" => self.segments += 1,
            "mp4" => self.inits += 1,
            _ => self.others += 1,
        }
    }

    fn path(&mut self, path: &str, paths_max: u64) -> Option<&mut Count> {
        if !self.paths.contains_key(path) {
            if self.paths.len() as u64 >= paths_max {
                return None;
            }
            self.paths.insert(path.to_owned(), Count::default());
        }
        self.paths.get_mut(path)
    }
}

fn display<T: ToString, S: serde::Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&value.to_string())
}

/// A header that occurs several times is shown as a list with commas.
fn headers<S: serde::Serializer>(headers: &HeaderMap, to: S) -> Result<S::Ok, S::Error> {
    let mut shown: BTreeMap<&str, String> = BTreeMap::new();
    for (name, value) in headers {
        let text = shown.entry(name.as_str()).or_default();
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str(&String::from_utf8_lossy(value.as_bytes()));
    }
    to.collect_map(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(ledger: &Ledger, uri: &str) -> CountedRequest {
        let mut headers = HeaderMap::new();
        headers.insert("range", "bytes=5-".parse().unwrap());
        ledger.arrived(&Method::GET, &uri.parse().unwrap(), http::Version::HTTP_11, &headers)
    }

    #[test]
    fn requests_are_counted_by_path_method_and_status() {
        let ledger = Ledger::new(&config::Counts::default());
        let counted = ask(&ledger, "/live/a/ts/240p/7.ts?x=1");
        ask(&ledger, "/live/a/ts/240p/index.m3u8");
        ledger.answered(&counted, StatusCode::PARTIAL_CONTENT);
        let counted = ledger.counted();
        assert_eq!((counted.total, counted.segments, counted.playlists, counted.with_range), (2, 1, 1, 2));
        let count = &counted.paths["/live/a/ts/240p/7.ts"];
        assert_eq!((count.total, count.statuses[&206], count.methods["GET"]), (1, 1, 1));
        assert_eq!(ledger.requests(&Pattern::from("/live/a/*")), 2);
        let seen = ledger.seen(&Pattern::from("*.ts"));
        assert_eq!(seen[0].query.as_deref(), Some("x=1"));
        assert_eq!(seen[0].header("range"), "bytes=5-");
        assert_eq!(seen[0].status, Some(206));
    }

    #[test]
    fn recorded_requests_are_bounded() {
        let ledger = Ledger::new(&config::Counts { paths_max: 2, recent_max: 3 });
        for number in 0..10 {
            ask(&ledger, &format!("/{number}"));
        }
        let counted = ledger.counted();
        assert_eq!((counted.total, counted.paths.len()), (10, 2));
        let numbers: Vec<u64> = ledger.seen(&Pattern::default()).iter().map(|seen| seen.number).collect();
        assert_eq!(numbers, [8, 9, 10]);
    }
}
