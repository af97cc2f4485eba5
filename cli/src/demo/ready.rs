//! Waits until the stream comes through every edge.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::bail;
use tokio::time::{Instant, sleep};

use super::viewers::fetch::{Client, Fetch, Trouble};

/// Asks every edge for `stream` until each has answered with a playlist.
pub(crate) async fn wait(edges: &[SocketAddr], stream: &str) -> anyhow::Result<()> {
    let deadline = Instant::now() + DEADLINE;
    for edge in edges {
        let client = Client::new(*edge);
        while let Err(trouble) = playlist(&client, stream).await {
            if Instant::now() >= deadline {
                bail!(
                    "no playlist came through the edge at http://{edge}{stream} within {} s: {trouble}",
                    DEADLINE.as_secs()
                );
            }
            sleep(PAUSE).await;
        }
    }
    Ok(())
}

async fn playlist(client: &Client, stream: &str) -> Result<(), Trouble> {
    let text = client.text(stream).await?;
    super::viewers::check_playlist(&text)
}

const DEADLINE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(100);
