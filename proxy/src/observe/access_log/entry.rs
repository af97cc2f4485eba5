//! One request as a line of ECS (Elastic Common Schema) fields, as nested objects, which every ECS reader
//! accepts without configuration. Fields that ECS does not define are in `tidegate`, `cmcd` and
//! `cmcd_reports`.

use std::time::{Duration, SystemTime};

use http::{Method, StatusCode, Version};
use serde::Serialize;
use tidegate_headers::cmcd::Cmcd;
use tidegate_headers::proxy_status;

use super::addresses::LoggedAddress;
use super::redact::Redaction;
use super::timestamp::Timestamp;
use crate::fate::Fate;

/// The facts about a finished request. All text is borrowed from it.
#[derive(Debug, Clone)]
pub struct Entry<'a> {
    /// The time when the request was read, or refused unread.
    pub time: SystemTime,
    /// From then to the last byte of the response.
    pub duration: Duration,
    /// From then to the first byte of the response, if there was one.
    pub first_byte: Option<Duration>,
    /// The method. Method, version and path are absent where the request could not be read.
    pub method: Option<&'a Method>,
    /// The HTTP version of the request.
    pub version: Option<Version>,
    /// The requested host.
    pub host: Option<&'a str>,
    /// The path as received.
    pub path: Option<&'a str>,
    /// The query, without the question mark.
    pub query: Option<&'a str>,
    /// The status of the response; `None` if the viewer left before it began.
    pub status: Option<StatusCode>,
    /// Body bytes that were sent.
    pub body_bytes: u64,
    /// The viewer's address.
    pub client: Option<LoggedAddress>,
    /// `User-Agent`.
    pub user_agent: Option<&'a str>,
    /// `Referer`.
    pub referrer: Option<&'a str>,
    /// `X-Request-ID`.
    pub request_id: Option<&'a str>,
    /// The trace of a W3C `traceparent`.
    pub trace_id: Option<&'a str>,
    /// `edge` or `shield`.
    pub tier: &'a str,
    /// The node's name.
    pub node: &'a str,
    /// The site that the host belongs to.
    pub site: Option<&'a str>,
    /// The kind of the requested object.
    pub kind: tidegate_hls::Kind,
    /// The outcome of the request.
    pub fate: Fate,
    /// The upstream of the response, or of its latest part.
    pub upstream: Option<&'a str>,
    /// The age of the response.
    pub cache_age: Option<Duration>,
    /// The error, if the request failed.
    pub error: Option<proxy_status::Error>,
    /// The stable code of a refusal.
    pub reason: Option<&'static str>,
    /// Whether the body was cut off before its end.
    pub broken: bool,
    /// The player's report about itself.
    pub cmcd: Option<&'a Cmcd>,
    /// The reports that a player has posted.
    pub cmcd_reports: &'a [Cmcd],
}

impl Entry<'_> {
    /// The line, line feed included.
    pub(super) fn line(&self, redaction: &Redaction) -> Option<Vec<u8>> {
        let query = self.query.map(|query| redaction.query(query));
        let path = self.path.map(|path| redaction.path(path));
        let referrer = self.referrer.map(|url| redaction.url(url));
        let line = Line {
            timestamp: Timestamp(self.time),
            level: "info",
            ecs: Ecs { version: ECS_VERSION },
            event: Event { dataset: "tidegate.access", duration: self.duration.as_nanos() },
            http: Http {
                version: self.version.map(version_text),
                request: self.method.map(|method| Request {
                    method: method.as_str(),
                    id: self.request_id,
                    referrer: referrer.as_deref(),
                }),
                response: Response {
                    status_code: self.status.map(|status| status.as_u16()),
                    body: Body { bytes: self.body_bytes },
                },
            },
            url: path.as_deref().map(|path| Url { domain: self.host, path, query: query.as_deref() }),
            client: self.client.as_ref().filter(|client| **client != LoggedAddress::Hidden),
            user_agent: self.user_agent.map(|original| UserAgent { original }),
            service: Service {
                name: "tidegate",
                version: env!("CARGO_PKG_VERSION"),
                node: Node { name: self.node },
            },
            trace: self.trace_id.map(|id| Trace { id }),
            tidegate: self.tidegate(),
            cmcd: self.cmcd,
            cmcd_reports: self.cmcd_reports,
        };
        let mut bytes = Vec::with_capacity(LINE_CAPACITY);
        serde_json::to_writer(&mut bytes, &line).ok()?;
        bytes.push(b'\n');
        Some(bytes)
    }

    fn tidegate(&self) -> Tidegate<'_> {
        Tidegate {
            tier: self.tier,
            node: self.node,
            site: self.site,
            kind: self.kind.as_str(),
            fate: self.fate.as_str(),
            collapsed: self.fate == Fate::Join,
            upstream: self.upstream,
            cache_age: self.cache_age.map(|age| age.as_secs_f64()),
            first_byte: self.first_byte.map(|after| after.as_nanos()),
            error: self.error.map(proxy_status::Error::as_str),
            reason: self.reason,
            broken: self.broken,
        }
    }
}

const ECS_VERSION: &str = "9.3.0";
const LINE_CAPACITY: usize = 1024;

fn version_text(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => "1.1",
    }
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(rename = "@timestamp")]
    timestamp: Timestamp,
    /// ECS loggers write this name with a dot even where all others are nested.
    #[serde(rename = "log.level")]
    level: &'static str,
    ecs: Ecs,
    event: Event,
    http: Http<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<Url<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<&'a LoggedAddress>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<UserAgent<'a>>,
    service: Service<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<Trace<'a>>,
    tidegate: Tidegate<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cmcd: Option<&'a Cmcd>,
    #[serde(skip_serializing_if = "<[Cmcd]>::is_empty")]
    cmcd_reports: &'a [Cmcd],
}

#[derive(Serialize)]
struct Ecs {
    version: &'static str,
}

#[derive(Serialize)]
struct Event {
    dataset: &'static str,
    /// Nanoseconds, by ECS.
    duration: u128,
}

#[derive(Serialize)]
struct Http<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<Request<'a>>,
    response: Response,
}

#[derive(Serialize)]
struct Request<'a> {
    method: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    referrer: Option<&'a str>,
}

#[derive(Serialize)]
struct Response {
    #[serde(skip_serializing_if = "Option::is_none")]
    status_code: Option<u16>,
    body: Body,
}

#[derive(Serialize)]
struct Body {
    bytes: u64,
}

#[derive(Serialize)]
struct Url<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<&'a str>,
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<&'a str>,
}

#[derive(Serialize)]
struct UserAgent<'a> {
    original: &'a str,
}

#[derive(Serialize)]
struct Service<'a> {
    name: &'static str,
    version: &'static str,
    node: Node<'a>,
}

#[derive(Serialize)]
struct Node<'a> {
    name: &'a str,
}

#[derive(Serialize)]
struct Trace<'a> {
    id: &'a str,
}

#[derive(Serialize)]
struct Tidegate<'a> {
    tier: &'a str,
    node: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    site: Option<&'a str>,
    kind: &'static str,
    fate: &'static str,
    collapsed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream: Option<&'a str>,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_age: Option<f64>,
    /// Nanoseconds, as `event.duration`.
    #[serde(skip_serializing_if = "Option::is_none")]
    first_byte: Option<u128>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    broken: bool,
}
