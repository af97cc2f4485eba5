//! Who may talk to the page's server: browsers on this machine, about this page.
//!
//! The listener is on loopback, but any website may point a visitor's browser at it, directly (cross-site request)
//! or through a name of its own (DNS rebinding). The `Host` and `Origin` headers tell, and a browser lets no
//! script forge them.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};

/// The middleware: 403 for a refused request.
pub(crate) async fn check(request: Request, next: Next) -> Response {
    match refusal(request.headers()) {
        Some(reason) => (StatusCode::FORBIDDEN, reason).into_response(),
        None => next.run(request).await,
    }
}

/// Why a request with these headers is refused, if it is.
fn refusal(headers: &HeaderMap) -> Option<&'static str> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok()).filter(|host| is_loopback(host));
    let (Some(host), None) = (host, hosts.next()) else {
        return Some("this page answers to 127.0.0.1 and localhost only\n");
    };
    let own = format!("http://{host}");
    let mut origins = headers.get_all(header::ORIGIN).iter();
    if origins.any(|origin| !origin.as_bytes().eq_ignore_ascii_case(own.as_bytes())) {
        return Some("this page takes no requests from other pages\n");
    }
    None
}

/// Whether a `Host` names this machine; the port is free, so that a forwarded port works.
fn is_loopback(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !host.ends_with(']') => (name, port),
        _ => (host, "80"),
    };
    let loopback = ["127.0.0.1", "localhost", "[::1]"].iter().any(|own| own.eq_ignore_ascii_case(name));
    loopback && port.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(headers: &[(header::HeaderName, &'static str)]) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, value.parse().unwrap());
        }
        refusal(&map).is_some()
    }

    #[test]
    fn the_page_itself_is_served() {
        assert!(!refused(&[(header::HOST, "127.0.0.1:8000")]));
        assert!(!refused(&[(header::HOST, "[::1]:8000")]));
        assert!(!refused(&[(header::HOST, "[::1]")]));
        assert!(!refused(&[(header::HOST, "LocalHost:9000"), (header::ORIGIN, "http://localhost:9000")]));
    }

    #[test]
    fn a_rebound_name_is_refused() {
        assert!(refused(&[(header::HOST, "rebound.example:8000")]));
        assert!(refused(&[(header::HOST, "127.0.0.1.rebound.example:8000")]));
        assert!(refused(&[(header::HOST, "localhost:8000.rebound.example")]));
        assert!(refused(&[]));
        assert!(refused(&[(header::HOST, "127.0.0.1:8000"), (header::HOST, "rebound.example")]));
    }

    #[test]
    fn another_pages_request_is_refused() {
        for origin in ["http://rebound.example", "null", "https://127.0.0.1:8000", "http://127.0.0.1:8001"] {
            assert!(refused(&[(header::HOST, "127.0.0.1:8000"), (header::ORIGIN, origin)]), "{origin}");
        }
    }
}
