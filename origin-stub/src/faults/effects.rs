//! The combined effect of the faults in force on one request.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode};

use super::Fault;
use super::gate::Gate;
use crate::stream::Epoch;

/// All faults that affect one request, together; where two disagree the later one wins.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fault of its own")]
pub(crate) struct Effects {
    pub(crate) latency: Duration,
    pub(crate) first_byte_delay: Duration,
    pub(crate) bytes_per_second: Option<NonZeroU64>,
    pub(crate) ending: Ending,
    pub(crate) wrong_length: Option<u64>,
    pub(crate) chunked: bool,
    pub(crate) status: Option<StatusCode>,
    pub(crate) retry_after: Option<u64>,
    pub(crate) early_hints: bool,
    pub(crate) frozen_since: Option<Duration>,
    pub(crate) epoch: Option<Epoch>,
    /// The fault that has the encoder frozen or restarted ends with a number of requests, of which this is
    /// one.
    pub(crate) is_passing: bool,
    pub(crate) garbage: bool,
    pub(crate) skew_ms: i64,
    pub(crate) down: bool,
    pub(crate) head_gate: Option<Gate>,
    pub(crate) body_gate: Option<(u64, Gate)>,
    pub(crate) variant: u64,
    pub(crate) headers: Vec<(HeaderName, Option<HeaderValue>)>,
}

/// How a body ends.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Ending {
    /// Completely.
    #[default]
    Whole,
    /// With a reset after this many bytes.
    Reset(u64),
    /// With a close after this many bytes.
    Close(u64),
}

impl Effects {
    /// Adds a fault that was injected at `since`.
    pub(super) fn add(&mut self, fault: &Fault, since: Duration, epoch: u64, gate: Option<&Gate>) {
        set(&mut self.latency, fault.latency_ms.map(Duration::from_millis));
        set(&mut self.first_byte_delay, fault.first_byte_delay_ms.map(Duration::from_millis));
        set_some(&mut self.bytes_per_second, fault.bytes_per_second.and_then(NonZeroU64::new));
        set(&mut self.ending, fault.cut_at.map(Ending::Reset));
        set(&mut self.ending, fault.close_at.or(fault.truncated_chunked).map(Ending::Close));
        set_some(&mut self.wrong_length, fault.wrong_length);
        set_some(&mut self.status, fault.status.and_then(|status| StatusCode::from_u16(status).ok()));
        set_some(&mut self.retry_after, fault.retry_after);
        self.add_encoder(fault, since, epoch);
        self.is_passing |= fault.times.is_some() && (fault.frozen || fault.sequence_reset);
        set(&mut self.skew_ms, fault.clock_skew_ms);
        set(&mut self.variant, fault.variant);
        self.chunked |= fault.chunked || fault.truncated_chunked.is_some();
        self.early_hints |= fault.early_hints;
        self.garbage |= fault.garbage;
        self.down |= fault.down.is_some();
        self.headers.extend(headers(&fault.headers).unwrap_or_default());
        match (gate, fault.hold_at) {
            (Some(gate), Some(at)) => self.body_gate = Some((at, gate.clone())),
            (Some(gate), None) => self.head_gate = Some(gate.clone()),
            (None, _) => {}
        }
    }

    /// Adds the fault's effect on the encoder.
    pub(super) fn add_encoder(&mut self, fault: &Fault, since: Duration, epoch: u64) {
        set_some(&mut self.frozen_since, fault.frozen.then_some(since));
        let restarted = Epoch { number: epoch, began: Some(since) };
        set_some(&mut self.epoch, fault.sequence_reset.then_some(restarted));
    }
}

/// Parses a fault's headers; `None` if one of them is invalid.
pub(super) fn headers(
    text: &BTreeMap<String, Option<String>>,
) -> Option<Vec<(HeaderName, Option<HeaderValue>)>> {
    let parse = |(name, value): (&String, &Option<String>)| {
        let value = value.as_deref().map(HeaderValue::from_str).transpose().ok()?;
        Some((HeaderName::from_bytes(name.as_bytes()).ok()?, value))
    };
    if text.len() > 64 { None } else { text.iter().map(parse).collect() }
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

fn set_some<T>(field: &mut Option<T>, value: Option<T>) {
    if value.is_some() {
        *field = value;
    }
}
