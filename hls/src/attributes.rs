//! Attribute lists as bytes (section 4.2).
//!
//! Blanks around names and values do not count, quotes may be missing, and an unclosed quote extends to the
//! end of the list: players read all of this.

use std::ops::Range;

/// The attributes of a list, in order: names, and values without their quotes. If a name is repeated, which
/// is invalid, the last one counts for players.
pub(crate) fn attributes(list: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    spans(list).filter_map(|(name, value)| {
        let value = list.get(value)?.trim_ascii();
        Some((name, unquoted(value)))
    })
}

/// The position of an attribute's value in its list, quotes and blanks included. If the name is repeated, the
/// last one counts.
pub(crate) fn find(list: &[u8], wanted: &[u8]) -> Option<Range<usize>> {
    spans(list).filter(|(name, _)| *name == wanted).map(|(_, value)| value).last()
}

/// The value of an attribute, without its quotes.
pub(crate) fn value<'a>(list: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    Some(unquoted(list.get(find(list, wanted)?)?.trim_ascii()))
}

/// The names, and the positions of their values.
fn spans(list: &[u8]) -> impl Iterator<Item = (&[u8], Range<usize>)> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let rest = list.get(start..).filter(|rest| !rest.is_empty())?;
        let span = start..start + attribute_len(rest);
        start = span.end + 1;
        Some(span)
    })
    .filter_map(|span| {
        let attribute = list.get(span.clone())?;
        let equals = attribute.iter().position(|&byte| byte == b'=')?;
        Some((attribute.get(..equals)?.trim_ascii(), span.start + equals + 1..span.end))
    })
}

/// A value without its quotes. One that is not closed has no end: the playlist may have been cut there.
pub(crate) fn unquoted(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value)
}

/// Whether the list ends within a quote.
pub(crate) fn has_open_quote(list: &[u8]) -> bool {
    list.iter().fold(false, |is_open, &byte| is_open ^ (byte == b'"'))
}

/// The length up to the next comma outside quotes.
fn attribute_len(list: &[u8]) -> usize {
    let mut is_quoted = false;
    let ends = |&byte: &u8| {
        is_quoted ^= byte == b'"';
        byte == b',' && !is_quoted
    };
    list.iter().position(ends).unwrap_or(list.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_found_by_their_whole_name_outside_of_quotes() {
        let list = br#"URI="a,METHOD=x",METHOD=NONE, XMETHOD=1,KEYFORMAT="k""#;
        assert_eq!(value(list, b"METHOD"), Some(&b"NONE"[..]));
        assert_eq!(value(list, b"URI"), Some(&b"a,METHOD=x"[..]));
        assert_eq!(value(list, b"KEYFORMAT"), Some(&b"k"[..]));
        assert_eq!(value(list, b"FORMAT"), None);
        assert_eq!(value(b"", b"A"), None);
        assert_eq!(value(b",,A=1,", b"A"), Some(&b"1"[..]));
        assert_eq!(value(b"A=\"1", b"A"), Some(&b"\"1"[..]));
        assert_eq!(find(b"A=1,B=22", b"B"), Some(6..8));
        assert_eq!(value(b"A=1,A=2", b"A"), Some(&b"2"[..]));
    }

    #[test]
    fn all_attributes_are_read_in_order() {
        let list = br#" A = 1 ,B,, C="x, y" ,D=,A="2""#;
        let expected: [(&[u8], &[u8]); 4] = [(b"A", b"1"), (b"C", b"x, y"), (b"D", b""), (b"A", b"2")];
        assert_eq!(attributes(list).collect::<Vec<_>>(), expected);
    }
}
