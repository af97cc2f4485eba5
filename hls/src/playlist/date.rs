//! Dates as seconds since the Unix epoch.

use std::time::Duration;

use quick_m3u8::date::DateTime;

/// The time since 1970-01-01T00:00Z; `None` for a date before that or for one that is in no calendar.
pub(super) fn since_epoch(date: &DateTime) -> Option<Duration> {
    let in_calendar = (1..=12).contains(&date.date_month) && (1..=31).contains(&date.date_mday);
    if !in_calendar || date.date_fullyear > 9_999 || date.time_hour > 23 || date.time_minute > 59 {
        return None;
    }
    let days = days_since_epoch(
        i64::from(date.date_fullyear),
        i64::from(date.date_month),
        i64::from(date.date_mday),
    );
    let zone = &date.timezone_offset;
    let (hours, minutes) = (i64::from(zone.time_hour), i64::from(zone.time_minute));
    let east = hours * 60 + if hours < 0 { -minutes } else { minutes };
    let minutes = (days * 24 + i64::from(date.time_hour)) * 60 + i64::from(date.time_minute) - east;
    let whole = Duration::from_secs(u64::try_from(minutes).ok()?.checked_mul(60)?);
    whole.checked_add(Duration::try_from_secs_f64(date.time_second).ok()?)
}

/// Days from 1970-01-01 in the Gregorian calendar. The year is taken to begin in March, so that the leap day
/// is its last day and the months before it have a regular length.
const fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    365 * year + leap_days + day_of_year - DAYS_BEFORE_EPOCH
}

/// From 0000-03-01 to 1970-01-01.
const DAYS_BEFORE_EPOCH: i64 = 719_468;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_count_from_the_epoch() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("1970-01-01T00:30:00-01:00", Some(5_400_000)),
            ("2000-02-29T23:59:59.5Z", Some(951_868_799_500)),
            ("2026-05-01T12:00:00.25+02:00", Some(1_777_629_600_250)),
            ("1969-12-31T23:59:59Z", None),
        ] {
            let date = quick_m3u8::date::parse(text).unwrap();
            let millis = since_epoch(&date).map(|time| u64::try_from(time.as_millis()).unwrap());
            assert_eq!(millis, expected, "{text}");
        }
    }
}
