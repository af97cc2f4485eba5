//! Waits until the stream arrives through every edge, and reports what it waits for when that takes long.

use std::time::Duration;

use anyhow::bail;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::viewers::fetch::{Fetch, ViewerError};

/// Requests the playlist at `stream` from every edge, each with its URL, until each has sent it. When that
/// takes long, `say` receives the edge that is missing, and its last response.
///
/// # Errors
/// When not all edges have sent it within half a minute.
pub(crate) async fn wait(
    edges: &[(String, impl Fetch)],
    stream: &str,
    say: impl FnMut(&Waiting),
) -> anyhow::Result<()> {
    let deadline = Instant::now() + DEADLINE;
    let (sender, waiting) = watch::channel(Waiting::default());
    tokio::select! {
        () = ask(edges, stream, &sender) => return Ok(()),
        () = report(waiting.clone(), say) => {}
        () = sleep_until(deadline) => {}
    }
    let Waiting { url, answer } = waiting.borrow().clone();
    bail!("no playlist from {url} within {} s; last response: {answer}", DEADLINE.as_secs())
}

/// The state of the wait.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// The playlist at an edge.
    pub(crate) url: String,
    /// The last response.
    pub(crate) answer: String,
}

async fn ask(edges: &[(String, impl Fetch)], stream: &str, sender: &watch::Sender<Waiting>) {
    for (edge, client) in edges {
        let url = format!("{edge}{stream}");
        let mut now = Waiting { url, answer: "no response yet".to_owned() };
        sender.send_replace(now.clone());
        while let Err(error) = playlist(client, stream).await {
            now.answer = error.to_string();
            sender.send_if_modified(|last| {
                let is_news = *last != now;
                last.clone_from(&now);
                is_news
            });
            sleep(PAUSE).await;
        }
    }
}

/// Reports nothing at first, then the state, and again whenever it changes.
async fn report(mut waiting: watch::Receiver<Waiting>, mut say: impl FnMut(&Waiting)) {
    sleep(QUIET).await;
    loop {
        say(&waiting.borrow_and_update());
        if waiting.changed().await.is_err() {
            return;
        }
    }
}

async fn playlist(client: &impl Fetch, stream: &str) -> Result<(), ViewerError> {
    let text = client.text(stream).await?;
    super::viewers::check_playlist(&text)
}

const QUIET: Duration = Duration::from_secs(2);
const DEADLINE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use http::StatusCode;

    use super::*;

    const PLAYLIST: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n1.ts\n";

    /// An edge that responds according to the time since its creation.
    struct Edge(Instant, fn(u64) -> Option<Result<&'static str, StatusCode>>);

    impl Fetch for Edge {
        async fn text(&self, _path: &str) -> Result<String, ViewerError> {
            match self.1(self.0.elapsed().as_secs()) {
                Some(answer) => answer.map(str::to_owned).map_err(ViewerError::Status),
                None => std::future::pending().await,
            }
        }

        async fn drain(&self, _path: &str) -> Result<u64, ViewerError> {
            Ok(0)
        }
    }

    /// The reports, each with its second, and the end of the wait.
    async fn waited(
        answers: fn(u64) -> Option<Result<&'static str, StatusCode>>,
    ) -> (Vec<(u64, String)>, Result<(), String>) {
        let start = Instant::now();
        let said = RefCell::new(Vec::new());
        let edges = [("http://edge-1".to_owned(), Edge(start, answers))];
        let ended = wait(&edges, "/a.m3u8", |waiting| {
            let line = format!("{}: {}", waiting.url, waiting.answer);
            said.borrow_mut().push((start.elapsed().as_secs(), line));
        });
        let ended = ended.await.map_err(|error| error.to_string());
        (said.into_inner(), ended)
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_arrives_soon_causes_no_report() {
        let answers = |second| Some(if second < 1 { Err(StatusCode::BAD_GATEWAY) } else { Ok(PLAYLIST) });
        assert_eq!(waited(answers).await, (vec![], Ok(())));
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_wait_is_reported_and_again_when_the_response_changes() {
        let (said, ended) = waited(|second| match second {
            0..5 => Some(Err(StatusCode::BAD_GATEWAY)),
            5..9 => Some(Err(StatusCode::NOT_FOUND)),
            _ => Some(Ok(PLAYLIST)),
        })
        .await;
        let lines = [
            (2, "http://edge-1/a.m3u8: status 502 Bad Gateway".to_owned()),
            (5, "http://edge-1/a.m3u8: status 404 Not Found".to_owned()),
        ];
        assert_eq!((said, ended), (lines.to_vec(), Ok(())));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_never_arrives_is_an_error_with_url_and_last_response() {
        let (said, ended) = waited(|_| Some(Ok("<html>"))).await;
        assert_eq!(said.len(), 1, "{said:?}");
        let error = ended.unwrap_err();
        let start = "no playlist from http://edge-1/a.m3u8 within 30 s; last response: the playlist is";
        assert!(error.starts_with(start), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_edge_that_hangs_is_reported_and_ends_the_wait_in_time() {
        let start = Instant::now();
        let (said, ended) = waited(|_| None).await;
        assert_eq!(said, [(2, "http://edge-1/a.m3u8: no response yet".to_owned())]);
        assert!(ended.unwrap_err().ends_with("last response: no response yet"));
        assert_eq!(start.elapsed(), DEADLINE);
    }
}
