//! The URIs that a token grants, where its format has patterns: RFC 9246 and CTA-5007-B.

use aws_lc_rs::digest;
use regex::{Regex, RegexBuilder};

use super::{Refusal, Visit};

/// A rule for a text.
#[derive(Debug, Clone)]
pub(super) enum Pattern {
    /// The whole text.
    Exact(Box<str>),
    /// Its beginning.
    Prefix(Box<str>),
    /// Its end.
    Suffix(Box<str>),
    /// A part of it.
    Contains(Box<str>),
    /// A regular expression for the whole text.
    Regex(Regex),
    /// The SHA-256 of the text.
    Sha256(Box<[u8]>),
}

/// A part of a URI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Component {
    /// `http` or `https`. Whether a listener for TLS is in front is not known here, so that both are tried.
    Scheme,
    /// The host, without port.
    Host,
    /// The path.
    Path,
    /// The query.
    Query,
    /// The path up to its last slash.
    ParentPath,
    /// The path after its last slash.
    Filename,
    /// The file's name up to its last dot.
    Stem,
    /// The file's name from its last dot on.
    Extension,
}

impl Pattern {
    /// A regular expression. It takes time in proportion to the text, and is bounded in size.
    pub(super) fn regex(text: &str) -> Result<Self, Refusal> {
        let whole = format!("^(?:{text})$");
        let regex = RegexBuilder::new(&whole).size_limit(REGEX_BYTES_MAX).build();
        regex.map(Self::Regex).map_err(|_error| Refusal::Malformed)
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Exact(exact) => **exact == *text,
            Self::Prefix(prefix) => text.starts_with(&**prefix),
            Self::Suffix(suffix) => text.ends_with(&**suffix),
            Self::Contains(part) => text.contains(&**part),
            Self::Regex(regex) => regex.is_match(text),
            Self::Sha256(hash) => digest::digest(&digest::SHA256, text.as_bytes()).as_ref() == &**hash,
        }
    }

    /// Whether the pattern matches the URI of a request.
    pub(super) fn matches_uri(&self, visit: &Visit<'_>) -> bool {
        let query = visit.query.map(|query| format!("?{query}")).unwrap_or_default();
        let rest = format!("://{}{}{query}", visit.host, visit.path);
        ["https", "http"].iter().any(|scheme| self.matches(&format!("{scheme}{rest}")))
    }

    /// Whether the pattern matches this part of the URI of a request.
    pub(super) fn matches_component(&self, component: Component, visit: &Visit<'_>) -> bool {
        let (parent, filename) = visit.path.rsplit_once('/').unwrap_or(("", visit.path));
        let dot = filename.rfind('.').unwrap_or(filename.len());
        let (stem, extension) = filename.split_at_checked(dot).unwrap_or((filename, ""));
        match component {
            Component::Scheme => self.matches("https") || self.matches("http"),
            Component::Host => self.matches(visit.host),
            Component::Path => self.matches(visit.path),
            Component::Query => self.matches(visit.query.unwrap_or_default()),
            Component::ParentPath => self.matches(parent),
            Component::Filename => self.matches(filename),
            Component::Stem => self.matches(stem),
            Component::Extension => self.matches(extension),
        }
    }
}

/// The memory of a compiled regular expression.
const REGEX_BYTES_MAX: usize = 64 << 10;
