//! The place to which a reference leads, on any host (RFC 3986 section 5.2).

use crate::reference::{split_authority, without_dots};

/// Where a reference leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location<'a> {
    /// `http` or `https`, if the reference has a scheme.
    pub scheme: Option<&'a str>,
    /// Host and port, if the reference has them.
    pub authority: Option<&'a str>,
    /// Path and query, as written.
    pub target: String,
}

impl<'a> Location<'a> {
    /// Resolves `reference` in a document whose path and query are `base`. `None` if it is for another scheme
    /// than HTTP, or leads to the document itself.
    pub fn resolve(reference: &'a str, base: &str) -> Option<Self> {
        let reference = reference.trim().split('#').next().filter(|reference| !reference.is_empty())?;
        let (authority, rest) = split_authority(reference)?;
        let scheme = reference.split_once("://").map(|(scheme, _)| scheme).filter(|_| authority.is_some());
        let scheme = scheme.filter(|scheme| !scheme.contains('/'));
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (rest, None),
        };
        let base = base.split('?').next().unwrap_or_default();
        let merged = match (authority, path) {
            (Some(_), "") => "/".to_owned(),
            (None, "") => base.to_owned(),
            (_, path) if path.starts_with('/') => without_dots(path),
            (_, path) => without_dots(&format!("{}/{path}", folder(base))),
        };
        let target = query.map(|query| format!("{merged}?{query}")).unwrap_or(merged);
        Some(Self { scheme, authority, target })
    }
}

/// The path up to its last slash, without it.
pub fn folder(target: &str) -> &str {
    let path = target.split('?').next().unwrap_or_default();
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_leads_to_a_scheme_a_host_and_a_target() {
        let base = "/a/b/live.m3u8?t=1";
        for (reference, scheme, authority, target) in [
            ("other/x.m3u8", None, None, "/a/b/other/x.m3u8"),
            ("../x.m3u8?s=/1", None, None, "/a/x.m3u8?s=/1"),
            ("/x%2Fy.m3u8", None, None, "/x%2Fy.m3u8"),
            ("?s=2", None, None, "/a/b/live.m3u8?s=2"),
            ("http://o.example:81/x?u=http://y/", Some("http"), Some("o.example:81"), "/x?u=http://y/"),
            ("HTTPS://o.example", Some("HTTPS"), Some("o.example"), "/"),
            ("//o.example/x", None, Some("o.example"), "/x"),
            ("/r?u=http://y/", None, None, "/r?u=http://y/"),
        ] {
            let expected = Location { scheme, authority, target: target.to_owned() };
            assert_eq!(Location::resolve(reference, base), Some(expected), "{reference}");
        }
        for reference in ["", "#part", "data:text/plain,1", "ftp://o.example/x"] {
            assert_eq!(Location::resolve(reference, base), None, "{reference}");
        }
    }
}
