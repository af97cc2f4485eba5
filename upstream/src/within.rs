//! Work with a time limit, most of which is done before it has to wait.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::error::Elapsed;
use tokio::time::timeout;

/// Does `work` within `limit`. Work that completes immediately needs no timer. The caller pins it, so that it
/// is not moved: some futures are large.
///
/// # Errors
/// The limit was exceeded.
pub async fn within<F: Future>(limit: Duration, mut work: Pin<&mut F>) -> Result<F::Output, Elapsed> {
    match poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await {
        Poll::Ready(done) => Ok(done),
        Poll::Pending => timeout(limit, work).await,
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::pin::pin;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn work_is_done_or_late() {
        assert_eq!(within(LIMIT, pin!(ready(1))).await.ok(), Some(1));
        assert_eq!(within(LIMIT, pin!(tokio::time::sleep(LIMIT / 2))).await.ok(), Some(()));
        assert!(within(LIMIT, pin!(pending::<()>())).await.is_err());
    }
}
