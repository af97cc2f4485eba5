//! Which bytes may stand where.

/// RFC 9110 section 5.6.2.
pub(crate) const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// A byte of a field value (RFC 9110 section 5.5): no control but the tab.
pub(crate) const fn is_value(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
}

/// Without optional whitespace (RFC 9110 section 5.6.3) at both ends. Other characters that some call
/// whitespace, a vertical tab for one, are part of the value: they have hidden a transfer coding from one
/// parser of two.
pub(crate) fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// How much the characters of a target allow. The values are bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// All parsers take it for what it is.
    Plain = 0,
    /// It is visible ASCII, and some parsers take it for something else.
    Visible = 1,
    /// It cannot be part of a target.
    Refused = 2,
}

impl Class {
    /// The class of the least allowed character.
    pub(crate) fn of(target: &str) -> Self {
        // A union of bits takes fewer instructions for each byte than a comparison.
        let found = target.bytes().fold(0, |found, byte| {
            found | CLASSES.get(usize::from(byte)).copied().unwrap_or(Self::Refused as u8)
        });
        match found {
            _ if found & Self::Refused as u8 != 0 => Self::Refused,
            _ if found & Self::Visible as u8 != 0 => Self::Visible,
            _ => Self::Plain,
        }
    }

    const fn of_byte(byte: u8) -> Self {
        match byte {
            // RFC 9112 section 3.2: a target has no fragment.
            b'#' => Self::Refused,
            b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b','
            | b';' | b'=' | b':' | b'@' | b'/' | b'?' | b'%' => Self::Plain,
            _ if byte.is_ascii_alphanumeric() => Self::Plain,
            _ if byte.is_ascii_graphic() => Self::Visible,
            _ => Self::Refused,
        }
    }
}

#[expect(clippy::indexing_slicing, reason = "the compiler runs it, and a byte is below 256")]
static CLASSES: [u8; 256] = {
    let mut classes = [Class::Refused as u8; 256];
    // Above it is no ASCII.
    let mut byte = 0_u8;
    while byte < 128 {
        classes[byte as usize] = Class::of_byte(byte) as u8;
        byte += 1;
    }
    classes
};

/// Whether `text` can be a request target: visible ASCII without a fragment.
pub fn is_target(text: &str) -> bool {
    !text.is_empty() && Class::of(text) != Class::Refused
}

/// Whether `target` is in origin form (RFC 9112 section 3.2.1), of characters that every parser takes for
/// what they are.
pub fn is_plain(target: &str) -> bool {
    target.starts_with('/') && Class::of(target) == Class::Plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_visible_ascii_without_a_fragment() {
        for (target, target_is, plain) in [
            ("/", true, true),
            ("/a-._~!$&'()*+,;=:@/?%20", true, true),
            ("*", true, false),
            ("http://a/b", true, false),
            ("/a|b", true, false),
            ("/a\"b", true, false),
            ("/a\\b", true, false),
            ("/a#b", false, false),
            ("/a b", false, false),
            ("/a\tb", false, false),
            ("/a\0", false, false),
            ("/\u{e9}", false, false),
            ("/\u{7f}", false, false),
            ("", false, false),
        ] {
            assert_eq!((is_target(target), is_plain(target)), (target_is, plain), "{target:?}");
        }
    }

    #[test]
    fn optional_whitespace_is_space_and_tab() {
        for (value, trimmed) in
            [(&b" \ta b\t "[..], &b"a b"[..]), (b"", b""), (b" \t", b""), (b"\x0ba\x0c", b"\x0ba\x0c")]
        {
            assert_eq!(trim(value), trimmed);
        }
    }
}
