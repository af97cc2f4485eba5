//! Waits until the stream comes through every edge, and says what it waits for when that takes long.

use std::time::Duration;

use anyhow::bail;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::viewers::fetch::{Fetch, Trouble};

/// Asks every edge, each with its URL, for the playlist at `stream` until each has given it. When that takes long,
/// `say` is told which one does not, and what it answers instead.
///
/// # Errors
/// When they have not all given it within half a minute.
pub(crate) async fn wait(
    edges: &[(String, impl Fetch)],
    stream: &str,
    say: impl FnMut(&Waiting),
) -> anyhow::Result<()> {
    let deadline = Instant::now() + DEADLINE;
    let (tell, waiting) = watch::channel(Waiting::default());
    tokio::select! {
        () = ask(edges, stream, &tell) => return Ok(()),
        () = report(waiting.clone(), say) => {}
        () = sleep_until(deadline) => {}
    }
    let Waiting { url, answer } = waiting.borrow().clone();
    bail!("no playlist from {url} within {} s; last response: {answer}", DEADLINE.as_secs())
}

/// What is waited for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// The playlist at an edge.
    pub(crate) url: String,
    /// What came the last time.
    pub(crate) answer: String,
}

async fn ask(edges: &[(String, impl Fetch)], stream: &str, tell: &watch::Sender<Waiting>) {
    for (edge, client) in edges {
        let url = format!("{edge}{stream}");
        let mut now = Waiting { url, answer: "no response yet".to_owned() };
        tell.send_replace(now.clone());
        while let Err(trouble) = playlist(client, stream).await {
            now.answer = trouble.to_string();
            tell.send_if_modified(|told| {
                let is_news = *told != now;
                told.clone_from(&now);
                is_news
            });
            sleep(PAUSE).await;
        }
    }
}

/// Keeps quiet at first, then tells how it is, and tells it again when it changes.
async fn report(mut waiting: watch::Receiver<Waiting>, mut say: impl FnMut(&Waiting)) {
    sleep(QUIET).await;
    loop {
        say(&waiting.borrow_and_update());
        if waiting.changed().await.is_err() {
            return;
        }
    }
}

async fn playlist(client: &impl Fetch, stream: &str) -> Result<(), Trouble> {
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

    /// An edge that answers according to the time since it was made.
    struct Edge(Instant, fn(u64) -> Option<Result<&'static str, StatusCode>>);

    impl Fetch for Edge {
        async fn text(&self, _path: &str) -> Result<String, Trouble> {
            match self.1(self.0.elapsed().as_secs()) {
                Some(answer) => answer.map(str::to_owned).map_err(Trouble::Status),
                None => std::future::pending().await,
            }
        }

        async fn drain(&self, _path: &str) -> Result<u64, Trouble> {
            Ok(0)
        }
    }

    /// What was said, each with its second, and how the wait ended.
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
    async fn a_stream_that_comes_soon_is_waited_for_in_silence() {
        let answers = |second| Some(if second < 1 { Err(StatusCode::BAD_GATEWAY) } else { Ok(PLAYLIST) });
        assert_eq!(waited(answers).await, (vec![], Ok(())));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_takes_long_is_told_and_told_again_when_the_answer_changes() {
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
    async fn a_stream_that_never_comes_is_an_error_with_url_and_last_answer() {
        let (said, ended) = waited(|_| Some(Ok("<html>"))).await;
        assert_eq!(said.len(), 1, "{said:?}");
        let error = ended.unwrap_err();
        let start = "no playlist from http://edge-1/a.m3u8 within 30 s; last response: the playlist is";
        assert!(error.starts_with(start), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_edge_that_hangs_is_told_and_holds_nobody_up_for_longer() {
        let start = Instant::now();
        let (said, ended) = waited(|_| None).await;
        assert_eq!(said, [(2, "http://edge-1/a.m3u8: no response yet".to_owned())]);
        assert!(ended.unwrap_err().ends_with("last response: no response yet"));
        assert_eq!(start.elapsed(), DEADLINE);
    }
}
