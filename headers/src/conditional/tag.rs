//! Entity tags.

/// An entity tag (RFC 9110 section 8.8.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag<'a> {
    weak: bool,
    opaque: &'a [u8],
}

impl<'a> Tag<'a> {
    /// Whether it is a weak one.
    pub fn is_weak(self) -> bool {
        self.weak
    }

    /// Parses a field value that is one entity tag and nothing else.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let (tag, rest) = Self::parse_prefix(value.trim_ascii())?;
        rest.is_empty().then_some(tag)
    }

    /// Whether two tags name the same version (RFC 9110 section 8.8.3.2).
    pub fn matches(self, other: Tag<'_>, comparison: Comparison) -> bool {
        let is_comparable = match comparison {
            Comparison::Strong => !self.weak && !other.weak,
            Comparison::Weak => true,
        };
        is_comparable && self.opaque == other.opaque
    }

    /// A tag has no escapes (a backslash is a plain character), so the next quote ends it.
    fn parse_prefix(text: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (weak, quoted) = text.strip_prefix(b"W/").map_or((false, text), |quoted| (true, quoted));
        let inner = quoted.strip_prefix(b"\"")?;
        let end = inner.iter().position(|&byte| byte == b'"')?;
        let (opaque, rest) = inner.split_at_checked(end)?;
        let is_etagc = |byte: &u8| *byte == 0x21 || (0x23..=0x7e).contains(byte) || *byte >= 0x80;
        opaque.iter().all(is_etagc).then_some((Self { weak, opaque }, rest.get(1..)?))
    }

    /// The tags of a list, up to the first invalid one.
    pub(super) fn listed(line: &'a [u8]) -> impl Iterator<Item = Self> {
        let mut rest = line;
        std::iter::from_fn(move || {
            while let [b' ' | b'\t' | b',', after @ ..] = rest {
                rest = after;
            }
            let (tag, after) = Self::parse_prefix(rest)?;
            rest = after;
            Some(tag)
        })
    }

    /// Whether a node has made it, and not the origin.
    pub(super) fn is_own(self) -> bool {
        self.opaque.starts_with(OWN_PREFIX.as_bytes())
    }
}

/// How two entity tags are compared (RFC 9110 section 8.8.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// Byte for byte the same object: neither tag may be weak.
    Strong,
    /// Equivalent objects: either tag may be weak.
    Weak,
}

/// The prefix of the tags that nodes make.
pub(super) const OWN_PREFIX: &str = "tg-";
