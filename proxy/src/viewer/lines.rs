//! Writes the parts of an HTTP/1.1 head: fields, numbers and dates.

pub(crate) mod date;

use http::{HeaderName, HeaderValue, StatusCode};

/// The head of a response with these fields, without the empty line at its end.
pub(crate) fn begun<'a>(
    status: StatusCode,
    fields: impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)>,
) -> Vec<u8> {
    let mut head = Vec::with_capacity(HEAD_ROOM);
    head.extend_from_slice(b"HTTP/1.1 ");
    decimal(&mut head, u64::from(status.as_u16()));
    head.push(b' ');
    head.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    head.extend_from_slice(b"\r\n");
    for (name, value) in fields {
        line(&mut head, name, value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head
}

/// Most response heads are shorter.
const HEAD_ROOM: usize = 1024;

/// Appends a field without the end of its line. Names are capitalised, because some clients recognise no
/// other spelling.
pub(crate) fn line(to: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    let mut begins = true;
    for byte in name.as_str().bytes() {
        to.push(if begins { byte.to_ascii_uppercase() } else { byte });
        begins = byte == b'-';
    }
    to.extend_from_slice(b": ");
    to.extend_from_slice(value);
}

/// Appends a number in decimal. `write!` would take longer than the rest of a head.
pub(crate) fn decimal(to: &mut Vec<u8>, number: u64) {
    let mut digits = [b'0'; 20];
    let (mut rest, mut first) = (number, digits.len());
    for (place, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
        first = place;
        if rest == 0 {
            break;
        }
    }
    to.extend_from_slice(digits.get(first..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use http::header;

    use super::*;

    #[test]
    fn names_are_written_as_people_write_them() {
        let mut written = Vec::new();
        line(&mut written, &header::ACCESS_CONTROL_ALLOW_ORIGIN, b"*");
        assert_eq!(String::from_utf8(written).unwrap(), "Access-Control-Allow-Origin: *");
    }

    #[test]
    fn numbers_are_written_as_they_are_read() {
        for number in [0, 7, 10, 99, 1_048_576, u64::MAX] {
            let mut written = Vec::new();
            decimal(&mut written, number);
            assert_eq!(String::from_utf8(written).unwrap(), number.to_string());
        }
    }
}
