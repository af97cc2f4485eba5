//! Waits until an encoder has made a part, for a limited time.

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::time::{Sleep, sleep};

use super::{BLOCK_MAX, Cut, Position, Progress};
use crate::answer::Refusal;
use crate::faults::effects::Effects;
use crate::shared::Shared;
use crate::stream::View;

/// An encoder as one request sees it: with the faults that affect the request, and later ones.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    shared: Arc<Shared>,
    path: String,
    cut: Cut,
    effects: Effects,
}

impl Watch {
    pub(crate) fn new(shared: &Arc<Shared>, path: &str, cut: Cut, effects: &Effects) -> Self {
        Self { shared: Arc::clone(shared), path: path.to_owned(), cut, effects: effects.clone() }
    }

    /// Waits until the needed part exists; calls `needed` again whenever something has changed. Refuses with
    /// 503 after three target durations (HLS section 6.2.5.2).
    pub(crate) async fn until(
        &mut self,
        needed: impl Fn(&Progress) -> Result<Option<Position>, Refusal>,
    ) -> Result<(Progress, View), Refusal> {
        let mut blocked = None;
        loop {
            // The wait below notices everything from here on.
            let mut clock_changes = self.shared.clock.changes();
            let mut fault_changes = self.shared.faults.changes();
            let view = self.shared.view(&self.effects);
            let progress = Progress::at(&view, self.cut, &self.shared.config);
            let missing = needed(&progress)?.filter(|needed| *needed > progress.last());
            let Some(missing) = missing else { return Ok((progress, view)) };
            let blocked = blocked.get_or_insert_with(|| BlockedRequest::new(&self.shared));
            if self.shared.clock.now() >= blocked.give_up {
                return Err(too_late());
            }
            let due = progress.complete(missing).filter(|_| self.effects.frozen_since.is_none());
            tokio::select! {
                changed = clock_changes.changed() => debug_assert!(changed.is_ok(), "the clock is ours"),
                ordered = fault_changes.changed() => debug_assert!(ordered.is_ok(), "the book is ours"),
                () = self.passing(due) => {}
                () = blocked.patience.as_mut() => return Err(too_late()),
            }
            self.look_again();
        }
    }

    /// Applies new faults, and drops ended ones.
    pub(crate) fn look_again(&mut self) {
        self.shared.faults.look_again(&self.path, &mut self.effects);
    }

    /// Waits until the origin's clock reaches `moment`; forever if it is stopped, or if there is no such
    /// moment.
    async fn passing(&self, moment: Option<Duration>) {
        match moment.and_then(|moment| self.shared.clock.until(moment)) {
            Some(left) => sleep(left).await,
            None => pending().await,
        }
    }
}

/// A blocked request. It waits by the origin's clock, but no longer than by the wall clock: a stopped clock
/// blocks no request forever.
struct BlockedRequest {
    give_up: Duration,
    patience: Pin<Box<Sleep>>,
    shared: Arc<Shared>,
}

impl BlockedRequest {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.blocked.send_modify(|blocked| *blocked += 1);
        let give_up = shared.clock.now() + BLOCK_MAX;
        Self { give_up, patience: Box::pin(sleep(BLOCK_MAX)), shared: Arc::clone(shared) }
    }
}

impl Drop for BlockedRequest {
    fn drop(&mut self) {
        self.shared.blocked.send_modify(|blocked| *blocked -= 1);
    }
}

fn too_late() -> Refusal {
    let line = "the stream has not moved for three target durations";
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, line)
}
