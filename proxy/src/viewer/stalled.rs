//! Viewers that take no bytes while memory is short.
//!
//! The body of a response stays in memory until its last reader has left, evicted or not. A client that
//! requests many objects and reads none of them would keep out the objects that others read. So while memory
//! is short, a response whose viewer takes nothing ends early; otherwise it has all of `write_timeout`.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::tier::Tier;

/// Writes within the limit of writes to viewers. A write that completes immediately needs no timer. `None`
/// if the viewer has to be given up.
pub(crate) async fn write<F: Future>(tier: &Tier, mut writing: Pin<&mut F>) -> Option<F::Output> {
    if let Poll::Ready(written) = poll_fn(|cx| Poll::Ready(writing.as_mut().poll(cx))).await {
        return Some(written);
    }
    let limit = tier.settings().viewers.write_timeout.get();
    let began = Instant::now();
    // Boxed, because most writes do not wait.
    let rest = Box::pin(timeout(limit, async {
        tokio::select! {
            biased;
            written = writing => Some(written),
            () = until_given_up(tier, began) => None,
        }
    }));
    rest.await.ok().flatten()
}

/// Resolves when memory is short and the viewer, who has taken nothing since `began`, is given up.
async fn until_given_up(tier: &Tier, began: Instant) {
    loop {
        tier.cache().until_short_of_memory().await;
        if is_given_up(tier, began) {
            return;
        }
    }
}

/// Whether a viewer that has taken nothing since `progress` is given up, now that memory is short.
pub(super) fn is_given_up(tier: &Tier, progress: Instant) -> bool {
    let is_given_up = progress.elapsed() >= STALLED;
    if is_given_up {
        tier.metrics().connections.stalled_responses.inc();
    }
    is_given_up
}

/// A player that plays takes bytes more often.
const STALLED: Duration = Duration::from_secs(2);
