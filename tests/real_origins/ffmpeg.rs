//! ffmpeg as a player: it decodes every picture and sample, and throws them away.

use std::process::Output;
use std::time::Duration;

use tokio::process::Command;

/// What it says at the end.
#[derive(Debug)]
pub(crate) struct Seen {
    url: String,
    output: Output,
}

/// Plays so much of a stream.
pub(crate) async fn play(url: &str, period: Duration) -> Seen {
    let seconds = period.as_secs().to_string();
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-nostdin", "-loglevel", "error", "-i", url]);
    command.args(["-t", &seconds, "-f", "null", "-"]);
    let limit = period * 3;
    let output = tokio::time::timeout(limit, command.kill_on_drop(true).output());
    let output = output.await.unwrap_or_else(|_| panic!("ffmpeg still plays {url} after {limit:?}"));
    Seen { url: url.to_owned(), output: output.expect("ffmpeg runs") }
}

impl Seen {
    /// It has played all of it and says nothing.
    pub(crate) fn assert_content(&self) {
        let Self { url, output } = self;
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && errors.is_empty(),
            "ffmpeg with {url}: {}\n{errors}",
            output.status
        );
    }
}
