//! Resolves the URIs in a playlist (RFC 3986 section 5.2).

use std::fmt::Write as _;

use crate::{QueryRules, Resource};

impl Resource {
    /// The resource that a URI names in a playlist whose resource is `self`. `None` if it is on another host
    /// or behind another scheme, or cannot be requested here.
    ///
    /// ```
    /// use tidegate_hls::{QueryRules, Resource};
    ///
    /// let rules = QueryRules::default();
    /// let playlist = Resource::parse("live.example", "/ch1/720p/live.m3u8?a=1", &rules)?;
    /// let segment = playlist.resolve("../seg 1.ts", &rules);
    /// assert_eq!(segment.map(|segment| segment.path).as_deref(), Some("/ch1/seg%201.ts"));
    /// assert_eq!(playlist.resolve("https://other.example/1.ts", &rules), None);
    /// # Ok::<(), tidegate_hls::ResourceError>(())
    /// ```
    pub fn resolve(&self, uri: &str, rules: &QueryRules) -> Option<Self> {
        let reference = uri.trim().split('#').next()?;
        if reference.len() > rules.path_bytes_max.saturating_add(rules.query_bytes_max) {
            return None;
        }
        let (authority, reference) = split_authority(reference)?;
        let (path, query) = match reference.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (reference, None),
        };
        let merged = match (authority, path) {
            (Some(_), "") => "/".to_owned(),
            // An empty reference is the playlist itself; a reference with only a query is another view of it.
            (None, "") if query.is_none() => return Some(self.clone()),
            (None, "") => self.path.clone(),
            (_, path) if path.starts_with('/') => path.to_owned(),
            (_, path) => {
                let (directory, _) = self.path.rsplit_once('/')?;
                format!("{directory}/{path}")
            }
        };
        let mut target = escape(&without_dots(&merged));
        if let Some(query) = query {
            target.push('?');
            target.push_str(&escape(query));
        }
        let resource = Self::parse(authority.unwrap_or(&self.host), &target, rules).ok()?;
        (resource.host == self.host).then_some(resource)
    }
}

/// The authority, if there is one, and the rest; `None` for a scheme other than those of HTTP.
pub(crate) fn split_authority(reference: &str) -> Option<(Option<&str>, &str)> {
    let first = reference.split(['/', '?']).next().unwrap_or_default();
    let rest = match first.split_once(':') {
        Some((scheme, _)) if ["http", "https"].iter().any(|http| scheme.eq_ignore_ascii_case(http)) => {
            reference.get(scheme.len() + 1..)?
        }
        Some(_) => return None,
        None => reference,
    };
    let Some(rest) = rest.strip_prefix("//") else { return Some((None, rest)) };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at_checked(end)?;
    Some((Some(authority), rest))
}

/// Section 5.2.4 of RFC 3986.
pub(crate) fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if is_last {
                    kept.push("");
                }
            }
            segment => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

/// Escapes what no target may contain, as players do.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() {
            escaped.push(char::from(byte));
        } else {
            // Writing into a string cannot fail.
            write!(escaped, "%{byte:02X}").unwrap_or_default();
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn resolve(uri: &str) -> Option<String> {
        let rules = QueryRules::default();
        let playlist = Resource::parse("live.example", "/a/b/live.m3u8?t=1", &rules).unwrap();
        playlist.resolve(uri, &rules).map(|resource| resource.path_and_query().into_owned())
    }

    #[test]
    fn a_uri_is_resolved_as_players_do() {
        for (uri, expected) in [
            ("1.ts", "/a/b/1.ts"),
            ("./1.ts?x=2&a=1#t", "/a/b/1.ts?a=1&x=2"),
            ("../c/1.ts", "/a/c/1.ts"),
            ("../../../../1.ts", "/1.ts"),
            ("c/..", "/a/b/"),
            ("/1.ts", "/1.ts"),
            ("//live.example:8080/1.ts", "/1.ts"),
            ("HTTPS://LIVE.example/x/%7e.ts", "/x/~.ts"),
            ("http://live.example", "/"),
            ("http://live.example?a", "/?a"),
            ("?b=1", "/a/b/live.m3u8?b=1"),
            ("", "/a/b/live.m3u8?t=1"),
            ("a b/ü.ts", "/a/b/a%20b/%C3%BC.ts"),
            ("./seg:1.ts", "/a/b/seg:1.ts"),
            ("a%2fb.ts", "/a/b/a%2Fb.ts"),
        ] {
            assert_eq!(resolve(uri).as_deref(), Some(expected), "{uri}");
        }
    }

    #[test]
    fn foreign_and_ambiguous_uris_are_not_resolved() {
        for uri in [
            "https://other.example/1.ts",
            "//other.example/1.ts",
            "http://user@live.example/1.ts",
            "data:text/plain,1",
            "skd://key",
            "seg:1.ts",
            "%2e%2e/1.ts",
            "%",
            "http://",
        ] {
            assert_eq!(resolve(uri), None, "{uri}");
        }
        assert_eq!(resolve(&"x".repeat(1 << 20)), None);
    }

    proptest! {
        #[test]
        fn no_uri_makes_resolve_panic(uri in r"(https?:|//|[a-z./?#%: é\\]){0,20}") {
            if let Some(path) = resolve(&uri) {
                prop_assert!(path.starts_with('/'));
            }
        }
    }
}
