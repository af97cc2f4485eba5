//! Numbers as the page shows them.

/// With significant decimals, and grouped digits.
pub(crate) fn number(value: f64) -> String {
    let decimals = if value.abs() >= 10.0 { 1 } else { 4 };
    let text = format!("{value:.decimals$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let whole = grouped(whole);
    if part.is_empty() { whole } else { format!("{whole}.{part}") }
}

/// Without decimals.
pub(crate) fn whole(value: f64) -> String {
    grouped(&format!("{value:.0}"))
}

fn grouped(digits: &str) -> String {
    let count = digits.chars().filter(char::is_ascii_digit).count();
    let mut grouped = String::new();
    let mut left = count;
    for digit in digits.chars() {
        grouped.push(digit);
        if digit.is_ascii_digit() {
            left -= 1;
            if left > 0 && left.is_multiple_of(3) {
                grouped.push(',');
            }
        }
    }
    grouped
}

/// A count from a formula, in the range of a model.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast saturates, and models are small"
)]
pub(crate) fn count(value: f64) -> u32 {
    value.ceil() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_have_significant_decimals_only() {
        for (value, text) in [
            (1_000_000.0, "1,000,000"),
            (33.5, "33.5"),
            (1.0622, "1.0622"),
            (0.6, "0.6"),
            (363.1, "363.1"),
            (999.0, "999"),
            (-1234.0, "-1,234"),
        ] {
            assert_eq!(number(value), text);
        }
        assert_eq!(whole(1234.4), "1,234");
    }

    #[test]
    fn a_count_is_rounded_up() {
        assert_eq!((count(1.0), count(1.01), count(-3.0)), (1, 2, 0));
    }
}
