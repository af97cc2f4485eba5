//! Reading and writing field values: lists, tokens, quoted strings and dates. The base of the other modules.

use std::fmt::{self, Display, Write};
use std::time::SystemTime;

use http::header::{self, AsHeaderName, HeaderMap, HeaderName, HeaderValue};

/// The members of a comma-separated list (RFC 9110 section 5.6.1): trimmed, empty ones skipped, and a comma
/// inside a quoted string does not separate.
pub fn members(list: &str) -> impl Iterator<Item = &str> {
    split(list, b',').map(trim).filter(|member| !member.is_empty())
}

/// The members of all lines of one field, in order. A line that is not visible ASCII is skipped.
pub fn members_of(headers: &HeaderMap, name: impl AsHeaderName) -> impl Iterator<Item = &str> {
    headers.get_all(name).iter().filter_map(|line| line.to_str().ok()).flat_map(members)
}

/// Splits at each `separator` outside quoted strings, without trimming.
pub fn split(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(at) = unquoted(text, separator) else {
            rest = None;
            return Some(text);
        };
        rest = text.get(at + 1..);
        text.get(..at)
    })
}

/// Whether a quoted string begins in the text and does not end.
pub fn has_open_quote(text: &str) -> bool {
    let mut is_open = false;
    unquoted_by(text, |_byte, quoted| {
        is_open = quoted;
        false
    });
    is_open
}

/// Removes optional whitespace (RFC 9110 section 5.6.3) at both ends.
pub fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// Most lists that a tier writes are shorter.
const MEMBERS_ROOM: usize = 96;

/// Appends one member to a list field and joins all its lines into one.
///
/// It is one line because some players and log readers ignore a second one.
pub fn append_member(headers: &mut HeaderMap, name: &HeaderName, member: impl Display) {
    let mut joined = String::with_capacity(MEMBERS_ROOM);
    for line in headers.get_all(name).iter().filter_map(|line| line.to_str().ok()) {
        let members = trim(line);
        if !members.is_empty() {
            joined.push_str(members);
            joined.push_str(", ");
        }
    }
    if write!(joined, "{member}").is_ok()
        && let Ok(value) = HeaderValue::try_from(joined)
    {
        headers.insert(name.clone(), value);
    }
}

/// Adds a name to `Vary`, for caches downstream, unless it is listed.
pub fn vary_by(headers: &mut HeaderMap, name: &str) {
    let is_listed =
        members_of(headers, header::VARY).any(|listed| listed == "*" || listed.eq_ignore_ascii_case(name));
    if !is_listed {
        append_member(headers, &header::VARY, name);
    }
}

/// The field value of a text in visible ASCII; empty if the text has other characters.
pub fn value(text: impl Display) -> HeaderValue {
    HeaderValue::try_from(text.to_string()).unwrap_or_else(|_not_ascii| HeaderValue::from_static(""))
}

/// Whether `text` is a token (RFC 9110 section 5.6.2).
pub fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// An sf-string (RFC 9651 section 3.3.3). Characters that such a string cannot have (controls, all beyond
/// ASCII) become `?`.
#[derive(Debug)]
pub struct Quoted<'a>(pub &'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_char('"')?;
        for char in self.0.chars() {
            match char {
                '"' | '\\' => {
                    out.write_char('\\')?;
                    out.write_char(char)?;
                }
                ' '..='~' => out.write_char(char)?,
                _ => out.write_char('?')?,
            }
        }
        out.write_char('"')
    }
}

/// An sf-token (RFC 9651 section 3.3.4) where the text can be one, else an sf-string.
#[derive(Debug)]
pub struct Name<'a>(pub &'a str);

impl Display for Name<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let starts_well =
            self.0.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'*');
        let is_token =
            |byte: u8| byte == b':' || byte == b'/' || is_token(char::from(byte).encode_utf8(&mut [0; 4]));
        if starts_well && self.0.bytes().all(is_token) {
            out.write_str(self.0)
        } else {
            Quoted(self.0).fmt(out)
        }
    }
}

fn unquoted(text: &str, separator: u8) -> Option<usize> {
    unquoted_by(text, |byte, quoted| byte == separator && !quoted && byte != b'"')
}

/// The place of the first byte that `is_found` accepts. It learns whether a quoted string is open behind the
/// byte, and does not see escaped bytes.
fn unquoted_by(text: &str, mut is_found: impl FnMut(u8, bool) -> bool) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    text.bytes().position(|byte| {
        if escaped {
            escaped = false;
            return false;
        }
        if quoted && byte == b'\\' {
            escaped = true;
            return false;
        }
        if byte == b'"' {
            quoted = !quoted;
        }
        is_found(byte, quoted)
    })
}

/// The date in one of the formats of RFC 9110 section 5.6.7; `None` if the value is not a date.
pub fn date(value: &HeaderValue) -> Option<SystemTime> {
    httpdate::parse_http_date(value.to_str().ok()?.trim()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_trimmed_and_empty_ones_skipped() {
        assert_eq!(members("a, b ,\t,,c").collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(members("").count(), 0);
        assert_eq!(members(" , ").count(), 0);
    }

    #[test]
    fn a_comma_in_a_quoted_string_does_not_separate() {
        assert_eq!(members(r#"a; x="1, \", 2", b"#).collect::<Vec<_>>(), [r#"a; x="1, \", 2""#, "b"]);
    }

    #[test]
    fn a_quote_that_never_closes_extends_to_the_end() {
        assert_eq!(members(r#"a, "b, c"#).collect::<Vec<_>>(), ["a", r#""b, c"#]);
        for (text, is_open) in [
            ("", false),
            (r#"""#, true),
            (r#""a""#, false),
            (r#""a\""#, true),
            (r#""\\" "b"#, true),
            ("\\\"", true),
        ] {
            assert_eq!(has_open_quote(text), is_open, "{text}");
        }
    }

    #[test]
    fn a_member_is_appended_to_one_joined_line() {
        let mut headers = HeaderMap::new();
        headers.append("x-list", HeaderValue::from_static("a"));
        headers.append("x-list", HeaderValue::from_static("b, c "));
        append_member(&mut headers, &HeaderName::from_static("x-list"), "d");
        assert_eq!(headers.get_all("x-list").iter().collect::<Vec<_>>(), ["a, b, c, d"]);
    }

    #[test]
    fn a_name_is_a_token_when_it_can_be_one() {
        for (name, rendered) in [
            ("edge-1", "edge-1"),
            ("*a:b/c", "*a:b/c"),
            ("1edge", "\"1edge\""),
            ("an edge", "\"an edge\""),
            ("a\"b\\c\u{e9}", "\"a\\\"b\\\\c?\""),
            ("", "\"\""),
        ] {
            assert_eq!(Name(name).to_string(), rendered);
        }
    }
}
