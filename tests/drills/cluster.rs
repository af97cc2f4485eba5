//! The cluster of the drills: two origins, three shields and two edges, each in its own process.

use std::net::{Ipv4Addr, SocketAddr};

use tidegate_tests::{Member, Netns, OPERATORS_TOKEN, OriginProcess, SEPARATE_LOOPBACK};

/// The regions of the shields. The first region has two.
pub(crate) const REGIONS: [&str; 3] = ["eu", "eu", "us"];

const HEDGES: &str = "tidegate_hedges_total";

/// All servers between the encoder and the viewers.
pub(crate) struct Cluster {
    pub(crate) primary: OriginProcess,
    pub(crate) backup: OriginProcess,
    pub(crate) shields: [Member; 3],
    pub(crate) edges: [Member; 2],
}

impl Cluster {
    /// A cluster without relays.
    pub(crate) async fn plain() -> Self {
        let (primary, backup) = (OriginProcess::start().await, OriginProcess::start().await);
        let links = [primary.addr(), backup.addr()];
        Self::of(primary, backup, &links).await
    }

    /// A cluster whose shields reach the origins at these addresses, the primary first.
    pub(crate) async fn of(primary: OriginProcess, backup: OriginProcess, links: &[SocketAddr; 2]) -> Self {
        let shields = [shield(0, links).await, shield(1, links).await, shield(2, links).await];
        let shields_at = shields.each_ref().map(|shield| shield.addr());
        let edges = edges(&shields_at).await;
        Self { primary, backup, shields, edges }
    }

    /// The sum of a counter over all shields.
    pub(crate) async fn at_shields(&self, metric: &str, label: &str) -> u64 {
        let mut sum = 0;
        for shield in &self.shields {
            sum += shield.count(metric, label).await;
        }
        sum
    }

    /// Requests that tiers have sent to a second upstream because the first was late: edges to a shield that
    /// does not know the stream, shields to the other origin.
    pub(crate) async fn hedges(&self) -> u64 {
        let mut sum = self.at_shields(HEDGES, "").await;
        for edge in &self.edges {
            sum += edge.count(HEDGES, "").await;
        }
        sum
    }

    /// The shield that follows most of the live playlists: its loss affects the most viewers. Which one it is
    /// depends on the hash of its address.
    pub(crate) async fn busiest_shield(&self) -> usize {
        let mut followed = Vec::new();
        for shield in &self.shields {
            followed.push(shield.count("tidegate_followed_playlists", "").await);
        }
        (0..followed.len()).max_by_key(|index| followed[*index]).expect("three shields")
    }
}

/// A shield in its region, in front of origins at these addresses.
pub(crate) async fn shield(number: usize, origins: &[SocketAddr; 2]) -> Member {
    shield_in(SEPARATE_LOOPBACK, &[], number, origins).await
}

/// The same at another address, and through a launcher program.
pub(crate) async fn shield_in(
    ip: Ipv4Addr,
    launcher: &[&str],
    number: usize,
    origins: &[SocketAddr; 2],
) -> Member {
    let site = format!("[[site]]\norigins = {:?}\n", origins.map(url));
    shield_before(ip, launcher, number, &site).await
}

/// The same with the end of its configuration given: the site, and the settings for its origins.
pub(crate) async fn shield_before(ip: Ipv4Addr, launcher: &[&str], number: usize, site: &str) -> Member {
    let name = format!("shield-{}-{number}", REGIONS[number]);
    let site = site.to_owned();
    let write = move |viewers: SocketAddr, operators: SocketAddr| tier(&name, "", viewers, operators, &site);
    Member::start_at(ip, launcher, "shield", write).await
}

/// Two edges in front of shields at these addresses, in the order of [`REGIONS`].
pub(crate) async fn edges(shields: &[SocketAddr; 3]) -> [Member; 2] {
    [edge(1, shields).await, edge(2, shields).await]
}

/// An edge in front of shields at these addresses, in the order of [`REGIONS`].
pub(crate) async fn edge(number: usize, shields: &[SocketAddr; 3]) -> Member {
    let name = format!("edge-{number}");
    let listed = shields.iter().zip(REGIONS);
    let listed =
        listed.map(|(shield, region)| format!("{{ url = \"{}\", region = \"{region}\" }}", url(*shield)));
    let listed = listed.collect::<Vec<_>>().join(", ");
    let upstream = format!(
        "shields = [{listed}]\n[location]\nregion = \"{}\"\n[limits]\nexempt = [\"127.0.0.0/8\"]\n",
        REGIONS[0]
    );
    let write = move |viewers: SocketAddr, operators: SocketAddr| {
        tier(&name, &upstream, viewers, operators, "[[site]]\n")
    };
    Member::start("edge", write).await
}

fn tier(name: &str, upstream: &str, viewers: SocketAddr, operators: SocketAddr, site: &str) -> String {
    // Needed where operators do not come by a loopback address.
    let token = OPERATORS_TOKEN;
    format!(
        "node = \"{name}\"\n{upstream}[listen]\nviewers = \"{viewers}\"\noperators = \"{operators}\"\n\
         operators_token = \"{token}\"\n\
         [cache]\nmemory = \"256MiB\"\n[log]\naccess = \"off\"\n{site}"
    )
}

fn url(addr: SocketAddr) -> String {
    format!("http://{addr}")
}

/// A cluster of which one rack, with a shield and the primary, can be cut off.
pub(crate) async fn with_a_rack_in(netns: &Netns) -> Cluster {
    let primary = OriginProcess::start_at(netns.inside(), &netns.launcher()).await;
    let backup = OriginProcess::start_at(netns.here(), &[]).await;
    let links = [primary.addr(), backup.addr()];
    let inside = shield_in(netns.inside(), &netns.launcher(), 0, &links).await;
    let shields = [inside, shield(1, &links).await, shield(2, &links).await];
    let shields_at = shields.each_ref().map(|shield| shield.addr());
    let edges = edges(&shields_at).await;
    Cluster { primary, backup, shields, edges }
}
