//! How far behind the origin each tier is, with many viewers and with one.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::crowd::Delays;
use crate::shell;

/// What one run of the `staleness` program says (`tests/measure/staleness.rs`).
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(crate) struct Staleness {
    pub(crate) viewers: u64,
    pub(crate) versions: u64,
    pub(crate) origin_requests_per_version: f64,
    pub(crate) at_shield_ms: Delays,
    pub(crate) at_edges_beyond_shield_ms: Delays,
}

const VIEWERS: [u32; 2] = [40, 1];
const VERSIONS: u32 = 20;

/// Runs the program once for each number of viewers.
pub(crate) fn measure(program: &Path) -> Result<Vec<Staleness>> {
    let run = |viewers: u32| {
        let arguments = [viewers, VERSIONS].map(|number| number.to_string());
        shell::json(Command::new(program).args(arguments))
    };
    VIEWERS.into_iter().map(run).collect()
}
