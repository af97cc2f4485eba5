//! A signal that is given once, to everybody: that the node drains, or that it ends.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

/// A cancellation token that whoever waits for it can look at without its lock, which all connections share.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    given: AtomicBool,
    token: CancellationToken,
}

impl Signal {
    /// Gives the signal.
    pub(crate) fn give(&self) {
        // First the flag: whoever the token wakes looks at it.
        self.given.store(true, Ordering::SeqCst);
        self.token.cancel();
    }

    pub(crate) fn is_given(&self) -> bool {
        self.given.load(Ordering::SeqCst)
    }

    /// Waits for it.
    pub(crate) fn given(&self) -> Given<'_> {
        Given { signal: self, token: Box::pin(self.token.cancelled()), woken: None }
    }

    /// Does the work, unless the signal is given before it is done. The work is pinned by the caller: taken by value it
    /// would be held twice, and every connection is such a work.
    pub(crate) async fn unless<T>(&self, mut work: Pin<&mut impl Future<Output = T>>) -> Option<T> {
        let mut given = self.given();
        poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending => Pin::new(&mut given).poll(cx).map(|()| None),
        })
        .await
    }

    /// The token beneath, for those who wait elsewhere.
    pub(crate) fn token(&self) -> &CancellationToken {
        &self.token
    }
}

/// Waits for a signal. The token is asked once, and wakes the task from then on; each further turn of the task costs a
/// look at the flag.
pub(crate) struct Given<'a> {
    signal: &'a Signal,
    token: Pin<Box<WaitForCancellationFuture<'a>>>,
    woken: Option<Waker>,
}

impl Future for Given<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mark_requested = self.woken.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
        if mark_requested && !self.signal.is_given() {
            return Poll::Pending;
        }
        self.woken = Some(cx.waker().clone());
        self.token.as_mut().poll(cx)
    }
}

impl fmt::Debug for Given<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Given").field("signal", self.signal).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn work_is_done_or_the_signal_ends_it() {
        let signal = Arc::new(Signal::default());
        assert_eq!(signal.unless(pin!(async { 1 })).await, Some(1));
        let (tell, told) = tokio::sync::oneshot::channel();
        let mine = Arc::clone(&signal);
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(async move {
            let mut tell = Some(tell);
            let work = poll_fn(|_| {
                tell.take().map(|tell| tell.send(()));
                Poll::<()>::Pending
            });
            mine.unless(pin!(work)).await
        });
        told.await.unwrap();
        assert!(!signal.is_given());
        signal.give();
        assert_eq!(tasks.join_next().await.unwrap().unwrap(), None);
        assert!(signal.is_given());
        assert_eq!(signal.unless(pin!(std::future::pending::<()>())).await, None);
    }

    #[tokio::test]
    async fn whoever_is_woken_for_its_work_still_hears_the_signal() {
        let signal = Signal::default();
        let (tell, mut told) = tokio::sync::mpsc::channel::<()>(1);
        let work = pin!(async { while told.recv().await.is_some() {} });
        let teller = async {
            for _ in 0..3 {
                tell.send(()).await.unwrap();
                tokio::task::yield_now().await;
            }
            signal.give();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            ended = signal.unless(work) => assert_eq!(ended, None),
            () = teller => {}
        }
    }
}
