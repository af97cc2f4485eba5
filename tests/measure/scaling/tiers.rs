//! The tables of the simulation: the requests from edges to shields and from shields to the origin, and the
//! changes when some shields are lost.

use anyhow::{Context as _, Result};

use crate::network::{Network, ShieldId, Size};
use crate::rounds::{Owners, Round, Scene};
use crate::tally::{Spread, Tally};
use crate::text::whole;

/// Edges, regions, and shields of a region.
const SIZES: [(u32, u32, u32); 9] = [
    (10, 1, 2),
    (10, 2, 2),
    (10, 3, 2),
    (100, 1, 4),
    (100, 2, 4),
    (100, 3, 4),
    (1000, 1, 17),
    (1000, 2, 9),
    (1000, 3, 6),
];
const CHANNELS: u32 = 10;
const VIEWERS_OF_AN_EDGE: u32 = 1000;

/// For each size, the requests while all shields are healthy, and the changes when shields are lost.
pub(crate) struct Tables {
    pub(crate) well: String,
    pub(crate) without_a_shield: String,
    pub(crate) without_a_region: String,
}

impl Tables {
    pub(crate) async fn simulate() -> Result<Self> {
        let mut tables = Self {
            well: WELL.to_owned(),
            without_a_shield: format!(
                "| edges | regions | shields of a region | keys moved | those of the lost shield | {CHANGE}\n\
                 |---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n"
            ),
            without_a_region: format!(
                "| edges | regions | shields of a region | {CHANGE}\n|---:|---:|---:|---:|---:|---:|---:|---:|\n"
            ),
        };
        for (edges, regions, shields) in SIZES {
            let scene = Scene::new(CHANNELS, edges, VIEWERS_OF_AN_EDGE);
            let network = Network::new(Size { regions, shields })?;
            let round = scene.round(&network).await?;
            let name = format!("| {edges} | {regions} | {shields} |");
            tables.well.extend([name.clone(), well(&round.tally, edges)]);
            let busiest = round.tally.busiest().context("a shield")?;
            let change = Change::after(&scene, &network, &round, &[busiest]).await?;
            let moved = change.moved_keys(network.size().region_of(busiest), busiest);
            tables.without_a_shield.extend([name.clone(), moved, change.cells()]);
            if regions > 1 {
                let region: Vec<ShieldId> = (0..usize::try_from(shields)?).collect();
                let change = Change::after(&scene, &network, &round, &region).await?;
                tables.without_a_region.extend([name, change.cells()]);
            }
        }
        Ok(tables)
    }
}

const WELL: &str = "| edges | regions | shields of a region | objects | requests of all edges | of one edge | origin requests | for each object | of a shield: requests | busiest / mean | Mbit/s | busiest / mean |\n\
                    |---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n";

/// The columns of [`WELL`] after the size.
fn well(tally: &Tally, edges: u32) -> String {
    let (requests, traffic) = (tally.requests(all_shields), tally.traffic(all_shields));
    format!(
        " {} | {} | {} | {} | {:.2} | {} | {:.2} | {} | {:.2} |\n",
        tally.objects(),
        whole(tally.edges.into()),
        whole(f64::from(tally.edges) / f64::from(edges)),
        tally.origin,
        tally.amplification(),
        whole(requests.mean),
        requests.imbalance(),
        whole(traffic.mean),
        traffic.imbalance(),
    )
}

/// From few renditions to more requests than an edge has in flight without comparing its shields' loads.
pub(crate) async fn by_channels() -> Result<String> {
    let mut table = vec!["| channels | renditions | shields with nothing to do | requests of a shield: busiest / mean | Mbit/s: busiest / mean | origin requests for each object |\n\
                     |---:|---:|---:|---:|---:|---:|\n".to_owned()];
    for channels in [1, 5, 20, 60, 200] {
        let scene = Scene::new(channels, 30, 20_000);
        let tally = scene.round(&Network::new(Size { regions: 1, shields: 10 })?).await?.tally;
        let idle = tally.received.iter().filter(|received| **received == 0).count();
        table.push(format!(
            "| {channels} | {} | {idle} of 10 | {:.2} | {:.2} | {:.2} |\n",
            scene.renditions().len(),
            tally.requests(all_shields).imbalance(),
            tally.traffic(all_shields).imbalance(),
            tally.amplification()
        ));
    }
    Ok(table.concat())
}

/// The columns of [`Change::cells`].
const CHANGE: &str = "origin requests at that moment | beside those of a segment's time | for each object afterwards | requests of the busiest shield, × before | Mbit/s of the busiest, × before |";

/// The changes when shields are lost.
struct Change {
    /// The owner of each region's renditions before the loss, and after it.
    owners: [Owners; 2],
    /// Origin requests in a segment's time before the loss, and those that the loss adds.
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
            requests: (before.tally.requests(all_shields), after.requests(is_left)),
            traffic: (before.tally.traffic(all_shields), after.traffic(is_left)),
        })
    }

    /// Of the keys of a region, the share that has another owner now, and the share that the lost shield
    /// owned.
    fn moved_keys(&self, region: usize, lost: ShieldId) -> String {
        let [before, after] = &self.owners;
        let keys = || before.iter().filter(|((of, _), _)| *of == region);
        let share = |count: usize| 100.0 * share(count, keys().count());
        let moved = keys().filter(|(key, shield)| after.get(key) != Some(shield)).count();
        let own = keys().filter(|(_, shield)| **shield == lost).count();
        format!(" {:.1} % | {:.1} % |", share(moved), share(own))
    }

    fn cells(&self) -> String {
        let (usual, added) = self.origin;
        format!(
            " {added} | {:.1} % | {:.2} | {:.2} | {:.2} |\n",
            100.0 * f64::from(added) / f64::from(usual),
            self.amplification,
            self.requests.1.max / self.requests.0.max,
            self.traffic.1.max / self.traffic.0.max,
        )
    }
}

fn all_shields(_: ShieldId) -> bool {
    true
}

fn share(part: usize, all: usize) -> f64 {
    let number = |count| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    number(part) / number(all)
}
