//! What tiers ask each other while one segment lasts: each edge asks for the newest segment of every rendition that it has
//! viewers of, and then for the next version of its playlist.
//!
//! All of an edge's requests are in flight together, which is the worst that can be: encoders in step, and a network in which
//! the first answer takes as long as the last. A shield fetches an object from the origin when it is asked for it for the
//! first time, and never again.

use std::collections::BTreeMap;

use anyhow::Result;
use tidegate_upstream::limiter::Permit;

use crate::catalogue::{self, Rendition};
use crate::network::{Network, ShieldId, Size};
use crate::{audience, tally::Tally};

/// What is on the air, and who watches it where.
#[derive(Debug)]
pub(crate) struct Scene {
    renditions: Vec<Rendition>,
    /// For each edge the renditions that it asks for.
    edges: Vec<Vec<usize>>,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Object {
    /// The next version of the playlist; the shield holds the request until it is there.
    Playlist,
    /// The newest segment.
    Segment,
}

/// One request of an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) rendition: usize,
    pub(crate) object: Object,
    /// Who was asked; nobody where nobody is up.
    pub(crate) shield: Option<ShieldId>,
}

/// The owner of each rendition, by region and rendition.
pub(crate) type Owners = BTreeMap<(usize, usize), ShieldId>;

/// What one segment's time brought.
#[derive(Debug, Clone)]
pub(crate) struct Round {
    /// What each edge asked for.
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
                let asked = self.ask(network, edge, rendition, object).await?;
                let (shield, passed) = asked.unzip();
                in_flight.extend(passed);
                of_this_edge.push(Ask { rendition, object, shield });
            }
            asks.push(of_this_edge);
        }
        for ask in asks.iter().flatten() {
            tally.count(ask, &self.renditions);
        }
        Ok(Round { asks, tally })
    }

    /// The moment at which shields are lost, in the middle of `round`: `after` is the network without them. What they had
    /// under way is asked for elsewhere, while everything else goes on.
    pub(crate) async fn loss(&self, round: &Round, after: &Network, lost: &[ShieldId]) -> Result<Tally> {
        let is_lost = |ask: &&Ask| ask.shield.is_some_and(|shield| lost.contains(&shield));
        let mut tally = round.tally.clone();
        for (edge, asks) in round.asks.iter().enumerate() {
            let mut in_flight = Vec::new();
            for ask in asks.iter().filter(|ask| !is_lost(ask)) {
                if let Some(shield) = ask.shield {
                    in_flight.push(after.goes_on(region(edge, after.size()), shield, ask.is_held()).await?);
                }
            }
            for ask in asks.iter().filter(is_lost) {
                let asked = self.ask(after, edge, ask.rendition, ask.object).await?;
                let (shield, passed) = asked.unzip();
                in_flight.extend(passed);
                tally.count(&Ask { shield, ..*ask }, &self.renditions);
            }
        }
        Ok(tally)
    }

    /// Whom each region asks for each rendition while nothing else is in flight: the owner.
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
        let (key, is_held) = match object {
            Object::Playlist => (playlist, true),
            Object::Segment => (segment, false),
        };
        network.ask(region(edge, network.size()), key, is_held).await
    }
}

impl Ask {
    fn is_held(&self) -> bool {
        self.object == Object::Playlist
    }
}

/// Edges stand in the regions in turn.
fn region(edge: usize, size: Size) -> usize {
    edge % size.regions_count().max(1)
}

#[cfg(test)]
mod tests;
