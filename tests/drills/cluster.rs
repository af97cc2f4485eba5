//! The house that the drills are held in: two origins, three shields, two edges, each a process of its own.

use std::net::{Ipv4Addr, SocketAddr};

use tidegate_tests::{APART, Member, Netns, OriginProcess};

/// Where the shields are. Those of the first region are two.
pub(crate) const REGIONS: [&str; 3] = ["eu", "eu", "us"];

/// Everything between the encoder and the viewers.
pub(crate) struct Cluster {
    pub(crate) primary: OriginProcess,
    pub(crate) backup: OriginProcess,
    pub(crate) shields: [Member; 3],
    pub(crate) edges: [Member; 2],
}

impl Cluster {
    /// One without bad roads.
    pub(crate) async fn plain() -> Self {
        let (primary, backup) = (OriginProcess::start().await, OriginProcess::start().await);
        let roads = [primary.addr(), backup.addr()];
        Self::of(primary, backup, &roads).await
    }

    /// One whose shields ask the origins at these addresses, the primary first.
    pub(crate) async fn of(primary: OriginProcess, backup: OriginProcess, roads: &[SocketAddr; 2]) -> Self {
        let shields = [shield(0, roads).await, shield(1, roads).await, shield(2, roads).await];
        let shields_at = shields.each_ref().map(|shield| shield.addr());
        let edges = edges(&shields_at).await;
        Self { primary, backup, shields, edges }
    }

    /// What all shields have counted of something, together.
    pub(crate) async fn at_shields(&self, metric: &str, label: &str) -> u64 {
        let mut sum = 0;
        for shield in &self.shields {
            sum += shield.count(metric, label).await;
        }
        sum
    }

    /// The shield that follows most of the live playlists: whose loss is felt most. Which one it is depends on the hash of
    /// its address.
    pub(crate) async fn busiest_shield(&self) -> usize {
        let mut followed = Vec::new();
        for shield in &self.shields {
            followed.push(shield.count("tidegate_followed_playlists", "").await);
        }
        (0..followed.len()).max_by_key(|index| followed[*index]).expect("three shields")
    }
}

/// A shield in its region, before origins at these addresses.
pub(crate) async fn shield(number: usize, origins: &[SocketAddr; 2]) -> Member {
    shield_in(APART, &[], number, origins).await
}

/// The same at an address of its own, and by way of another program.
pub(crate) async fn shield_in(
    ip: Ipv4Addr,
    entrance: &[&str],
    number: usize,
    origins: &[SocketAddr; 2],
) -> Member {
    let site = format!("[[site]]\norigins = {:?}\n", origins.map(url));
    shield_before(ip, entrance, number, &site).await
}

/// The same with the end of its configuration written out: the site, and how its origins are asked.
pub(crate) async fn shield_before(ip: Ipv4Addr, entrance: &[&str], number: usize, site: &str) -> Member {
    let name = format!("shield-{}-{number}", REGIONS[number]);
    let site = site.to_owned();
    let write = move |viewers: SocketAddr, operators: SocketAddr| tier(&name, "", viewers, operators, &site);
    Member::start_at(ip, entrance, "shield", write).await
}

/// Two edges that ask shields at these addresses, which are those of [`REGIONS`].
pub(crate) async fn edges(shields: &[SocketAddr; 3]) -> [Member; 2] {
    [edge(1, shields).await, edge(2, shields).await]
}

/// An edge that asks shields at these addresses, which are those of [`REGIONS`].
pub(crate) async fn edge(number: usize, shields: &[SocketAddr; 3]) -> Member {
    let name = format!("edge-{number}");
    let listed = shields.iter().zip(REGIONS);
    let listed =
        listed.map(|(shield, region)| format!("{{ url = \"{}\", region = \"{region}\" }}", url(*shield)));
    let listed = listed.collect::<Vec<_>>().join(", ");
    let upstream = format!("shields = [{listed}]\n[location]\nregion = \"{}\"\n", REGIONS[0]);
    let write = move |viewers: SocketAddr, operators: SocketAddr| {
        tier(&name, &upstream, viewers, operators, "[[site]]\n")
    };
    Member::start("edge", write).await
}

fn tier(name: &str, upstream: &str, viewers: SocketAddr, operators: SocketAddr, site: &str) -> String {
    format!(
        "node = \"{name}\"\n{upstream}[listen]\nviewers = \"{viewers}\"\noperators = \"{operators}\"\n\
         [cache]\nmemory = \"256MiB\"\n[log]\naccess = \"off\"\n{site}"
    )
}

fn url(addr: SocketAddr) -> String {
    format!("http://{addr}")
}

/// A house of which one rack, with a shield and the primary, can be cut off.
pub(crate) async fn with_a_rack_in(netns: &Netns) -> Cluster {
    let primary = OriginProcess::start_at(netns.inside(), &netns.entrance()).await;
    let backup = OriginProcess::start_at(netns.here(), &[]).await;
    let roads = [primary.addr(), backup.addr()];
    let inside = shield_in(netns.inside(), &netns.entrance(), 0, &roads).await;
    let shields = [inside, shield(1, &roads).await, shield(2, &roads).await];
    let shields_at = shields.each_ref().map(|shield| shield.addr());
    let edges = edges(&shields_at).await;
    Cluster { primary, backup, shields, edges }
}
