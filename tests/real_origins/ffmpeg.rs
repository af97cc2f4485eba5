//! ffmpeg as a player: it decodes every picture and sample, and discards them.

use std::process::Output;
use std::time::Duration;

use tokio::process::Command;

/// The output of ffmpeg.
#[derive(Debug)]
pub(crate) struct Seen {
    url: String,
    output: Output,
}

/// Plays this much of a stream.
pub(crate) async fn play(url: &str, period: Duration) -> Seen {
    play_with(url, &[], period).await
}

/// The same, with further options before the input.
pub(crate) async fn play_with(url: &str, options: &[&str], period: Duration) -> Seen {
    let seconds = period.as_secs().to_string();
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-nostdin", "-loglevel", "error"]).args(options).args(["-i", url]);
    command.args(["-t", &seconds, "-f", "null", "-"]);
    let limit = period * 3;
    let output = tokio::time::timeout(limit, command.kill_on_drop(true).output());
    let output = output.await.unwrap_or_else(|_| panic!("ffmpeg still plays {url} after {limit:?}"));
    Seen { url: url.to_owned(), output: output.expect("ffmpeg runs") }
}

impl Seen {
    /// Asserts that it has played all of it without a warning.
    pub(crate) fn assert_smooth(&self) {
        let Self { url, output } = self;
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && errors.is_empty(),
            "ffmpeg with {url}: {}\n{errors}",
            output.status
        );
    }
}
