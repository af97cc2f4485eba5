//! The sums of the requests of a segment's time.

use crate::catalogue::Rendition;
use crate::network::Size;
use crate::rounds::{Ask, Object};

/// Requests and bytes, by receiver.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tally {
    /// Requests of the shields to the origin.
    pub(crate) origin: u32,
    /// Requests of all edges.
    pub(crate) edges: u32,
    /// Requests for which no shield was up.
    pub(crate) unanswered: u32,
    /// For each shield, the requests that it received.
    pub(crate) received: Vec<u32>,
    /// For each shield, Mbit/s that it sends to edges.
    pub(crate) mbit: Vec<f64>,
    /// For each shield, the playlists and segments that it has cached.
    has: Vec<Vec<bool>>,
    /// The playlists and segments that any edge has requested.
    wanted: Vec<bool>,
}

/// The distribution of load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) mean: f64,
    pub(crate) max: f64,
}

impl Tally {
    pub(crate) fn new(size: Size, renditions: usize) -> Self {
        let shields = usize::try_from(size.all()).unwrap_or_default();
        Self {
            origin: 0,
            edges: 0,
            unanswered: 0,
            received: vec![0; shields],
            mbit: vec![0.0; shields],
            has: vec![vec![false; 2 * renditions]; shields],
            wanted: vec![false; 2 * renditions],
        }
    }

    pub(crate) fn count(&mut self, ask: &Ask, renditions: &[Rendition]) {
        self.edges += 1;
        let object = 2 * ask.rendition + usize::from(ask.object == Object::Segment);
        if let Some(wanted) = self.wanted.get_mut(object) {
            *wanted = true;
        }
        let Some(shield) = ask.shield else {
            self.unanswered += 1;
            return;
        };
        if let Some(received) = self.received.get_mut(shield) {
            *received += 1;
        }
        let mbit = renditions.get(ask.rendition).map(|rendition| rendition.mbit);
        if let Some((sum, mbit)) =
            self.mbit.get_mut(shield).zip(mbit).filter(|_| ask.object == Object::Segment)
        {
            *sum += mbit;
        }
        if let Some(has) = self.has.get_mut(shield).and_then(|has| has.get_mut(object))
            && !std::mem::replace(has, true)
        {
            self.origin += 1;
        }
    }

    /// The number of requested playlist versions and segments: the origin requests of an ideal network.
    pub(crate) fn objects(&self) -> u32 {
        u32::try_from(self.wanted.iter().filter(|wanted| **wanted).count()).unwrap_or(u32::MAX)
    }

    /// Requests at the origin for each object.
    pub(crate) fn amplification(&self) -> f64 {
        f64::from(self.origin) / f64::from(self.objects())
    }

    /// The distribution of the requests over the shields that `counts` selects.
    pub(crate) fn requests(&self, counts: impl Fn(usize) -> bool) -> Spread {
        Spread::of(self.received.iter().map(|received| f64::from(*received)), counts)
    }

    /// The distribution of the bytes.
    pub(crate) fn traffic(&self, counts: impl Fn(usize) -> bool) -> Spread {
        Spread::of(self.mbit.iter().copied(), counts)
    }

    /// The shield with the most requests; the first of equals.
    pub(crate) fn busiest(&self) -> Option<usize> {
        let by_load = |(one, left): &(usize, &u32), (other, right): &(usize, &u32)| {
            left.cmp(right).then(other.cmp(one))
        };
        self.received.iter().enumerate().max_by(by_load).map(|(shield, _)| shield)
    }
}

impl Spread {
    fn of(loads: impl Iterator<Item = f64>, counts: impl Fn(usize) -> bool) -> Self {
        let loads = loads.enumerate().filter(|(shield, _)| counts(*shield));
        let (mut sum, mut max, mut count) = (0.0, 0.0_f64, 0.0);
        for (_, load) in loads {
            sum += load;
            max = max.max(load);
            count += 1.0;
        }
        Self { mean: if count > 0.0 { sum / count } else { 0.0 }, max }
    }

    /// The busiest shield relative to the mean.
    pub(crate) fn imbalance(self) -> f64 {
        self.max / self.mean
    }
}
