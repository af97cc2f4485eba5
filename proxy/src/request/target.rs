//! The target of a request, from the request line and Host, before a site is found.

use std::borrow::Cow;

/// The target of a request.
#[derive(Debug)]
pub(crate) struct Target {
    /// The host, perhaps with a port.
    pub(crate) authority: String,
    /// Path and query as received.
    pub(crate) path_and_query: String,
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

/// Path and query of a target in origin form.
pub(crate) fn parts(target: &str) -> (&str, Option<&str>) {
    match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    }
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
