//! The health of one upstream: a state machine over events and their times.
//!
//! ```text
//!        out of reach, or probes fail           probes succeed, or its time is over
//!   Up ─────────────────────────────► Down ────────────────────────────────────────┐
//!    │   too many failures                      its time is over                   ▼
//!    ├──────────────────────────────► Ejected ────────────────────────────────► Returning
//!    ▲                                                                             │
//!    └───────────────────────── good for `slow_start` ─────────────────────────────┘
//! ```
//!
//! Down is about reaching the server, so a probe can end it. Ejected is about the responses to viewers'
//! requests, which a probe does not see: only time ends it. Each ejection lasts twice as long as the
//! one before it. A returning upstream receives its load step by step ([`Health::share`]).

pub(crate) mod half_open;
pub mod latency;
pub mod probe;
pub(crate) mod reported_failures;
pub(crate) mod retry_after;
mod window;

use std::time::Duration;

use tokio::time::Instant;

use crate::error::UpstreamError;
use crate::health::window::Window;

/// The rules of one pool.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    /// Consecutive failures that eject.
    pub consecutive_failures: u32,
    /// The excess of the error rate over that of the peers, in the last 10 to 20 s, that ejects.
    pub error_rate_excess: f64,
    /// The first ejection time.
    pub ejection_time: Duration,
    /// The longest ejection time.
    pub ejection_time_max: Duration,
    /// The share of a pool that may be ejected simultaneously.
    pub ejected_share_max: f64,
    /// How long an upstream is returning before it is up.
    pub slow_start: Duration,
    /// Consecutive good probes that end being down.
    pub rise: u32,
    /// Consecutive failed probes that make an upstream down.
    pub fall: u32,
}

/// The state of an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It receives requests.
    Up,
    /// It was out and receives more requests little by little.
    Returning,
    /// Its responses are bad: tried last.
    Ejected,
    /// It is out of reach: tried last.
    Down,
}

/// The state, and the reason for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// The state.
    pub state: State,
    /// When the upstream entered it.
    pub since: Instant,
    /// The error that put the upstream out, until it is up again.
    pub why: Option<UpstreamError>,
}

/// A change of state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The state before.
    pub from: State,
    /// The state after.
    pub to: State,
    /// The error that put the upstream out.
    pub why: Option<UpstreamError>,
}

/// The health of one upstream.
#[derive(Debug)]
pub struct Health {
    rules: Rules,
    state: State,
    since: Instant,
    /// When the ejection time ends; `None` if only probes can end it.
    until: Option<Instant>,
    why: Option<UpstreamError>,
    failures: u32,
    /// Consecutive times out.
    times: u32,
    good_probes: u32,
    failed_probes: u32,
    is_probed: bool,
    recent: Window<Tally>,
}

/// The results of the requests of the last 10 to 20 s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Requests with a good response.
    pub good: u32,
    /// Requests that failed.
    pub bad: u32,
}

/// The others of a pool, when one of its upstreams has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Others {
    /// The results of their requests.
    pub tally: Tally,
    /// Whether the pool can spare the one that has failed.
    pub can_spare: bool,
}

/// One half of the window of [`Tally`].
const HALF: Duration = Duration::from_secs(10);
/// Requests without which an error rate means nothing.
const VOLUME_MIN: u32 = 20;
/// A returning upstream begins with this share of its load: a smaller one would not show how it fares.
const SHARE_MIN: f64 = 0.1;

impl Health {
    /// An upstream that is taken to be up. `is_probed`: whether [`Health::record_probe`] will be called.
    pub fn new(rules: Rules, is_probed: bool, now: Instant) -> Self {
        Self {
            rules,
            state: State::Up,
            since: now,
            until: None,
            why: None,
            failures: 0,
            times: 0,
            good_probes: 0,
            failed_probes: 0,
            is_probed,
            recent: Window::new(HALF, now),
        }
    }

    /// The state, and the reason for it.
    pub fn status(&self) -> Status {
        Status { state: self.state, since: self.since, why: self.why }
    }

    /// Consecutive failures.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Lets time pass, which ends ejections and slow starts.
    pub fn advance(&mut self, now: Instant) -> Option<Change> {
        match self.state {
            State::Down | State::Ejected if self.until.is_some_and(|until| until <= now) => {
                Some(self.enter(State::Returning, None, now))
            }
            State::Returning if now.saturating_duration_since(self.since) >= self.rules.slow_start => {
                Some(self.enter(State::Up, None, now))
            }
            _ => None,
        }
    }

    /// The first byte of the response to a request of the time `sent`. An upstream that responds to a request
    /// sent after it went down is in reach.
    pub fn record_first_byte(&mut self, sent: Instant, now: Instant) -> Option<Change> {
        (self.state == State::Down && sent >= self.since).then(|| self.enter(State::Returning, None, now))
    }

    /// A response is complete.
    pub fn record_success(&mut self, now: Instant) {
        self.failures = 0;
        self.recent.at(now).0.good += 1;
    }

