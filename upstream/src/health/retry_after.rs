//! The pauses that an upstream asks for: 429 or 503 with `Retry-After` (RFC 9110 section 10.2.3).
//!
//! A pause is about the requested resource: an upstream that lacks one segment still serves the playlist, and
//! one that limits the requests for a resource beside the stream does not stop the stream. Until the pause
//! ends, other upstreams receive the requests.

use std::time::Duration;

use http::{HeaderMap, Method, StatusCode, header};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::request::UpstreamRequest;

/// The pauses of one upstream.
#[derive(Debug, Default)]
pub(crate) struct Pauses(Mutex<Vec<Pause>>);

#[derive(Debug, Clone)]
struct Pause {
    /// Path and query of the resource.
    target: Box<str>,
    status: StatusCode,
    until: Instant,
}

/// The longest pause. An origin may ask for an hour, but a live stream cannot wait that long for it.
pub(crate) const PAUSE_MAX: Duration = Duration::from_secs(10);
/// Pauses that are remembered: the latest ones.
const PAUSES_MAX: usize = 256;

impl Pauses {
    /// Records the pause that the response to a request asks for.
    pub(crate) fn record(
        &self,
        request: &UpstreamRequest,
        status: StatusCode,
        pause: Duration,
        now: Instant,
    ) {
        if asks_for_pause(status) && is_for_all(request) {
            self.add(&request.path_and_query, status, pause, now);
        }
    }

    fn add(&self, target: &str, status: StatusCode, pause: Duration, now: Instant) {
        let mut pauses = self.0.lock();
        pauses.retain(|pause| *pause.target != *target && now < pause.until);
        if pauses.len() >= PAUSES_MAX {
            pauses.remove(0);
        }
        pauses.push(Pause { target: target.into(), status, until: now + pause.min(PAUSE_MAX) });
    }

    /// The status and the rest of a pause for a target.
    pub(crate) fn of(&self, target: &str, now: Instant) -> Option<(StatusCode, Duration)> {
        let pauses = self.0.lock();
        let pause = pauses.iter().find(|pause| now < pause.until && *pause.target == *target)?;
        Some((pause.status, pause.until - now))
    }
}

fn asks_for_pause(status: StatusCode) -> bool {
    matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
}

/// Whether the response is about all viewers, not about the one whose request is passed on.
fn is_for_all(request: &UpstreamRequest) -> bool {
    request.method == Method::GET && !request.headers.contains_key(header::AUTHORIZATION)
}

/// The pause that a response asks for: seconds, or a date by the clock of the response.
pub(crate) fn requested(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let date = |text: &str| httpdate::parse_http_date(text).ok();
    let after = text(header::RETRY_AFTER)?;
    match after.parse::<u64>() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => date(after)?.duration_since(date(text(header::DATE)?)?).ok(),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const BUSY: StatusCode = StatusCode::TOO_MANY_REQUESTS;

    #[test]
    fn a_pause_is_about_one_resource_and_bounded() {
        let (pauses, now) = (Pauses::default(), Instant::now());
        pauses.add("/live/1.ts", BUSY, SECOND * 3, now);
        assert_eq!(pauses.of("/live/1.ts", now + SECOND), Some((BUSY, SECOND * 2)));
        assert_eq!((pauses.of("/live/2.ts", now), pauses.of("/live/1.ts", now + SECOND * 3)), (None, None));
        pauses.add("/live/1.ts", BUSY, SECOND * 3600, now);
        assert_eq!(pauses.of("/live/1.ts", now), Some((BUSY, PAUSE_MAX)));
        assert_eq!(pauses.of("/live/1.ts", now + PAUSE_MAX), None);
    }

    #[test]
    fn a_refusal_of_one_viewer_is_no_pause_for_the_others() {
        let now = Instant::now();
        let paused = |request: &UpstreamRequest, status: StatusCode| {
            let pauses = Pauses::default();
            pauses.record(request, status, SECOND, now);
            pauses.of(&request.path_and_query, now).is_some()
        };
        let shared = crate::fixture::request("site/live");
        assert!(paused(&shared, BUSY) && paused(&shared, StatusCode::SERVICE_UNAVAILABLE));
        assert!(!paused(&shared, StatusCode::NOT_FOUND));
        let mut of_viewer = crate::fixture::request("site/live");
        of_viewer.headers.insert("authorization", HeaderValue::from_static("Bearer x"));
        assert!(!paused(&of_viewer, BUSY));
        let posted = UpstreamRequest { method: Method::POST, ..crate::fixture::request("site/live") };
        assert!(!paused(&posted, BUSY));
    }

    #[test]
    fn the_remembered_pauses_are_bounded() {
        let (pauses, now) = (Pauses::default(), Instant::now());
        for number in 0..=PAUSES_MAX {
            pauses.add(&format!("/{number}"), StatusCode::SERVICE_UNAVAILABLE, SECOND, now);
        }
        assert_eq!(pauses.0.lock().len(), PAUSES_MAX);
    }

    #[test]
    fn a_pause_is_a_number_of_seconds_or_a_date() {
        for (text, expected) in [
            ("7", Some(SECOND * 7)),
            ("Sat, 21 Nov 2026 10:00:05 GMT", Some(SECOND * 5)),
            ("Sat, 21 Nov 2026 09:00:00 GMT", None),
            ("soon", None),
            ("-1", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("date", HeaderValue::from_static("Sat, 21 Nov 2026 10:00:00 GMT"));
            headers.insert("retry-after", HeaderValue::from_static(text));
            assert_eq!(requested(&headers), expected, "{text}");
        }
    }
}
