//! CORS (Fetch standard, "CORS protocol"): players run in pages of other origins, and the edge alone decides what they
//! may read. Answers get the same few headers, rendered once; preflights are answered here and never forwarded.

use std::time::Duration;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};

use crate::field;

/// What a site says about CORS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Whether this node adds CORS headers. If not, the origin's own go through. Default true.
    pub enabled: bool,
    /// The web origin whose pages may read answers, `*` for all of them. Default `*`.
    pub allow_origin: String,
    /// The methods that pages may use. Default GET, HEAD, OPTIONS.
    pub allow_methods: Vec<Method>,
    /// The response headers that pages may read. Default: see [`EXPOSED`].
    pub expose: Vec<String>,
    /// How long a browser may remember a preflight. Default one day.
    pub max_age: Duration,
}

/// What players and their analytics read.
pub const EXPOSED: [&str; 8] = [
    "Cache-Status",
    "Age",
    "Date",
    "Content-Length",
    "Content-Range",
    "Server-Timing",
    "CMSD-Static",
    "CMSD-Dynamic",
];

/// What is wrong with a [`Config`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// `allow_origin` is neither `*` nor scheme, host and port.
    #[error("allow_origin must be \"*\" or a web origin such as \"https://player.example\"")]
    AllowOrigin,
    /// `expose` holds something that is no header name.
    #[error("expose must hold header names")]
    Expose,
}

/// CORS for one site, rendered.
#[derive(Debug, Clone)]
pub struct Cors {
    allow_origin: HeaderValue,
    allow_methods: HeaderValue,
    expose: Option<HeaderValue>,
    max_age: HeaderValue,
}

impl Cors {
    /// Renders what a site says; `None` when it is switched off.
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

    /// Puts this site's CORS headers on an answer in place of whatever the origin said. `Timing-Allow-Origin` lets
    /// players measure what they load.
    pub fn apply(&self, answer: &mut HeaderMap) {
        for name in &OF_THE_ORIGIN {
            answer.remove(name);
        }
        answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, self.allow_origin.clone());
        answer.insert(TIMING_ALLOW_ORIGIN.clone(), self.allow_origin.clone());
        if let Some(expose) = &self.expose {
            answer.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, expose.clone());
        }
    }

    /// The answer to an OPTIONS request, preflight or not: 204 and these headers.
    pub fn preflight(&self, request: &HeaderMap) -> (StatusCode, HeaderMap) {
        let mut answer = HeaderMap::with_capacity(8);
        answer.insert(header::ALLOW, self.allow_methods.clone());
        self.apply(&mut answer);
        if is_preflight(request) {
            answer.insert(header::ACCESS_CONTROL_ALLOW_METHODS, self.allow_methods.clone());
            answer.insert(header::ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
            if let Some(asked) = requested_headers(request) {
                answer.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
            }
            answer.insert(header::VARY, HeaderValue::from_name(header::ACCESS_CONTROL_REQUEST_HEADERS));
        }
        (StatusCode::NO_CONTENT, answer)
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

/// The headers that a page wants to send, if they are a list of names of reasonable size. What is sent then is still
/// dropped or kept by the request's own rules, so that any name (`Range`, `CMCD-Session` ...) may be allowed.
fn requested_headers(request: &HeaderMap) -> Option<&HeaderValue> {
    let asked = request.get(header::ACCESS_CONTROL_REQUEST_HEADERS)?;
    let text = asked.to_str().ok()?;
    let is_list_of_names = field::members(text).all(field::is_token);
    (text.len() <= REQUESTED_LEN_MAX && is_list_of_names).then_some(asked)
}

/// `*` or `scheme://host[:port]` as browsers write it: no path, no list.
fn is_web_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else { return text == "*" };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':' | b'[' | b']');
    matches!(scheme, "http" | "https") && !host.is_empty() && host.bytes().all(plain)
}

const REQUESTED_LEN_MAX: usize = 1024;

static TIMING_ALLOW_ORIGIN: HeaderName = HeaderName::from_static("timing-allow-origin");

static OF_THE_ORIGIN: [HeaderName; 6] = [
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

    fn preflight(asked: &str) -> HeaderMap {
        let mut request = HeaderMap::new();
        request.insert("origin", HeaderValue::from_static("https://player.example"));
        request.insert("access-control-request-method", HeaderValue::from_static("GET"));
        request.insert("access-control-request-headers", HeaderValue::from_str(asked).unwrap());
        cors().preflight(&request).1
    }

    #[test]
    fn answers_may_be_read_by_every_page() {
        let mut answer = HeaderMap::new();
        answer.append("access-control-allow-origin", HeaderValue::from_static("https://one.example"));
        answer.append("access-control-allow-origin", HeaderValue::from_static("https://two.example"));
        answer.insert("access-control-allow-credentials", HeaderValue::from_static("true"));
        cors().apply(&mut answer);
        assert_eq!(answer.get_all("access-control-allow-origin").iter().collect::<Vec<_>>(), ["*"]);
        assert!(!answer.contains_key("access-control-allow-credentials"));
        let exposed = answer["access-control-expose-headers"].to_str().unwrap();
        assert!(exposed.contains("Cache-Status, Age") && exposed.contains("CMSD-Dynamic"), "{exposed}");
    }

    #[test]
    fn a_preflight_allows_the_headers_it_asks_for() {
        let answer = preflight("range,if-none-match, cmcd-session");
        assert_eq!(answer["access-control-allow-headers"], "range,if-none-match, cmcd-session");
        assert_eq!(answer["access-control-allow-methods"], "GET, HEAD, OPTIONS");
        assert_eq!(answer["access-control-max-age"], "86400");
    }

    #[test]
    fn what_is_no_list_of_names_is_not_repeated() {
        for asked in ["a b", "x\u{7f}".trim_end_matches('\u{7f}').repeat(1025).as_str(), "a: b", "\"a\""] {
            assert!(!preflight(asked).contains_key("access-control-allow-headers"), "{asked}");
        }
    }

    #[test]
    fn plain_options_tells_the_methods() {
        let (status, answer) = cors().preflight(&HeaderMap::new());
        assert_eq!(status, StatusCode::NO_CONTENT);
        assert_eq!(answer["allow"], "GET, HEAD, OPTIONS");
        assert!(!answer.contains_key("access-control-allow-methods"));
    }

    #[test]
    fn a_wrong_configuration_is_refused() {
        let of = |allow_origin: &str, expose: &str| {
            let expose = vec![expose.to_owned()];
            Cors::new(&Config { allow_origin: allow_origin.to_owned(), expose, ..Config::default() })
                .map(|_| ())
        };
        assert_eq!(of("https://player.example:8443", "Age"), Ok(()));
        for bad in
            ["", "player.example", "https://a.example/", "https://a.example, https://b.example", "ftp://a"]
        {
            assert_eq!(of(bad, "Age"), Err(Error::AllowOrigin), "{bad}");
        }
        assert_eq!(of("*", "not a name"), Err(Error::Expose));
        assert!(Cors::new(&Config { enabled: false, ..Config::default() }).unwrap().is_none());
    }
}
