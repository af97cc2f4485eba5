//! The tables of the simulation: what edges ask shields and shields the origin, and what changes when some are lost.

use anyhow::{Context as _, Result};

use crate::network::{Network, ShieldId, Size};
use crate::rounds::{Owners, Round, Scene};
use crate::tally::Spread;
use crate::text::{count, whole};

/// Edges and regions.
const SIZES: [(u32, u32); 9] =
    [(10, 1), (10, 2), (10, 3), (100, 1), (100, 2), (100, 3), (1000, 1), (1000, 2), (1000, 3)];
const CHANNELS: u32 = 20;
const VIEWERS_OF_AN_EDGE: u32 = 1000;
/// For so many edges a region has a shield, and never fewer than two.
const EDGES_OF_A_SHIELD: u32 = 30;

/// The scenes for 10, 100 and 1,000 edges: making them takes a while.
pub(crate) struct Scenes([(u32, Scene); 3]);

/// A region's shields: one for so many edges, two at least.
fn size(edges: u32, regions: u32) -> Size {
    let shields = count(f64::from(edges) / f64::from(regions) / f64::from(EDGES_OF_A_SHIELD)).max(2);
    Size { regions, shields }
}

impl Scenes {
    pub(crate) fn new() -> Self {
        Self([10, 100, 1000].map(|edges| (edges, Scene::new(CHANNELS, edges, VIEWERS_OF_AN_EDGE))))
    }

    fn of(&self, edges: u32) -> Result<&Scene> {
        let scene = self.0.iter().find(|(of, _)| *of == edges);
        scene.map(|(_, scene)| scene).context("a scene of that size")
    }

    /// While everything is well.
    pub(crate) async fn well(&self) -> Result<String> {
        let mut table = vec!["| edges | regions | shields of a region | objects | requests of all edges | of one edge | origin requests | for each object | of a shield: requests | busiest / mean | Mbit/s | busiest / mean |\n\
                         |---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n".to_owned()];
        for (edges, regions) in SIZES {
            let size = size(edges, regions);
            let tally = self.of(edges)?.round(&Network::new(size)?).await?.tally;
            let (requests, traffic) = (tally.requests(everybody), tally.traffic(everybody));
            table.push(format!(
                "| {edges} | {regions} | {} | {} | {} | {} | {} | {:.2} | {} | {:.2} | {} | {:.2} |\n",
                size.shields,
                tally.objects(),
                whole(tally.edges.into()),
                whole(f64::from(tally.edges) / f64::from(edges)),
                tally.origin,
                tally.amplification(),
                whole(requests.mean),
                requests.imbalance(),
                whole(traffic.mean),
                traffic.imbalance(),
            ));
        }
        Ok(table.concat())
    }

    /// The busiest shield is lost.
    pub(crate) async fn without_a_shield(&self) -> Result<String> {
        let mut table = vec![format!(
            "| edges | regions | shields of a region | keys moved | those of the lost shield | {CHANGE}\n\
             |---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n"
        )];
        for (edges, regions) in SIZES {
            let (scene, size) = (self.of(edges)?, size(edges, regions));
            let network = Network::new(size)?;
            let before = scene.round(&network).await?;
            let lost = before.tally.busiest().context("a shield")?;
            let change = Change::after(scene, &network, &before, &[lost]).await?;
            let (keys, own) = change.moved_keys(size.region_of(lost), lost);
            table.push(format!(
                "| {edges} | {regions} | {} | {:.1} % | {:.1} % | {}\n",
                size.shields,
                100.0 * keys,
                100.0 * own,
                change.cells()
            ));
        }
        Ok(table.concat())
    }

