//! Attribute lists as bytes (section 4.2).

use std::ops::Range;

/// The position of an attribute's value in its list, quotes included. If a name is repeated, which is
/// invalid, the last one counts, as for the parser and for players.
pub(super) fn find(list: &[u8], wanted: &[u8]) -> Option<Range<usize>> {
    let (mut start, mut found) = (0, None);
    while let Some(rest) = list.get(start..).filter(|rest| !rest.is_empty()) {
        let end = start + attribute_len(rest);
        let attribute = list.get(start..end)?;
        let equals = attribute.iter().position(|&byte| byte == b'=');
        if let Some(equals) = equals
            && attribute.get(..equals)?.trim_ascii() == wanted
        {
            found = Some(start + equals + 1..end);
        }
        start = end + 1;
    }
    found
}

/// The value of an attribute, without its quotes.
pub(super) fn value<'a>(list: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    let value = list.get(find(list, wanted)?)?.trim_ascii();
    Some(value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value))
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
}
