//! The stub's wall clock, which tests can stop and move.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

/// The time at the origin. Waiting requests are notified when the clock is changed.
#[derive(Debug, Default)]
pub(crate) struct Clock(watch::Sender<State>);

/// The state of the clock.
#[derive(Debug, Default)]
pub(crate) struct State {
    stopped: Option<Duration>,
    ahead: Duration,
}

impl Clock {
    /// Time since the Unix epoch.
    pub(crate) fn now(&self) -> Duration {
        let hands = self.0.borrow();
        hands.stopped.unwrap_or_else(wall) + hands.ahead
    }

    /// From now on time advances only by [`Clock::advance`].
    pub(crate) fn stop(&self) {
        self.0.send_modify(|hands| {
            hands.stopped.get_or_insert_with(wall);
        });
    }

    /// Moves the clock forward, stopped or not.
    pub(crate) fn advance(&self, by: Duration) {
        self.0.send_modify(|hands| hands.ahead += by);
    }

    /// Lets time run again, following the wall clock.
    pub(crate) fn run(&self) {
        self.0.send_replace(State::default());
    }

    /// Notified of every [`Clock::stop`], [`Clock::advance`] and [`Clock::run`].
    pub(crate) fn changes(&self) -> watch::Receiver<State> {
        self.0.subscribe()
    }

    /// How long the clock takes to reach `moment`; `None` if it is stopped.
    pub(crate) fn until(&self, moment: Duration) -> Option<Duration> {
        let flows = self.0.borrow().stopped.is_none();
        flows.then(|| moment.saturating_sub(self.now()))
    }
}

/// `2026-01-31T12:00:00.000Z`, as EXT-X-PROGRAM-DATE-TIME requires it (HLS section 4.4.4.6).
pub(crate) fn date_time(since_epoch: Duration) -> String {
    let seconds = since_epoch.as_secs();
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let millis = since_epoch.subsec_millis();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// The date in an HTTP header (RFC 9110 section 5.6.7).
pub(crate) fn http_date(since_epoch: Duration) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + since_epoch)
}

/// Year, month and day in the Gregorian calendar. The year begins on 1 March, so that the leap day is its
/// last.
fn civil(days_since_epoch: u64) -> (u64, u64, u64) {
    let mut days = days_since_epoch + DAYS_FROM_MARCH_0000_TO_1970;
    let eras = days / DAYS_IN_400_YEARS;
    days %= DAYS_IN_400_YEARS;
    let centuries = (days / DAYS_IN_100_YEARS).min(3);
    days -= centuries * DAYS_IN_100_YEARS;
    let leaps = days / DAYS_IN_4_YEARS;
    days -= leaps * DAYS_IN_4_YEARS;
    let years = (days / 365).min(3);
    days -= years * 365;
    // From March on, months have 31, 30, 31, 30, 31 days repeatedly: 153 days in five months.
    let month = (5 * days + 2) / 153;
    let day = days - (153 * month + 2) / 5 + 1;
    let year = 400 * eras + 100 * centuries + 4 * leaps + years;
    if month < 10 { (year, month + 3, day) } else { (year + 1, month - 9, day) }
}

const DAYS_FROM_MARCH_0000_TO_1970: u64 = 719_468;
const DAYS_IN_400_YEARS: u64 = 146_097;
const DAYS_IN_100_YEARS: u64 = 36_524;
const DAYS_IN_4_YEARS: u64 = 1461;

#[expect(clippy::disallowed_methods, reason = "this is the one place where the origin reads the wall clock")]
fn wall() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn date_times_are_gregorian() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (951_868_800, "2000-03-01T00:00:00.000Z"),
            (1_735_689_599, "2024-12-31T23:59:59.000Z"),
            (1_709_164_800, "2024-02-29T00:00:00.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(date_time(Duration::from_secs(seconds)), text);
        }
        assert_eq!(date_time(Duration::from_millis(1_500)), "1970-01-01T00:00:01.500Z");
    }

    #[test]
    fn a_stopped_clock_advances_only_on_command() {
        let clock = Clock::default();
        clock.stop();
        let stopped = clock.now();
        assert_eq!(clock.now(), stopped);
        clock.advance(Duration::from_secs(2));
        assert_eq!(clock.now(), stopped + Duration::from_secs(2));
    }

    #[test]
    fn a_moment_arrives_by_itself_only_while_the_clock_runs() {
        let clock = Clock::default();
        let soon = clock.now() + Duration::from_mins(1);
        assert!(clock.until(soon).unwrap() <= Duration::from_mins(1));
        let changes = clock.changes();
        clock.stop();
        assert_eq!(clock.until(soon), None);
        assert!(changes.has_changed().unwrap());
    }
}
