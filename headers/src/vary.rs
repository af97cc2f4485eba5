//! `Vary` (RFC 9110 section 12.5.5, RFC 9111 section 4.1): which request headers select among the variants of
//! one key.

use std::fmt::Write;

use http::header::{self, HeaderMap, HeaderName};

use crate::field;
use crate::forwarding::Forwarding;

/// The request headers that select a variant: sorted, each once, at most [`NAMES_MAX`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Vary(Vec<HeaderName>);

/// The requests that a response with this `Vary` fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// The response fits every request.
    Any,
    /// The response fits requests that agree in these headers.
    By(Vary),
    /// The response fits no other request (`*`): it must not be shared.
    Never,
}

/// Reads `Vary` from the response to a fill.
///
/// Headers that a fill never carries (`Origin`, `Cookie`, `Accept-Encoding` ...) cannot have influenced the
/// response and are left out: `Vary: Origin` does not make a variant per web site. A member that is not a
/// name, or more than [`NAMES_MAX`] names, counts as `*`.
pub fn parse(response: &HeaderMap, forwarding: &Forwarding) -> Selection {
    let mut names = Vec::new();
    for line in response.get_all(header::VARY) {
        let Ok(line) = line.to_str() else { return Selection::Never };
        for member in field::members(line) {
            // `*` is a token too, so it would be accepted as a name.
            match HeaderName::try_from(member) {
                Ok(name) if member != "*" => names.push(name),
                _ => return Selection::Never,
            }
        }
    }
    names.retain(|name| forwarding.sends(name));
    names.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
    names.dedup();
    match names.len() {
        0 => Selection::Any,
        1..=NAMES_MAX => Selection::By(Vary(names)),
        _ => Selection::Never,
    }
}

impl Vary {
    /// The names, sorted.
    pub fn names(&self) -> &[HeaderName] {
        &self.0
    }

    /// The secondary key of a request: see [`variant`].
    pub fn variant(&self, request: &HeaderMap) -> String {
        variant(&self.0, request)
    }
}

/// The secondary key of a request: equal for two requests exactly when they agree in every selecting header
/// after normalisation (RFC 9111 section 4.1).
///
/// One line per name, `name=value` if the request has it and `name` if it does not. Names and values have no
/// line feed, and names no equals sign, so two different selections never have the same key.
pub fn variant(names: &[HeaderName], request: &HeaderMap) -> String {
    let mut key = String::new();
    for name in names {
        key.push_str(name.as_str());
        if request.contains_key(name) {
            key.push('=');
            push_values(&mut key, name, request);
        }
        key.push('\n');
    }
    key
}

/// Several lines mean the same as one joined line (RFC 9110 section 5.3). Further differences are normalised
/// only where the field's definition says that they have no meaning.
fn push_values(key: &mut String, name: &HeaderName, request: &HeaderMap) {
    let is_list = matches!(*name, header::ACCEPT | header::ACCEPT_LANGUAGE | header::ACCEPT_CHARSET);
    let mut separator = "";
    for line in request.get_all(name) {
        match line.to_str() {
            Ok(line) if is_list => {
                for member in field::members(line) {
                    key.push_str(separator);
                    push_member(key, member);
                    separator = ", ";
                }
            }
            _ => {
                key.push_str(separator);
                push_escaped(key, line.as_bytes().trim_ascii());
                separator = ", ";
            }
        }
    }
}

/// Language ranges, charsets, media types and `q` are case-insensitive, and whitespace around `;` has no
/// meaning (RFC 9110 sections 12.4 and 12.5).
fn push_member(key: &mut String, member: &str) {
    let mut separator = "";
    for part in field::split(member, b';') {
        key.push_str(separator);
        push_escaped(key, field::trim(part).to_ascii_lowercase().as_bytes());
        separator = ";";
    }
}

