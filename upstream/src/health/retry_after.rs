//! The pauses that an upstream asks for: 429 or 503 with `Retry-After` (RFC 9110 section 10.2.3).
//!
//! A 429 is about the requests of a stream, a 503 about one resource: an upstream that lacks one segment
//! still serves the playlist. Until the pause ends, other upstreams receive the requests.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::request::UpstreamRequest;

/// The pauses of one upstream.
#[derive(Debug, Default)]
pub(crate) struct Pauses(Mutex<Vec<Pause>>);

#[derive(Debug, Clone)]
struct Pause {
    /// The stream, or the target of one resource.
    scope: Box<str>,
    status: StatusCode,
    until: Instant,
}

/// The longest pause. An origin may ask for an hour, but a live stream cannot wait that long for it.
pub(crate) const PAUSE_MAX: Duration = Duration::from_secs(10);
/// Pauses that are remembered: the latest ones.
const PAUSES_MAX: usize = 256;

impl Pauses {
    /// Records the pause that a response asks for.
    pub(crate) fn record(&self, scope: Scope<'_>, status: StatusCode, pause: Duration, now: Instant) {
        let Some(scope) = scope.of(status) else { return };
        let mut pauses = self.0.lock();
        pauses.retain(|pause| *pause.scope != *scope && now < pause.until);
        if pauses.len() >= PAUSES_MAX {
            pauses.remove(0);
        }
        pauses.push(Pause { scope: scope.into(), status, until: now + pause.min(PAUSE_MAX) });
    }

    /// The status and the rest of a pause that a request is in.
    pub(crate) fn of(&self, scope: Scope<'_>, now: Instant) -> Option<(StatusCode, Duration)> {
        let pauses = self.0.lock();
        let pause = pauses.iter().find(|pause| {
            now < pause.until && scope.of(pause.status).is_some_and(|scope| *pause.scope == *scope)
        })?;
        Some((pause.status, pause.until - now))
    }
}

/// What a pause may be about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope<'a> {
    folder: &'a str,
    target: &'a str,
}

impl<'a> Scope<'a> {
    pub(crate) fn of_request(request: &'a UpstreamRequest) -> Self {
        Self { folder: &request.folder, target: &request.path_and_query }
    }

    fn of(self, status: StatusCode) -> Option<&'a str> {
        match status {
            StatusCode::TOO_MANY_REQUESTS => Some(self.folder),
            StatusCode::SERVICE_UNAVAILABLE => Some(self.target),
            _ => None,
        }
    }
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

    const ONE: Scope<'_> = Scope { folder: "site/live", target: "/live/1.ts" };
    const TWO: Scope<'_> = Scope { folder: "site/live", target: "/live/2.ts" };
    const OTHER: Scope<'_> = Scope { folder: "site/other", target: "/other/1.ts" };
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_429_is_about_a_stream_and_a_503_about_a_resource() {
        let now = Instant::now();
        let (pauses, busy) = (Pauses::default(), StatusCode::TOO_MANY_REQUESTS);
        pauses.record(ONE, busy, SECOND * 3, now);
        assert_eq!(pauses.of(TWO, now + SECOND), Some((busy, SECOND * 2)));
        assert_eq!((pauses.of(OTHER, now), pauses.of(TWO, now + SECOND * 3)), (None, None));

        let (pauses, unavailable) = (Pauses::default(), StatusCode::SERVICE_UNAVAILABLE);
        pauses.record(ONE, unavailable, SECOND * 3600, now);
        assert_eq!(pauses.of(ONE, now), Some((unavailable, PAUSE_MAX)));
        assert_eq!((pauses.of(TWO, now), pauses.of(ONE, now + PAUSE_MAX)), (None, None));
    }

    #[test]
    fn the_remembered_pauses_are_bounded() {
        let (pauses, now) = (Pauses::default(), Instant::now());
        for number in 0..=PAUSES_MAX {
            let target = format!("/{number}");
            let scope = Scope { folder: "", target: &target };
            pauses.record(scope, StatusCode::SERVICE_UNAVAILABLE, SECOND, now);
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
