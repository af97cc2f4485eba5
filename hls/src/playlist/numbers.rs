//! Numbers as players read them: as far as they are numbers, whatever follows.

use std::time::Duration;

use crate::attributes::unquoted;

/// The whole number at the beginning: `5`, ` 5`, `5.0`, `"5"`. `None` if there is none, if it is negative, or
/// beyond 64 bits.
pub(super) fn whole(text: &[u8]) -> Option<u64> {
    let number = unsigned(text);
    let digits = number.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(number.get(..digits)?).ok()?.parse().ok()
}

/// The seconds at the beginning: `4`, `4.004`, `.5`, `1e0`. `None` if there is no number, or a negative one.
/// A number greater than a day counts as a day, so that times can be multiplied and added.
pub(super) fn seconds(text: &[u8]) -> Option<Duration> {
    let number = unsigned(text);
    let number = std::str::from_utf8(number.get(..decimal_len(number))?).ok()?;
    let seconds: f64 = number.parse().ok()?;
    Some(Duration::try_from_secs_f64(seconds).map_or(DAY, |duration| duration.min(DAY)))
}

/// The length of a byte range, and its start if it is given: `100@10`, `100`.
pub(super) fn byte_range(text: &[u8]) -> Option<(u64, Option<u64>)> {
    let text = unquoted(text.trim_ascii());
    match text.iter().position(|&byte| byte == b'@') {
        Some(at) => Some((whole(text.get(..at)?)?, Some(whole(text.get(at + 1..)?)?))),
        None => Some((whole(text)?, None)),
    }
}

fn unsigned(text: &[u8]) -> &[u8] {
    let number = unquoted(text.trim_ascii()).trim_ascii_start();
    number.strip_prefix(b"+").unwrap_or(number)
}

/// Digits with at most one point, and an exponent if there is one.
fn decimal_len(text: &[u8]) -> usize {
    let digits = |from: usize| {
        text.get(from..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_digit()).count()
    };
    let mut len = digits(0);
    if text.get(len) == Some(&b'.') {
        len += 1 + digits(len + 1);
    }
    if len > 0 && text.get(len).is_some_and(|byte| byte.eq_ignore_ascii_case(&b'e')) {
        let sign = usize::from(text.get(len + 1).is_some_and(|sign| b"+-".contains(sign)));
        let exponent = digits(len + 1 + sign);
        len += if exponent > 0 { 1 + sign + exponent } else { 0 };
    }
    len
}

pub(super) const DAY: Duration = Duration::from_hours(24);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_ends_where_it_stops_being_one() {
        for (text, expected) in [
            ("5", Some(5)),
            (" 5 ", Some(5)),
            ("\t+05\0", Some(5)),
            ("5.9", Some(5)),
            ("5abc", Some(5)),
            ("\"5\"", Some(5)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("-1", None),
            ("", None),
            ("x5", None),
            ("\u{a0}5", None),
        ] {
            assert_eq!(whole(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn seconds_are_decimal_and_bounded() {
        for (text, millis) in [
            ("4,", Some(4_000)),
            ("4.004000,a title, with a comma", Some(4_004)),
            (" 1.5 ,", Some(1_500)),
            ("1,000,", Some(1_000)),
            (".5", Some(500)),
            ("3.", Some(3_000)),
            ("1e0,", Some(1_000)),
            ("25E-1", Some(2_500)),
            ("2e,", Some(2_000)),
            ("1.2.3", Some(1_200)),
            ("99999999999999999999999", Some(86_400_000)),
            ("1e999", Some(86_400_000)),
            ("", None),
            (".", None),
            ("-1", None),
            ("nan", None),
            ("inf", None),
            ("\u{661}", None),
        ] {
            let read = seconds(text.as_bytes()).map(|read| u64::try_from(read.as_millis()).unwrap());
            assert_eq!(read, millis, "{text:?}");
        }
    }

    #[test]
    fn a_byte_range_has_a_length_and_perhaps_a_start() {
        for (text, expected) in [
            ("100@10", Some((100, Some(10)))),
            ("\"100@10\"", Some((100, Some(10)))),
            (" 100 @ 10 ", Some((100, Some(10)))),
            ("100", Some((100, None))),
            ("100@", None),
            ("@10", None),
            ("-1@10", None),
            ("18446744073709551616@0", None),
        ] {
            assert_eq!(byte_range(text.as_bytes()), expected, "{text:?}");
        }
    }
}
