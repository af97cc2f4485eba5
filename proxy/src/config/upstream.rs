//! `[upstream]`: how requests go to upstreams, and when an upstream is ejected.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};
use serde::{Deserialize, Serialize};
use tidegate_upstream::trust::{self, TrustError};
use tidegate_upstream::{
    Budget, Connections, Dns, Limits, MinRate, Options, Probe, Question, Rules, Timeouts, Trust,
};

use super::check::Breach;
use super::units::{Period, Share, Size};
use crate::observe::operators;

/// How requests go to upstreams.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Upstream {
    /// The protocol.
    pub http: Version,
    /// Time to connect, TLS included. More than zero.
    pub connect_timeout: Period,
    /// Time from the request to the head of the response. More than zero.
    pub first_byte_timeout: Period,
    /// Time between two chunks of a body. More than zero.
    pub between_bytes_timeout: Period,
    /// The minimum rate, in bytes per second, of a body whose length is known; a slower one continues from
    /// another upstream. Zero turns it off.
    pub rate_min: Size,
    /// The time over which the rate is measured.
    pub rate_window: Period,
    /// Upstream requests for one fill, rescues included. At least 1.
    pub attempts_max: usize,
    /// If the head of a response takes longer than this, and longer than the upstream's p95, the next
    /// upstream gets the same request. Zero turns hedging off.
    pub hedge_delay: Period,
    /// The retry budget: retries, rescues and hedges as a share of all requests.
    pub retry_ratio: Share,
    /// Retries, rescues and hedges per second that are allowed on top of that share.
    pub retries_per_second_min: u32,
    /// Requests in flight to each upstream. At least 1.
    pub requests_max: usize,
    /// Connections to each upstream. At least 1.
    pub connections_max: usize,
    /// The share of these requests and connections, and of the queue, that passes may have: requests whose
    /// response is for one viewer alone. At least one is allowed.
    pub pass_share_max: Share,
    /// Requests queued for each upstream; further ones are refused immediately.
    pub queue_max: usize,
    /// How long a request waits in the queue.
    pub queue_timeout: Period,
    /// Idle connections kept open, for each listed upstream.
    pub idle_connections_max: usize,
    /// Streams on one HTTP/2 connection. At least 1.
    pub streams_max: usize,
    /// Resolvers for the names of upstreams, `IP:port`. With none, the system's.
    pub dns: Vec<SocketAddr>,
    /// A file with the secret that requests to shields carry.
    pub secret: Option<String>,
    /// Trusted authorities and the client certificate, for upstreams with `https://`.
    pub tls: trust::Config,
    /// When an upstream is ejected, and for how long.
    pub health: Health,
    /// Health probes.
    pub probe: Probing,
}

/// When an upstream is ejected, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Health {
    /// Consecutive failures that eject an upstream. At least 1.
    pub consecutive_failures: u32,
    /// An upstream is ejected if its error rate exceeds that of the others by this much.
    pub error_rate_excess: Share,
    /// The length of the first ejection; each further one in a row is twice as long. More than zero.
    pub ejection_time: Period,
    /// The longest ejection. At least `ejection_time`.
    pub ejection_time_max: Period,
    /// The share of a pool that may be ejected for its responses.
    pub ejected_share_max: Share,
    /// How long an upstream is under observation after its return: a shield gets its keys back gradually, an
    /// origin comes after the others that are up.
    pub slow_start: Period,
}

/// Health probes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Probing {
    /// What a probe sends.
    pub kind: ProbeKind,
    /// The path of probes to origins. Without it, the probe is `HEAD /` and every response is good. Probes to
    /// shields are `OPTIONS *`.
    pub path: Option<String>,
    /// The lowest and the highest status of a good response.
    pub expected: (u16, u16),
    /// Time between two probes. More than zero.
    pub interval: Period,
    /// Time for a response. More than zero.
    pub timeout: Period,
    /// Consecutive good probes that bring an upstream back. At least 1.
    pub rise: u32,
    /// Consecutive failed probes that take it down. At least 1.
    pub fall: u32,
}

/// What a probe sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProbeKind {
    /// An HTTP request.
    Http,
    /// A connection.
    Tcp,
    /// Nothing.
    Off,
}

