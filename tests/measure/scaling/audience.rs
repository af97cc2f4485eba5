//! Which viewers watch what: viewers draw a channel and a rendition, the same ones in every run.

use std::collections::BTreeSet;

use tidegate_upstream::hash;

use crate::catalogue::LADDER;

/// For each edge the renditions that its viewers watch, in the order of its requests.
///
/// The n-th channel is 1/n as popular as the first. The orders of two edges are independent.
pub(crate) fn of(edges: u32, viewers_of_an_edge: u32, channels: u32) -> Vec<Vec<usize>> {
    let draw = Draw::new(channels);
    (0..edges)
        .map(|edge| {
            let viewers = (0..viewers_of_an_edge)
                .map(|viewer| draw.rendition(hash::point(&format!("edge {edge} viewer {viewer}"))));
            let watched: BTreeSet<usize> = viewers.collect();
            let mut watched: Vec<(f64, usize)> = watched
                .into_iter()
                .map(|rendition| (hash::point(&format!("edge {edge} asks for {rendition}")), rendition))
                .collect();
            watched.sort_by(|(one, _), (other, _)| one.total_cmp(other));
            watched.into_iter().map(|(_, rendition)| rendition).collect()
        })
        .collect()
}

/// The upper bound of each rendition, if all viewers are spread between 0 and 1.
struct Draw(Vec<f64>);

impl Draw {
    fn new(channels: u32) -> Self {
        let all: f64 = (1..=channels).map(|channel| 1.0 / f64::from(channel)).sum();
        let parts = (1..=channels)
            .flat_map(|channel| LADDER.map(|(_, share)| share / f64::from(channel) / all))
            .scan(0.0, |end, part| {
                *end += part;
                Some(*end)
            });
        Self(parts.collect())
    }

    fn rendition(&self, point: f64) -> usize {
        self.0.partition_point(|end| *end <= point).min(self.0.len().saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_run_has_the_same_viewers() {
        assert_eq!(of(3, 50, 4), of(3, 50, 4));
    }

    #[test]
    fn a_crowd_watches_everything_and_a_few_watch_popular_channels() {
        let [crowd] = &of(1, 2000, 2)[..] else { panic!("one edge") };
        assert_eq!(crowd.len(), 10);
        let few = of(200, 1, 20);
        let watches_the_first = |edge: &&Vec<usize>| edge.iter().all(|rendition| *rendition < 5);
        let share = few.iter().filter(watches_the_first).count();
        // The first of twenty channels has 1 / 3.6 of the viewers.
        assert!((40..=70).contains(&share), "{share} of 200");
    }

    #[test]
    fn edges_send_their_requests_in_different_orders() {
        let edges = of(2, 2000, 2);
        assert_ne!(edges[0], edges[1]);
    }
}
