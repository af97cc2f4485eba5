//! A crowd at one cold object: how late the first byte reaches it.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::shell;

/// What one run of the `crowd` program says (`tests/measure/crowd.rs`).
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(crate) struct Crowd {
    pub(crate) viewers: u64,
    pub(crate) edges: u64,
    pub(crate) origin_requests: u64,
    pub(crate) first_byte_delay_ms: Delays,
}

/// Milliseconds from the first byte at a reader of the shield to the first byte at the viewers.
#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
pub(crate) struct Delays {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

/// Runs the program as often as there are rounds.
pub(crate) fn measure(program: &Path, rounds: u32) -> Result<Vec<Crowd>> {
    (0..rounds).map(|_| shell::json(&mut Command::new(program))).collect()
}
