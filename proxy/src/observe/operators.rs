//! Who may use the operators' listener: programs on this machine, or those that have the token or a
//! certificate.

use std::net::SocketAddr;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, middleware};
use serde_json::json;

/// The token of the operators. It is not shown.
#[derive(Clone)]
pub(crate) struct SharedSecret(std::sync::Arc<[u8]>);

/// Why the operators' listener must not be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unguarded {
    /// Other machines can reach it, and nothing proves who they are.
    #[error(
        "{0} is not a loopback address: set operators_token or operators_tls.client_ca, or listen on 127.0.0.1"
    )]
    Open(SocketAddr),
    /// The file of the token cannot be read.
    #[error("{file}: {error}")]
    File {
        /// Its name.
        file: String,
        /// The cause.
        error: std::io::Error,
    },
    /// The token can be guessed.
    #[error("{file}: the token must have at least {TOKEN_MIN} visible characters")]
    Weak {
        /// The name of the file.
        file: String,
    },
}

/// The fewest characters of a token: 16 random hexadecimal digits have 64 bits.
const TOKEN_MIN: usize = 16;

impl Unguarded {
    /// The field of `[listen]` that must change.
    pub(crate) fn field(&self) -> &'static str {
        match self {
            Self::Open(_) => "operators",
            Self::File { .. } | Self::Weak { .. } => "operators_token",
        }
    }
}

/// Reads the token of a listener; `None` if it needs none.
///
/// # Errors
/// When other machines can reach the listener with neither a token nor a certificate, or the token cannot be
/// used.
pub(crate) fn guard(
    address: SocketAddr,
    token_file: Option<&str>,
    client_ca: Option<&str>,
) -> Result<Option<SharedSecret>, Unguarded> {
    if let Some(file) = token_file {
        return SharedSecret::read(file).map(Some);
    }
    let is_local = address.ip().to_canonical().is_loopback();
    if is_local || client_ca.is_some() { Ok(None) } else { Err(Unguarded::Open(address)) }
}

/// Adds the check of the token to all routes but those for load balancers, which say only that the process is
/// alive and ready.
pub(crate) fn require(routes: Router, token: Option<SharedSecret>) -> Router {
    match token {
        Some(token) => routes.layer(middleware::from_fn_with_state(token, authorize)),
        None => routes,
    }
}

async fn authorize(State(token): State<SharedSecret>, request: Request, next: Next) -> Response {
    let is_open = ["/healthz", "/readyz"].contains(&request.uri().path());
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| bearer(value.as_bytes()));
    if is_open || given.is_some_and(|given| token.is(given)) {
        return next.run(request).await;
    }
    let headers = [(header::WWW_AUTHENTICATE, "Bearer"), (header::CACHE_CONTROL, "no-store")];
    (StatusCode::UNAUTHORIZED, headers, Json(json!({ "error": "unauthorized" }))).into_response()
}

/// The token of an `Authorization` field (RFC 6750 section 2.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

impl SharedSecret {
    /// Reads a file: its text, without white space around it.
    ///
    /// # Errors
    /// When it cannot be read, or the text can be guessed.
    pub(crate) fn read(file: &str) -> Result<Self, Unguarded> {
        let text = std::fs::read_to_string(file)
            .map_err(|error| Unguarded::File { file: file.to_owned(), error })?;
        let token = text.trim();
        if token.len() < TOKEN_MIN || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Unguarded::Weak { file: file.to_owned() });
        }
        Ok(Self(token.as_bytes().into()))
    }

    /// The token as the value of a field, which logs do not show.
    pub(crate) fn value(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::from_bytes(&self.0).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// The value of `Authorization` for requests with this token, which logs do not show.
    pub(crate) fn bearer(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::from_bytes(&[b"Bearer ", &*self.0].concat()).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// Compares in a time that does not depend on where the two differ.
    pub(crate) fn is(&self, given: &[u8]) -> bool {
        let difference = self.0.iter().zip(given).fold(0, |sum, (own, other)| sum | (own ^ other));
        self.0.len() == given.len() && difference == 0
    }
}

impl std::fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SharedSecret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_addresses_need_no_proof() {
        for address in ["127.0.0.1:9080", "127.9.0.1:0", "[::1]:9080", "[::ffff:127.0.0.1]:9080"] {
            assert!(guard(address.parse().unwrap(), None, None).unwrap().is_none(), "{address}");
        }
        for address in ["0.0.0.0:9080", "10.0.0.1:9080", "[::]:9080"] {
            let address = address.parse().unwrap();
            assert_eq!(guard(address, None, None).unwrap_err().field(), "operators");
            assert!(guard(address, None, Some("ca.pem")).unwrap().is_none(), "{address}");
        }
    }

    #[test]
    fn a_token_is_compared_as_a_whole() {
        let token = SharedSecret(b"0123456789abcdef".as_slice().into());
        assert!(token.is(b"0123456789abcdef"));
        for other in [&b""[..], b"0123456789abcdeX", b"0123456789abcde", b"0123456789abcdef0"] {
            assert!(!token.is(other));
        }
        assert_eq!(bearer(b"bearer  x"), Some(&b"x"[..]));
        assert_eq!((bearer(b"Basic xxxxxx"), bearer(b"Bearer")), (None, None));
    }
}
