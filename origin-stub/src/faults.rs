//! The faults of the stub, and their effect on one request.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

use crate::pattern::Pattern;

pub(crate) mod book;
pub(crate) mod effects;
pub(crate) mod gate;

/// A fault, the paths that it affects, and how often. Positions count body bytes of the one response.
///
/// ```
/// use tidegate_origin_stub::Fault;
///
/// let fault = Fault::on("/live/*.ts").cut_at(300_000).times(1);
/// ```
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fault of its own in the JSON")]
pub struct Fault {
    /// The affected paths; default all.
    #[serde(rename = "match")]
    pub pattern: Pattern,
    /// Lets this many matching requests through first.
    pub skip: u64,
    /// Affects this percentage of the matching requests, 1 to 100, in an irregular order; default all.
    pub percent: Option<u64>,
    /// Ends after this many requests; default never.
    pub times: Option<u64>,
    /// Waits before the head is sent.
    pub latency_ms: Option<u64>,
    /// Waits between the head and the first body byte.
    pub first_byte_delay_ms: Option<u64>,
    /// Sends the body at this rate.
    pub bytes_per_second: Option<u64>,
    /// Resets the TCP connection (RST) after this many body bytes; over HTTP/2, the stream.
    pub cut_at: Option<u64>,
    /// Closes the connection (FIN) after this many body bytes, short of the announced length.
    pub close_at: Option<u64>,
    /// Announces this Content-Length, sends the unchanged body, and closes.
    pub wrong_length: Option<u64>,
    /// Sends the body in chunks without a Content-Length.
    pub chunked: bool,
    /// Sends this many body bytes in chunks, then closes without the last chunk.
    pub truncated_chunked: Option<u64>,
    /// Responds with this status and a line of text.
    pub status: Option<u16>,
    /// Retry-After in seconds, with `status`.
    pub retry_after: Option<u64>,
    /// Sends a 103 (Early Hints) before the response; HTTP/1.1 only.
    pub early_hints: bool,
    /// The encoder is frozen from now on: playlists do not advance, no segment appears or expires.
    pub frozen: bool,
    /// The encoder restarts now: sequence numbers and times count from 0, old names have other media.
    pub sequence_reset: bool,
    /// Playlists are noise.
    pub garbage: bool,
    /// The origin's clock is off: Date and EXT-X-PROGRAM-DATE-TIME.
    pub clock_skew_ms: Option<i64>,
    /// On every path ("*"): no connection can be used. On others: matching requests are reset. In JSON
    /// "reset" (or true) or "refuse".
    #[serde(deserialize_with = "down")]
    pub down: Option<Down>,
    /// Blocks the response until the hold of this name is released.
    pub hold: Option<String>,
    /// Blocks after this many body bytes (0: after the head); default before the head.
    pub hold_at: Option<u64>,
    /// Serves a different object at `/bytes/...`: see [`crate::synthetic_variant`].
    pub variant: Option<u64>,
    /// Sets headers of the response, or removes them (null).
    pub headers: BTreeMap<String, Option<String>>,
}

/// How an origin is down.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Down {
    /// Connections are accepted and reset immediately; open ones are reset.
    Reset,
    /// The listener is closed: connections are refused; open ones are reset.
    Refuse,
}

/// Names a fault that is in force.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct FaultId(pub u64);

/// Why a fault is invalid.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FaultError {
    /// The fault says when, but not what.
    #[error("the fault has no effect: say at least one, like \"status\": 503")]
    NoEffect,
    /// A field is out of bounds.
    #[error("{field} is out of bounds: {bounds}")]
    Bounds {
        /// The field's name.
        field: &'static str,
        /// The allowed values.
        bounds: &'static str,
    },
    /// The configured limit of faults in force is reached.
    #[error("{max} faults are in force, which is the limit: delete one first")]
    TooMany {
        /// `faults.faults_max`.
        max: u64,
    },
}

