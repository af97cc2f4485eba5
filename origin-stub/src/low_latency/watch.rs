//! Waiting for an encoder: until it has made a part, but not for ever.

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::time::{Sleep, sleep};

use super::{Cut, HELD_MAX, Position, Progress};
use crate::answer::Refusal;
use crate::faults::effects::Effects;
use crate::shared::Shared;
use crate::stream::View;

/// An encoder as one request sees it: with the faults that the request has met, and those that came later.
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

    /// Waits until the part that is needed exists; `needed` is asked again whenever something has changed. Refuses
    /// with 503 what was held for three target durations (RFC 8216bis 6.2.5.2).
    pub(crate) async fn until(
        &mut self,
        needed: impl Fn(&Progress) -> Result<Option<Position>, Refusal>,
    ) -> Result<(Progress, View), Refusal> {
        let mut held = None;
        loop {
            // What happens from here on is noticed by the wait below.
            let mut hands = self.shared.clock.moves();
            let mut orders = self.shared.faults.orders();
            let view = self.shared.view(&self.effects);
            let progress = Progress::at(&view, self.cut, &self.shared.config);
            let missing = needed(&progress)?.filter(|needed| *needed > progress.last());
            let Some(missing) = missing else { return Ok((progress, view)) };
            let held = held.get_or_insert_with(|| Held::new(&self.shared));
            if self.shared.clock.now() >= held.give_up {
                return Err(too_late());
            }
            let due = progress.complete(missing).filter(|_| self.effects.frozen_since.is_none());
            tokio::select! {
                moved = hands.changed() => debug_assert!(moved.is_ok(), "the clock is ours"),
                ordered = orders.changed() => debug_assert!(ordered.is_ok(), "the book is ours"),
                () = self.passing(due) => {}
                () = held.patience.as_mut() => return Err(too_late()),
            }
            self.look_again();
        }
    }

    /// Meets the faults that have come, and is rid of those that have ended.
    pub(crate) fn look_again(&mut self) {
        self.shared.faults.look_again(&self.path, &mut self.effects);
    }

    /// Waits until the origin's clock shows `moment`; for ever if it stands, or if there is no such moment.
    async fn passing(&self, moment: Option<Duration>) {
        match moment.and_then(|moment| self.shared.clock.until(moment)) {
            Some(left) => sleep(left).await,
            None => pending().await,
        }
    }
}

/// A request that waits. It waits by the origin's clock, and no longer by the wall's: a clock that was stopped keeps
/// nobody for ever.
struct Held {
    give_up: Duration,
    patience: Pin<Box<Sleep>>,
    shared: Arc<Shared>,
}

impl Held {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.held.send_modify(|held| *held += 1);
        let give_up = shared.clock.now() + HELD_MAX;
        Self { give_up, patience: Box::pin(sleep(HELD_MAX)), shared: Arc::clone(shared) }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.shared.held.send_modify(|held| *held -= 1);
    }
}

fn too_late() -> Refusal {
    let line = "the stream has not moved for three target durations";
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, line)
}
