//! CORS (Fetch standard, "CORS protocol"): players run in pages of other origins, and the edge alone decides
//! what they may read. All responses get the same few header fields, rendered once; the node itself responds
//! to preflights and never forwards them.

use std::time::Duration;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};

use crate::field;

/// The CORS configuration of a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Whether this node sets CORS headers. If not, the origin's own are forwarded. Default true.
    pub enabled: bool,
    /// The web origin whose pages may read responses, `*` for all of them. Default `*`.
    pub allow_origin: String,
    /// The methods that pages may use. Default GET, HEAD, OPTIONS.
    pub allow_methods: Vec<Method>,
    /// The response headers that pages may read. Default: see [`EXPOSED`].
    pub expose: Vec<String>,
    /// How long a browser may cache a preflight. Default one day.
    pub max_age: Duration,
}

/// The response headers that players and their analytics read.
pub const EXPOSED: [&str; 9] = [
    "Cache-Status",
    "Age",
    "Date",
    "Content-Length",
    "Content-Range",
    "Server-Timing",
    "CMSD-Static",
    "CMSD-Dynamic",
    "Tidegate-Refusal",
];

/// What is wrong with a [`Config`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// `allow_origin` is neither `*` nor scheme, host and port.
    #[error("allow_origin must be \"*\" or a web origin such as \"https://player.example\"")]
    AllowOrigin,
    /// `expose` has an entry that is not a header name.
    #[error("expose must hold header names")]
    Expose,
}

/// The rendered CORS header fields of one site.
#[derive(Debug, Clone)]
pub struct Cors {
    allow_origin: HeaderValue,
    allow_methods: HeaderValue,
    expose: Option<HeaderValue>,
    max_age: HeaderValue,
}

impl Cors {
    /// Renders a site's configuration; `None` when CORS is disabled.
    pub fn new(config: &Config) -> Result<Option<Self>, Error> {
        if !config.enabled {
            return Ok(None);
        }
        if !is_web_origin(&config.allow_origin) {
            return Err(Error::AllowOrigin);
        }
        if !config.expose.iter().all(|name| field::is_token(name)) {
            return Err(Error::Expose);
        }
        let methods: Vec<_> = config.allow_methods.iter().map(Method::as_str).collect();
        Ok(Some(Self {
            allow_origin: field::value(&config.allow_origin),
            allow_methods: field::value(methods.join(", ")),
            expose: (!config.expose.is_empty()).then(|| field::value(config.expose.join(", "))),
            max_age: field::value(config.max_age.as_secs()),
        }))
    }

    /// Sets this site's CORS headers on a response in place of the origin's. `Timing-Allow-Origin` lets
    /// players measure their downloads.
    pub fn apply(&self, response: &mut HeaderMap) {
        for name in &REPLACED {
            response.remove(name);
        }
        response.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, self.allow_origin.clone());
        response.insert(TIMING_ALLOW_ORIGIN.clone(), self.allow_origin.clone());
        if let Some(expose) = &self.expose {
            response.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, expose.clone());
        }
    }

    /// The response to an OPTIONS request, preflight or not: 204 and these headers.
    pub fn preflight(&self, request: &HeaderMap) -> (StatusCode, HeaderMap) {
        let mut response = HeaderMap::with_capacity(8);
        response.insert(header::ALLOW, self.allow_methods.clone());
        self.apply(&mut response);
        if is_preflight(request) {
            response.insert(header::ACCESS_CONTROL_ALLOW_METHODS, self.allow_methods.clone());
            response.insert(header::ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
            if let Some(requested) = requested_headers(request) {
                response.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, requested.clone());
            }
            response.insert(header::VARY, HeaderValue::from_name(header::ACCESS_CONTROL_REQUEST_HEADERS));
        }
        (StatusCode::NO_CONTENT, response)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            allow_origin: "*".to_owned(),
            allow_methods: vec![Method::GET, Method::HEAD, Method::OPTIONS],
            expose: EXPOSED.map(str::to_owned).to_vec(),
            max_age: Duration::from_hours(24),
        }
    }
}

