//! A signal that is set once and reaches every task: the node drains, or it stops.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

/// A cancellation token with a flag. Tasks read the flag without the token's lock, which all connections
/// share.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    flag: AtomicBool,
    cancellation: CancellationToken,
}

impl Signal {
    /// Sets the signal.
    pub(crate) fn set(&self) {
        // The flag first: the tasks that the token wakes read it.
        self.flag.store(true, Ordering::SeqCst);
        self.cancellation.cancel();
    }

    pub(crate) fn is_set(&self) -> bool {
        self.flag.load(Ordering::SeqCst)
    }

    /// Resolves when the signal is set.
    pub(crate) fn wait(&self) -> Wait<'_> {
        Wait { signal: self, cancelled: Box::pin(self.cancellation.cancelled()), registered: None }
    }

    /// Runs `work` to its end, or until the signal is set; `None` in that case. The caller pins the work: by
    /// value, this future would reserve its size twice, and `work` is the future of a whole connection.
    pub(crate) async fn run_until_set<T>(&self, mut work: Pin<&mut impl Future<Output = T>>) -> Option<T> {
        let mut wait = self.wait();
        poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending => Pin::new(&mut wait).poll(cx).map(|()| None),
        })
        .await
    }

    /// The underlying token, for code that takes a token.
    pub(crate) fn token(&self) -> &CancellationToken {
        &self.cancellation
    }
}

/// Resolves when a signal is set. The first poll registers the task with the token; each later poll only
/// reads the flag.
pub(crate) struct Wait<'a> {
    signal: &'a Signal,
    cancelled: Pin<Box<WaitForCancellationFuture<'a>>>,
    registered: Option<Waker>,
}

impl Future for Wait<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let is_registered = self.registered.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
        if is_registered && !self.signal.is_set() {
            return Poll::Pending;
        }
        self.registered = Some(cx.waker().clone());
        self.cancelled.as_mut().poll(cx)
    }
}

impl fmt::Debug for Wait<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait").field("signal", self.signal).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn work_runs_to_its_end_or_until_the_signal() {
        let signal = Arc::new(Signal::default());
        assert_eq!(signal.run_until_set(pin!(async { 1 })).await, Some(1));
        let (start, started) = tokio::sync::oneshot::channel();
        let worker = Arc::clone(&signal);
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(async move {
            let mut start = Some(start);
            let work = poll_fn(|_| {
                start.take().map(|start| start.send(()));
                Poll::<()>::Pending
            });
            worker.run_until_set(pin!(work)).await
        });
        started.await.unwrap();
        assert!(!signal.is_set());
        signal.set();
        assert_eq!(tasks.join_next().await.unwrap().unwrap(), None);
        assert!(signal.is_set());
        assert_eq!(signal.run_until_set(pin!(std::future::pending::<()>())).await, None);
    }

    #[tokio::test]
    async fn a_task_that_its_work_wakes_still_notices_the_signal() {
        let signal = Signal::default();
        let (sender, mut received) = tokio::sync::mpsc::channel::<()>(1);
        let work = pin!(async { while received.recv().await.is_some() {} });
        let driver = async {
            for _ in 0..3 {
                sender.send(()).await.unwrap();
                tokio::task::yield_now().await;
            }
            signal.set();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            ended = signal.run_until_set(work) => assert_eq!(ended, None),
            () = driver => {}
        }
    }
}
