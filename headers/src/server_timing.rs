//! `Server-Timing`: the time that this tier took.

use std::fmt::{self, Display};
use std::time::Duration;

use http::header::HeaderName;

/// The field of the W3C's Server Timing specification.
pub static SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// The member of the tier `node`: the duration in milliseconds, with one decimal.
pub fn member(node: &str, took: Duration) -> impl Display {
    let tenths = took.as_micros() / 100;
    fmt::from_fn(move |out| write!(out, "{node};dur={}.{}", tenths / 10, tenths % 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_has_milliseconds_with_one_decimal() {
        for (micros, text) in [(0, "edge-1;dur=0.0"), (99, "edge-1;dur=0.0"), (12_345, "edge-1;dur=12.3")] {
            assert_eq!(member("edge-1", Duration::from_micros(micros)).to_string(), text);
        }
    }
}
