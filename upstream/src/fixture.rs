//! Requests and upstreams for the tests of this crate.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method};

use crate::connect::address::Address;
use crate::connect::connections::Connections;
use crate::connect::dns::Dns;
use crate::connect::trust::{Config, Trust};
use crate::fetch::limiter::Limits;
use crate::health::Rules;
use crate::policy::{Event, Recorder};
use crate::request::UpstreamRequest;
use crate::spec::{Options, Spec, Timeouts};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// A tier on this machine, over HTTP/1.1, with all timeouts at one second.
pub(crate) fn spec(port: u16) -> Spec {
    let options = Options {
        dns: Dns::system(),
        connections: Arc::new(Connections::new(Trust::load(&Config::default()).unwrap(), 1)),
        timeouts: Timeouts { connect: SECOND, first_byte: SECOND, between_bytes: SECOND, min_rate: None },
        http2: false,
        streams_max: 1,
        limits: Limits { requests_max: 10, passes_max: 5, queue_max: 10, queue_timeout: SECOND },
        hedge_delay: None,
        rules: Rules {
            consecutive_failures: 1,
            error_rate_excess: 1.0,
            ejection_time: SECOND * 100,
            ejection_time_max: SECOND * 100,
            ejected_share_max: 1.0,
            slow_start: Duration::ZERO,
            rise: 1,
            fall: 1,
        },
        probe: None,
    };
    Spec {
        address: Address::literal("127.0.0.1", port),
        host: None,
        headers: HeaderMap::new(),
        weight: 1,
        group: 0,
        region: None,
        is_tier: true,
        options,
    }
}

pub(crate) fn request(folder: &str) -> UpstreamRequest {
    UpstreamRequest {
        folder: folder.into(),
        method: Method::GET,
        path_and_query: String::from("/"),
        host: String::from("live.example"),
        headers: HeaderMap::new(),
        span: None,
        head_timeout: None,
        late_after: None,
        is_backup: false,
        is_pass: false,
    }
}

/// Counts nothing.
#[derive(Debug)]
pub(crate) struct NoRecorder;

impl Recorder for NoRecorder {
    fn record(&self, _event: Event) {}
}
