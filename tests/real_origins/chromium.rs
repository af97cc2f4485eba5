//! Chromium with hls.js as a player, and what it tells afterwards.

use std::path::Path;
use std::process::Output;
use std::time::Duration;

use tokio::process::Command;

/// How a stream is to be watched.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Watch {
    pub(crate) period: Duration,
    /// As near to the live edge as the playlist allows.
    pub(crate) low_latency: bool,
    /// For how long the picture may stand still in all, where something is broken on purpose.
    pub(crate) stall_max: Duration,
    /// Whether a segment that is asked for, or appended, twice is a failure.
    pub(crate) once: bool,
}

impl Watch {
    /// A viewer who accepts nothing but a picture that runs.
    pub(crate) const fn lasting(period: Duration) -> Self {
        Self { period, low_latency: false, stall_max: Duration::ZERO, once: false }
    }
}

/// What the browser saw.
#[derive(Debug)]
pub(crate) struct Seen(Output);

/// Plays a stream, as `tests/players/play.mjs` does.
pub(crate) async fn play(url: String, watch: Watch) -> Seen {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("players/play.mjs");
    let mut command = Command::new("node");
    command.arg(script).args(["--url", &url, "--seconds", &watch.period.as_secs().to_string()]);
    command.args(["--stall-max", &watch.stall_max.as_secs_f64().to_string()]);
    command.args(watch.low_latency.then_some("--low-latency"));
    command.args(watch.once.then_some("--once"));
    Seen(command.kill_on_drop(true).output().await.expect("node runs"))
}

impl Seen {
    /// The viewer has nothing to complain of.
    pub(crate) fn assert_content(&self) {
        let told = String::from_utf8_lossy(&self.0.stdout);
        let errors = String::from_utf8_lossy(&self.0.stderr);
        assert!(self.0.status.success(), "Chromium with hls.js: {told}\n{errors}");
    }

    /// Something that it measured, in seconds.
    pub(crate) fn seconds(&self, field: &str) -> Duration {
        let told: serde_json::Value = serde_json::from_slice(&self.0.stdout).expect("JSON");
        let seconds = told[field].as_f64().unwrap_or_else(|| panic!("{field} was not measured: {told}"));
        Duration::try_from_secs_f64(seconds).unwrap_or_else(|error| panic!("{field} is {seconds}: {error}"))
    }
}
