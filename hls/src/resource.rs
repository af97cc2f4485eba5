//! A request target, parsed once.

mod directives;
mod error;
mod escape;
mod host;
mod query;
mod rules;

use std::borrow::Cow;

pub use directives::{Directives, Skip};
pub use error::ResourceError;
pub use rules::{Pattern, PatternError, QueryDefault, QueryRules};

use crate::{Kind, Mark};
use escape::Component;

/// The target of a request: host, path and the query parameters that count, each in its one spelling.
///
/// ```
/// use tidegate_hls::{QueryRules, Resource};
///
/// let rules = QueryRules::default();
/// let one = Resource::parse("Live.Example:8080", "/%7Ech1/live.m3u8?b=2&a=1&CMCD=bl%3D900", &rules)?;
/// let two = Resource::parse("live.example.", "/~ch1/live.m3u8?a=1&b=2", &rules)?;
/// assert_eq!(one.path_and_query(), "/~ch1/live.m3u8?a=1&b=2");
/// assert_eq!(one.path_and_query(), two.path_and_query());
/// # Ok::<(), tidegate_hls::ResourceError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Resource {
    /// Lower-case name or address, without port and trailing dot; an IPv6 literal keeps its brackets.
    pub host: String,
    /// Path in its normal form, percent-encoded; it begins with a slash.
    pub path: String,
    /// The parameters that count, in their normal order; `None` when none is left.
    pub query: Option<String>,
    /// The kind that the path's extension indicates.
    pub kind: Kind,
    /// Delivery directives (section 6.2.5), which `query` also contains.
    pub directives: Directives,
    /// The value of the `CMCD` parameter as it was sent, for the access log. Not part of the key.
    pub cmcd: Option<String>,
    /// The target as it was sent, without the parameters that do not count, where that is not the normal
    /// form.
    spelling: Option<Box<str>>,
}

impl Resource {
    /// Parses an origin-form target (RFC 9112 section 3.2.1) as sent in the request line, and the host of the
    /// request.
    ///
    /// What no name contains is refused and not repaired: dot segments, control characters, broken
    /// percent-encoding. The caller strips scheme and authority of an absolute-form target first.
    ///
    /// # Errors
    ///
    /// When the target is ambiguous, too long, or has invalid delivery directives.
    pub fn parse(host: &str, target: &str, rules: &QueryRules) -> Result<Self, ResourceError> {
        let host = host::normalise(host)?;
        let (raw_path, raw_query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        let path = parse_path(raw_path, rules.path_bytes_max)?.into_owned();
        let kind = Kind::of_path(&path);
        let query = match raw_query {
            Some(raw) => query::parse(raw, raw_path.len() + 1, kind, rules)?,
            None => query::Query::default(),
        };
        let mut resource = Self {
            host,
            path,
            query: query.canonical,
            kind,
            directives: query.directives,
            cmcd: query.cmcd,
            spelling: None,
        };
        let sent = joined(raw_path, query.sent.as_deref());
        if sent != resource.path_and_query() {
            resource.spelling = Some(sent.into());
        }
        Ok(resource)
    }

    /// The target to send upstream: as it was sent, because a signature covers its spelling, but without the
    /// parameters that do not count.
    pub fn target(&self) -> Cow<'_, str> {
        self.spelling.as_deref().map_or_else(|| self.path_and_query(), Cow::Borrowed)
    }

    /// The normal form of the target, which is part of the cache key. Borrowed when there is no query.
    pub fn path_and_query(&self) -> Cow<'_, str> {
        joined(&self.path, self.query.as_deref())
    }

    /// The same playlist with these delivery directives in place of its own.
    #[must_use]
    pub fn with_directives(&self, directives: Directives) -> Self {
        let query = other_directives(self.query.as_deref(), &directives);
        let spelling = self.spelling.as_deref().map(|spelling| {
            let (path, query) = match spelling.split_once('?') {
                Some((path, query)) => (path, Some(query)),
                None => (spelling, None),
            };
            joined(path, other_directives(query, &directives).as_deref()).into()
        });
        Self { query, directives, spelling, ..self.clone() }
    }
}

