//! Tokens: signed statements of what a viewer may watch, and until when.
//!
//! A token is checked in two steps. [`verify`] needs the keys alone: it finds out who signed the token and
//! what it grants, and its result may be kept as long as the keys and the revocations stay.
//! [`Grant::admits`] needs the request and the time, and is a few comparisons.
//!
//! Tidegate's own format is `tg1.PAYLOAD.MAC`: `PAYLOAD` is a JSON object in base64url ([`Claims`]), `MAC`
//! is the HMAC-SHA256 of everything before the last dot, in base64url as well. All characters are allowed
//! in a path, in a query and in a cookie without an escape.
//!
//! A JSON Web Token with the claims of RFC 9246 (`jwt.rs`) and a Common Access Token (`cat.rs`) are
//! accepted in the same places. The form of a token decides how it is read, and its key decides on the
//! algorithm.
//!
//! Begin reading in `grant.rs`; `own.rs` has the format, `key.rs` the keys, `carrier.rs` the places of a
//! token in a request.

mod base64url;
mod carrier;
mod cat;
mod cbor;
mod grant;
mod jwt;
mod key;
mod own;
mod path;
mod refusal;
mod revoked;
mod uri;
mod visit;

pub use carrier::{Carried, Carrier, Carriers, in_path};
pub use grant::Grant;
pub use key::{Algorithm, Key, KeyError, Keys};
pub use own::{Claims, sign};
pub use path::{Prefix, PrefixError};
pub use refusal::Refusal;
pub use revoked::Revoked;
pub use visit::Visit;

/// The longest token in bytes. Longer ones are refused unread.
pub const BYTES_MAX: usize = 4096;

/// Reads a token and checks its signature. The result does not depend on the request.
///
/// # Errors
/// When the token cannot be read, no key has signed it, or it is revoked.
pub fn verify(token: &str, keys: &Keys, revoked: &Revoked) -> Result<Grant, Refusal> {
    if token.len() > BYTES_MAX {
        return Err(Refusal::Malformed);
    }
    let grant = if token.starts_with(own::VERSION) {
        own::verify(token, keys)?
    } else if jwt::has_form(token) {
        jwt::verify(token, keys)?
    } else if cat::has_form(token) {
        cat::verify(token, keys)?
    } else {
        return Err(Refusal::Malformed);
    };
    if grant.id().is_some_and(|id| revoked.contains(id)) {
        return Err(Refusal::Revoked);
    }
    Ok(grant)
}

#[cfg(test)]
mod foreign_tests;
#[cfg(test)]
mod tests;