    /// All shields of the first region are lost; its edges are still there.
    pub(crate) async fn without_a_region(&self) -> Result<String> {
        let mut table = vec![format!(
            "| edges | regions | shields of a region | {CHANGE}\n|---:|---:|---:|---:|---:|---:|---:|---:|\n"
        )];
        for (edges, regions) in SIZES.into_iter().filter(|(_, regions)| *regions > 1) {
            let (scene, size) = (self.of(edges)?, size(edges, regions));
            let lost: Vec<ShieldId> = (0..usize::try_from(size.shields)?).collect();
            let network = Network::new(size)?;
            let before = scene.round(&network).await?;
            let change = Change::after(scene, &network, &before, &lost).await?;
            table.push(format!("| {edges} | {regions} | {} | {}\n", size.shields, change.cells()));
        }
        Ok(table.concat())
    }
}

/// From few renditions to more than an edge has in flight without looking at its shields' loads.
pub(crate) async fn by_channels() -> Result<String> {
    let mut table = vec!["| channels | renditions | shields with nothing to do | requests of a shield: busiest / mean | Mbit/s: busiest / mean | origin requests for each object |\n\
                     |---:|---:|---:|---:|---:|---:|\n".to_owned()];
    for channels in [1, 5, 20, 60, 200] {
        let scene = Scene::new(channels, 30, 20_000);
        let tally = scene.round(&Network::new(Size { regions: 1, shields: 10 })?).await?.tally;
        let idle = tally.asked.iter().filter(|asked| **asked == 0).count();
        table.push(format!(
            "| {channels} | {} | {idle} of 10 | {:.2} | {:.2} | {:.2} |\n",
            scene.renditions().len(),
            tally.requests(everybody).imbalance(),
            tally.traffic(everybody).imbalance(),
            tally.amplification()
        ));
    }
    Ok(table.concat())
}

/// The columns of [`Change::cells`].
const CHANGE: &str = "origin requests at that moment | beside those of a segment's time | for each object afterwards | requests of the busiest shield, × before | Mbit/s of the busiest, × before |";

/// What is different when shields are lost.
struct Change {
    /// Who owned each region's renditions before, and who does now.
    owners: [Owners; 2],
    /// Origin requests in a segment's time before, and those that the loss adds in that one.
    origin: (u32, u32),
    amplification: f64,
    requests: (Spread, Spread),
    traffic: (Spread, Spread),
}

impl Change {
    async fn after(scene: &Scene, whole: &Network, before: &Round, lost: &[ShieldId]) -> Result<Self> {
        let hurt = Network::without(whole.size(), lost)?;
        let moment = scene.loss(before, &hurt, lost).await?;
        let after = scene.round(&hurt).await?.tally;
        let is_left = |shield: ShieldId| !lost.contains(&shield);
        Ok(Self {
            owners: [scene.owners(whole).await?, scene.owners(&hurt).await?],
            origin: (before.tally.origin, moment.origin - before.tally.origin),
            amplification: after.amplification(),
            requests: (before.tally.requests(everybody), after.requests(is_left)),
            traffic: (before.tally.traffic(everybody), after.traffic(is_left)),
        })
    }

    /// Of the keys of a region, the shares of those that have another owner now, and of those that were the lost one's.
    fn moved_keys(&self, region: usize, lost: ShieldId) -> (f64, f64) {
        let [before, after] = &self.owners;
        let keys = || before.iter().filter(|((of, _), _)| *of == region);
        let share = |count: usize| share(count, keys().count());
        let moved = keys().filter(|(key, shield)| after.get(key) != Some(shield)).count();
        (share(moved), share(keys().filter(|(_, shield)| **shield == lost).count()))
    }

    fn cells(&self) -> String {
        let (usual, added) = self.origin;
        format!(
            "{added} | {:.1} % | {:.2} | {:.2} | {:.2} |",
            100.0 * f64::from(added) / f64::from(usual),
            self.amplification,
            self.requests.1.max / self.requests.0.max,
            self.traffic.1.max / self.traffic.0.max,
        )
    }
}

fn everybody(_: ShieldId) -> bool {
    true
}

fn share(part: usize, all: usize) -> f64 {
    let number = |count| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    number(part) / number(all)
}
