//! CORS (Fetch standard, "CORS protocol"): players run in pages of other origins, and the edge alone decides
//! what they may read. All responses get the same few header fields, rendered once; the node itself responds
//! to preflights and never forwards them.
//!
//! A page that sends cookies may read only a response that names the page's web origin. Where a site lists
//! such web origins, that field alone differs from response to response.

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
    /// The web origins whose pages may send credentials (cookies) and read the response. Default none.
    pub allow_credentials: Vec<String>,
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
    /// `allow_credentials` has an entry that is not scheme, host and port as browsers write them.
    #[error("allow_credentials must list web origins such as \"https://www.example\"")]
    AllowCredentials,
    /// `expose` has an entry that is not a header name.
    #[error("expose must hold header names")]
    Expose,
}

/// The rendered CORS header fields of one site.
#[derive(Debug, Clone)]
pub struct Cors {
    allow_origin: HeaderValue,
    allow_credentials: Vec<HeaderValue>,
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
        if !config.allow_credentials.iter().all(|origin| is_one_web_origin(origin)) {
            return Err(Error::AllowCredentials);
        }
        if !config.expose.iter().all(|name| field::is_token(name)) {
            return Err(Error::Expose);
        }
        let methods: Vec<_> = config.allow_methods.iter().map(Method::as_str).collect();
        Ok(Some(Self {
            allow_origin: field::value(&config.allow_origin),
            allow_credentials: config.allow_credentials.iter().map(field::value).collect(),
            allow_methods: field::value(methods.join(", ")),
            expose: (!config.expose.is_empty()).then(|| field::value(config.expose.join(", "))),
            max_age: field::value(config.max_age.as_secs()),
        }))
    }

    /// Sets this site's CORS headers on a response in place of the origin's. `page` is the `Origin` of the
    /// request.
    pub fn apply(&self, response: &mut HeaderMap, page: Option<&HeaderValue>) {
        self.apply_shared(response);
        if self.varies() {
            self.allow_page(page.map(HeaderValue::as_bytes), |name, value| {
                response.insert(name, value.clone());
            });
        }
    }

    /// The headers that are the same for all pages: all of them, unless [`Cors::varies`].
    /// `Timing-Allow-Origin` lets players measure their downloads.
    pub fn apply_shared(&self, response: &mut HeaderMap) {
        for name in &REPLACED {
            response.remove(name);
        }
        if self.varies() {
            field::vary_by(response, "Origin");
        } else {
            response.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, self.allow_origin.clone());
        }
        response.insert(TIMING_ALLOW_ORIGIN.clone(), self.allow_origin.clone());
        if let Some(expose) = &self.expose {
            response.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, expose.clone());
        }
    }

    /// Whether responses differ by the page that reads them.
    pub fn varies(&self) -> bool {
        !self.allow_credentials.is_empty()
    }

    /// Sets the headers that [`Cors::apply_shared`] leaves out if [`Cors::varies`]. A page with credentials
    /// may not read a response for `*`.
    pub fn allow_page(&self, page: Option<&[u8]>, mut set: impl FnMut(HeaderName, &HeaderValue)) {
        let listed = page.and_then(|page| self.allow_credentials.iter().find(|listed| *listed == page));
        set(header::ACCESS_CONTROL_ALLOW_ORIGIN, listed.unwrap_or(&self.allow_origin));
        if listed.is_some() {
            set(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, &HeaderValue::from_static("true"));
        }
    }

    /// The response to an OPTIONS request, preflight or not: 204 and these headers.
    pub fn preflight(&self, request: &HeaderMap) -> (StatusCode, HeaderMap) {
        let mut response = HeaderMap::with_capacity(8);
        response.insert(header::ALLOW, self.allow_methods.clone());
        self.apply(&mut response, request.get(header::ORIGIN));
        if is_preflight(request) {
            response.insert(header::ACCESS_CONTROL_ALLOW_METHODS, self.allow_methods.clone());
            response.insert(header::ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
            if let Some(requested) = requested_headers(request) {
                response.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, requested.clone());
            }
            field::vary_by(&mut response, header::ACCESS_CONTROL_REQUEST_HEADERS.as_str());
        }
        (StatusCode::NO_CONTENT, response)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            allow_origin: "*".to_owned(),
            allow_credentials: Vec::new(),
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

/// Whether `text` is `*` or one web origin.
fn is_web_origin(text: &str) -> bool {
    text == "*" || is_one_web_origin(text)
}

/// Whether `text` is `scheme://host[:port]` as browsers write it: in lower case, no path, no list.
pub fn is_one_web_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else { return false };
    let is_allowed = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b':' | b'[' | b']')
    };
    let is_default_port = host.ends_with(if scheme == "https" { ":443" } else { ":80" });
    matches!(scheme, "http" | "https") && !host.is_empty() && !is_default_port && host.bytes().all(is_allowed)
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
        cors().preflight(&preflight_request(requested)).1
    }

    fn preflight_request(requested: &str) -> HeaderMap {
        let mut request = HeaderMap::new();
        request.insert("origin", HeaderValue::from_static("https://player.example"));
        request.insert("access-control-request-method", HeaderValue::from_static("GET"));
        request.insert("access-control-request-headers", HeaderValue::from_str(requested).unwrap());
        request
    }

    #[test]
    fn responses_may_be_read_by_every_page() {
        let mut response = HeaderMap::new();
        response.append("access-control-allow-origin", HeaderValue::from_static("https://one.example"));
        response.append("access-control-allow-origin", HeaderValue::from_static("https://two.example"));
        response.insert("access-control-allow-credentials", HeaderValue::from_static("true"));
        cors().apply(&mut response, Some(&HeaderValue::from_static("https://one.example")));
        assert_eq!(response.get_all("access-control-allow-origin").iter().collect::<Vec<_>>(), ["*"]);
        assert!(!response.contains_key("access-control-allow-credentials"));
        assert!(!response.contains_key("vary"));
        let exposed = response["access-control-expose-headers"].to_str().unwrap();
        assert!(exposed.contains("Cache-Status, Age") && exposed.contains("CMSD-Dynamic"), "{exposed}");
    }

    #[test]
    fn only_a_listed_page_may_send_credentials() {
        let listed = ["https://www.example", "http://127.0.0.1:8000"];
        let allow_credentials = listed.map(str::to_owned).to_vec();
        let cors = Cors::new(&Config { allow_credentials, ..Config::default() }).unwrap().unwrap();
        let allowed = |page: Option<&'static str>| {
            let mut response = HeaderMap::new();
            response.insert("vary", HeaderValue::from_static("Accept-Encoding"));
            cors.apply(&mut response, page.map(HeaderValue::from_static).as_ref());
            assert_eq!(response.get_all("access-control-allow-origin").iter().count(), 1);
            assert_eq!(response["vary"], "Accept-Encoding, Origin");
            let credentials = response.get("access-control-allow-credentials");
            let credentials = credentials.map(|value| value.to_str().unwrap().to_owned());
            (response["access-control-allow-origin"].to_str().unwrap().to_owned(), credentials)
        };
        for page in listed {
            assert_eq!(allowed(Some(page)), (page.to_owned(), Some("true".to_owned())));
        }
        for page in ["https://www.example.evil", "http://www.example", "https://www.example:8443", "null", ""]
        {
            assert_eq!(allowed(Some(page)), ("*".to_owned(), None), "{page}");
        }
        assert_eq!(allowed(None), ("*".to_owned(), None));
    }

    #[test]
    fn a_preflight_of_a_listed_page_allows_credentials() {
        let allow_credentials = vec!["https://player.example".to_owned()];
        let cors = Cors::new(&Config { allow_credentials, ..Config::default() }).unwrap().unwrap();
        let (_status, response) = cors.preflight(&preflight_request("range"));
        assert_eq!(response["access-control-allow-origin"], "https://player.example");
        assert_eq!(response["access-control-allow-credentials"], "true");
        assert_eq!(response["access-control-allow-headers"], "range");
        assert_eq!(response["vary"], "Origin, access-control-request-headers");
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
        for bad in ["*", "null", "https://A.example", "https://a.example:443", "http://a.example:80"] {
            let allow_credentials = vec![bad.to_owned()];
            let refused = Cors::new(&Config { allow_credentials, ..Config::default() }).map(|_| ());
            assert_eq!(refused, Err(Error::AllowCredentials), "{bad}");
        }
        assert!(Cors::new(&Config { enabled: false, ..Config::default() }).unwrap().is_none());
    }
}
