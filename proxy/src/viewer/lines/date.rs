//! The `Date` of a response, formatted once per second and thread.

use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

/// Appends `now` as an HTTP date (RFC 9110 section 5.6.7).
pub(crate) fn append(to: &mut Vec<u8>, now: SystemTime) {
    let second = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    WRITTEN.with_borrow_mut(|(written, text)| {
        if *written != Some(second) {
            *text = httpdate::fmt_http_date(now);
            *written = Some(second);
        }
        to.extend_from_slice(text.as_bytes());
    });
}

thread_local! {
    static WRITTEN: RefCell<(Option<u64>, String)> = const { RefCell::new((None, String::new())) };
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_second_has_its_own_date() {
        for (second, date) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (1, "Thu, 01 Jan 1970 00:00:01 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
        ] {
            let mut written = Vec::new();
            append(&mut written, UNIX_EPOCH + Duration::from_millis(second * 1000 + 999));
            assert_eq!(String::from_utf8(written).unwrap(), date);
        }
    }
}
