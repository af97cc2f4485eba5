//! A request head that the fast path can serve.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Version, header};
use tidegate_headers::hop;
use tidegate_http1::{Fields, RequestHead};

/// The head of a simple request. All text is borrowed from the received bytes.
#[derive(Debug)]
pub(crate) struct SimpleHead<'a> {
    pub(crate) method: Method,
    /// Path and query, in visible ASCII.
    pub(crate) target: &'a str,
    /// The value of Host, which may have a port.
    pub(crate) host: &'a str,
    /// The header fields that affect the response to a hit.
    pub(crate) deciding: HeaderMap,
    /// Whether the player reports about itself (CMCD) in header fields.
    pub(crate) has_cmcd: bool,
    fields: Fields<'a>,
}

impl<'a> SimpleHead<'a> {
    /// The head, if it is simple.
    pub(crate) fn of(head: &RequestHead<'a>) -> Option<Self> {
        let method = match head.method {
            "GET" => Method::GET,
            "HEAD" => Method::HEAD,
            _ => return None,
        };
        if head.version != Version::HTTP_11 || !head.has_plain_target() {
            return None;
        }
        let (mut host, mut deciding, mut has_cmcd) = (None, HeaderMap::new(), false);
        for (name, value) in head.fields.iter() {
            match Bearing::of(name, value) {
                Bearing::None => {}
                Bearing::Cmcd => has_cmcd = true,
                Bearing::Host if host.is_none() => host = Some(std::str::from_utf8(value).ok()?),
                Bearing::Decides(name) => _ = deciding.append(name, HeaderValue::from_bytes(value).ok()?),
                Bearing::Host | Bearing::SlowPath => return None,
            }
        }
        let host = host.filter(|host| !host.is_empty())?;
        Some(Self { method, target: head.target, host, deciding, has_cmcd, fields: head.fields })
    }

    /// The `Cookie` fields, for the check of tokens.
    pub(crate) fn cookies(&self) -> impl Iterator<Item = &[u8]> {
        self.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("cookie")).map(|(_, value)| value)
    }

    /// The web origin of the page that sends the request.
    pub(crate) fn origin(&self) -> Option<&[u8]> {
        self.field("origin")
    }

    /// The value of a field.
    pub(crate) fn field(&self, wanted: &str) -> Option<&[u8]> {
        let mut fields = self.fields.iter();
        fields.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value)
    }

    /// All header fields, for the access log.
    pub(crate) fn headers(&self) -> HeaderMap {
        self.fields.copied().unwrap_or_default()
    }
}

/// How a header field affects the response to a hit.
enum Bearing {
    /// Not at all.
    None,
    Host,
    /// It only says how the viewer plays.
    Cmcd,
    Decides(HeaderName),
    /// In a way that the fast path does not implement.
    SlowPath,
}

impl Bearing {
    fn of(field: &str, value: &[u8]) -> Self {
        let is = |name: &str| field.eq_ignore_ascii_case(name);
        // The length alone rules out most fields of most requests.
        match field.len() {
            4 if is("host") => Self::Host,
            5 if is("range") => Self::Decides(header::RANGE),
            6 if is("expect") => Self::SlowPath,
            7 if is("upgrade") => Self::SlowPath,
            8 if is("cdn-loop") => Self::Decides(hop::CDN_LOOP.clone()),
            8 if is("if-match") || is("if-range") => Self::SlowPath,
            10 if is("connection") && !value.eq_ignore_ascii_case(b"keep-alive") => Self::SlowPath,
            11 if is("cmcd-object") || is("cmcd-status") => Self::Cmcd,
            12 if is("cmcd-request") || is("cmcd-session") => Self::Cmcd,
            13 if is("if-none-match") => Self::Decides(header::IF_NONE_MATCH),
            13 if is("authorization") => Self::SlowPath,
            14 if is("content-length") || is("http2-settings") => Self::SlowPath,
            14 if is("tidegate-slice") => Self::SlowPath,
            15 if is("tidegate-backup") => Self::SlowPath,
            15 if is("accept-encoding") => Self::Decides(header::ACCEPT_ENCODING),
            17 if is("if-modified-since") => Self::Decides(header::IF_MODIFIED_SINCE),
            17 if is("transfer-encoding") => Self::SlowPath,
            19 if is("if-unmodified-since") => Self::SlowPath,
            _ => Self::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use tidegate_http1::Room;

    use super::*;
    use crate::viewer::head::{FIELDS_MAX, limits};

    fn deciding(request: &str) -> Option<String> {
        let mut room = Room::new();
        let head = RequestHead::parse(request.as_bytes(), limits(200), &mut room).ok()??;
        assert!(head.len <= request.len());
        let simple_head = SimpleHead::of(&head)?;
        let names: Vec<_> = simple_head.deciding.keys().map(HeaderName::as_str).collect();
        Some(format!(
            "{} {} {} {}",
            simple_head.method,
            simple_head.host,
            simple_head.target,
            names.join(",")
        ))
    }

    #[test]
    fn a_simple_request_is_read() {
        for (request, read) in [
            ("GET /a HTTP/1.1\r\nHost: b\r\n\r\n", "GET b /a "),
            ("\r\nHEAD /a?c=%20 HTTP/1.1\nhost: b:80\nuser-agent: x\n\nGET /", "HEAD b:80 /a?c=%20 "),
            (
                "GET / HTTP/1.1\r\nHost: b\r\nConnection: Keep-Alive\r\nRange: bytes=0-\r\n\r\n",
                "GET b / range",
            ),
            (
                "GET / HTTP/1.1\r\nAccept-Encoding: gzip\r\nIf-None-Match: \"a\"\r\nHost: b\r\n\r\n",
                "GET b / accept-encoding,if-none-match",
            ),
        ] {
            assert_eq!(deciding(request).as_deref(), Some(read), "{request:?}");
        }
    }

    #[test]
    fn a_request_that_is_not_simple_takes_the_slow_path() {
        for request in [
            "GET / HTTP/1.1\r\nHost: b\r\n",
            "GET / HTTP/1.0\r\nHost: b\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost:\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: b\r\nHost: b\r\n\r\n",
            "GET http://b/ HTTP/1.1\r\nHost: b\r\n\r\n",
            "GET /a#b HTTP/1.1\r\nHost: b\r\n\r\n",
            "GET /\" HTTP/1.1\r\nHost: b\r\n\r\n",
            "GET  / HTTP/1.1\r\nHost: b\r\n\r\n",
            "OPTIONS / HTTP/1.1\r\nHost: b\r\n\r\n",
            "get / HTTP/1.1\r\nHost: b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: b\r\nContent-Length: 0\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: b\r\nAuthorization: x\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: b\r\nExpect: 100-continue\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: b\r\nIf-Range: \"a\"\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: b\r\nIf-Match: *\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: b\r\nUpgrade: h2c\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: b\r\nTidegate-Backup: ?1\r\n\r\n",
        ] {
            assert_eq!(deciding(request), None, "{request:?}");
        }
        let fields = "a: b\r\n".repeat(FIELDS_MAX);
        assert_eq!(deciding(&format!("GET / HTTP/1.1\r\nHost: b\r\n{fields}\r\n")), None);
        let long = format!("GET / HTTP/1.1\r\nHost: b\r\na: {}\r\n\r\n", "b".repeat(200));
        assert_eq!(deciding(&long), None);
    }
}
