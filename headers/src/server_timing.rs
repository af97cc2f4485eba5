//! `Server-Timing`: the time that this tier took.

use std::time::Duration;

use http::header::HeaderName;
use tidegate_http1::lines;

/// The field of the W3C's Server Timing specification.
pub static SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Appends the member of the tier `node`: the duration in milliseconds, with one decimal.
pub fn append(to: &mut Vec<u8>, node: &str, took: Duration) {
    let tenths = u64::try_from(took.as_micros() / 100).unwrap_or(u64::MAX);
    to.extend_from_slice(node.as_bytes());
    to.extend_from_slice(b";dur=");
    lines::decimal(to, tenths / 10);
    to.push(b'.');
    lines::decimal(to, tenths % 10);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_has_milliseconds_with_one_decimal() {
        for (micros, text) in [(0, "edge-1;dur=0.0"), (99, "edge-1;dur=0.0"), (12_345, "edge-1;dur=12.3")] {
            let mut written = Vec::new();
            append(&mut written, "edge-1", Duration::from_micros(micros));
            assert_eq!(String::from_utf8(written).unwrap(), text);
        }
    }
}
