//! The upstreams of one pool, as far as one of them must know of the others.

use std::sync::{Arc, Weak};

use parking_lot::{Mutex, RwLock};
use tokio::time::Instant;

use crate::balance::geography::Geography;
use crate::health::half_open::HalfOpen;
use crate::health::{Health, Others, State, Tally};

/// The upstreams of one pool.
#[derive(Debug)]
pub(crate) struct Peers {
    /// The health of each of them.
    all: RwLock<Vec<Weak<Mutex<Health>>>>,
    /// Their regions, where these decide the order.
    pub(crate) geography: Option<Geography>,
    half_open: Mutex<HalfOpen>,
}

impl Peers {
    pub(crate) fn new(geography: Option<Geography>) -> Self {
        Self { all: RwLock::default(), geography, half_open: Mutex::default() }
    }

    /// Adds an upstream by its health.
    pub(crate) fn add(&self, health: &Arc<Mutex<Health>>) {
        let mut known = self.all.write();
        known.retain(|peer| peer.strong_count() > 0);
        known.push(Arc::downgrade(health));
    }

    /// Whether an upstream that is out may receive a trial request.
    pub(crate) fn admit_trial(&self) -> bool {
        self.half_open.lock().admit(fastrand::f64(), Instant::now())
    }

    /// One of the upstreams changed its state: those that are out are tried soon.
    pub(crate) fn reset_half_open(&self) {
        *self.half_open.lock() = HalfOpen::default();
    }

    /// The results of requests to the others, and whether the pool can spare `one`: another must be
    /// available, and no more than the share `ejected_share_max` of all may be ejected.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a pool has far fewer members than an f64 can count"
    )]
    pub(crate) fn others(&self, one: &Arc<Mutex<Health>>, ejected_share_max: f64) -> Others {
        let all: Vec<_> = self.all.read().iter().filter_map(Weak::upgrade).collect();
        let (mut tally, mut is_left, mut ejected) = (Tally::default(), 0, 0);
        for other in all.iter().filter(|other| !Arc::ptr_eq(other, one)) {
            let mut other = other.lock();
            tally = tally.and(other.tally(Instant::now()));
            match other.status().state {
                State::Up | State::Returning => is_left += 1,
                State::Ejected => ejected += 1,
                State::Down => {}
            }
        }
        let ejected_share_max = (all.len() as f64 * ejected_share_max).floor().max(1.0) as usize;
        Others { tally, can_spare: is_left > 0 && ejected < ejected_share_max }
    }
}