/// The percent sign escapes bytes beyond ASCII, and therefore also itself.
fn push_escaped(key: &mut String, value: &[u8]) {
    for &byte in value {
        if byte.is_ascii() && byte != b'%' {
            key.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            write!(key, "%{byte:02X}").ok();
        }
    }
}

/// More selecting headers than this count as `*`.
pub const NAMES_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn headers(fields: &[(&str, &str)]) -> HeaderMap {
        let field = |(name, value): &(&str, &str)| {
            (HeaderName::try_from(*name).unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap())
        };
        fields.iter().map(field).collect()
    }

    fn by(response: &[(&str, &str)]) -> Vary {
        match parse(&headers(response), &Forwarding::default()) {
            Selection::By(vary) => vary,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn names_are_collected_once_and_sorted() {
        let vary = by(&[("vary", "X-B, user-agent"), ("vary", "x-a,X-b")]);
        assert_eq!(vary.names(), ["user-agent", "x-a", "x-b"]);
    }

    #[test]
    fn no_vary_and_headers_that_no_fill_carries_select_nothing() {
        for value in ["", ",", "Origin", "Accept-Encoding, Cookie", "Range"] {
            assert_eq!(
                parse(&headers(&[("vary", value)]), &Forwarding::default()),
                Selection::Any,
                "{value}"
            );
        }
        assert_eq!(parse(&HeaderMap::new(), &Forwarding::default()), Selection::Any);
    }

    #[test]
    fn a_star_or_an_invalid_value_is_never_shared() {
        for value in ["*", "x-a, *", "x a", "\"x\"", "\u{e9}", "a,b,c,d,e,f,g,h,i"] {
            assert_eq!(
                parse(&headers(&[("vary", value)]), &Forwarding::default()),
                Selection::Never,
                "{value}"
            );
        }
    }

    #[test]
    fn equivalent_requests_share_a_variant() {
        let vary = by(&[("vary", "accept-language, x-a")]);
        let same = [
            headers(&[("accept-language", "de-CH, en;q=0.5"), ("x-a", "1, 2")]),
            headers(&[("accept-language", "de-ch,EN ; q=0.5"), ("x-a", "1, 2")]),
            headers(&[
                ("accept-language", "de-ch"),
                ("accept-language", "en;q=0.5"),
                ("x-a", "1"),
                ("x-a", "2"),
            ]),
        ];
        for request in &same {
            assert_eq!(vary.variant(request), "accept-language=de-ch, en;q=0.5\nx-a=1, 2\n");
        }
    }

    #[test]
    fn an_absent_header_differs_from_an_empty_one() {
        let vary = by(&[("vary", "x-a")]);
        assert_eq!(vary.variant(&HeaderMap::new()), "x-a\n");
        assert_eq!(vary.variant(&headers(&[("x-a", "")])), "x-a=\n");
    }

    #[test]
    fn case_and_space_in_an_unknown_field_are_kept() {
        let vary = by(&[("vary", "user-agent")]);
        let variant = |agent| vary.variant(&headers(&[("user-agent", agent)]));
        assert_ne!(variant("A,b"), variant("A, b"));
        assert_ne!(variant("A"), variant("a"));
    }

    proptest! {
        #[test]
        fn requests_that_differ_never_share_a_variant(
            a in prop::array::uniform3(prop::option::of("[a-b=%é\\\\ \"]{0,4}")),
            b in prop::array::uniform3(prop::option::of("[a-b=%é\\\\ \"]{0,4}")),
        ) {
            let names = ["x-a", "x-ab", "x-b"];
            let vary = by(&[("vary", "x-a, x-ab, x-b")]);
            let request = |values: &[Option<String>; 3]| -> HeaderMap {
                let present = names.iter().zip(values).filter_map(|(name, value)| Some((*name, value.as_ref()?.trim())));
                headers(&present.collect::<Vec<_>>())
            };
            let (a, b) = (request(&a), request(&b));
            prop_assert_eq!(vary.variant(&a) == vary.variant(&b), a == b);
        }
    }
}
