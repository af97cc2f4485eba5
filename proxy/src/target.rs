//! What the request line and Host say, before a site is found.

use std::borrow::Cow;

use crate::client::Client;
use crate::refusal::Refusal;

/// Where a request goes.
#[derive(Debug)]
pub(crate) struct Target {
    /// Host, perhaps with a port.
    pub(crate) authority: String,
    /// Path and query as sent.
    pub(crate) path_and_query: String,
}

/// Reads the target of a request in origin form or in absolute form.
///
/// RFC 9112 section 3.2.2 lets the authority of an absolute form win over `Host`. Here a request whose two differ has
/// been refused by the parser, deliberately stricter: no client sends one by accident, and the next server might read it
/// as one for the other host.
pub(crate) fn read(client: &Client) -> Result<Target, Refusal> {
    check_lengths(client)?;
    let host = || {
        let host = client.headers().get(http::header::HOST).and_then(|host| host.to_str().ok());
        host.or_else(|| client.authority()).map(str::to_owned)
    };
    let raw = std::str::from_utf8(client.target()).map_err(|_error| Refusal::Malformed)?;
    // RFC 9112 section 3.2: not even a target that names the host makes up for the field.
    if client.version() == http::Version::HTTP_11 && !client.headers().contains_key(http::header::HOST) {
        return Err(Refusal::NoHost);
    }
    if *client.method() == http::Method::CONNECT {
        return Err(Refusal::Method(http::Method::CONNECT));
    }
    match raw.split_once("://") {
        Some((scheme, rest))
            if scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https") =>
        {
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            let (authority, path) = rest.split_at_checked(end).ok_or(Refusal::Malformed)?;
            let slash = if path.starts_with('/') { "" } else { "/" };
            Ok(Target { authority: authority.to_owned(), path_and_query: format!("{slash}{path}") })
        }
        _ => Ok(Target {
            authority: host().filter(|host| !host.is_empty()).ok_or(Refusal::NoHost)?,
            path_and_query: raw.to_owned(),
        }),
    }
}

/// Whether a request concerns the server itself and no resource of it (RFC 9110 section 7.1). What else is wrong with it
/// is found when it is read.
pub(crate) fn is_server(client: &Client) -> bool {
    *client.method() == http::Method::OPTIONS && client.target() == b"*" && read(client).is_ok()
}

/// The host by which a site is found: lower case, without port and trailing dot.
pub(crate) fn host_name(authority: &str) -> Cow<'_, str> {
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => authority.split(':').next().unwrap_or(authority),
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    }
}

/// In origin form (RFC 9112 section 3.2.1), of characters that every parser of targets takes for what they are.
pub(crate) fn is_plain(target: &str) -> bool {
    target.starts_with('/')
        && target.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%".contains(&byte))
}

/// Path and query of a target in origin form.
pub(crate) fn parts(target: &str) -> (&str, Option<&str>) {
    match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    }
}

/// RFC 9112 section 6.1: a request with both fields is an attempt at smuggling until proven otherwise. The parser
/// has dropped Content-Length by now, so the head as it came is looked at.
fn check_lengths(client: &Client) -> Result<(), Refusal> {
    if !client.headers().contains_key(http::header::TRANSFER_ENCODING) {
        return Ok(());
    }
    let raw = client.raw_head();
    let names_length = raw.split(|byte| *byte == b'\n').any(|line| {
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        name.trim_ascii().eq_ignore_ascii_case(b"content-length")
    });
    if names_length { Err(Refusal::AmbiguousLength) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_is_found_by_the_bare_host() {
        for (authority, name) in [
            ("Live.Example:8080", "live.example"),
            ("live.example.", "live.example"),
            ("[::1]:8080", "::1"),
            ("127.0.0.1", "127.0.0.1"),
        ] {
            assert_eq!(host_name(authority), name);
        }
    }
}