/// The protocol towards upstreams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Version {
    /// HTTP/1.1.
    #[serde(rename = "1.1")]
    Http1,
    /// HTTP/2, with prior knowledge where there is no TLS.
    #[serde(rename = "2")]
    Http2,
}

impl Version {
    /// The HTTP version.
    pub const fn http(self) -> http::Version {
        match self {
            Self::Http1 => http::Version::HTTP_11,
            Self::Http2 => http::Version::HTTP_2,
        }
    }
}

impl Default for Upstream {
    fn default() -> Self {
        Self {
            http: Version::Http1,
            connect_timeout: Period::secs(2),
            first_byte_timeout: Period::secs(10),
            between_bytes_timeout: Period::secs(5),
            rate_min: Size::kib(64),
            rate_window: Period::secs(1),
            attempts_max: 4,
            hedge_delay: Period::millis(250),
            retry_ratio: Share::percent(20),
            retries_per_second_min: 10,
            requests_max: 1024,
            connections_max: 512,
            pass_share_max: Share::percent(50),
            queue_max: 256,
            queue_timeout: Period::secs(1),
            idle_connections_max: 128,
            streams_max: 100,
            dns: Vec::new(),
            secret: None,
            tls: trust::Config::default(),
            health: Health::default(),
            probe: Probing::default(),
        }
    }
}

impl Default for Health {
    fn default() -> Self {
        Self {
            consecutive_failures: 5,
            error_rate_excess: Share::percent(25),
            ejection_time: Period::secs(2),
            ejection_time_max: Period::secs(60),
            ejected_share_max: Share::percent(50),
            slow_start: Period::secs(10),
        }
    }
}

impl Default for Probing {
    fn default() -> Self {
        Self {
            kind: ProbeKind::Http,
            path: None,
            expected: (200, 399),
            interval: Period::secs(2),
            timeout: Period::secs(2),
            rise: 2,
            fall: 2,
        }
    }
}

/// The field with the secret of a fleet. Nodes forward no field that begins like this one.
pub(crate) static SECRET: HeaderName = HeaderName::from_static("tidegate-secret");

/// The secret that requests to shields carry, as the value of a field.
#[derive(Debug, Clone)]
pub struct SecretField(HeaderValue);

impl SecretField {
    /// The field with it.
    pub(super) fn field(&self) -> (HeaderName, HeaderValue) {
        (SECRET.clone(), self.0.clone())
    }
}