impl Fault {
    /// A fault on paths like `/live/ch1/*`, `*.ts` or one path exactly. The methods below set its effects.
    pub fn on(pattern: &str) -> Self {
        Self { pattern: Pattern::from(pattern), ..Self::default() }
    }

    /// Ends after `times` requests.
    #[must_use]
    pub fn times(self, times: u64) -> Self {
        Self { times: Some(times), ..self }
    }

    /// Affects this percentage of the matching requests.
    #[must_use]
    pub fn percent(self, percent: u64) -> Self {
        Self { percent: Some(percent), ..self }
    }

    /// Lets `skip` matching requests through first.
    #[must_use]
    pub fn skip(self, skip: u64) -> Self {
        Self { skip, ..self }
    }

    /// Waits before the head is sent.
    #[must_use]
    pub fn latency(self, wait: Duration) -> Self {
        Self { latency_ms: Some(millis(wait)), ..self }
    }

    /// Waits between the head and the first body byte.
    #[must_use]
    pub fn first_byte_delay(self, wait: Duration) -> Self {
        Self { first_byte_delay_ms: Some(millis(wait)), ..self }
    }

    /// Sends the body at this rate.
    #[must_use]
    pub fn bytes_per_second(self, rate: u64) -> Self {
        Self { bytes_per_second: Some(rate), ..self }
    }

    /// Resets the connection after `bytes` of the body.
    #[must_use]
    pub fn cut_at(self, bytes: u64) -> Self {
        Self { cut_at: Some(bytes), ..self }
    }

    /// Closes the connection after `bytes` of the body.
    #[must_use]
    pub fn close_at(self, bytes: u64) -> Self {
        Self { close_at: Some(bytes), ..self }
    }

    /// Announces a Content-Length other than the body's.
    #[must_use]
    pub fn wrong_length(self, bytes: u64) -> Self {
        Self { wrong_length: Some(bytes), ..self }
    }

    /// Sends the body in chunks.
    #[must_use]
    pub fn chunked(self) -> Self {
        Self { chunked: true, ..self }
    }

    /// Sends `bytes` of the body in chunks and no last chunk.
    #[must_use]
    pub fn truncated_chunked(self, bytes: u64) -> Self {
        Self { truncated_chunked: Some(bytes), ..self }
    }

    /// Responds with this status.
    #[must_use]
    pub fn status(self, status: u16) -> Self {
        Self { status: Some(status), ..self }
    }

    /// Retry-After in seconds, with a status.
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// Sends a 103 before the response.
    #[must_use]
    pub fn early_hints(self) -> Self {
        Self { early_hints: true, ..self }
    }

    /// The encoder is frozen from now on.
    #[must_use]
    pub fn frozen(self) -> Self {
        Self { frozen: true, ..self }
    }

    /// The encoder restarts now.
    #[must_use]
    pub fn sequence_reset(self) -> Self {
        Self { sequence_reset: true, ..self }
    }

    /// Playlists are noise.
    #[must_use]
    pub fn garbage(self) -> Self {
        Self { garbage: true, ..self }
    }

    /// The origin's clock is off by `millis`.
    #[must_use]
    pub fn clock_skew_ms(self, millis: i64) -> Self {
        Self { clock_skew_ms: Some(millis), ..self }
    }

    /// Connections, or matching requests, are reset.
    #[must_use]
    pub fn down(self) -> Self {
        Self { down: Some(Down::Reset), ..self }
    }

    /// The listener is closed.
    #[must_use]
    pub fn refuse(self) -> Self {
        Self { down: Some(Down::Refuse), ..self }
    }

    /// Blocks the head until `name` is released.
    #[must_use]
    pub fn hold(self, name: &str) -> Self {
        Self { hold: Some(name.to_owned()), ..self }
    }

    /// Blocks the body after `bytes` (0: after the head) until `name` is released.
    #[must_use]
    pub fn hold_at(self, name: &str, bytes: u64) -> Self {
        Self { hold: Some(name.to_owned()), hold_at: Some(bytes), ..self }
    }