    /// A request failed. `chance` is a number from 0 to 1 that no other node is likely to draw.
    pub fn record_failure(
        &mut self,
        error: UpstreamError,
        others: Others,
        chance: f64,
        now: Instant,
    ) -> Option<Change> {
        self.failures = self.failures.saturating_add(1);
        if self.state == State::Returning {
            // The time for which it must be good starts over.
            self.since = now;
        }
        if self.state.is_available() && error.is_unreachable() {
            self.recent.at(now).0.bad += 1;
            return Some(self.take_out(State::Down, error, chance, now));
        }
        self.recent.at(now).0.bad += 1;
        let is_over =
            self.failures >= self.rules.consecutive_failures || self.fails_more_than(others.tally, now);
        (is_over && self.may_be_ejected(others)).then(|| self.take_out(State::Ejected, error, chance, now))
    }

    /// A request failed, perhaps by the fault of a server behind the upstream: that counts only if it happens
    /// more often than with the others. If the others hardly receive requests, it is unknown whether they are
    /// better.
    pub fn record_reported_failure(
        &mut self,
        error: UpstreamError,
        others: Others,
        chance: f64,
        now: Instant,
    ) -> Option<Change> {
        self.recent.at(now).0.bad += 1;
        let is_over = others.tally.total() >= VOLUME_MIN && self.fails_more_than(others.tally, now);
        (is_over && self.may_be_ejected(others)).then(|| self.take_out(State::Ejected, error, chance, now))
    }

    fn fails_more_than(&mut self, others: Tally, now: Instant) -> bool {
        let mine = self.tally(now);
        mine.total() >= VOLUME_MIN && mine.share() - others.share() >= self.rules.error_rate_excess
    }

    fn may_be_ejected(&self, others: Others) -> bool {
        self.state.is_available() && others.can_spare
    }

    /// A probe has succeeded or failed.
    pub fn record_probe(
        &mut self,
        result: Result<(), UpstreamError>,
        chance: f64,
        now: Instant,
    ) -> Option<Change> {
        let Err(error) = result else {
            self.failed_probes = 0;
            self.good_probes = self.good_probes.saturating_add(1);
            let is_back = self.state == State::Down && self.good_probes >= self.rules.rise;
            return is_back.then(|| self.enter(State::Returning, None, now));
        };
        if error == UpstreamError::Closed && self.serves(now) {
            // The server accepts connections and responds to viewers' requests: it does not like the probe.
            return None;
        }
        self.good_probes = 0;
        self.failed_probes = self.failed_probes.saturating_add(1);
        let is_out = self.state.is_available() && self.failed_probes >= self.rules.fall;
        is_out.then(|| self.take_out(State::Down, error, chance, now))
    }

    /// Whether the upstream is down only because it closes connections: a probe may be the reason for that.
    pub(crate) fn accepts_connections(&self) -> bool {
        self.state == State::Down && self.why == Some(UpstreamError::Closed)
    }

    /// Whether all the latest requests succeeded, and there were some.
    fn serves(&mut self, now: Instant) -> bool {
        let tally = self.tally(now);
        tally.good > 0 && self.failures == 0
    }

    /// The results of the latest requests.
    pub fn tally(&mut self, now: Instant) -> Tally {
        let (now, before) = self.recent.at(now);
        now.and(*before)
    }

    /// The share of its load, from 0 to 1.
    pub fn share(&self, now: Instant) -> f64 {
        match self.state {
            State::Up => 1.0,
            State::Down | State::Ejected => 0.0,
            State::Returning => {
                let passed = now.saturating_duration_since(self.since).as_secs_f64();
                (passed / self.rules.slow_start.as_secs_f64().max(f64::MIN_POSITIVE)).clamp(SHARE_MIN, 1.0)
            }
        }
    }

    /// Takes the upstream out for twice as long as the last time, unless it has been good for long.
    fn take_out(&mut self, to: State, why: UpstreamError, chance: f64, now: Instant) -> Change {
        let good_for = now.saturating_duration_since(self.since);
        if self.state == State::Up && good_for >= self.rules.ejection_time_max {
            self.times = 0;
        }
        let doubled = self
            .rules
            .ejection_time
            .saturating_mul(1 << self.times.min(16))
            .min(self.rules.ejection_time_max);
        self.times = self.times.saturating_add(1);
        // Up to a quarter more, so that upstreams that went out together do not return together.
        let ejection_time = doubled.mul_f64(1.0 + chance / 4.0);
        let left = self.enter(to, Some(why), now);
        self.until = (to == State::Ejected || !self.is_probed).then(|| now + ejection_time);
        left
    }

    fn enter(&mut self, to: State, why: Option<UpstreamError>, now: Instant) -> Change {
        let from = std::mem::replace(&mut self.state, to);
        (self.since, self.until) = (now, None);
        self.why = why.or_else(|| self.why.filter(|_| to == State::Returning));
        (self.good_probes, self.failed_probes, self.failures) = (0, 0, 0);
        Change { from, to, why: self.why }
    }
}

impl State {
    /// The word for logs and the status page.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Returning => "returning",
            Self::Ejected => "ejected",
            Self::Down => "down",
        }
    }

    /// Whether it receives requests before others that are out.
    pub const fn is_available(self) -> bool {
        matches!(self, Self::Up | Self::Returning)
    }
}

impl Tally {
    /// The sum of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { good: self.good.saturating_add(other.good), bad: self.bad.saturating_add(other.bad) }
    }

    fn total(self) -> u32 {
        self.good.saturating_add(self.bad)
    }

    /// The error rate; zero if there were no requests.
    pub fn share(self) -> f64 {
        f64::from(self.bad) / f64::from(self.total().max(1))
    }
}

#[cfg(test)]
mod tests;