impl Upstream {
    /// The secret for shields, if there is one. Reads its file.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub fn read_secret(&self) -> Result<Option<SecretField>, Breach> {
        let breach = |message: String| Breach::new(&["upstream", "secret"], message);
        let Some(file) = &self.secret else { return Ok(None) };
        let token = operators::SharedSecret::read(file).map_err(|error| breach(error.to_string()))?;
        let value = token.value().ok_or_else(|| breach(format!("{file}: not the value of a field")))?;
        Ok(Some(SecretField(value)))
    }

    /// The options of every upstream of this section. `is_tier` says that the upstream is a Tidegate tier.
    pub fn options(&self, is_tier: bool, connections: &Arc<Connections>) -> Options {
        let requests_max = match self.http {
            Version::Http1 => self.connections_max,
            Version::Http2 => self.connections_max.saturating_mul(self.streams_max),
        };
        let requests_max = self.requests_max.min(requests_max);
        Options {
            dns: Dns::at(&self.dns),
            connections: Arc::clone(connections),
            timeouts: Timeouts {
                connect: self.connect_timeout.get(),
                first_byte: self.first_byte_timeout.get(),
                between_bytes: self.between_bytes_timeout.get(),
                min_rate: self.min_rate(),
            },
            http2: self.http == Version::Http2,
            streams_max: self.streams_max,
            limits: Limits {
                requests_max,
                passes_max: self.passes_max(requests_max),
                queue_max: self.queue_max,
                queue_timeout: self.queue_timeout.get(),
            },
            hedge_delay: Some(self.hedge_delay.get()).filter(|after| *after > Duration::ZERO),
            rules: Rules {
                consecutive_failures: self.health.consecutive_failures,
                error_rate_excess: self.health.error_rate_excess.get(),
                ejection_time: self.health.ejection_time.get(),
                ejection_time_max: self.health.ejection_time_max.get(),
                ejected_share_max: self.health.ejected_share_max.get(),
                slow_start: self.health.slow_start.get(),
                rise: self.probe.rise,
                fall: self.probe.fall,
            },
            probe: self.probe.probe(is_tier),
        }
    }

    /// The TLS trust and connection pools that the `listed` upstreams of this section share.
    ///
    /// # Errors
    /// When a configured file cannot be used.
    pub fn connections(&self, listed: usize) -> Result<Arc<Connections>, TrustError> {
        let idle_connections_max = self.idle_connections_max.saturating_mul(listed);
        Ok(Arc::new(Connections::new(Trust::load(&self.tls)?, idle_connections_max)))
    }

    /// Passes among `requests_max` requests in flight.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of a number of requests is a number of requests"
    )]
    fn passes_max(&self, requests_max: usize) -> usize {
        (requests_max as f64 * self.pass_share_max.get()) as usize
    }

    fn min_rate(&self) -> Option<MinRate> {
        let window = self.rate_window.get();
        let bytes =
            self.rate_min.bytes().saturating_mul(u64::try_from(window.as_millis()).unwrap_or(u64::MAX))
                / 1000;
        (bytes > 0).then_some(MinRate { bytes, window })
    }

    /// The budget of a pool.
    pub fn budget(&self) -> Budget {
        Budget::new(self.retry_ratio.get(), f64::from(self.retries_per_second_min))
    }

    pub(super) fn check(&self) -> Result<(), Breach> {
        for (name, period) in [
            ("connect_timeout", self.connect_timeout),
            ("first_byte_timeout", self.first_byte_timeout),
            ("between_bytes_timeout", self.between_bytes_timeout),
        ] {
            if period.get().is_zero() {
                return Err(Breach::new(&["upstream", name], "must not be zero"));
            }
        }
        for (name, number) in [
            ("attempts_max", self.attempts_max),
            ("requests_max", self.requests_max),
            ("connections_max", self.connections_max),
            ("streams_max", self.streams_max),
        ] {
            if number == 0 {
                return Err(Breach::new(&["upstream", name], "must be at least 1"));
            }
        }
        let (health, probe) = (&self.health, &self.probe);
        if health.consecutive_failures == 0 {
            return Err(Breach::new(&["upstream", "health", "consecutive_failures"], "must be at least 1"));
        }
        if health.ejection_time.get().is_zero() || health.ejection_time_max < health.ejection_time {
            let message = "must be more than 0s and at most ejection_time_max";
            return Err(Breach::new(&["upstream", "health", "ejection_time"], message));
        }
        for (name, period) in [("interval", probe.interval), ("timeout", probe.timeout)] {
            if period.get().is_zero() {
                return Err(Breach::new(&["upstream", "probe", name], "must not be zero"));
            }
        }
        for (name, number) in [("rise", probe.rise), ("fall", probe.fall)] {
            if number == 0 {
                return Err(Breach::new(&["upstream", "probe", name], "must be at least 1"));
            }
        }
        if probe.path.as_ref().is_some_and(|path| !path.starts_with('/')) {
            return Err(Breach::new(&["upstream", "probe", "path"], "must begin with a slash"));
        }
        if probe.expected.0 > probe.expected.1 {
            let message = "must be [lowest, highest] status";
            return Err(Breach::new(&["upstream", "probe", "expected"], message));
        }
        Ok(())
    }
}

impl Probing {
    fn probe(&self, is_tier: bool) -> Option<Probe> {
        let http = |method, target: &str, (least, greatest): (u16, u16)| Question::Http {
            method,
            target: target.to_owned(),
            expected: least..=greatest,
        };
        let question = match (self.kind, &self.path) {
            (ProbeKind::Off, _) => return None,
            (ProbeKind::Tcp, _) => Question::Connect,
            // A shield would treat a path as a viewer's request.
            (ProbeKind::Http, _) if is_tier => http(Method::OPTIONS, "*", ANY),
            (ProbeKind::Http, Some(path)) => http(Method::GET, path, self.expected),
            (ProbeKind::Http, None) => http(Method::HEAD, "/", ANY),
        };
        Some(Probe { question, interval: self.interval.get(), timeout: self.timeout.get() })
    }
}

/// Every response counts as good.
const ANY: (u16, u16) = (100, 999);
