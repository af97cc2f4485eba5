//! The requests between tiers during one segment: each edge requests the newest segment of every rendition
//! that it has viewers of, and then the next version of its playlist.
//!
//! All of an edge's requests are in flight together, which is the worst case: encoders in step, and a network
//! in which the first response takes as long as the last. A shield fetches an object from the origin at its
//! first request, and never again.

use std::collections::BTreeMap;

use anyhow::Result;
use tidegate_upstream::limiter::Permit;

use crate::catalogue::{self, Rendition};
use crate::network::{Network, ShieldId, Size};
use crate::{audience, tally::Tally};

/// The channels on the air, and who watches them where.
#[derive(Debug)]
pub(crate) struct Scene {
    renditions: Vec<Rendition>,
    /// For each edge the renditions that it requests.
    edges: Vec<Vec<usize>>,
}

/// The kinds of requested objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Object {
    /// The next version of the playlist; the shield blocks the request until it exists.
    Playlist,
    /// The newest segment.
    Segment,
}

/// One request of an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) rendition: usize,
    pub(crate) object: Object,
    /// The shield that received it; `None` where no shield is up.
    pub(crate) shield: Option<ShieldId>,
}

/// The owner of each rendition, by region and rendition.
pub(crate) type Owners = BTreeMap<(usize, usize), ShieldId>;

/// The results of one segment's time.
#[derive(Debug, Clone)]
pub(crate) struct Round {
    /// The requests of each edge.
    pub(crate) asks: Vec<Vec<Ask>>,
    pub(crate) tally: Tally,
}

impl Scene {
    /// Channels, edges, and viewers of each of these.
    pub(crate) fn new(channels: u32, edges: u32, viewers_of_an_edge: u32) -> Self {
        Self {
            renditions: catalogue::renditions(channels),
            edges: audience::of(edges, viewers_of_an_edge, channels),
        }
    }

    pub(crate) fn renditions(&self) -> &[Rendition] {
        &self.renditions
    }

    /// One segment's time.
    pub(crate) async fn round(&self, network: &Network) -> Result<Round> {
        let mut tally = Tally::new(network.size(), self.renditions.len());
        let mut asks = Vec::new();
        for (edge, watched) in self.edges.iter().enumerate() {
            let wanted = watched
                .iter()
                .flat_map(|&rendition| [Object::Segment, Object::Playlist].map(|object| (rendition, object)));
            let mut in_flight = Vec::new();
            let mut of_this_edge = Vec::new();
            for (rendition, object) in wanted {
                let sent = self.ask(network, edge, rendition, object).await?;
                let (shield, permits) = sent.unzip();
                in_flight.extend(permits);
                of_this_edge.push(Ask { rendition, object, shield });
            }
            asks.push(of_this_edge);
        }
        for ask in asks.iter().flatten() {
            tally.count(ask, &self.renditions);
        }
        Ok(Round { asks, tally })
    }

    /// The moment at which shields are lost, in the middle of `round`: `after` is the network without them.
    /// Requests under way at them are sent elsewhere, while everything else continues.
    pub(crate) async fn loss(&self, round: &Round, after: &Network, lost: &[ShieldId]) -> Result<Tally> {
        let is_lost = |ask: &&Ask| ask.shield.is_some_and(|shield| lost.contains(&shield));
        let mut tally = round.tally.clone();
        for (edge, asks) in round.asks.iter().enumerate() {
            let mut in_flight = Vec::new();
            for ask in asks.iter().filter(|ask| !is_lost(ask)) {
                if let Some(shield) = ask.shield {
                    in_flight
                        .push(after.resume(region(edge, after.size()), shield, ask.is_blocking()).await?);
                }
            }
            for ask in asks.iter().filter(is_lost) {
                let sent = self.ask(after, edge, ask.rendition, ask.object).await?;
                let (shield, permits) = sent.unzip();
                in_flight.extend(permits);
                tally.count(&Ask { shield, ..*ask }, &self.renditions);
            }
        }
        Ok(tally)
    }

    /// The shield that each region uses for each rendition while nothing else is in flight: the owner.
    pub(crate) async fn owners(&self, network: &Network) -> Result<Owners> {
        let mut owners = BTreeMap::new();
        for region in 0..network.size().regions_count() {
            for (rendition, Rendition { playlist, .. }) in self.renditions.iter().enumerate() {
                if let Some((shield, _passed)) = network.ask(region, playlist, true).await? {
                    owners.insert((region, rendition), shield);
                }
            }
        }
        Ok(owners)
    }

    async fn ask(
        &self,
        network: &Network,
        edge: usize,
        rendition: usize,
        object: Object,
    ) -> Result<Option<(ShieldId, Permit)>> {
        let Some(Rendition { playlist, segment, .. }) = self.renditions.get(rendition) else {
            return Ok(None);
        };
        let (key, is_blocking) = match object {
            Object::Playlist => (playlist, true),
            Object::Segment => (segment, false),
        };
        network.ask(region(edge, network.size()), key, is_blocking).await
    }
}

impl Ask {
    fn is_blocking(&self) -> bool {
        self.object == Object::Playlist
    }
}

/// Edges are assigned to the regions in turn.
fn region(edge: usize, size: Size) -> usize {
    edge % size.regions_count().max(1)
}

#[cfg(test)]
mod tests;
