//! A network namespace behind a pair of virtual cables, which can be cut off silently.
//!
//! A server that is cut off neither refuses nor closes connections; packets to it are lost. It needs `ip`
//! (iproute2) and root.

use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// A network namespace; dropping this value deletes it.
#[derive(Debug)]
pub struct Netns {
    name: String,
    cable: String,
    here: Ipv4Addr,
    inside: Ipv4Addr,
}

/// The number of namespaces that this process has made.
static MADE: AtomicU32 = AtomicU32::new(0);

impl Netns {
    /// Makes a namespace and connects it.
    pub fn new() -> Self {
        let (process, made) = (std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let name = format!("tdg{process}x{made}");
        // Four addresses for each, from the range that RFC 2544 reserves for measurements (198.18.0.0/15).
        let first = u32::from(Ipv4Addr::new(198, 18, 0, 0)) + (process.wrapping_mul(4) + made) % 0x8000 * 4;
        let (here, inside) = (Ipv4Addr::from(first + 1), Ipv4Addr::from(first + 2));
        let netns = Self { cable: format!("{name}a"), name, here, inside };
        netns.build();
        netns
    }

    fn build(&self) {
        let Self { name, cable, here, inside } = self;
        let end = format!("{name}b");
        ip(&format!("netns add {name}"));
        ip(&format!("link add {cable} type veth peer name {end} netns {name}"));
        ip(&format!("addr add {here}/30 dev {cable}"));
        ip(&format!("link set {cable} up"));
        ip(&format!("-n {name} addr add {inside}/30 dev {end}"));
        ip(&format!("-n {name} link set lo up"));
        ip(&format!("-n {name} link set {end} up"));
        // A permanent neighbour entry never expires: packets to it are sent, and lost.
        let link = ip(&format!("-n {name} -o link show dev {end}"));
        let mac =
            link.split_whitespace().skip_while(|word| *word != "link/ether").nth(1).expect("its address");
        ip(&format!("neigh replace {inside} lladdr {mac} dev {cable} nud permanent"));
    }

    /// The address of this side.
    pub fn here(&self) -> Ipv4Addr {
        self.here
    }

    /// The address of the other side.
    pub fn inside(&self) -> Ipv4Addr {
        self.inside
    }

    /// The command prefix that runs a command inside; it replaces itself by the command.
    pub fn launcher(&self) -> [&str; 4] {
        ["ip", "netns", "exec", &self.name]
    }

    /// Cuts it off.
    pub fn cut(&self) {
        ip(&format!("-n {0} link set {0}b down", self.name));
    }

    /// Connects it again.
    pub fn reconnect(&self) {
        ip(&format!("-n {0} link set {0}b up", self.name));
    }
}

impl Default for Netns {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        // The cable exists until the last process inside has ended; deleting its near end removes it.
        for arguments in [["link", "del", &self.cable], ["netns", "del", &self.name]] {
            let _missing = Command::new("ip").args(arguments).output();
        }
    }
}

/// Runs `ip` and returns its output.
fn ip(arguments: &str) -> String {
    let output = Command::new("ip").args(arguments.split(' ')).output();
    let output = output.unwrap_or_else(|error| panic!("`ip` (Debian: iproute2) cannot be run: {error}"));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "network namespaces need root: `ip {arguments}` says: {complaint}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
