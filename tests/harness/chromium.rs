//! Chromium with hls.js as a player, and its report afterwards.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::PATIENCE;

/// How to play a stream.
#[derive(Debug, Clone, Copy)]
pub struct Watch {
    /// Playing time, from the first picture on.
    pub period: Duration,
    /// As near to the live edge as the playlist allows.
    pub low_latency: bool,
    /// The longest total stall, for tests that break something on purpose.
    pub stall_max: Duration,
    /// Whether requesting or appending a segment twice is a failure.
    pub once: bool,
}

impl Watch {
    /// A viewer that accepts nothing but a picture without stalls.
    pub const fn lasting(period: Duration) -> Self {
        Self { period, low_latency: false, stall_max: Duration::ZERO, once: false }
    }
}

/// A browser that plays a stream; dropping this value ends it.
#[derive(Debug)]
pub struct Playing {
    child: Child,
    errors: watch::Receiver<String>,
    reading: JoinSet<()>,
}

/// The output of the browser.
#[derive(Debug)]
pub struct Seen(Output);

/// Plays a stream, as `tests/players/play.mjs` does.
pub async fn play(url: String, watch: Watch) -> Seen {
    Playing::begin(&url, watch).end().await
}

/// The same in a page on this port of 127.0.0.1, which sets a cookie and sends it to other ports.
pub async fn play_with_cookie(url: &str, cookie: &str, page_port: u16, watch: Watch) -> Seen {
    let page_port = page_port.to_string();
    Playing::begin_with(url, watch, &["--cookie", cookie, "--page-port", &page_port]).end().await
}

impl Playing {
    /// Starts the browser.
    pub fn begin(url: &str, watch: Watch) -> Self {
        Self::begin_with(url, watch, &[])
    }

    fn begin_with(url: &str, watch: Watch, options: &[&str]) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("players/play.mjs");
        let mut command = Command::new("node");
        command.arg(script).args(["--url", url, "--seconds", &watch.period.as_secs().to_string()]);
        command.args(["--stall-max", &watch.stall_max.as_secs_f64().to_string()]);
        command.args(watch.low_latency.then_some("--low-latency"));
        command.args(watch.once.then_some("--once")).args(options);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("node runs");
        let stderr = child.stderr.take().expect("its standard error");
        let (sender, errors) = watch::channel(String::new());
        let mut reading = JoinSet::new();
        reading.spawn(async move {
            let mut lines = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                sender.send_modify(|output| output.extend([line.as_str(), "\n"]));
            }
        });
        Self { child, errors, reading }
    }

    /// Waits for the first picture; if the browser ends without one, [`Playing::end`] reports why.
    pub async fn began(&mut self) {
        let began = self.errors.wait_for(|output| output.lines().any(|line| line == "playing"));
        let _ended =
            tokio::time::timeout(PATIENCE, began).await.expect("a picture, or the end of the browser");
    }

    /// Waits until the browser has played for the given time.
    pub async fn end(mut self) -> Seen {
        let mut stdout = Vec::new();
        let mut pipe = self.child.stdout.take().expect("its standard output");
        pipe.read_to_end(&mut stdout).await.expect("its output");
        let status = self.child.wait().await.expect("a status");
        while self.reading.join_next().await.is_some() {}
        let stderr = self.errors.borrow().clone().into_bytes();
        Seen(Output { status, stdout, stderr })
    }
}

impl Seen {
    /// Asserts that the player reported no error and no stall.
    #[track_caller]
    pub fn assert_smooth(&self) {
        let report = String::from_utf8_lossy(&self.0.stdout);
        let errors = String::from_utf8_lossy(&self.0.stderr);
        assert!(self.0.status.success(), "Chromium with hls.js: {report}\n{errors}");
    }

    /// Asserts that the player has not given up and plays at the end, however long it stalled and whatever it
    /// skipped.
    #[track_caller]
    pub fn assert_plays_at_the_end(&self) {
        let report = self.report();
        let fatal = report["errors"]
            .as_array()
            .is_some_and(|errors| errors.iter().any(|error| error["fatal"] == true));
        let samples = report["samples"].as_array().expect("samples");
        let of_last_seconds = samples[samples.len().saturating_sub(4)..].iter();
        let times: Vec<_> = of_last_seconds.filter_map(|sample| sample["currentTime"].as_f64()).collect();
        let runs = times.len() == 4 && times.windows(2).all(|two| two[1] - two[0] > 0.5);
        assert!(!fatal && runs, "Chromium with hls.js: {report}");
    }

    /// A measurement of the player, in seconds.
    pub fn seconds(&self, field: &str) -> Duration {
        let report = self.report();
        let seconds = report[field].as_f64().unwrap_or_else(|| panic!("{field} was not measured: {report}"));
        Duration::try_from_secs_f64(seconds).unwrap_or_else(|error| panic!("{field} is {seconds}: {error}"))
    }

    fn report(&self) -> serde_json::Value {
        serde_json::from_slice(&self.0.stdout).expect("JSON")
    }
}
