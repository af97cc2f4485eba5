//! A request head as the fast path parses it: once, in the buffer into which it was read.

use std::mem::MaybeUninit;

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use tidegate_headers::hop;

use crate::request::target;

/// The head of a plain request. All text is borrowed from the received bytes.
#[derive(Debug)]
pub(crate) struct SimpleHead<'a> {
    pub(crate) method: Method,
    /// Path and query, in visible ASCII.
    pub(crate) target: &'a str,
    /// The value of Host, which may have a port.
    pub(crate) host: &'a str,
    /// The header fields that affect the response to a hit.
    pub(crate) deciding: HeaderMap,
    fields: &'a [httparse::Header<'a>],
}

/// Parses the head at the start of `bytes`. If it is complete, has at most `max` bytes and is plain, calls
/// `then` with it and its length.
pub(crate) fn read<T>(
    bytes: &[u8],
    max: u64,
    then: impl FnOnce(&SimpleHead<'_>, usize) -> Option<T>,
) -> Option<T> {
    let mut room = [const { MaybeUninit::uninit() }; FIELDS_MAX];
    let mut head = httparse::Request::new(&mut []);
    let httparse::Status::Complete(len) = head.parse_with_uninit_headers(bytes, &mut room).ok()? else {
        return None;
    };
    let method = match head.method? {
        "GET" => Method::GET,
        "HEAD" => Method::HEAD,
        _ => return None,
    };
    let target = head.path.filter(|target| target::is_plain(target))?;
    if head.version != Some(1) || len as u64 > max {
        return None;
    }
    let (mut host, mut deciding) = (None, HeaderMap::new());
    for field in &*head.headers {
        match Bearing::of(field) {
            Bearing::None => {}
            Bearing::Host if host.is_none() => host = Some(std::str::from_utf8(field.value).ok()?),
            Bearing::Decides(name) => _ = deciding.append(name, HeaderValue::from_bytes(field.value).ok()?),
            Bearing::Host | Bearing::SlowPath => return None,
        }
    }
    let host = host.filter(|host| !host.is_empty())?;
    then(&SimpleHead { method, target, host, deciding, fields: head.headers }, len)
}

impl SimpleHead<'_> {
    /// All header fields, for the access log.
    pub(super) fn headers(&self) -> HeaderMap {
        let field = |field: &httparse::Header<'_>| {
            Some((HeaderName::try_from(field.name).ok()?, HeaderValue::from_bytes(field.value).ok()?))
        };
        let mut headers = HeaderMap::with_capacity(self.fields.len());
        for (name, value) in self.fields.iter().filter_map(field) {
            headers.append(name, value);
        }
        headers
    }
}

/// How a header field affects the response to a hit.
enum Bearing {
    /// Not at all.
    None,
    Host,
    Decides(HeaderName),
    /// In a way that the fast path does not implement.
    SlowPath,
}

impl Bearing {
    fn of(field: &httparse::Header<'_>) -> Self {
        let is = |name: &str| field.name.eq_ignore_ascii_case(name);
        // The length alone rules out most fields of most requests.
        match field.name.len() {
            4 if is("host") => Self::Host,
            5 if is("range") => Self::Decides(header::RANGE),
            6 if is("expect") => Self::SlowPath,
            7 if is("upgrade") => Self::SlowPath,
            8 if is("cdn-loop") => Self::Decides(hop::CDN_LOOP.clone()),
            8 if is("if-match") || is("if-range") => Self::SlowPath,
            10 if is("connection") && !field.value.eq_ignore_ascii_case(b"keep-alive") => Self::SlowPath,
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

/// Requests with more fields take the slow path.
const FIELDS_MAX: usize = 48;

#[cfg(test)]
mod tests {
    use super::*;

    fn deciding(request: &str) -> Option<String> {
        read(request.as_bytes(), 200, |simple_head, len| {
            assert!(len <= request.len());
            let names: Vec<_> = simple_head.deciding.keys().map(HeaderName::as_str).collect();
            Some(format!(
                "{} {} {} {}",
                simple_head.method,
                simple_head.host,
                simple_head.target,
                names.join(",")
            ))
        })
    }

    #[test]
    fn a_plain_request_is_read() {
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
    fn a_request_that_is_not_plain_takes_the_slow_path() {
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
