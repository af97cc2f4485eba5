//! How a head is written: its start line, its fields, numbers and dates. One spelling for all that leaves a
//! tier.

pub mod date;

use http::{HeaderName, HeaderValue, Method, StatusCode};

/// The line of a connection that stays.
pub const KEEP_ALIVE: &[u8] = b"Connection: keep-alive\r\n";

/// The line of a connection that ends with this message.
pub const CLOSE: &[u8] = b"Connection: close\r\n";

/// The whole response that lets a client send its body (RFC 9110 section 10.1.1).
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The end of a line, and, as an empty line, of a head.
pub const END: &[u8] = b"\r\n";

/// Appends a request line. The target comes in parts, which together are one
/// ([`is_target`](crate::is_target)).
pub fn request_line(to: &mut Vec<u8>, method: &Method, target: &[&str]) {
    to.extend_from_slice(method.as_str().as_bytes());
    to.push(b' ');
    for part in target {
        to.extend_from_slice(part.as_bytes());
    }
    to.extend_from_slice(b" HTTP/1.1\r\n");
}

/// Appends a status line.
pub fn status_line(to: &mut Vec<u8>, status: StatusCode) {
    // The lines of most responses need no formatting.
    match status {
        StatusCode::OK => to.extend_from_slice(b"HTTP/1.1 200 OK\r\n"),
        StatusCode::PARTIAL_CONTENT => to.extend_from_slice(b"HTTP/1.1 206 Partial Content\r\n"),
        _ => {
            to.extend_from_slice(b"HTTP/1.1 ");
            decimal(to, u64::from(status.as_u16()));
            to.push(b' ');
            to.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
            to.extend_from_slice(END);
        }
    }
}

/// Appends the lines of several fields.
pub fn fields<'a>(to: &mut Vec<u8>, fields: impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)>) {
    for (name, value) in fields {
        field(to, name, value.as_bytes());
    }
}

/// Appends a field line.
pub fn field(to: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    open_field(to, name, value);
    to.extend_from_slice(END);
}

/// Appends a field without the end of its line. Each word of a name begins with a capital: there are readers
/// that know no other spelling.
pub fn open_field(to: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    let start = to.len();
    to.extend_from_slice(name.as_str().as_bytes());
    let mut begins = true;
    for byte in to.iter_mut().skip(start) {
        if begins {
            byte.make_ascii_uppercase();
        }
        begins = *byte == b'-';
    }
    to.extend_from_slice(b": ");
    to.extend_from_slice(value);
}

/// Appends a number in decimal. Formatting it would take longer than all else in a head.
pub fn decimal(to: &mut Vec<u8>, number: u64) {
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

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut bytes = Vec::new();
        write(&mut bytes);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn start_lines_are_written_as_they_are_read() {
        let line = |status| written(|to| status_line(to, StatusCode::from_u16(status).unwrap()));
        assert_eq!(line(200), "HTTP/1.1 200 OK\r\n");
        assert_eq!(line(206), "HTTP/1.1 206 Partial Content\r\n");
        assert_eq!(line(404), "HTTP/1.1 404 Not Found\r\n");
        assert_eq!(line(799), "HTTP/1.1 799 \r\n", "the space stays (RFC 9112 section 4)");
        let line = written(|to| request_line(to, &Method::GET, &["/base", "/a?b=c"]));
        assert_eq!(line, "GET /base/a?b=c HTTP/1.1\r\n");
    }

    #[test]
    fn the_words_of_a_name_begin_with_capitals() {
        let line = written(|to| field(to, &header::ACCESS_CONTROL_ALLOW_ORIGIN, b"*"));
        assert_eq!(line, "Access-Control-Allow-Origin: *\r\n");
        assert_eq!(written(|to| field(to, &HeaderName::from_static("x--a"), b"")), "X--A: \r\n");
        assert_eq!(written(|to| open_field(to, &header::ETAG, b"\"a\"")), "Etag: \"a\"");
    }

    #[test]
    fn numbers_are_written_as_they_are_read() {
        for number in [0, 7, 10, 99, 1_048_576, u64::MAX] {
            assert_eq!(written(|to| decimal(to, number)), number.to_string());
        }
    }
}