fn is_preflight(request: &HeaderMap) -> bool {
    request.contains_key(header::ORIGIN) && request.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// The headers that a page wants to send, if they are a list of names of reasonable size. Any name (`Range`,
/// `CMCD-Session` ...) may be allowed, because the request's own rules still decide which fields are
/// forwarded.
fn requested_headers(request: &HeaderMap) -> Option<&HeaderValue> {
    let requested = request.get(header::ACCESS_CONTROL_REQUEST_HEADERS)?;
    let text = requested.to_str().ok()?;
    let is_list_of_names = field::members(text).all(field::is_token);
    (text.len() <= REQUESTED_LEN_MAX && is_list_of_names).then_some(requested)
}

/// Whether `text` is `*` or `scheme://host[:port]` as browsers write it: no path, no list.
fn is_web_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else { return text == "*" };
    let is_allowed =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':' | b'[' | b']');
    matches!(scheme, "http" | "https") && !host.is_empty() && host.bytes().all(is_allowed)
}

const REQUESTED_LEN_MAX: usize = 1024;

static TIMING_ALLOW_ORIGIN: HeaderName = HeaderName::from_static("timing-allow-origin");

static REPLACED: [HeaderName; 6] = [
    header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
    header::ACCESS_CONTROL_ALLOW_HEADERS,
    header::ACCESS_CONTROL_ALLOW_METHODS,
    header::ACCESS_CONTROL_EXPOSE_HEADERS,
    header::ACCESS_CONTROL_MAX_AGE,
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn cors() -> Cors {
        Cors::new(&Config::default()).unwrap().unwrap()
    }

    fn preflight(requested: &str) -> HeaderMap {
        let mut request = HeaderMap::new();
        request.insert("origin", HeaderValue::from_static("https://player.example"));
        request.insert("access-control-request-method", HeaderValue::from_static("GET"));
        request.insert("access-control-request-headers", HeaderValue::from_str(requested).unwrap());
        cors().preflight(&request).1
    }

    #[test]
    fn responses_may_be_read_by_every_page() {
        let mut response = HeaderMap::new();
        response.append("access-control-allow-origin", HeaderValue::from_static("https://one.example"));
        response.append("access-control-allow-origin", HeaderValue::from_static("https://two.example"));
        response.insert("access-control-allow-credentials", HeaderValue::from_static("true"));
        cors().apply(&mut response);
        assert_eq!(response.get_all("access-control-allow-origin").iter().collect::<Vec<_>>(), ["*"]);
        assert!(!response.contains_key("access-control-allow-credentials"));
        let exposed = response["access-control-expose-headers"].to_str().unwrap();
        assert!(exposed.contains("Cache-Status, Age") && exposed.contains("CMSD-Dynamic"), "{exposed}");
    }

    #[test]
    fn a_preflight_allows_the_headers_it_requests() {
        let response = preflight("range,if-none-match, cmcd-session");
        assert_eq!(response["access-control-allow-headers"], "range,if-none-match, cmcd-session");
        assert_eq!(response["access-control-allow-methods"], "GET, HEAD, OPTIONS");
        assert_eq!(response["access-control-max-age"], "86400");
    }

    #[test]
    fn a_value_that_is_not_a_list_of_names_is_not_repeated() {
        for requested in ["a b", "x\u{7f}".trim_end_matches('\u{7f}').repeat(1025).as_str(), "a: b", "\"a\""]
        {
            assert!(!preflight(requested).contains_key("access-control-allow-headers"), "{requested}");
        }
    }

    #[test]
    fn options_without_a_preflight_lists_the_methods() {
        let (status, response) = cors().preflight(&HeaderMap::new());
        assert_eq!(status, StatusCode::NO_CONTENT);
        assert_eq!(response["allow"], "GET, HEAD, OPTIONS");
        assert!(!response.contains_key("access-control-allow-methods"));
    }

    #[test]
    fn an_invalid_configuration_is_rejected() {
        let check = |allow_origin: &str, expose: &str| {
            let expose = vec![expose.to_owned()];
            Cors::new(&Config { allow_origin: allow_origin.to_owned(), expose, ..Config::default() })
                .map(|_| ())
        };
        assert_eq!(check("https://player.example:8443", "Age"), Ok(()));
        for bad in
            ["", "player.example", "https://a.example/", "https://a.example, https://b.example", "ftp://a"]
        {
            assert_eq!(check(bad, "Age"), Err(Error::AllowOrigin), "{bad}");
        }
        assert_eq!(check("*", "not a name"), Err(Error::Expose));
        assert!(Cors::new(&Config { enabled: false, ..Config::default() }).unwrap().is_none());
    }
}
