//! One spelling for percent-encoded text (RFC 3986 section 6.2.2): unreserved characters bare, hex digits
//! upper-case.

use std::borrow::Cow;

use super::ResourceError;

/// Which rules apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Component {
    /// Servers map it to files and routes, so it contains no control characters even in percent-encoding.
    Path,
    /// Never decoded here: it may contain any byte in percent-encoding.
    Query,
}

/// Normalises `text`, which begins at byte `base` of the target. Text in normal form, as nearly all text is,
/// is only checked and borrowed.
pub(super) fn normalise(
    text: &str,
    base: usize,
    component: Component,
) -> Result<Cow<'_, str>, ResourceError> {
    if text.bytes().all(|byte| is_plain(byte, component)) {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let offset = base + text.len() - rest.len();
        if byte == b'%' {
            let decoded = decode(rest).ok_or(ResourceError::BadEscape { offset })?;
            if component == Component::Path {
                check_decoded(decoded, offset)?;
            }
            push_decoded(&mut out, decoded);
            rest = rest.get(3..).unwrap_or_default();
        } else {
            push_raw(&mut out, byte, offset, component)?;
            rest = tail;
        }
    }
    Ok(Cow::Owned(out))
}

/// Adds a byte that was sent unescaped. Browsers leave some characters unescaped that RFC 3986 wants escaped
/// (`|`, `[`, `]`, `^` and others): they are escaped here, so that both spellings are one object. A backslash
/// in a path stays: some servers take it for a slash, but not `%5C`.
fn push_raw(out: &mut String, byte: u8, offset: usize, component: Component) -> Result<(), ResourceError> {
    match byte {
        _ if is_plain(byte, component) => out.push(char::from(byte)),
        b'\\' if component == Component::Path => out.push('\\'),
        0x00..=0x1F | 0x7F => return Err(ResourceError::Control { offset }),
        b' ' | b'#' | 0x80.. => return Err(ResourceError::BadByte { byte, offset }),
        _ => push_escaped(out, byte),
    }
    Ok(())
}

fn push_decoded(out: &mut String, byte: u8) {
    if is_unreserved(byte) {
        out.push(char::from(byte));
    } else {
        push_escaped(out, byte);
    }
}

fn push_escaped(out: &mut String, byte: u8) {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0').to_ascii_uppercase();
    out.push('%');
    out.push(digit(byte >> 4));
    out.push(digit(byte & 0x0F));
}

/// Refuses characters that a path must not contain even in escaped form. All others are for the origin to
/// interpret: an encoded slash is no slash (RFC 3986 section 2.2), and no rule says that escapes are UTF-8.
fn check_decoded(decoded: u8, offset: usize) -> Result<(), ResourceError> {
    match decoded {
        0x00..=0x1F | 0x7F => Err(ResourceError::Control { offset }),
        _ => Ok(()),
    }
}

/// The byte that the escape at the start of `text` encodes; `None` without an escape, or for a broken one.
fn decode(text: &[u8]) -> Option<u8> {
    let &[b'%', high, low] = text.first_chunk::<3>()? else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(high)? << 4 | digit(low)?)
}

/// RFC 3986 section 2.3.
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Whether a byte is unescaped in the normal form: pchar and the slash (RFC 3986 section 3.3), and in a query
/// also `?` (RFC 3986 section 3.4).
const fn is_plain(byte: u8, component: Component) -> bool {
    is_unreserved(byte)
        || matches!(byte, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=')
        || matches!(byte, b':' | b'@' | b'/')
        || (byte == b'?' && matches!(component, Component::Query))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_in_normal_form_is_borrowed() {
        let text = "/ch1/a-b_c.d~e/!$&'()*+,;=:@.m3u8";
        assert!(matches!(normalise(text, 0, Component::Path), Ok(Cow::Borrowed(same)) if same == text));
    }

    #[test]
    fn both_spellings_become_one() {
        for (text, normal) in [
            ("/%7e%41", "/~A"),
            ("/%c3%a9", "/%C3%A9"),
            ("/a|b[c]^d`{e}\"<>", "/a%7Cb%5Bc%5D%5Ed%60%7Be%7D%22%3C%3E"),
            ("/%252e", "/%252e"),
            ("/%3B;", "/%3B;"),
        ] {
            assert_eq!(normalise(text, 0, Component::Path).as_deref(), Ok(normal), "{text}");
        }
    }

    #[test]
    fn a_path_is_refused_for_what_no_name_contains() {
        use ResourceError::{BadByte, BadEscape, Control};
        for (text, error) in [
            ("/a%", BadEscape { offset: 2 }),
            ("/a%4", BadEscape { offset: 2 }),
            ("/a%zz", BadEscape { offset: 2 }),
            ("/a%+1", BadEscape { offset: 2 }),
            ("/a%00", Control { offset: 2 }),
            ("/a\0", Control { offset: 2 }),
            ("/a%7f", Control { offset: 2 }),
            ("/a%0d%0a", Control { offset: 2 }),
            ("/a b", BadByte { byte: b' ', offset: 2 }),
            ("/a#b", BadByte { byte: b'#', offset: 2 }),
            ("/aé", BadByte { byte: 0xC3, offset: 2 }),
        ] {
            assert_eq!(normalise(text, 0, Component::Path), Err(error), "{text:?}");
        }
    }

    #[test]
    fn what_a_server_decodes_is_its_own_matter() {
        for (text, normal) in [
            ("/a%2fb", "/a%2Fb"),
            ("/a%5cb", "/a%5Cb"),
            ("/a\\b", "/a\\b"),
            ("/caf%e9", "/caf%E9"),
            ("/%c6%b5%b5%c0", "/%C6%B5%B5%C0"),
            ("/%c2%85", "/%C2%85"),
        ] {
            assert_eq!(normalise(text, 0, Component::Path).as_deref(), Ok(normal), "{text}");
        }
    }

    #[test]
    fn a_query_may_escape_any_byte() {
        assert_eq!(normalise("a=%2f%00%ff\\?", 0, Component::Query).as_deref(), Ok("a=%2F%00%FF%5C?"));
    }

    #[test]
    fn offsets_count_from_the_start_of_the_target() {
        assert_eq!(normalise("a=%", 10, Component::Query), Err(ResourceError::BadEscape { offset: 12 }));
    }
}