    /// Serves a different object at `/bytes/...`.
    #[must_use]
    pub fn variant(self, variant: u64) -> Self {
        Self { variant: Some(variant), ..self }
    }

    /// Sets a header of the response.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.to_owned(), Some(value.to_owned()));
        self
    }

    /// Removes a header of the response.
    #[must_use]
    pub fn without_header(mut self, name: &str) -> Self {
        self.headers.insert(name.to_owned(), None);
        self
    }

    pub(crate) fn check(&self) -> Result<(), FaultError> {
        let idle = Self {
            pattern: self.pattern.clone(),
            skip: self.skip,
            percent: self.percent,
            times: self.times,
            ..Self::default()
        };
        if *self == idle {
            return Err(FaultError::NoEffect);
        }
        let hour = |millis: Option<u64>| millis.is_none_or(|millis| millis <= 3_600_000);
        let bounds = [
            ("match", "a path of 1 to 1024 bytes", (1..=1024).contains(&self.pattern.as_str().len())),
            ("percent", "1 to 100", self.percent.is_none_or(|percent| (1..=100).contains(&percent))),
            ("times", "1 or more", self.times != Some(0)),
            ("latency_ms", "at most 3600000", hour(self.latency_ms)),
            ("first_byte_delay_ms", "at most 3600000", hour(self.first_byte_delay_ms)),
            ("bytes_per_second", "1 or more", self.bytes_per_second != Some(0)),
            ("status", "200 to 599", self.status.is_none_or(|status| (200..=599).contains(&status))),
            (
                "hold",
                "a name of 1 to 64 letters",
                self.hold.as_ref().is_none_or(|n| (1..=64).contains(&n.len())),
            ),
            ("hold_at", "needs a hold", self.hold_at.is_none() || self.hold.is_some()),
            ("retry_after", "needs a status", self.retry_after.is_none() || self.status.is_some()),
            (
                "clock_skew_ms",
                "at most a year",
                self.clock_skew_ms.unwrap_or(0).unsigned_abs() <= 31_622_400_000,
            ),
            ("headers", "valid names and values, at most 64", effects::headers(&self.headers).is_some()),
        ];
        match bounds.into_iter().find(|(_, _, holds)| !holds) {
            Some((field, bounds, _)) => Err(FaultError::Bounds { field, bounds }),
            None => Ok(()),
        }
    }
}

fn down<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Down>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Said {
        Plain(bool),
        How(Down),
    }
    Ok(match Option::<Said>::deserialize(from)? {
        Some(Said::Plain(true)) => Some(Down::Reset),
        Some(Said::How(how)) => Some(how),
        Some(Said::Plain(false)) | None => None,
    })
}

fn millis(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_reads_from_json() {
        let fault: Fault =
            serde_json::from_str(r#"{"match":"*.ts","times":1,"cut_at":300,"down":"refuse"}"#).unwrap();
        assert_eq!(fault, Fault::on("*.ts").times(1).cut_at(300).refuse());
        let fault: Fault = serde_json::from_str(r#"{"down":true}"#).unwrap();
        assert_eq!(fault, Fault::on("*").down());
    }

    #[test]
    fn an_unknown_field_is_refused() {
        let error = serde_json::from_str::<Fault>(r#"{"cutat":300}"#).unwrap_err().to_string();
        assert!(error.contains("cutat"), "{error}");
    }

    #[test]
    fn a_fault_without_effect_or_out_of_bounds_is_refused() {
        assert!(matches!(Fault::on("/x").times(2).check(), Err(FaultError::NoEffect)));
        let error = Fault::on("/x").status(100).check().unwrap_err().to_string();
        assert_eq!(error, "status is out of bounds: 200 to 599");
        assert!(Fault { hold_at: Some(3), ..Fault::on("/x") }.check().is_err());
        assert!(Fault::on("/x").header("no good", "x").check().is_err());
        Fault::on("/x").header("Cache-Control", "private").check().unwrap();
    }
}