fn joined<'a>(path: &'a str, query: Option<&str>) -> Cow<'a, str> {
    match query {
        Some(query) => Cow::Owned(format!("{path}?{query}")),
        None => Cow::Borrowed(path),
    }
}

/// A query with these delivery directives in place of its own.
fn other_directives(query: Option<&str>, directives: &Directives) -> Option<String> {
    let own = query.into_iter().flat_map(|query| query.split('&'));
    let mut parameters: Vec<Cow<'_, str>> =
        own.filter(|parameter| !Directives::is_directive(parameter)).map(Cow::Borrowed).collect();
    // Section 6.2.5: parameters are sorted by their bytes.
    let place = parameters.iter().position(|other| other.as_ref() > directives::RESERVED_PREFIX);
    let place = place.unwrap_or(parameters.len());
    parameters.splice(place..place, directives.parameters().map(Cow::Owned));
    (!parameters.is_empty()).then(|| parameters.join("&"))
}

/// A target without its [`Mark`], as origins know it: only tiers understand marks.
pub fn without_mark(path_and_query: &str) -> Cow<'_, str> {
    let Some((path, query)) = path_and_query.split_once('?') else { return Cow::Borrowed(path_and_query) };
    let is_mark = |parameter: &str| parameter.split('=').next() == Some(Mark::NAME);
    if !query.split('&').any(is_mark) {
        return Cow::Borrowed(path_and_query);
    }
    let own: Vec<&str> = query.split('&').filter(|parameter| !is_mark(parameter)).collect();
    Cow::Owned(if own.is_empty() { path.to_owned() } else { format!("{path}?{}", own.join("&")) })
}

fn parse_path(raw: &str, bytes_max: usize) -> Result<Cow<'_, str>, ResourceError> {
    if !raw.starts_with('/') {
        return Err(ResourceError::NotOriginForm);
    }
    // The second check is for the escapes that the normal form may add.
    let too_long = |len: usize| ResourceError::PathTooLong { len, max: bytes_max };
    if raw.len() > bytes_max {
        return Err(too_long(raw.len()));
    }
    let path = escape::normalise(raw, 0, Component::Path)?;
    if path.len() > bytes_max {
        return Err(too_long(path.len()));
    }
    // Checked in the normal form, where `%2e` has become a dot.
    if segments(&path).any(|(_, segment)| matches!(segment, "." | "..")) {
        return Err(ResourceError::DotSegment { offset: dot_segment_offset(raw) });
    }
    Ok(path)
}

/// The segments of a path with their offsets. Besides slashes, some servers take backslashes and both in
/// escaped form for separators.
fn segments(path: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut rest = Some((0, path));
    std::iter::from_fn(move || {
        let (offset, text) = rest.take()?;
        let separator = text.bytes().enumerate().find_map(|(at, byte)| match byte {
            b'/' | b'\\' => Some((at, 1)),
            b'%' if is_escaped_separator(text.as_bytes().get(at..)?) => Some((at, 3)),
            _ => None,
        });
        let Some((at, len)) = separator else { return Some((offset, text)) };
        rest = text.get(at + len..).map(|after| (offset + at + len, after));
        Some((offset, text.get(..at)?))
    })
}

fn is_escaped_separator(text: &[u8]) -> bool {
    matches!(text, [b'%', b'2', b'F' | b'f', ..] | [b'%', b'5', b'C' | b'c', ..])
}

/// The offset of the first dot segment in the path as sent; an escaped dot takes three bytes there.
fn dot_segment_offset(raw: &str) -> usize {
    let is_dots = |segment: &str| {
        let rest = segment.to_ascii_lowercase().replace("%2e", ".");
        matches!(rest.as_str(), "." | "..")
    };
    segments(raw).find(|(_, segment)| is_dots(segment)).map_or(0, |(offset, _)| offset)
}

#[cfg(test)]
mod tests;
